/* Nothing of SQLite's tells of savepoints, so their statements are read; that of a statement
 * which has failed knows by itself whether it was undone. */

#include "engine/record.h"

#include <stdint.h>
#include <string.h>

#include "engine/alloc.h"
#include "engine/journal.h"
#include "engine/savepoint.h"
#include "engine/scan.h"

/* So many rows of a transaction are told one by one; beyond, the tables are. */
enum { ROWS = 128 * 1024 };

/* -- rows ---------------------------------------------------------------------------- */

/* Keeps what was found, so that the next row of the same table is two comparisons. */
static enum csq_heed
find_heed(struct csq_recorder *recorder, const char *database, const char *table)
{
    const struct csq_watched *file = csq_recorded_file(&recorder->databases, database);
    enum csq_heed heed = file == NULL ? CSQ_HEED_NOTHING : csq_watched_heeds(file, table);
    size_t sizes[] = {strlen(database) + 1, strlen(table) + 1};

    recorder->latest.known = sizes[0] <= CSQ_RECORD_NAME && sizes[1] <= CSQ_RECORD_NAME;
    if (recorder->latest.known) {
        memcpy(recorder->latest.database, database, sizes[0]);
        memcpy(recorder->latest.table, table, sizes[1]);
        recorder->latest.heed = heed;
    }
    return heed;
}

static inline enum csq_heed
heed_of(struct csq_recorder *recorder, const char *database, const char *table)
{
    if (recorder->latest.known && strcmp(recorder->latest.table, table) == 0 &&
        strcmp(recorder->latest.database, database) == 0) {
        return recorder->latest.heed;
    }
    return find_heed(recorder, database, table);
}

/* The first change that ROLLBACK TO may yet keep alone. */
static size_t
floor_of(const struct csq_recorder *recorder)
{
    return recorder->savepoints == NULL ? 0 : recorder->savepoints->mark.count;
}

/* A row that gets another rowid is another row; one that is written through a blob goes by as a
 * DELETE. SQLite tells 0 for tables WITHOUT ROWID, and a row whose rowid is 0 may be any. */
static bool
note_row(struct csq_recorder *recorder, const struct csq_preupdate *change, bool rows)
{
    struct csq_changes *changes = &recorder->changes;
    const char *database = change->database;
    const char *table = change->table;
    int operation = change->operation;
    int64_t rowid = operation == SQLITE_INSERT ? change->new_rowid : change->rowid;

#if defined(SQLITE_ENABLE_PREUPDATE_HOOK) && SQLITE_VERSION_NUMBER >= 3036000
    if (operation == SQLITE_DELETE && sqlite3_preupdate_blobwrite(change->handle) >= 0) {
        operation = SQLITE_UPDATE;
    }
#endif
    if (!rows || rowid == 0) {
        return csq_changes_add_any(changes, floor_of(recorder), operation, database, table);
    }
    if (operation == SQLITE_UPDATE && change->operation == SQLITE_UPDATE &&
        change->new_rowid != rowid) {
        return csq_changes_add(changes, SQLITE_DELETE, database, table, rowid) &&
               csq_changes_add(changes, SQLITE_INSERT, database, table, change->new_rowid);
    }
    return csq_changes_add(changes, operation, database, table, rowid);
}

static void
on_row(void *argument, const struct csq_preupdate *change)
{
    struct csq_recorder *recorder = argument;
    enum csq_heed heed = heed_of(recorder, change->database, change->table);

    recorder->touched = true;
    if (heed == CSQ_HEED_NOTHING) {
        return;
    }
    recorder->pending = true;
    if (!note_row(recorder, change, heed == CSQ_HEED_ROWS)) {
        recorder->what |= CSQ_TOLD_UNKNOWN;
    }
}

/* -- marks ----------------------------------------------------------------------------- */

struct csq_record_mark
csq_record_mark(const struct csq_recorder *recorder)
{
    return (struct csq_record_mark){
        .transaction = recorder->transaction,
        .count = recorder->changes.count,
        .what = recorder->what,
        .overflowed = recorder->changes.overflowed,
    };
}

