/* When a statement has to wait for its turn, and when the turn is over. */

#include "engine/claim.h"

#include <string.h>

#include "engine/alloc.h"
#include "engine/clock.h"
#include "engine/target.h"

static bool
is_table(struct csq_db *db, const char *schema, const char *table)
{
    return sqlite3_table_column_metadata(db->handle, schema, table, NULL, NULL, NULL, NULL, NULL,
                                         NULL) == SQLITE_OK;
}

/* Whether a statement writes to no table of the main database, so that its writers are not in
 * the way. What is not known has to wait, and is tried in the end. */
static bool
is_elsewhere(struct csq_db *db, const char *sql)
{
    struct csq_target target;

    if (!csq_target_of(sql, &target)) {
        return false;
    }
    if (target.temporary || target.schema[0] != '\0') {
        return target.temporary || sqlite3_stricmp(target.schema, "main") != 0;
    }
    return is_table(db, "temp", target.table) ||
           (is_table(db, NULL, target.table) && !is_table(db, "main", target.table));
}

/* Waits in the line before SQLite is asked for the lock. It may be free for a moment, but is on its way
 * to the next one. */
static int
wait(struct csq_db *db, const char *sql, struct csq_error *error)
{
    if (csq_db_line_up(db, sql) || !csq_db_is_stopped(db)) {
        return SQLITE_OK;
    }
    return csq_error_copy(error, NULL, SQLITE_BUSY);
}

/* What writes and begins with this letter is BEGIN, which says little of what is written. */
static bool
is_begin(const char *sql)
{
    return sql[0] == 'b' || sql[0] == 'B';
}

/* Lets others see the first statement of a transaction instead of its BEGIN. */
static void
tell(struct csq_db *db, const char *sql)
{
    if (db->nameless) {
        db->nameless = false;
        csq_writers_tell(&db->writer, sql);
    }
}

int
csq_claim(struct csq_db *db, const char *sql, struct csq_error *error)
{
    if (db->writer.line == NULL || db->waited) {
        return SQLITE_OK;
    }
    db->claimed = true;
    db->lines_up = NULL;
    if (db->writer.writes) {
        tell(db, sql);
        return SQLITE_OK;
    }
    db->nameless = is_begin(sql);
    if (csq_writers_try(&db->writer, sql) || !db->patient ||
        sqlite3_txn_state(db->handle, "main") != SQLITE_TXN_NONE ||
        sqlite3_db_readonly(db->handle, "main") == 1 || is_elsewhere(db, sql)) {
        return SQLITE_OK;
    }
    if (csq_writers_are_locked(&db->writer)) {
        db->lines_up = sql; /* when SQLite says that the lock is taken */
        return SQLITE_OK;
    }
    return wait(db, sql, error);
}

void
csq_claim_settle(struct csq_db *db)
{
    db->lines_up = NULL;
    if (db->writer.writes && sqlite3_txn_state(db->handle, "main") != SQLITE_TXN_WRITE) {
        csq_writers_done(&db->writer);
        db->waited = false;
    }
}

void
csq_claim_explain(struct csq_db *db, struct csq_error *error)
{
    const int state = sqlite3_txn_state(db->handle, "main");
    struct csq_writer_before before;
    struct csq_blocker *blocker;

    /* With the lock in hand it is readers that a commit waits for. */
    if (state == SQLITE_TXN_WRITE || error->message == NULL || error->blocker != NULL) {
        return;
    }
    blocker = csq_calloc(sizeof *blocker);
    if (blocker == NULL) {
        return;
    }
    blocker->read = state == SQLITE_TXN_READ;
    blocker->ours = csq_writers_before(&db->writer, &before);
    if (blocker->ours) {
        blocker->held = csq_now() - before.since;
        memcpy(blocker->sql, before.sql, sizeof blocker->sql);
    } else {
        blocker->process = csq_blocker_process(sqlite3_db_filename(db->handle, "main"));
    }
    error->blocker = blocker;
}

void
csq_claim_end(struct csq_db *db)
{
    db->waited = false;
    if (db->handle != NULL) {
        csq_claim_settle(db);
    }
    if (db->writer.writes && !db->writer.locks) {
        csq_writers_have(&db->writer);
    }
    db->claimed = db->writer.writes;
}
