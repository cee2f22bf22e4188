#include "engine/control.h"

static int
end_transaction(struct csq_db *db, const char *sql, struct csq_error *error)
{
    int rc = SQLITE_OK;

    /* With CSQ_MANUAL there is one, or somebody has ended it by hand and is told so. */
    if (db->published.autocommit == CSQ_MANUAL || !sqlite3_get_autocommit(db->handle)) {
        rc = csq_db_run(db, sql, error);
    }
    if (rc == SQLITE_OK && db->published.autocommit == CSQ_MANUAL) {
        rc = csq_db_run(db, "BEGIN", error);
    }
    return rc;
}

int
csq_control_commit(struct csq_db *db, struct csq_error *error)
{
    return db->published.autocommit == CSQ_AUTO ? SQLITE_OK
                                                : end_transaction(db, "COMMIT", error);
}

int
csq_control_rollback(struct csq_db *db, struct csq_error *error)
{
    return db->published.autocommit == CSQ_AUTO ? SQLITE_OK
                                                : end_transaction(db, "ROLLBACK", error);
}

int
csq_control_set_autocommit(struct csq_db *db, enum csq_autocommit autocommit,
                           struct csq_error *error)
{
    bool in_transaction = !sqlite3_get_autocommit(db->handle);
    int rc = SQLITE_OK;

    if (autocommit == CSQ_AUTO && in_transaction) {
        rc = csq_db_run(db, "COMMIT", error);
    }
    if (autocommit == CSQ_MANUAL && !in_transaction) {
        rc = csq_db_run(db, "BEGIN", error);
    }
    if (rc == SQLITE_OK) {
        atomic_store(&db->published.autocommit, (int)autocommit);
    }
    return rc;
}