static bool
is_behind(const struct csq_recorder *recorder, const struct csq_record_mark *mark)
{
    return recorder->transaction == mark->transaction &&
           (recorder->changes.count > mark->count || recorder->what != mark->what ||
            recorder->changes.overflowed != mark->overflowed);
}

/* What was beyond the limit before cannot be told from what came since. */
void
csq_record_go_back(struct csq_recorder *recorder, const struct csq_record_mark *mark)
{
    if (is_behind(recorder, mark)) {
        csq_changes_cut(&recorder->changes, mark->count, !mark->overflowed);
        recorder->what = mark->what;
    }
}

static void
pop_savepoint(struct csq_recorder *recorder)
{
    struct csq_record_savepoint *savepoint = recorder->savepoints;

    recorder->savepoints = savepoint->outer;
    csq_free(savepoint);
}

static void
drop_savepoints(struct csq_recorder *recorder)
{
    while (recorder->savepoints != NULL) {
        pop_savepoint(recorder);
    }
    recorder->unnamed = false;
}

static void
push_savepoint(struct csq_recorder *recorder, const char *name)
{
    size_t size = strlen(name) + 1;
    struct csq_record_savepoint *savepoint = csq_malloc(sizeof *savepoint + size);

    if (savepoint == NULL) {
        recorder->unnamed = true;
        return;
    }
    memcpy(savepoint->name, name, size);
    savepoint->mark = csq_record_mark(recorder);
    savepoint->outer = recorder->savepoints;
    recorder->savepoints = savepoint;
}

/* Drops the savepoints within the one of that name. False: it is not known, so that what it
 * undoes is not, either. */
static bool
drop_inner(struct csq_recorder *recorder, const char *name)
{
    struct csq_record_savepoint *savepoint = recorder->savepoints;

    while (savepoint != NULL && sqlite3_stricmp(savepoint->name, name) != 0) {
        savepoint = savepoint->outer;
    }
    while (savepoint != NULL && recorder->savepoints != savepoint) {
        pop_savepoint(recorder);
    }
    return savepoint != NULL && !recorder->unnamed;
}

static void
note_savepoint(struct csq_recorder *recorder, const struct csq_savepoint *read)
{
    switch (read->action) {
    case CSQ_SAVEPOINT_SET:
        push_savepoint(recorder, read->name);
        recorder->unnamed = recorder->unnamed || !read->fits;
        break;
    case CSQ_SAVEPOINT_RELEASE:
        if (drop_inner(recorder, read->name)) {
            pop_savepoint(recorder);
        }
        break;
    case CSQ_SAVEPOINT_BACK:
        if (drop_inner(recorder, read->name)) {
            csq_record_go_back(recorder, &recorder->savepoints->mark);
        } else {
            csq_changes_blur(&recorder->changes, 0);
        }
        break;
    default:
        break;
    }
}

/* -- transactions ----------------------------------------------------------------------- */

static void
forget(struct csq_recorder *recorder)
{
    if (recorder->pending) {
        csq_changes_clear(&recorder->changes);
        recorder->pending = recorder->missed = false;
        recorder->what = 0;
    }
    drop_savepoints(recorder);
    recorder->open = NULL;
    recorder->touched = false;
    recorder->transaction++;
}

static void
on_commit(void *argument)
{
    struct csq_recorder *recorder = argument;

    csq_recorded_commit(&recorder->databases, recorder->handle);
}

static void
on_rollback(void *argument)
{
    struct csq_recorder *recorder = argument;

    csq_recorded_settle(&recorder->databases, recorder->handle, false, false);
    forget(recorder);
}

/* Whether anything of the database has changed. */
static bool
concerns(const struct csq_commit *commit, const char *database)
{
    for (uint32_t i = 0; i < commit->changes.tables_count; i++) {
        const struct csq_changed_table *table = &commit->changes.tables[i];

        if (table->seen != 0 && strcmp(table->database, database) == 0) {
            return true;
        }
    }
    return false;
}

