/* One function for each of SQLite's hooks, which calls the listeners in the order in
 * which they were set. SQLite knows of a hook only while somebody listens.
 *
 * SQLite's automatic checkpoint is a WAL hook itself: while a listener stands in its
 * place, the checkpoint is made here. */

#include "engine/hooks.h"

#include <string.h>

#include "engine/alloc.h"

/* SQLite's own, in pages. */
enum { DEFAULT_AUTOCHECKPOINT = 1000 };

void
csq_hooks_init(struct csq_hooks *hooks, int *sealed)
{
    memset(hooks, 0, sizeof *hooks);
    hooks->sealed = sealed;
    for (int hook = 0; hook < CSQ_HOOKS; hook++) {
        csq_list_init(&hooks->listeners[hook]);
    }
    csq_changes_init(&hooks->changes, CSQ_CHANGES_LIMIT);
}

/* -- the listeners ------------------------------------------------------------- */

/* The first one from `link` on that is not gone; NULL: there is none. */
static struct csq_listener *
listener_from(const struct csq_list *list, struct csq_link *link)
{
    for (; link != &list->head; link = link->next) {
        struct csq_listener *listener = csq_item(link, struct csq_listener, link);

        if (!listener->gone) {
            return listener;
        }
    }
    return NULL;
}

static struct csq_listener *
first(const struct csq_hooks *hooks, enum csq_hook hook)
{
    return listener_from(&hooks->listeners[hook], hooks->listeners[hook].head.next);
}

static struct csq_listener *
next(const struct csq_hooks *hooks, enum csq_hook hook, const struct csq_listener *listener)
{
    return listener_from(&hooks->listeners[hook], listener->link.next);
}

bool
csq_hooks_any(const struct csq_hooks *hooks, enum csq_hook hook)
{
    return first(hooks, hook) != NULL;
}

static void
listener_free(struct csq_listener *listener)
{
    csq_link_remove(&listener->link);
    if (listener->release != NULL) {
        listener->release(listener->argument);
    }
    csq_free(listener);
}

/* Frees what is gone. Releasing one may lead back here, so after each the search
 * begins at the front. */
static void
sweep(struct csq_hooks *hooks)
{
    hooks->stale = false;
    for (int hook = 0; hook < CSQ_HOOKS; hook++) {
        const struct csq_list *list = &hooks->listeners[hook];
        struct csq_link *link = list->head.next;

        while (link != &list->head) {
            struct csq_listener *listener = csq_item(link, struct csq_listener, link);

            link = link->next;
            if (listener->gone) {
                listener_free(listener);
                link = list->head.next;
            }
        }
    }
}

void
csq_hooks_hold(struct csq_hooks *hooks)
{
    hooks->walks++;
}

void
csq_hooks_release(struct csq_hooks *hooks)
{
    hooks->walks--;
    if (hooks->walks == 0 && hooks->stale) {
        sweep(hooks);
    }
}

void
csq_hooks_clear(struct csq_hooks *hooks)
{
    for (int hook = 0; hook < CSQ_HOOKS; hook++) {
        const struct csq_list *list = &hooks->listeners[hook];

        while (!csq_list_empty(list)) {
            listener_free(csq_item(list->head.next, struct csq_listener, link));
        }
    }
    csq_changes_clear(&hooks->changes);
    hooks->trace = NULL;
}

/* -- what SQLite calls --------------------------------------------------------- */

static void
seal(struct csq_hooks *hooks)
{
    ++*hooks->sealed;
    csq_hooks_hold(hooks);
}

static void
unseal(struct csq_hooks *hooks)
{
    csq_hooks_release(hooks);
    --*hooks->sealed;
}

static void
on_update(void *argument, int operation, const char *database, const char *table,
          sqlite3_int64 rowid)
{
    struct csq_hooks *hooks = argument;
    struct csq_listener *listener = first(hooks, CSQ_ON_UPDATE);

    if (listener == NULL || hooks->paused) {
        return;
    }
    if (listener->batched) {
        /* A change that nobody hears of is worse than a commit that fails. */
        if (!csq_changes_add(&hooks->changes, operation, database, table, rowid)) {
            hooks->lost = true;
        }
        return;
    }
    seal(hooks);
    listener->call.update(listener->argument, operation, database, table, rowid);
    unseal(hooks);
}

