/* The handle. It is opened NOMUTEX: one job at a time uses it, and the lock
 * around a job costs less than SQLite's around each call.
 *
 * Waiting for a lock is a loop of short sleeps, as in SQLite's own busy
 * handler, that also looks whether anybody still waits for the answer.
 * sqlite3_busy_timeout() cannot be woken, so it is not used, but for what asks SQLite
 * how long it waits. */

#include "engine/db.h"

#include <string.h>
#include <time.h>

#include "engine/blob.h"
#include "engine/clock.h"
#include "engine/cursor.h"
#include "engine/harden.h"
#include "engine/journal.h"
#include "engine/parting.h"
#include "engine/scan.h"
#include "engine/vfs.h"

/* How often a running statement looks for cancellation: about every 20 us. A user's
 * handler that is to be called less often is called at some of these looks. */
enum { STEPS_BETWEEN_LOOKS = 1000 };

void
csq_db_init(struct csq_db *db)
{
    memset(db, 0, sizeof *db);
    pthread_mutex_init(&db->lock, NULL);
    pthread_mutex_init(&db->closing, NULL);
    csq_cache_init(&db->cache, 0);
    csq_list_init(&db->cursors);
    csq_list_init(&db->blobs);
    csq_list_init(&db->registered);
    csq_list_init(&db->sessions);
    csq_hooks_init(&db->hooks, &db->sealed);
    csq_recorder_init(&db->recorder);
    db->quitting = NULL;
    atomic_init(&db->timeout, 0);
    atomic_init(&db->published.in_transaction, false);
    atomic_init(&db->published.total_changes, 0);
    atomic_init(&db->published.group_commits, 0);
    csq_error_init(&db->owed);
    csq_error_init(&db->lost);
    atomic_init(&db->published.autocommit, CSQ_LEGACY);
    db->patient = true;
    csq_places_init(&db->places);
}

void
csq_db_destroy(struct csq_db *db)
{
    csq_error_clear(&db->owed);
    csq_error_clear(&db->lost);
    csq_places_destroy(&db->places);
    pthread_mutex_destroy(&db->lock);
    pthread_mutex_destroy(&db->closing);
}

void
csq_db_look_at_clock(struct csq_db *db)
{
    int wanted = CSQ_WANTED;

    if (db->stop != NULL && csq_now() >= db->deadline) {
        atomic_compare_exchange_strong(db->stop, &wanted, CSQ_EXPIRED);
    }
}

bool
csq_db_is_stopped(struct csq_db *db)
{
    return csq_db_is_over(db) || (db->reading && db->quitting != NULL &&
                                  atomic_load_explicit(db->quitting, memory_order_relaxed));
}

/* Stops the running statement so that nothing else is undone. False: not now. */
static bool
fail_alone(struct csq_db *db)
{
    db->failed = csq_journal_fail(db->journaled);
    return db->failed;
}

/* Whether the running statement is to be stopped, which it can be. */
static bool
is_to_stop(struct csq_db *db)
{
    if (db->stopping != CSQ_RUNS_ON) {
        return csq_db_is_stopped(db) && (db->stopping == CSQ_STOPS || fail_alone(db));
    }
    /* Outside a transaction others were told that what they have written is done. */
    return db->breakable && db->deadline != 0 && csq_db_is_over(db) &&
           atomic_load(db->stop) == CSQ_EXPIRED && !sqlite3_get_autocommit(db->handle);
}

/* Whether others, who have run with it, have waited long enough for the running statement. */
static bool
is_late(struct csq_db *db)
{
    if (db->batch.end == 0 || db->running > 1 || csq_now() < db->batch.end) {
        return false;
    }
    db->batch.late = true;
    return true;
}

bool
csq_db_is_within(const struct csq_db *db)
{
    return db->running > 1;
}

/* A write inside a transaction is not stopped because it was cancelled: SQLite would roll
 * the whole transaction back, and the statements before it were somebody's success. A
 * deadline stops it all the same: somebody waits, and is told of that. */
static int
look(void *argument)
{
    struct csq_db *db = argument;

    if (db->hooks.hidden) {
        return 0;
    }
    if (is_to_stop(db) || is_late(db)) {
        return 1;
    }
    if (db->progress != NULL) {
        db->progress_passed += db->look_steps;
        if (db->progress_passed >= db->progress_steps) {
            db->progress_passed %= db->progress_steps;
            if (db->progress(db->progress_argument) != 0) {
                return 1;
            }
        }
    }
    return csq_hooks_progress(&db->hooks, db->look_steps);
}

/* Lets SQLite look as often as the most impatient handler wants. */
static void
set_looks(struct csq_db *db)
{
    int steps = csq_hooks_steps(&db->hooks, STEPS_BETWEEN_LOOKS);

    if (db->progress != NULL && db->progress_steps < steps) {
        steps = db->progress_steps;
    }
    db->look_steps = steps;
    sqlite3_progress_handler(db->handle, steps, look, db);
}