static void
tell(struct csq_recorder *recorder)
{
    struct csq_commit *commit = csq_commit_new(&recorder->changes, recorder->what);

    for (int i = 0; i < recorder->databases.count; i++) {
        const struct csq_recorded *database = &recorder->databases.items[i];

        if (commit == NULL) {
            csq_watched_tell_unknown(database->file, true, 0);
        } else if (commit->what != 0 || concerns(commit, database->name)) {
            csq_watched_tell(database->file, database->name, commit);
        }
    }
    csq_commit_put(commit);
}

void
csq_record_settle(struct csq_recorder *recorder, sqlite3 *handle)
{
    if (!(recorder->pending || recorder->databases.commits) || !sqlite3_get_autocommit(handle) ||
        sqlite3_txn_state(handle, NULL) == SQLITE_TXN_WRITE) {
        return;
    }
    csq_recorded_settle(&recorder->databases, handle, true, recorder->touched);
    for (int i = 0; i < recorder->databases.count && recorder->missed; i++) {
        csq_watched_tell_unknown(recorder->databases.items[i].file, false,
                                 recorder->missed_since);
    }
    if (recorder->what != 0 || csq_changes_any(&recorder->changes)) {
        tell(recorder);
    }
    forget(recorder);
}

/* What was missed earlier is missed by those who have begun since as well. */
void
csq_record_missed(struct csq_recorder *recorder, unsigned turns)
{
    if (recorder->on) {
        recorder->missed_since = recorder->missed ? recorder->missed_since : turns;
        recorder->missed = recorder->pending = true;
    }
}

void
csq_record_unknown(struct csq_recorder *recorder)
{
    if (recorder->on) {
        recorder->pending = true;
        recorder->what |= CSQ_TOLD_UNKNOWN;
    }
}

void
csq_record_replaced(struct csq_recorder *recorder, sqlite3 *handle)
{
    if (recorder->on) {
        csq_recorded_renumber(&recorder->databases, handle);
        csq_record_unknown(recorder);
        recorder->what |= CSQ_TOLD_SCHEMA;
        csq_record_settle(recorder, handle);
    }
}

/* -- statements ---------------------------------------------------------------------------- */

/* A statement that has written, or that says where transactions begin and end, is done. */
static void
note_done(struct csq_recorder *recorder, sqlite3 *handle, sqlite3_stmt *statement, bool reads)
{
    const char *sql = sqlite3_sql(statement);
    enum csq_shaping shaping = sql == NULL ? CSQ_SHAPES_NOTHING : csq_scan_shaping(sql);
    struct csq_savepoint savepoint;

    if (shaping == CSQ_SHAPES_ATTACHED) {
        csq_record_forget_databases(recorder);
    }
    if (!recorder->on) {
        return;
    }
    if (reads) {
        if (sql != NULL && csq_savepoint_read(sql, &savepoint)) {
            note_savepoint(recorder, &savepoint);
        }
        if (sqlite3_get_autocommit(handle)) {
            drop_savepoints(recorder);
        }
    } else if (shaping != CSQ_SHAPES_NOTHING) {
        recorder->pending = true;
        recorder->what |= shaping == CSQ_SHAPES_SCHEMA ? CSQ_TOLD_SCHEMA : CSQ_TOLD_UNKNOWN;
        if (shaping == CSQ_SHAPES_FILE) {
            csq_recorded_renumber(&recorder->databases, handle);
        }
    } else if (recorder->blind) {
        csq_record_unknown(recorder);
    }
}

/* A statement that writes has failed. What is not known to be undone or kept is told without
 * its rows. */
static void
note_failed(struct csq_recorder *recorder, sqlite3 *handle, sqlite3_stmt *statement,
            const struct csq_record_mark *mark)
{
    if (!is_behind(recorder, mark)) {
        return;
    }
    switch (csq_journal_outcome(statement)) {
    case CSQ_UNDONE:
        csq_record_go_back(recorder, mark);
        break;
    case CSQ_OUTCOME_UNKNOWN:
        if (sqlite3_changes(handle) == 0) {
            csq_changes_blur(&recorder->changes, mark->count);
        }
        break;
    default:
        break;
    }
}