#ifdef SQLITE_ENABLE_PREUPDATE_HOOK
static void
on_preupdate(void *argument, sqlite3 *handle, int operation, const char *database,
             const char *table, sqlite3_int64 rowid, sqlite3_int64 new_rowid)
{
    struct csq_hooks *hooks = argument;
    const struct csq_preupdate change = {handle, operation, database, table, rowid, new_rowid};
    struct csq_listener *listener = first(hooks, CSQ_ON_PREUPDATE);

    if (hooks->watch_rows) {
        hooks->watch->row(hooks->watch->argument, &change);
    }
    if (listener == NULL) {
        return;
    }
    seal(hooks);
    for (; listener != NULL; listener = next(hooks, CSQ_ON_PREUPDATE, listener)) {
        listener->call.preupdate(listener->argument, &change);
    }
    unseal(hooks);
}
#endif

static int
on_commit(void *argument)
{
    struct csq_hooks *hooks = argument;
    struct csq_listener *listener;
    bool undo = hooks->lost;

    if (hooks->watch != NULL) {
        hooks->watch->commit(hooks->watch->argument);
    }
    seal(hooks);
    for (listener = first(hooks, CSQ_ON_COMMIT); listener != NULL && !undo;
         listener = next(hooks, CSQ_ON_COMMIT, listener)) {
        undo = listener->call.commit(listener->argument);
    }
    unseal(hooks);
    return undo;
}

static void
on_rollback(void *argument)
{
    struct csq_hooks *hooks = argument;
    struct csq_listener *listener;

    if (hooks->watch != NULL) {
        hooks->watch->rollback(hooks->watch->argument);
    }
    csq_changes_undo(&hooks->changes);
    hooks->lost = false;
    seal(hooks);
    for (listener = first(hooks, CSQ_ON_ROLLBACK); listener != NULL;
         listener = next(hooks, CSQ_ON_ROLLBACK, listener)) {
        listener->call.rollback(listener->argument);
    }
    unseal(hooks);
}

/* The transaction is over here, and the handle may be used: the database that it was in may
 * be detached when the listener is done, and its name be gone. */
static int
on_wal(void *argument, sqlite3 *handle, const char *database, int pages)
{
    struct csq_hooks *hooks = argument;
    struct csq_listener *listener;
    char *name = sqlite3_mprintf("%s", database);
    const bool hidden = hooks->hidden;
    int rc = SQLITE_OK;

    hooks->logged = true;
    hooks->hidden = false; /* what a listener runs is somebody's */
    csq_hooks_hold(hooks);
    listener = first(hooks, CSQ_ON_WAL);
    if (listener != NULL) {
        rc = listener->call.wal(listener->argument, database, pages);
    }
    csq_hooks_release(hooks);
    if (hooks->autocheckpoint > 0 && pages >= hooks->autocheckpoint && name != NULL) {
        /* As in SQLite's own hook: a checkpoint that cannot be made now is made later. */
        sqlite3_wal_checkpoint(handle, name);
    }
    sqlite3_free(name);
    hooks->hidden = hidden;
    return rc;
}

static int
on_trace(unsigned event, void *argument, void *p, void *x)
{
    struct csq_hooks *hooks = argument;
    struct csq_listener *listener;

    if (hooks->hidden) {
        return 0;
    }
    seal(hooks);
    if (event == SQLITE_TRACE_STMT && hooks->trace != NULL) {
        hooks->trace(event, hooks->trace_argument, p, x);
    }
    for (listener = first(hooks, CSQ_ON_TRACE); listener != NULL;
         listener = next(hooks, CSQ_ON_TRACE, listener)) {
        if ((unsigned)listener->number & event) {
            listener->call.trace(listener->argument, event, p, x);
        }
    }
    unseal(hooks);
    return 0;
}

int
csq_hooks_steps(struct csq_hooks *hooks, int most)
{
    struct csq_listener *listener;

    for (listener = first(hooks, CSQ_ON_PROGRESS); listener != NULL;
         listener = next(hooks, CSQ_ON_PROGRESS, listener)) {
        most = listener->number < most ? listener->number : most;
    }
    return most;
}

