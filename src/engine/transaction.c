/* SQLite rolls everything back when a statement that writes is stopped. In autocommit
 * mode that is the statement alone, but only where it is the only one that writes: what
 * others have written is committed when the last of them is done. sqlite3_get_autocommit()
 * does not tell that.
 *
 * Transactions that jobs begin are numbered. `lone` has the number of the open one as long
 * as it holds nothing but what the job that began it has written. */

#include "engine/transaction.h"

#include "engine/claim.h"
#include "engine/journal.h"
#include "engine/scan.h"

/* Whether a statement that writes is under way; a blob that is open for writing is one
 * to SQLite. */
static bool
is_written(const struct csq_db *db)
{
    sqlite3_stmt *handle = NULL;

    while ((handle = sqlite3_next_stmt(db->handle, handle)) != NULL) {
        if (sqlite3_stmt_busy(handle) && !sqlite3_stmt_readonly(handle)) {
            return true;
        }
    }
    return false;
}

bool
csq_transaction_is_shared(const struct csq_db *db, const struct csq_cursor *cursor)
{
    const struct csq_link *first = db->cursors.head.next;
    bool own = first == &db->cursors.head ||
               (cursor != NULL && first == &cursor->open && first->next == &db->cursors.head);

    /* Where nobody has anything open there is nothing to look through. */
    if (own && csq_list_empty(&db->blobs) && db->running <= 1) {
        return false;
    }
    return is_written(db);
}

/* Of a statement that writes. Where others have written what is not committed it may be
 * stopped alone: outside a transaction, and in one that the job has begun for it. In a
 * callback of another one that is not tried: SQLite knows one such failure at a time. */
static enum csq_stopping
stopping_of(struct csq_db *db, const struct csq_job *job, sqlite3_stmt *handle)
{
    bool outside = csq_db_is_outside(db);

    if (!outside && !job->with.steps.joined) {
        return CSQ_RUNS_ON;
    }
    if (outside && !csq_transaction_is_shared(db, job->cursor)) {
        return CSQ_STOPS;
    }
    if (db->running > 1 || !csq_journal_begin(handle)) {
        return CSQ_RUNS_ON;
    }
    db->journaled = handle;
    return CSQ_STOPS_ALONE;
}

/* SQLite calls a COMMIT read-only, too; but what returns no rows is not there to be read,
 * and has to be done before the process ends. */
void
csq_transaction_guard(struct csq_db *db, const struct csq_job *job, const struct csq_stmt *stmt,
                      bool began)
{
    db->reading = stmt->readonly && stmt->columns != NULL;
    db->stopping = stmt->readonly || began ? CSQ_STOPS : stopping_of(db, job, stmt->handle);
}

void
csq_transaction_guard_handle(struct csq_db *db, const struct csq_job *job, sqlite3_stmt *handle)
{
    db->stopping = sqlite3_stmt_readonly(handle) ? CSQ_STOPS : stopping_of(db, job, handle);
}

void
csq_transaction_note_begin(struct csq_db *db, struct csq_job *job)
{
    db->lone = ++db->begins;
    atomic_store(&job->began, db->lone);
}

int
csq_transaction_begin(struct csq_db *db, struct csq_job *job, const struct csq_stmt *stmt,
                      bool *began)
{
    bool shared;

    *began = false;
    if (job->with.steps.begin == NULL || !stmt->dml || db->published.autocommit != CSQ_LEGACY ||
        !sqlite3_get_autocommit(db->handle)) {
        return SQLITE_OK;
    }
    shared = csq_transaction_is_shared(db, job->cursor);
    db->stopping = CSQ_STOPS;
    if (csq_claim_begin(db, job->with.steps.begin, stmt->sql, &job->error) != SQLITE_OK ||
        csq_db_run(db, job->with.steps.begin, &job->error) != SQLITE_OK) {
        return job->error.code;
    }
    if (shared) {
        /* What others have written has become part of it. */
        db->lone = 0;
        db->breakable = false;
        job->with.steps.joined = true;
        return SQLITE_OK;
    }
    csq_transaction_note_begin(db, job);
    *began = true;
    return SQLITE_OK;
}

struct csq_mark
csq_transaction_mark(const struct csq_db *db, sqlite3_stmt *handle, bool dml)
{
    struct csq_mark mark = {false, dml, 0};

    if (db->lone != 0) {
        /* A savepoint is somebody's to go back to. */
        mark.looked = (!sqlite3_stmt_readonly(handle) && !sqlite3_stmt_isexplain(handle)) ||
                      csq_scan_is_control(sqlite3_sql(handle));
        mark.changes = csq_db_total_changes(db);
    }
    return mark;
}

struct csq_mark
csq_transaction_mark_call(const struct csq_db *db)
{
    struct csq_mark mark = {db->lone != 0 && db->handle != NULL, true, 0};

    if (mark.looked) {
        mark.changes = csq_db_total_changes(db);
    }
    return mark;
}

void
csq_transaction_note_run(struct csq_db *db, const struct csq_mark *mark, int rc, bool open)
{
    if (!mark->looked || db->handle == NULL) {
        return;
    }
    if (open || (!mark->counted && rc == SQLITE_OK) ||
        csq_db_total_changes(db) != mark->changes) {
        db->lone = 0;
    }
}

bool
csq_transaction_is_answered(struct csq_job *job)
{
    return atomic_load(&job->cancelled) == CSQ_EXPIRED && job->error.code == SQLITE_OK;
}

void
csq_transaction_undo(struct csq_db *db, struct csq_job *job, bool began)
{
    struct csq_error ignored;

    if (began && atomic_load(&job->cancelled) && !csq_transaction_is_answered(job) &&
        !sqlite3_get_autocommit(db->handle)) {
        csq_error_init(&ignored);
        db->stopping = CSQ_RUNS_ON;
        csq_db_run(db, "ROLLBACK", &ignored);
        csq_error_clear(&ignored);
    }
}
