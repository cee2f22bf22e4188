/* A statement goes by the schema as it was when it was prepared, and SQLite reads that
 * again where somebody listens to changes, or a table is STRICT. It keeps a table that is
 * virtual, but not the rest, from being freed by what is run meanwhile. */

#include "engine/bounds.h"

static enum csq_effect
effect_of_blob(const struct csq_blob_task *task)
{
    bool writes = task->action == CSQ_BLOB_WRITE || task->action == CSQ_BLOB_SET ||
                  (task->action == CSQ_BLOB_OPEN && task->with.open.writable);

    return writes ? CSQ_CHANGES : CSQ_READS;
}

static enum csq_effect
effect_of(const struct csq_job *job)
{
    switch (job->op) {
    case CSQ_EXECUTE:
    case CSQ_EXECUTEMANY:
        return csq_effect_of(job->sql);
    case CSQ_BLOB_TASK:
        return effect_of_blob(&job->with.blob);
    case CSQ_COMMIT:
    case CSQ_AUTOCOMMIT:
        return CSQ_TRANSACTS;
    case CSQ_APPLY:
        /* What shapes refuses by itself: csq_bounds_refuse(). */
        return job->anytime ? CSQ_READS : CSQ_TRANSACTS;
    case CSQ_SCRIPT:
    case CSQ_FETCH:
    case CSQ_RESET:
    case CSQ_DUMP:
    case CSQ_CALL:
    case CSQ_UNDO:
        return CSQ_READS;
    default:
        return CSQ_SHAPES;
    }
}

bool
csq_bounds_allow(const struct csq_db *db, const struct csq_job *job)
{
    return effect_of(job) >= db->bound;
}

bool
csq_bounds_allow_text(const struct csq_db *db, const char *sql)
{
    return db->bound == CSQ_SHAPES || csq_effect_of(sql) >= db->bound;
}

bool
csq_bounds_allow_statement(const struct csq_db *db, sqlite3_stmt *statement)
{
    return db->bound < CSQ_READS || statement == NULL || sqlite3_stmt_readonly(statement) ||
           sqlite3_stmt_isexplain(statement);
}

int
csq_bounds_refuse(struct csq_error *error)
{
    return csq_error_set(error, CSQ_USAGE,
                         "The connection cannot be used in a callback of this kind.");
}

void
csq_bounds_narrow(struct csq_db *db, sqlite3_stmt *statement, bool dml)
{
    enum csq_effect bound;

    if (!sqlite3_stmt_readonly(statement)) {
        bound = dml ? CSQ_TRANSACTS : csq_effect_within(sqlite3_sql(statement));
        /* What would end the transaction of all of them is done when it is run by itself. */
        bound = db->batch.open && bound < CSQ_CHANGES ? CSQ_CHANGES : bound;
        db->bound = bound > db->bound ? bound : db->bound;
    }
}

struct csq_standing
csq_bounds_look(const struct csq_db *db)
{
    struct csq_standing standing = {SQLITE_TXN_NONE, false};

    if (db->handle != NULL) {
        standing.state = sqlite3_txn_state(db->handle, NULL);
        standing.inside = !sqlite3_get_autocommit(db->handle);
    }
    return standing;
}

void
csq_bounds_compare(struct csq_db *db, struct csq_standing before)
{
    struct csq_standing now = csq_bounds_look(db);

    if ((before.state == SQLITE_TXN_WRITE && now.state != SQLITE_TXN_WRITE) ||
        (before.inside && !now.inside)) {
        db->undone = true;
    }
}