bool
csq_hooks_progress(struct csq_hooks *hooks, int steps)
{
    struct csq_listener *listener;
    bool stop = false;

    csq_hooks_hold(hooks);
    for (listener = first(hooks, CSQ_ON_PROGRESS); listener != NULL && !stop;
         listener = next(hooks, CSQ_ON_PROGRESS, listener)) {
        listener->passed += steps;
        if (listener->passed >= listener->number) {
            listener->passed %= listener->number;
            stop = listener->call.progress(listener->argument);
        }
    }
    csq_hooks_release(hooks);
    return stop;
}

/* -- telling SQLite ------------------------------------------------------------ */

/* What SQLite's own hook has been told, as long as that is the one that is set. */
static int
read_autocheckpoint(sqlite3 *handle)
{
    sqlite3_stmt *statement = NULL;
    int pages = DEFAULT_AUTOCHECKPOINT;

    /* An authorizer may forbid asking. */
    if (sqlite3_prepare_v2(handle, "PRAGMA wal_autocheckpoint", -1, &statement, NULL) ==
            SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        pages = sqlite3_column_int(statement, 0);
    }
    sqlite3_finalize(statement);
    return pages;
}

/* SQLite keeps one hook, and `PRAGMA wal_autocheckpoint = N` puts its own there: the
 * argument that it gives back tells whether that has happened. */
static void
install_wal(struct csq_hooks *hooks)
{
    int pages = read_autocheckpoint(hooks->handle);
    bool on = csq_hooks_any(hooks, CSQ_ON_WAL);

    if (sqlite3_wal_hook(hooks->handle, on ? on_wal : NULL, on ? hooks : NULL) != hooks) {
        hooks->autocheckpoint = pages;
    }
    if (!on) {
        sqlite3_wal_autocheckpoint(hooks->handle, hooks->autocheckpoint);
    }
}

static void
install_trace(struct csq_hooks *hooks)
{
    unsigned mask = hooks->trace == NULL ? 0 : SQLITE_TRACE_STMT;
    struct csq_listener *listener;

    for (listener = first(hooks, CSQ_ON_TRACE); listener != NULL;
         listener = next(hooks, CSQ_ON_TRACE, listener)) {
        mask |= (unsigned)listener->number;
    }
    if (mask == 0 && *hooks->sealed > 0) {
        mask = SQLITE_TRACE_STMT; /* SQLite may go on calling what it has called before */
    }
    sqlite3_trace_v2(hooks->handle, mask, mask == 0 ? NULL : on_trace, hooks);
}

/* Lets SQLite know who listens now. A batch needs to know how transactions end. */
static void
install(struct csq_hooks *hooks, enum csq_hook hook)
{
    const struct csq_listener *update = first(hooks, CSQ_ON_UPDATE);
    bool batched = update != NULL && update->batched;
    bool on = csq_hooks_any(hooks, hook);
    sqlite3 *handle = hooks->handle;

    switch (hook) {
    case CSQ_ON_UPDATE:
    case CSQ_ON_COMMIT:
    case CSQ_ON_ROLLBACK:
        sqlite3_update_hook(handle, update == NULL ? NULL : on_update, hooks);
        on = batched || hooks->watch != NULL || csq_hooks_any(hooks, CSQ_ON_COMMIT);
        sqlite3_commit_hook(handle, on ? on_commit : NULL, hooks);
        on = batched || hooks->watch != NULL || csq_hooks_any(hooks, CSQ_ON_ROLLBACK);
        sqlite3_rollback_hook(handle, on ? on_rollback : NULL, hooks);
        break;
    case CSQ_ON_PREUPDATE:
#ifdef SQLITE_ENABLE_PREUPDATE_HOOK
        on = on || hooks->watch_rows;
        /* A session takes what it finds there for another session. */
        sqlite3_preupdate_hook(handle, on ? on_preupdate : NULL, on ? hooks : NULL);
#endif
        break;
    case CSQ_ON_WAL:
        install_wal(hooks);
        break;
    case CSQ_ON_TRACE:
        install_trace(hooks);
        break;
    default:
        /* The db has a progress handler of its own, which calls the listeners. */
        break;
    }
}