int
csq_record_step(struct csq_recorder *recorder, sqlite3 *handle, sqlite3_stmt *statement)
{
    bool reads = sqlite3_stmt_readonly(statement) != 0;
    struct csq_record_mark mark;
    int rc;

    if (reads && sqlite3_column_count(statement) > 0) {
        rc = sqlite3_step(statement); /* what it has called may have written */
        csq_record_settle(recorder, handle);
        return rc;
    }
    mark = sqlite3_stmt_busy(statement) && recorder->open == statement
               ? recorder->begun
               : csq_record_mark(recorder);
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        recorder->open = statement;
        recorder->begun = mark;
    } else if (rc == SQLITE_DONE) {
        note_done(recorder, handle, statement, reads);
    } else if (recorder->on && !reads) {
        note_failed(recorder, handle, statement, &mark);
    }
    csq_record_settle(recorder, handle);
    return rc;
}

/* -- who watches ------------------------------------------------------------------------------ */

void
csq_recorder_init(struct csq_recorder *recorder)
{
    memset(recorder, 0, sizeof *recorder);
    csq_changes_init(&recorder->changes, ROWS);
    csq_list_init(&recorder->watches);
    csq_list_init(&recorder->reads);
    recorder->hooks = (struct csq_hooks_watch){
        .row = on_row, .commit = on_commit, .rollback = on_rollback, .argument = recorder};
}

void
csq_record_forget_databases(struct csq_recorder *recorder)
{
    csq_recorded_forget(&recorder->databases);
    recorder->latest.known = false;
    recorder->turns = recorder->turns == 0 ? 0 : recorder->turns - CSQ_WATCH_CEASES;
}

bool
csq_record_look(struct csq_recorder *recorder, sqlite3 *handle, struct csq_hooks *hooks,
                bool blind)
{
    const unsigned before = recorder->turns;
    const unsigned turns = atomic_load(&csq_watch_turns);
    bool was_on = recorder->on;
    bool was_blind = recorder->blind;

#ifndef SQLITE_ENABLE_PREUPDATE_HOOK
    blind = true;
#endif
    recorder->latest.known = false;
    recorder->handle = handle;
    recorder->attentive = true;
    if (!csq_recorded_find(&recorder->databases, handle)) {
        return false; /* it looks again before the next job */
    }
    recorder->turns = turns;
    recorder->on = csq_recorded_any(&recorder->databases);
    recorder->blind = blind;
    if (csq_watch_has_begun(before, turns) &&
        sqlite3_txn_state(handle, NULL) == SQLITE_TXN_WRITE) {
        csq_record_missed(recorder, before);
    }
    if (recorder->on == was_on && recorder->blind == was_blind) {
        return false;
    }
    csq_hooks_set_watch(hooks, recorder->on ? &recorder->hooks : NULL, recorder->on && !blind);
    if (!recorder->on) {
        forget(recorder);
    }
    return recorder->on && !blind;
}

bool
csq_record_admit(struct csq_recorder *recorder, sqlite3 *handle, struct csq_watch *watch)
{
    bool admitted = csq_recorded_find(&recorder->databases, handle);

    if (csq_watch_has_joined(watch)) {
        return true;
    }
    csq_recorded_look(&recorder->databases,
                      handle); /* what has been before is not for this one */
    for (int i = 0; i < recorder->databases.count && admitted; i++) {
        admitted = csq_watch_join(watch, recorder->databases.items[i].file,
                                  recorder->databases.items[i].name);
    }
    if (!admitted) {
        csq_watch_leave(watch);
        return false;
    }
    csq_recorded_look(&recorder->databases, handle);
    csq_watch_belong(watch, &recorder->watches);
    return true;
}

void
csq_record_close(struct csq_recorder *recorder, sqlite3 *handle, struct csq_hooks *hooks)
{
    csq_record_settle(recorder, handle);
    csq_hooks_set_watch(hooks, NULL, false);
    csq_watch_end_all(&recorder->watches);
    csq_reads_end_all(&recorder->reads);
    forget(recorder);
    csq_record_forget_databases(recorder);
    recorder->on = recorder->attentive = recorder->blind = false;
    recorder->turns = 0;
}
