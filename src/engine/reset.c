/* Statements that are run for this are not kept. */

#include "engine/reset.h"

/* Runs SQL and gives the integer that it answers with, `nothing` when it gives no row;
 * -1 with `error` set. */
static int
ask(struct csq_db *db, const char *sql, int nothing, struct csq_error *error)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL);
    int answer = nothing;

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
    }
    if (rc == SQLITE_ROW) {
        answer = sqlite3_column_int(statement, 0);
    } else if (rc != SQLITE_OK && rc != SQLITE_DONE) {
        csq_error_copy(error, db->handle, rc);
        answer = -1;
    }
    sqlite3_finalize(statement);
    return answer;
}

/* Empties the schema "temp". Changing where it is stored drops all of it at once: in
 * which order tables, views and triggers depend on each other then does not matter. */
static int
drop_temp(struct csq_db *db, struct csq_error *error)
{
    static const char *const stores[] = {"PRAGMA temp_store = 0", "PRAGMA temp_store = 1",
                                         "PRAGMA temp_store = 2"};
    int store;

    if (ask(db, "SELECT 1 FROM sqlite_temp_master LIMIT 1", 0, error) < 1) {
        return error->code;
    }
    store = ask(db, "PRAGMA temp_store", 0, error);
    if (store < 0 || ask(db, stores[(store + 1) % 3], 0, error) < 0) {
        return error->code;
    }
    ask(db, stores[store % 3], 0, error);
    return error->code;
}

int
csq_reset(struct csq_db *db, struct csq_error *error)
{
    int rc = SQLITE_OK;

    csq_db_end_work(db, true);
    db->lone = 0;
    if (!sqlite3_get_autocommit(db->handle)) {
        rc = csq_db_run(db, "ROLLBACK", error);
    }
    if (rc == SQLITE_OK) {
        rc = drop_temp(db, error);
    }
    sqlite3_set_last_insert_rowid(db->handle, 0);
    if (db->published.autocommit == CSQ_MANUAL && sqlite3_get_autocommit(db->handle)) {
        int begun = csq_db_run(db, "BEGIN", error);

        rc = rc == SQLITE_OK ? begun : rc;
    }
    return rc;
}
