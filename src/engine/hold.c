/* SQLite may end a transaction by itself (OR ROLLBACK, RAISE(ROLLBACK), a full disk, an
 * interrupt). What was meant for it would then run outside of any; so `held` stays what it is
 * until whoever holds it has heard of that. */

#include "engine/hold.h"

#include <time.h>

#include "engine/claim.h"
#include "engine/execute.h"
#include "engine/scan.h"
#include "engine/snapshot.h"
#include "engine/transaction.h"

/* -- what belongs to it ---------------------------------------------------------- */

/* Says that it is over. */
static int
tell_over(const struct csq_db *db, struct csq_job *job)
{
    if (db->held == job->within && db->lost.message != NULL) {
        return csq_error_set(&job->error, CSQ_OVER, "SQLite has rolled the transaction back: %s",
                             db->lost.message);
    }
    return csq_error_set(&job->error, CSQ_OVER, "%s",
                         db->held == job->within ? "SQLite has rolled the transaction back"
                                                 : "The transaction is over.");
}

static bool
is_over(const struct csq_db *db, const struct csq_job *job)
{
    return db->handle == NULL || db->held != job->within || sqlite3_get_autocommit(db->handle);
}

bool
csq_hold_refuses(const struct csq_db *db, struct csq_job *job)
{
    bool ends = job->op == CSQ_COMMIT || job->op == CSQ_ROLLBACK || job->op == CSQ_AUTOCOMMIT ||
                job->op == CSQ_SCRIPT;

    if (job->op == CSQ_HOLD) {
        return false; /* it looks itself */
    }
    if (job->within != 0 && is_over(db, job)) {
        tell_over(db, job);
        return true;
    }
    if (db->held != 0 && (ends || (job->op == CSQ_EXECUTE && csq_scan_ends(job->sql)))) {
        csq_error_set(&job->error, CSQ_USAGE,
                      "What transaction() has begun is ended by its block, or by its own "
                      "commit() and rollback().");
        return true;
    }
    return false;
}

void
csq_hold_look(struct csq_db *db, const struct csq_job *job)
{
    if (db->handle == NULL || db->held_lost || !sqlite3_get_autocommit(db->handle)) {
        return;
    }
    db->held_lost = true;
    csq_error_clear(&db->lost);
    if (job->error.code != SQLITE_OK) {
        csq_error_set(&db->lost, job->error.code, "%s",
                      job->error.message == NULL ? sqlite3_errstr(job->error.code)
                                                 : job->error.message);
    }
}

/* -- beginning and ending --------------------------------------------------------- */

/* Runs a statement that is no other's, so that it is not kept. */
static int
run_named(struct csq_db *db, struct csq_job *job, const char *format)
{
    char *sql = sqlite3_mprintf(format, job->sql);
    int rc;

    if (sql == NULL) {
        return csq_error_copy(&job->error, NULL, SQLITE_NOMEM);
    }
    rc = csq_db_run(db, sql, &job->error);
    sqlite3_free(sql);
    return rc;
}