bool
csq_hooks_set(struct csq_hooks *hooks, enum csq_hook hook, struct csq_listener *old,
              const struct csq_listener *fresh)
{
    struct csq_listener *listener = NULL;

    if (fresh != NULL) {
        listener = csq_malloc(sizeof *listener);
        if (listener == NULL) {
            return false;
        }
        *listener = *fresh;
        csq_link_init(&listener->link);
    }
    csq_hooks_hold(hooks);
    if (old != NULL) {
        old->gone = true;
        hooks->stale = true;
    }
    if (listener != NULL) {
        csq_list_append(&hooks->listeners[hook], &listener->link);
    }
    if (hook == CSQ_ON_UPDATE) {
        /* Who listens from now on hears of what is changed from now on. */
        csq_changes_clear(&hooks->changes);
        hooks->lost = false;
    }
    if (old != NULL || listener != NULL) {
        install(hooks, hook);
    }
    csq_hooks_release(hooks);
    return true;
}

/* Where a session has SQLite's one place, it is left alone. */
void
csq_hooks_set_watch(struct csq_hooks *hooks, const struct csq_hooks_watch *watch, bool rows)
{
    bool changed = rows != hooks->watch_rows;

    hooks->watch = watch;
    hooks->watch_rows = rows;
    if (changed) {
        install(hooks, CSQ_ON_PREUPDATE);
    }
    install(hooks, CSQ_ON_ROLLBACK);
}

void
csq_hooks_set_trace(struct csq_hooks *hooks,
                    int (*trace)(unsigned event, void *argument, void *p, void *x),
                    void *argument)
{
    hooks->trace = trace;
    hooks->trace_argument = argument;
    install_trace(hooks);
}

int
csq_hooks_set_autocheckpoint(struct csq_hooks *hooks, int pages)
{
    hooks->autocheckpoint = pages;
    if (csq_hooks_any(hooks, CSQ_ON_WAL)) {
        return SQLITE_OK;
    }
    return sqlite3_wal_autocheckpoint(hooks->handle, pages);
}

void
csq_hooks_detach(struct csq_hooks *hooks, bool later)
{
    sqlite3 *handle = hooks->handle;

    sqlite3_update_hook(handle, NULL, NULL);
    sqlite3_commit_hook(handle, NULL, NULL);
    sqlite3_rollback_hook(handle, NULL, NULL);
    if (csq_hooks_any(hooks, CSQ_ON_WAL)) {
        sqlite3_wal_hook(handle, NULL, NULL);
    }
#ifdef SQLITE_ENABLE_PREUPDATE_HOOK
    if (csq_hooks_any(hooks, CSQ_ON_PREUPDATE) || hooks->watch_rows) {
        sqlite3_preupdate_hook(handle, NULL, NULL);
    }
#endif
    if (later) {
        sqlite3_trace_v2(handle, 0, NULL, NULL);
    }
    hooks->handle = NULL;
}

/* -- batches ------------------------------------------------------------------- */

void
csq_hooks_settle(struct csq_hooks *hooks)
{
    if (hooks->changes.unsettled && sqlite3_get_autocommit(hooks->handle) &&
        sqlite3_txn_state(hooks->handle, NULL) != SQLITE_TXN_WRITE) {
        csq_changes_settle(&hooks->changes);
    }
}

void
csq_hooks_tell(struct csq_hooks *hooks)
{
    struct csq_listener *listener = first(hooks, CSQ_ON_UPDATE);
    struct csq_changes changes;

    if (listener == NULL || !listener->batched || hooks->paused) {
        return;
    }
    csq_hooks_settle(hooks);
    if (!csq_changes_any(&hooks->changes) || hooks->changes.unsettled) {
        return;
    }
    csq_changes_take(&hooks->changes, &changes);
    hooks->paused = true;
    csq_hooks_hold(hooks);
    listener->call.changes(listener->argument, &changes);
    csq_hooks_release(hooks);
    hooks->paused = false;
    csq_changes_clear(&changes);
}

void
csq_hooks_finish(struct csq_hooks *hooks)
{
    csq_hooks_settle(hooks);
    csq_changes_undo(&hooks->changes);
    csq_hooks_tell(hooks);
}