static bool
is_stopped(void *db)
{
    return csq_db_is_stopped(db);
}

/* Until when a lock is waited for. */
static int64_t
end_of_wait(const struct csq_db *db)
{
    const int64_t end = db->waiting + (int64_t)atomic_load(&db->timeout) * 1000 * 1000;

    return db->batch.end != 0 && db->batch.end < end && db->running <= 1 ? db->batch.end : end;
}

bool
csq_db_has_waited(const struct csq_db *db)
{
    return db->waited && csq_now() >= end_of_wait(db);
}

/* What is left of the time is for the next line, or for SQLite's own lock. */
bool
csq_db_line_up(struct csq_db *db, struct csq_writer *writer, const char *sql)
{
    enum csq_waited waited;

    if (!db->waited) {
        db->waiting = csq_now();
        db->waited = true;
    }
    waited = csq_writers_wait(writer, sql,
                              &(struct csq_wait){end_of_wait(db), db->deadline, is_stopped, db});
    db->circle = waited == CSQ_WAITED_NOT;
    return waited == CSQ_WAITED_FOR_TURN;
}

/* Whether it is of use to wait in this line, where SQLite has refused a lock. */
static bool
is_in_the_way(struct csq_db *db, const struct csq_writer *writer)
{
    struct csq_writer_seen before;

    return !writer->writes &&
           csq_places_state(&db->places, db->handle, writer) == SQLITE_TXN_NONE &&
           (db->places.count == 0 || csq_writers_before(writer, &before));
}

/* Lends the writer whose turn SQLite's refusal asks for; NULL: it cannot be told, or it would be waited for
 * with a lock in hand that the one before may be waiting for. */
static struct csq_writer *
refused(struct csq_db *db)
{
    struct csq_writer *writer = NULL;
    struct csq_writer *found = NULL;
    int others = 0;

    while ((writer = csq_places_next(&db->places, writer)) != NULL) {
        if (csq_places_state(&db->places, db->handle, writer) == SQLITE_TXN_READ) {
            return NULL;
        }
        if (is_in_the_way(db, writer)) {
            found = db->lines_in == NULL || db->lines_in == writer ? writer : found;
            others++;
        }
    }
    return db->lines_in != NULL || others == 1 ? found : NULL;
}

/* Lends the SQL that stands in a line when SQLite refuses a lock; NULL: none does. What is going to write waits
 * for its turn also where it is still to be prepared: while others write one after the other in a rollback
 * journal, the schema may never be free to be read. */
static const char *
stands_with(const struct csq_db *db)
{
    if (db->lines_up == NULL && db->prepares != NULL && csq_scan_is_dml(db->prepares)) {
        return db->prepares;
    }
    return db->lines_up;
}

static int
wait_for_lock(void *argument, int count)
{
    static const int delays[] = {1, 2, 5, 10, 15, 20, 25, 25, 25, 50};
    const int last = (int)(sizeof delays / sizeof *delays) - 1;
    const struct timespec pause = {0, 1000 * 1000};
    struct csq_db *db = argument;
    int64_t now = csq_now();
    int64_t delay = (int64_t)delays[count < last ? count : last] * 1000 * 1000;
    int64_t again = now + csq_scatter(delay, now);
    struct csq_writer *writer;
    const char *sql;
    int64_t end;

    db->claimed = true; /* somebody is to say who has the lock */
    if (!db->patient || db->circle) {
        return 0;
    }
    sql = stands_with(db);
    writer = sql == NULL ? NULL : refused(db);
    if (writer != NULL) {
        return csq_db_line_up(db, writer, sql);
    }
    if (count == 0 && !db->waited) {
        db->waiting = now;
    }
    end = end_of_wait(db);
    if (now >= end) {
        return 0;
    }
    /* By the clock: a sleep of a millisecond takes longer than that. */
    while (now < again && now < end) {
        if (csq_db_is_stopped(db)) {
            return 0;
        }
        nanosleep(&pause, NULL);
        now = csq_now();
    }
    return !csq_db_is_stopped(db);
}

void
csq_db_lend(struct csq_db *db, bool lent)
{
    if (lent) {
        sqlite3_busy_timeout(db->handle, atomic_load(&db->timeout));
    } else {
        sqlite3_busy_handler(db->handle, wait_for_lock, db);
    }
}

static void
lend(void *lender, bool lent)
{
    csq_db_lend(lender, lent);
}

/* Runs what the connection begins with, and again in its turn where SQLite refuses it at once. */
static int
set_up(struct csq_db *db, const char *sql)
{
    int rc;

    db->lines_up = sql;
    rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    if (rc == SQLITE_BUSY && refused(db) != NULL) {
        db->claimed = true;
        if (csq_db_line_up(db, &db->places.main, sql)) {
            rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
        }
    }
    db->lines_up = NULL;
    return rc;
}