static bool
is_query_only(struct csq_db *db)
{
    sqlite3_stmt *stmt = NULL;
    bool set =
        sqlite3_prepare_v2(db->handle, "PRAGMA query_only", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_int(stmt, 0) != 0;

    sqlite3_finalize(stmt);
    return set;
}

/* Whether the transaction that is always open without autocommit was not used yet. */
static bool
is_untouched(const struct csq_db *db)
{
#if SQLITE_VERSION_NUMBER >= 3034000
    return atomic_load(&db->published.autocommit) == CSQ_MANUAL &&
           sqlite3_txn_state(db->handle, NULL) == SQLITE_TXN_NONE;
#else
    (void)db;
    return false;
#endif
}

/* The transaction is over: what was set up for it is taken back. */
static void
let_go(struct csq_db *db)
{
    struct csq_error ignored;

    csq_error_init(&ignored);
    db->held = 0;
    db->held_lost = false;
    csq_error_clear(&db->lost);
    if (db->handle == NULL) {
        db->query_only = false;
        return;
    }
    if (db->query_only) {
        db->query_only = false;
        csq_db_run(db, "PRAGMA query_only=0", &ignored);
    }
    if (atomic_load(&db->published.autocommit) == CSQ_MANUAL &&
        sqlite3_get_autocommit(db->handle)) {
        csq_db_run(db, "BEGIN", &ignored);
    }
    csq_error_clear(&ignored);
}

static void
roll_back(struct csq_db *db)
{
    struct csq_error ignored;

    csq_error_init(&ignored);
    db->stopping = CSQ_RUNS_ON;
    if (!sqlite3_get_autocommit(db->handle)) {
        csq_db_run(db, "ROLLBACK", &ignored);
    }
    csq_error_clear(&ignored);
    let_go(db);
}

/* -- what is half-read ------------------------------------------------------------ */

/* How much of a cursor is read on, so that it holds no snapshot any more. */
enum {
    REST_BYTES = 1024 * 1024,
    REST_NANOSECONDS = 50 * 1000 * 1000, /* of this thread's own */
};

/* How long this thread has worked, in nanoseconds: what else the machine does is not counted. */
static int64_t
worked(void)
{
    struct timespec time = {0, 0};

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (int64_t)time.tv_sec * 1000 * 1000 * 1000 + time.tv_nsec;
}

/* Steps to the next row and puts it into `rest`: SQLITE_ROW, SQLITE_DONE, or an error's code. */
static int
read_row(struct csq_cursor *cursor, struct csq_strip *rest, struct csq_error *error)
{
    int rc;

    if (cursor->dump != NULL) {
        return csq_dump_step(cursor->dump, rest, error);
    }
    rc = cursor->standing ? SQLITE_ROW : sqlite3_step(cursor->stmt->handle);
    cursor->standing = false;
    if (rc == SQLITE_ROW && !csq_stmt_row(cursor->stmt, rest, cursor->texts)) {
        rc = SQLITE_NOMEM;
    }
    return rc;
}

/* Reads what the cursor has still to give into `rest`. False: that is too much, or takes too
 * long, or fails. */
static bool
read_rest(struct csq_cursor *cursor, struct csq_strip *rest)
{
    int64_t end = worked() + REST_NANOSECONDS;
    struct csq_error ignored;
    int rc = SQLITE_ROW;

    csq_error_init(&ignored);
    if (cursor->dump != NULL && cursor->standing) {
        csq_strip_move(rest, &cursor->line);
    }
    while (rc == SQLITE_ROW && rest->bytes < REST_BYTES && worked() < end) {
        rc = read_row(cursor, rest, &ignored);
    }
    csq_error_clear(&ignored);
    return rc == SQLITE_DONE;
}

/* Lets a cursor that only reads hold no snapshot any more: what it has still to give is kept for
 * it, where that is little; otherwise the next fetch is told. */
static void
end_reader(struct csq_db *db, struct csq_cursor *cursor)
{
    struct csq_strip rest;
    bool whole;

    if (cursor->busy || (cursor->dump == NULL && !cursor->stmt->readonly)) {
        return;
    }
    csq_strip_init(&rest);
    cursor->busy = true; /* a function that it calls finds a cursor it cannot use */
    whole = read_rest(cursor, &rest);
    cursor->busy = false;
    csq_cursor_reset(cursor, &db->cache);
    cursor->ended = !whole;
    if (whole) {
        csq_strip_move(&cursor->rest, &rest);
    }
    csq_strip_clear(&rest);
}

/* Ends what is half-read: it holds a snapshot, on which nothing can be written once others have
 * committed. What they call may end others of them, so the list is looked at anew each time. */
static void
end_readers(struct csq_db *db)
{
    struct csq_list done;
    struct csq_link *link;

    csq_list_init(&done);
    while ((link = csq_list_shift(&db->cursors)) != NULL) {
        csq_list_append(&done, link);
        end_reader(db, csq_item(link, struct csq_cursor, open));
    }
    csq_list_move(&db->cursors, &done);
    while ((link = csq_list_shift(&db->blobs)) != NULL) {
        csq_list_append(&done, link);
        csq_blob_end(csq_item(link, struct csq_blob, open));
    }
    csq_list_move(&db->blobs, &done);
}

/* Runs the statement that begins, in its turn where it takes the lock to write. */
static int
run_begin(struct csq_db *db, struct csq_job *job)
{
    if (csq_scan_begins_to_write(job->sql) && csq_claim(db, job->sql, &job->error) != SQLITE_OK) {
        return job->error.code;
    }
    return csq_db_run(db, job->sql, &job->error);
}

/* Whether SQLite has refused it because something is half-read: on an old snapshot nobody can
 * write, and nobody waits with one. */
static bool
is_read_before(struct csq_db *db, const struct csq_job *job)
{
    return job->error.extended == SQLITE_BUSY_SNAPSHOT ||
           (atomic_load(&db->timeout) > 0 &&
            sqlite3_txn_state(db->handle, "main") == SQLITE_TXN_READ);
}

/* The same; what is half-read is ended where it is in the way. */
static int
run_begin_alone(struct csq_db *db, struct csq_job *job)
{
    int rc = run_begin(db, job);

    if (rc == SQLITE_BUSY && is_read_before(db, job)) {
        csq_error_clear(&job->error);
        end_readers(db);
        rc = run_begin(db, job);
    }
    return rc;
}

static int
begin(struct csq_db *db, struct csq_job *job)
{
    int rc = SQLITE_OK;

    if (csq_transaction_is_shared(db, NULL) ||
        (!sqlite3_get_autocommit(db->handle) && !is_untouched(db))) {
        return csq_error_set(&job->error, CSQ_OPENED, "a transaction is open");
    }
    if (!sqlite3_get_autocommit(db->handle)) {
        rc = csq_db_run(db, "COMMIT", &job->error);
    }
    db->stopping = CSQ_STOPS;
    rc = rc == SQLITE_OK ? run_begin_alone(db, job) : rc;
    if (rc == SQLITE_OK && job->with.hold.read_only && !is_query_only(db)) {
        rc = csq_db_run(db, "PRAGMA query_only=1", &job->error);
        db->query_only = rc == SQLITE_OK;
    }
    db->held = job->within;
    db->lone = 0;
    if (rc == SQLITE_OK && atomic_load(&job->cancelled) && !csq_transaction_is_answered(job)) {
        rc = csq_job_over(job);
    }
    if (rc != SQLITE_OK) {
        roll_back(db);
    }
    return rc;
}

static int
commit(struct csq_db *db, struct csq_job *job)
{
    int rc;

    if (is_over(db, job)) {
        rc = tell_over(db, job);
    } else {
        db->stopping = CSQ_RUNS_ON;
        rc = csq_db_run(db, "COMMIT", &job->error);
        job->with.hold.open = !sqlite3_get_autocommit(db->handle);
    }
    if (!job->with.hold.open && db->held == job->within) {
        let_go(db);
    }
    return rc;
}

/* It does nothing where the transaction is another one by now. */
static int
undo(struct csq_db *db, struct csq_job *job)
{
    if (db->held == job->within) {
        roll_back(db);
    }
    return SQLITE_OK;
}

/* -- savepoints ------------------------------------------------------------------- */

static int
run_savepoint(struct csq_db *db, struct csq_job *job)
{
    int rc;

    if (is_over(db, job)) {
        return job->with.hold.action == CSQ_HOLD_BACK ? SQLITE_OK : tell_over(db, job);
    }
    db->stopping = CSQ_RUNS_ON;
    switch (job->with.hold.action) {
    case CSQ_HOLD_SAVE:
        return run_named(db, job, "SAVEPOINT \"%w\"");
    case CSQ_HOLD_RELEASE:
        return run_named(db, job, "RELEASE \"%w\"");
    default:
        rc = run_named(db, job, "ROLLBACK TO \"%w\"");
        return rc == SQLITE_OK ? run_named(db, job, "RELEASE \"%w\"") : rc;
    }
}

int
csq_hold_run(struct csq_db *db, struct csq_job *job)
{
    if (db->handle == NULL) {
        db->held = 0;
        return csq_execute_closed(job);
    }
    csq_snapshot_release(db);
    switch (job->with.hold.action) {
    case CSQ_HOLD_BEGIN:
        return begin(db, job);
    case CSQ_HOLD_COMMIT:
        return commit(db, job);
    case CSQ_HOLD_ROLLBACK:
        return undo(db, job);
    default:
        return run_savepoint(db, job);
    }
}