int
csq_db_open(struct csq_db *db, const struct csq_open *open, struct csq_error *error)
{
    sqlite3 *handle = NULL;
    int rc;

    csq_vfs_install();
    rc = sqlite3_open_v2(open->path, &handle, open->flags | SQLITE_OPEN_NOMUTEX, open->vfs);
    if (rc != SQLITE_OK) {
        csq_error_copy(error, handle, rc);
        sqlite3_close(handle);
        return error->code;
    }
    sqlite3_extended_result_codes(handle, 0);
    /* Some distributions compile SQLite with loading allowed. */
    sqlite3_enable_load_extension(handle, 0);
    csq_cache_init(&db->cache, open->statements);
    db->cache.lend = lend;
    db->cache.lender = db;
    db->handle = handle;
    db->hooks.handle = handle;
    atomic_store(&db->timeout, open->timeout);
    atomic_store(&db->published.autocommit, (int)open->autocommit);
    db->untrusted = open->untrusted;
    db->batch.most = open->batch;
    db->batch.delay = open->delay;
    db->shared = (open->flags & SQLITE_OPEN_SHAREDCACHE) != 0 ||
                 strstr(open->path, "cache=shared") != NULL;
    csq_db_lend(db, false);
    csq_db_set_progress(db, NULL, NULL, 0);
    csq_places_open(&db->places, handle, (open->flags & SQLITE_OPEN_SHAREDCACHE) != 0);
    if (open->setup != NULL) {
        rc = set_up(db, open->setup);
        if (rc != SQLITE_OK) {
            csq_error_copy(error, handle, rc);
            csq_db_close(db, NULL);
            return error->code;
        }
    }
    if (db->untrusted && csq_harden(handle, error) != SQLITE_OK) {
        csq_db_close(db, NULL);
        return error->code;
    }
    if (db->published.autocommit == CSQ_MANUAL && csq_db_run(db, "BEGIN", error) != SQLITE_OK) {
        csq_db_close(db, NULL);
        return error->code;
    }
    if (csq_parting_keep(&db->parting, open->parting, error) != SQLITE_OK) {
        csq_db_close(db, NULL);
        return error->code;
    }
    return SQLITE_OK;
}

void
csq_db_end_work(struct csq_db *db, bool ended)
{
    while (!csq_list_empty(&db->cursors)) {
        struct csq_cursor *cursor = csq_item(db->cursors.head.next, struct csq_cursor, open);

        csq_cursor_reset(cursor, &db->cache);
        cursor->ended = ended;
    }
    while (!csq_list_empty(&db->blobs)) {
        csq_blob_close(csq_item(db->blobs.head.next, struct csq_blob, open));
    }
}

/* The same before closing, and of sessions, which outlive everything else. */
static void
end_all(struct csq_db *db)
{
    while (!csq_list_empty(&db->sessions)) {
        csq_session_close(csq_item(db->sessions.head.next, struct csq_session, open));
    }
    csq_db_end_work(db, false);
}

int
csq_db_close(struct csq_db *db, struct csq_error *error)
{
    sqlite3 *handle = db->handle;
    int rc;

    if (handle == NULL) {
        return SQLITE_OK;
    }
    end_all(db);
    /* A statement that was still open may have committed only now; who hears may use it again. */
    csq_hooks_finish(&db->hooks);
    end_all(db);
    csq_record_close(&db->recorder, handle, &db->hooks);
    csq_cache_clear(&db->cache);
    sqlite3_finalize(db->snapshot.handle);
    db->snapshot.handle = NULL;
    db->snapshot.held = false;
    for (int hidden = 0; hidden < CSQ_HIDDEN; hidden++) {
        sqlite3_finalize(db->batch.hidden[hidden]);
        db->batch.hidden[hidden] = NULL;
    }
    db->tidy = NULL;
    csq_hooks_detach(&db->hooks, db->backups > 0);
    if (db->backups == 0 && (db->quitting == NULL || !atomic_load(db->quitting))) {
        csq_parting_run(db->parting, handle);
    }
    csq_parting_drop(&db->parting);
    pthread_mutex_lock(&db->closing);
    db->handle = NULL;
    pthread_mutex_unlock(&db->closing);
    rc = SQLITE_OK;
    if (db->backups > 0) {
        db->orphan = handle;
    } else {
        rc = sqlite3_close_v2(handle);
    }
    csq_places_close(&db->places);
    db->claimed = db->waited = db->again = db->circle = false;
    db->lines_up = NULL;
    for (int handler = 0; handler < CSQ_HANDLERS; handler++) {
        csq_db_keep(db, (enum csq_handler)handler, NULL, NULL);
    }
    csq_allowed_free(db->allowed);
    db->allowed = NULL;
    csq_hooks_clear(&db->hooks);
    if (rc != SQLITE_OK && error != NULL) {
        return csq_error_copy(error, NULL, rc);
    }
    return rc;
}

void
csq_db_backup_ended(struct csq_db *db)
{
    db->backups--;
    if (db->backups == 0 && db->orphan != NULL) {
        sqlite3_close_v2(db->orphan);
        db->orphan = NULL;
    }
}

static inline int
step(struct csq_db *db, sqlite3_stmt *statement)
{
    return db->recorder.attentive ? csq_record_step(&db->recorder, db->handle, statement)
                                  : sqlite3_step(statement);
}

/* What SQLite does not wait for, although it does nothing before it has the lock: changing the
 * journal mode. It is run once more in its turn. */
static int
step_again(struct csq_db *db, sqlite3_stmt *statement)
{
    struct csq_writer *writer = refused(db);

    db->again = false;
    if (writer == NULL || !csq_db_line_up(db, writer, db->lines_up)) {
        return SQLITE_BUSY;
    }
    sqlite3_reset(statement);
    return step(db, statement);
}

static inline bool
has_stepped(int rc)
{
    return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

/* What a step comes to that has failed with `rc`. Apart, so that others do not pay for it. */
__attribute__((noinline)) static int
fail(struct csq_db *db, sqlite3_stmt *statement, int rc, struct csq_error *error)
{
    if (rc == SQLITE_BUSY && db->again) {
        rc = step_again(db, statement);
    }
    if (has_stepped(rc)) {
        return rc;
    }
    if (db->failed) {
        db->failed = false;
        return csq_error_copy(error, NULL, SQLITE_INTERRUPT);
    }
    return csq_error_copy(error, db->handle, rc);
}

int
csq_db_step(struct csq_db *db, sqlite3_stmt *statement, struct csq_error *error)
{
    int rc = step(db, statement);

    if (!has_stepped(rc)) {
        rc = fail(db, statement, rc, error);
    }
    if (db->raised && has_stepped(rc)) {
        db->raised = false;
        return csq_error_set(error, CSQ_RAISED, "a callback failed");
    }
    return rc;
}

int
csq_db_run(struct csq_db *db, const char *sql, struct csq_error *error)
{
    struct csq_stmt *stmt;
    int rc;

    stmt = csq_stmt_get(&db->cache, db->handle, sql, strlen(sql), error);
    if (stmt == NULL) {
        return error->code;
    }
    rc = csq_db_step(db, stmt->handle, error);
    csq_stmt_put(&db->cache, stmt);
    if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
        return rc;
    }
    csq_hooks_settle(&db->hooks);
    return SQLITE_OK;
}

void
csq_db_set_progress(struct csq_db *db, int (*progress)(void *), void *argument, int steps)
{
    if (steps < 1) {
        progress = NULL;
    }
    db->progress = progress;
    db->progress_argument = argument;
    db->progress_steps = steps;
    db->progress_passed = 0;
    set_looks(db);
}

bool
csq_db_set_hook(struct csq_db *db, enum csq_hook hook, struct csq_listener *old,
                const struct csq_listener *fresh)
{
    bool rows = csq_hooks_any(&db->hooks, CSQ_ON_PREUPDATE);
    bool set = csq_hooks_set(&db->hooks, hook, old, fresh);

    if (set && hook == CSQ_ON_PREUPDATE && !rows && db->sealed == 0) {
        /* A DELETE that was prepared before drops all rows at once, unseen. */
        csq_cache_renew(&db->cache);
    }
    if (set && hook == CSQ_ON_PROGRESS) {
        set_looks(db);
    }
    return set;
}

void
csq_db_keep(struct csq_db *db, enum csq_handler handler, void *argument, void (*release)(void *))
{
    void *before = db->handlers[handler].argument;
    void (*release_before)(void *) = db->handlers[handler].release;

    /* Releasing may lead back here. */
    db->handlers[handler].argument = argument;
    db->handlers[handler].release = release;
    if (before != NULL) {
        release_before(before);
    }
}

void
csq_db_publish(struct csq_db *db)
{
    if (db->handle != NULL) {
        bool in_transaction = !csq_db_is_outside(db);

        atomic_store(&db->published.in_transaction, in_transaction);
        if (!in_transaction) {
            db->lone = 0;
        }
        atomic_store(&db->published.total_changes, csq_db_total_changes(db) - db->batch.undone);
    }
}

void
csq_db_interrupt(struct csq_db *db)
{
    pthread_mutex_lock(&db->closing);
    if (db->handle != NULL) {
        sqlite3_interrupt(db->handle);
    }
    pthread_mutex_unlock(&db->closing);
}
