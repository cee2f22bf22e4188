/* One small function an op. Each returns SQLITE_OK or the code it left in the
 * job's error; the order of what they check is that of the sqlite3 module, so
 * that of two mistakes in one call the same one is reported. */

#include "engine/ops.h"

#include "engine/mailbox.h"
#include "engine/rows.h"
#include "engine/snapshot.h"

static int
closed(struct csq_job *job)
{
    return csq_error_set(&job->error, CSQ_CLOSED, "Cannot operate on a closed database.");
}

static int
op_open(struct csq_db *db, struct csq_job *job)
{
    return csq_db_open(db, &job->with.open, &job->error);
}

static int
op_close(struct csq_db *db, struct csq_job *job)
{
    return csq_db_close(db, &job->error);
}

/* Stopping a statement undoes it alone when it only reads, or when it is alone in
 * its transaction. Anywhere else SQLite would undo the others with it. SQLite
 * calls a COMMIT read-only, too; but what returns no rows is not there to be read,
 * and has to be done before the process ends. */
static void
set_stoppable(struct csq_db *db, const struct csq_stmt *stmt, bool alone)
{
    db->reading = stmt->readonly && stmt->columns != NULL;
    db->stoppable = stmt->readonly || alone;
}

/* A query may see what the one before it in the queue has seen. Everything else ends
 * that: a write on an old snapshot would be refused. */
static void
share_snapshot(struct csq_db *db, const struct csq_stmt *stmt)
{
    if (!stmt->query || !sqlite3_get_autocommit(db->handle)) {
        csq_snapshot_release(db);
    } else if (db->queued) {
        csq_snapshot_hold(db);
    }
}

/* The job has begun a transaction. */
static void
note_begin(struct csq_db *db, struct csq_job *job)
{
    db->lone = ++db->begins;
    atomic_store(&job->began, db->lone);
}

static int
begin(struct csq_db *db, struct csq_job *job, const struct csq_stmt *stmt, bool *began)
{
    *began = false;
    if (job->begin == NULL || !stmt->dml || !sqlite3_get_autocommit(db->handle)) {
        return SQLITE_OK;
    }
    db->stoppable = true;
    if (csq_db_run(db, job->begin, &job->error) != SQLITE_OK) {
        return job->error.code;
    }
    note_begin(db, job);
    *began = true;
    return SQLITE_OK;
}

static int
over(struct csq_job *job)
{
    return csq_error_set(&job->error, CSQ_CANCELLED, "cancelled");
}

/* Whether somebody waits for what the job has come to, although the time is over by now. */
static bool
is_answered(struct csq_job *job)
{
    return atomic_load(&job->cancelled) == CSQ_EXPIRED && job->error.code == SQLITE_OK;
}

/* A transaction that only a cancelled job has begun, and that nobody was told of, is
 * not left behind. A job that fails by itself leaves it, as in the sqlite3 module. Who
 * is cancelled too late for this reads `began`, and leaves it to op_undo(). */
static void
undo_begin(struct csq_db *db, struct csq_job *job, bool began)
{
    struct csq_error ignored;

    if (began && atomic_load(&job->cancelled) && !is_answered(job) &&
        !sqlite3_get_autocommit(db->handle)) {
        csq_error_init(&ignored);
        db->stoppable = false;
        csq_db_run(db, "ROLLBACK", &ignored);
        csq_error_clear(&ignored);
    }
}

/* Runs the statement that `job->cursor` holds, parameters bound. */
static int
run_statement(struct csq_db *db, struct csq_job *job, bool began)
{
    struct csq_stmt *stmt = job->cursor->stmt;

    if (stmt->dml) {
        job->changes = 0;
    }
    if (stmt->handle == NULL) {
        job->exhausted = true;
        csq_cursor_reset(job->cursor, &db->cache);
        return SQLITE_OK;
    }
    set_stoppable(db, stmt, began || sqlite3_get_autocommit(db->handle));
    return csq_rows_step(db, job);
}

/* Values in order for named placeholders: an error or, later, a warning. */
static int
check_names(struct csq_job *job, const struct csq_stmt *stmt, const struct csq_strip *parameters)
{
    const struct csq_cell *head = parameters->first->cells;

    if (head->type == CSQ_POISON || csq_head_named(head)) {
        return SQLITE_OK;
    }
    job->first_name = csq_stmt_first_name(stmt);
    if (job->first_name == 0 || !job->refuse_names) {
        return SQLITE_OK;
    }
    return csq_error_set(&job->error, CSQ_USAGE,
                         "Binding %d ('%s') is a named parameter, but you supplied a sequence "
                         "which requires nameless (qmark) placeholders.",
                         job->first_name,
                         sqlite3_bind_parameter_name(stmt->handle, job->first_name));
}

static int
op_execute(struct csq_db *db, struct csq_job *job)
{
    struct csq_cursor *cursor = job->cursor;
    struct csq_reader reader = {NULL, NULL};
    struct csq_stmt *stmt;
    bool outside;
    bool began;
    int rc;

    csq_cursor_reset(cursor, &db->cache);
    if (db->handle == NULL) {
        return closed(job);
    }
    stmt = csq_stmt_get(&db->cache, db->handle, job->sql, job->sql_size, &job->error);
    if (stmt == NULL) {
        return job->error.code;
    }
    cursor->stmt = stmt;
    csq_list_append(&db->cursors, &cursor->open);
    csq_strip_move(&cursor->parameters, &job->down);
    share_snapshot(db, stmt);
    job->empty = stmt->handle == NULL;

    outside = !stmt->query && sqlite3_get_autocommit(db->handle);
    rc = begin(db, job, stmt, &began);
    if (!stmt->query && !began) {
        db->lone = 0;
    }
    if (rc == SQLITE_OK) {
        rc = csq_stmt_bind(stmt, &cursor->parameters, &reader, &job->error);
    }
    if (rc == SQLITE_OK) {
        rc = check_names(job, stmt, &cursor->parameters);
    }
    if (rc == SQLITE_OK) {
        rc = run_statement(db, job, began);
    }
    if (outside && !began && !sqlite3_get_autocommit(db->handle)) {
        note_begin(db, job); /* it was a BEGIN */
        began = true;
    }
    if (rc != SQLITE_OK || (began && atomic_load(&job->cancelled) && !is_answered(job))) {
        csq_cursor_reset(cursor, &db->cache);
        undo_begin(db, job, began);
    }
    job->last_rowid = sqlite3_last_insert_rowid(db->handle);
    return rc;
}

/* Executes all rows that lie in `rows`, adding up what they change. */
static int
execute_rows(struct csq_db *db, struct csq_job *job, struct csq_stmt *stmt,
             const struct csq_strip *rows)
{
    struct csq_reader reader = {NULL, NULL};
    int rc = SQLITE_OK;

    for (size_t row = 0; row < rows->rows && rc == SQLITE_OK; row++) {
        rc = csq_stmt_bind(stmt, rows, &reader, &job->error);
        if (rc != SQLITE_OK) {
            break;
        }
        do {
            rc = csq_db_step(db, stmt->handle, &job->error);
        } while (rc == SQLITE_ROW);
        if (rc == SQLITE_DONE) {
            rc = SQLITE_OK;
            job->changes += stmt->dml ? sqlite3_changes(db->handle) : 0;
        }
        sqlite3_reset(stmt->handle);
        if (rc == SQLITE_OK) {
            csq_hooks_settle(&db->hooks);
        }
        if (csq_db_is_over(db)) {
            rc = over(job);
        }
    }
    return rc;
}

/* Takes slice after slice from the flow until the caller has packed the last. */
static int
execute_flow(struct csq_db *db, struct csq_job *job, struct csq_stmt *stmt)
{
    struct csq_strip rows;
    int rc = SQLITE_OK;

    csq_strip_init(&rows);
    if (job->mailbox != NULL && csq_flow_empty(&job->flow)) {
        csq_mailbox_post(job, false);
    }
    while (rc == SQLITE_OK) {
        if (!csq_flow_wait_more(&job->flow)) {
            rc = over(job);
            break;
        }
        csq_flow_take(&job->flow, &rows);
        if (rows.first == NULL) {
            break;
        }
        if (job->mailbox != NULL) {
            csq_mailbox_post(job, false);
        }
        rc = job->first_name == 0 ? check_names(job, stmt, &rows) : SQLITE_OK;
        if (rc == SQLITE_OK) {
            rc = execute_rows(db, job, stmt, &rows);
        }
        if (stmt->parameters > 0) {
            sqlite3_clear_bindings(stmt->handle);
        }
        csq_strip_clear(&rows);
    }
    return rc;
}

static int
op_executemany(struct csq_db *db, struct csq_job *job)
{
    struct csq_stmt *stmt;
    bool began = false;
    int rc;

    csq_cursor_reset(job->cursor, &db->cache);
    if (db->handle == NULL) {
        return closed(job);
    }
    stmt = csq_stmt_get(&db->cache, db->handle, job->sql, job->sql_size, &job->error);
    if (stmt == NULL) {
        return job->error.code;
    }
    if (stmt->readonly) {
        csq_stmt_put(&db->cache, stmt);
        return csq_error_set(&job->error, CSQ_USAGE,
                             "executemany() can only execute DML statements.");
    }
    rc = begin(db, job, stmt, &began);
    if (rc == SQLITE_OK) {
        job->changes = stmt->dml ? 0 : -1;
        set_stoppable(db, stmt, began || sqlite3_get_autocommit(db->handle));
        job->cursor->stepping = true;
        rc = execute_flow(db, job, stmt);
        job->cursor->stepping = false;
    }
    csq_stmt_put(&db->cache, stmt);
    undo_begin(db, job, began);
    return rc;
}

/* Runs one statement of a script and moves *sql behind it. */
static int
run_one(struct csq_db *db, struct csq_job *job, const char **sql)
{
    sqlite3_stmt *handle = NULL;
    int rc = sqlite3_prepare_v2(db->handle, *sql, -1, &handle, sql);

    if (rc != SQLITE_OK) {
        return csq_error_copy(&job->error, db->handle, rc);
    }
    if (handle != NULL) {
        db->stoppable = sqlite3_stmt_readonly(handle) || sqlite3_get_autocommit(db->handle);
        do {
            rc = csq_db_step(db, handle, &job->error);
        } while (rc == SQLITE_ROW);
        if (rc == SQLITE_DONE) {
            rc = SQLITE_OK;
        }
    }
    sqlite3_finalize(handle);
    if (rc == SQLITE_OK) {
        csq_hooks_settle(&db->hooks);
    }
    return rc;
}

static int
op_script(struct csq_db *db, struct csq_job *job)
{
    const char *sql = job->sql;
    int rc = SQLITE_OK;
    bool outside;

    csq_cursor_reset(job->cursor, &db->cache);
    if (db->handle == NULL) {
        return closed(job);
    }
    if (job->sql_size > (size_t)sqlite3_limit(db->handle, SQLITE_LIMIT_SQL_LENGTH, -1)) {
        return csq_error_set(&job->error, SQLITE_TOOBIG, "query string is too large");
    }
    if (db->autocommit == CSQ_LEGACY && !sqlite3_get_autocommit(db->handle)) {
        rc = csq_db_run(db, "COMMIT", &job->error);
    }
    outside = sqlite3_get_autocommit(db->handle);
    while (rc == SQLITE_OK && *sql != '\0') {
        rc = run_one(db, job, &sql);
        if (rc == SQLITE_OK && csq_db_is_over(db)) {
            rc = over(job);
        }
    }
    if (outside && !sqlite3_get_autocommit(db->handle)) {
        note_begin(db, job);
        undo_begin(db, job, true);
    }
    return rc;
}

static int
op_fetch(struct csq_db *db, struct csq_job *job)
{
    struct csq_cursor *cursor = job->cursor;

    if (db->handle == NULL) {
        return closed(job);
    }
    if (cursor->stmt == NULL && cursor->dump == NULL) {
        job->exhausted = true;
        return cursor->ended ? csq_error_set(&job->error, CSQ_USAGE,
                                             "The cursor was ended by reset() before it was "
                                             "read to its end.")
                             : SQLITE_OK;
    }
    if (cursor->stmt != NULL) {
        /* What a RETURNING tells of has been reported as done. */
        set_stoppable(db, cursor->stmt, false);
    }
    return csq_rows_step(db, job);
}

static int
op_reset(struct csq_db *db, struct csq_job *job)
{
    csq_cursor_reset(job->cursor, &db->cache);
    return db->handle == NULL ? closed(job) : SQLITE_OK;
}

static int
op_commit(struct csq_db *db, struct csq_job *job)
{
    return db->handle == NULL ? closed(job) : csq_db_commit(db, &job->error);
}

static int
op_rollback(struct csq_db *db, struct csq_job *job)
{
    return db->handle == NULL ? closed(job) : csq_db_rollback(db, &job->error);
}

static int
op_autocommit(struct csq_db *db, struct csq_job *job)
{
    return db->handle == NULL ? closed(job)
                              : csq_db_set_autocommit(db, job->with.autocommit, &job->error);
}

/* Begins a dump in the cursor; `sql` is the filter, or NULL. */
static int
op_dump(struct csq_db *db, struct csq_job *job)
{
    csq_cursor_reset(job->cursor, &db->cache);
    if (db->handle == NULL) {
        return closed(job);
    }
    job->columns = csq_columns_named("sql");
    job->cursor->dump = csq_dump_new(db->handle, job->sql);
    if (job->columns == NULL || job->cursor->dump == NULL) {
        csq_cursor_reset(job->cursor, &db->cache);
        return csq_error_copy(&job->error, NULL, SQLITE_NOMEM);
    }
    csq_list_append(&db->cursors, &job->cursor->open);
    db->stoppable = true;
    db->reading = true;
    return csq_rows_step(db, job);
}

static int
op_backup(struct csq_db *db, struct csq_job *job)
{
    return csq_backup_step(job->with.copy.backup, job->with.copy.pages, db, &job->error);
}

static int
op_blob(struct csq_db *db, struct csq_job *job)
{
    return db->handle == NULL ? closed(job)
                              : csq_blob_run(&job->with.blob, db->handle, &db->blobs,
                                             &job->cancelled, &job->error);
}

static int
op_apply(struct csq_db *db, struct csq_job *job)
{
    return db->handle == NULL ? closed(job) : job->with.host.run(job, db->handle);
}

/* Runs even when the database is closed: what a caller queued behind close() is
 * called, and learns from SQLite's own answer. */
static int
op_call(struct csq_db *db, struct csq_job *job)
{
    (void)db;
    return job->with.host.run(job, NULL);
}

/* Ends what a job has left behind whose answer nobody took. It may have done nothing of
 * the kind, and the database may be closed. */
static int
op_undo(struct csq_db *db, struct csq_job *job)
{
    struct csq_cursor *cursor = job->with.undo.cursor;
    int64_t began = job->with.undo.began;

    if (db->handle == NULL) {
        return SQLITE_OK;
    }
    csq_cursor_reset(cursor, &db->cache);
    if (began == 0 || began != db->lone || sqlite3_get_autocommit(db->handle)) {
        return SQLITE_OK;
    }
    return csq_db_run(db, "ROLLBACK", &job->error);
}

/* Whether `op`, but for CSQ_EXECUTE, may write to a transaction that another job has begun. */
static bool
is_writing(enum csq_op op)
{
    return op != CSQ_FETCH && op != CSQ_RESET && op != CSQ_DUMP && op != CSQ_CALL &&
           op != CSQ_UNDO;
}

/* A callback can reach its own cursor or blob, or close the connection under a
 * statement that is being stepped. SQLite would survive none of these. */
static bool
is_recursive(const struct csq_db *db, const struct csq_job *job)
{
    return (job->cursor != NULL && job->cursor->stepping) ||
           (job->op == CSQ_BLOB_TASK && job->with.blob.blob->working) ||
           (job->op == CSQ_CLOSE && db->running > 0);
}

/* Nor a handle that is used in the middle of preparing or comparing. */
static bool
is_sealed(const struct csq_db *db, const struct csq_job *job)
{
    return db->sealed > 0 && !job->anytime && job->op != CSQ_CALL;
}

void
csq_op_skip(struct csq_db *db, struct csq_job *job)
{
    job->refused = true;
    if (job->error.code != SQLITE_OK) {
        /* It is said already why. */
    } else if (atomic_load(&job->cancelled) == CSQ_EXPIRED) {
        csq_error_set(&job->error, CSQ_DEADLINE, "it was not begun");
    } else {
        over(job);
    }
    if (!db->queued) {
        csq_snapshot_release(db);
    }
}

static void
run_op(struct csq_db *db, struct csq_job *job)
{
    static int (*const ops[CSQ_OPS])(struct csq_db *, struct csq_job *) = {
        [CSQ_OPEN] = op_open,         [CSQ_CLOSE] = op_close,
        [CSQ_EXECUTE] = op_execute,   [CSQ_EXECUTEMANY] = op_executemany,
        [CSQ_SCRIPT] = op_script,     [CSQ_FETCH] = op_fetch,
        [CSQ_RESET] = op_reset,       [CSQ_COMMIT] = op_commit,
        [CSQ_ROLLBACK] = op_rollback, [CSQ_AUTOCOMMIT] = op_autocommit,
        [CSQ_DUMP] = op_dump,         [CSQ_BACKUP] = op_backup,
        [CSQ_BLOB_TASK] = op_blob,    [CSQ_APPLY] = op_apply,
        [CSQ_CALL] = op_call,         [CSQ_UNDO] = op_undo,
    };
    atomic_int *stop = db->stop;
    const bool stoppable = db->stoppable;
    const bool reading = db->reading;
    void *const context = db->context;
    const bool raised = db->raised;

    if (is_recursive(db, job)) {
        job->refused = true;
        csq_error_set(&job->error, CSQ_USAGE, "Recursive use of %s not allowed.",
                      job->op == CSQ_BLOB_TASK ? "blobs" : "cursors");
        return;
    }
    if (is_sealed(db, job)) {
        job->refused = true;
        csq_error_set(&job->error, CSQ_USAGE,
                      "The connection cannot be used in a callback of this kind.");
        return;
    }
    if (db->tidy != NULL && db->running == 0) {
        csq_snapshot_release(db); /* it is a running statement, too */
        db->tidy(db);
    }
    /* A callback of a statement may run another one: what holds for the outer
     * statement holds again when the inner one is done. */
    db->running += job->op == CSQ_CALL ? 0 : 1;
    db->stop = &job->cancelled;
    db->context = job->context;
    db->stoppable = false;
    db->reading = false;
    if (job->op != CSQ_EXECUTE) {
        csq_snapshot_release(db);
        if (is_writing(job->op)) {
            db->lone = 0;
        }
    }
    db->raised = false;
    ops[job->op](db, job);
    if (!db->queued || job->error.code == SQLITE_INTERRUPT) {
        csq_snapshot_release(db);
    }
    if (job->cursor != NULL && atomic_load(&job->cancelled) && !is_answered(job)) {
        csq_cursor_reset(job->cursor, &db->cache);
    }
    if (db->handle != NULL && db->running == 1 && job->op != CSQ_CALL) {
        csq_hooks_tell(&db->hooks);
    }
    db->stop = stop;
    db->stoppable = stoppable;
    db->reading = reading;
    db->context = context;
    db->raised = raised;
    db->running -= job->op == CSQ_CALL ? 0 : 1;
    csq_db_publish(db);
}

/* What was stopped by its deadline says so. `transaction`: one was open before. Where there
 * has to be one, because autocommit is off, the next is begun. */
static void
note_deadline(struct csq_db *db, struct csq_job *job, bool transaction)
{
    const int code = job->error.code;
    struct csq_error ignored;

    if (atomic_load(&job->cancelled) != CSQ_EXPIRED ||
        (code != SQLITE_INTERRUPT && code != SQLITE_BUSY && code != CSQ_CANCELLED)) {
        return;
    }
    csq_strip_clear(&job->up); /* rows would hide that it was late */
    if (db->handle == NULL || !transaction || !sqlite3_get_autocommit(db->handle)) {
        csq_error_set(&job->error, CSQ_DEADLINE, "%s",
                      code == SQLITE_BUSY ? "it waited for a lock" : "");
        return;
    }
    csq_error_set(&job->error, CSQ_DEADLINE, "the transaction was rolled back");
    if (db->autocommit == CSQ_MANUAL) {
        csq_error_init(&ignored);
        csq_db_run(db, "BEGIN", &ignored);
        csq_error_clear(&ignored);
        csq_db_publish(db);
    }
}

/* Within a callback, the deadline of its statement holds, too. Apart, so that others do not
 * pay for it. */
__attribute__((noinline)) static void
run_until(struct csq_db *db, struct csq_job *job)
{
    const int64_t deadline = db->deadline;
    const bool breakable = db->breakable;
    bool transaction;

    transaction = db->handle != NULL && !sqlite3_get_autocommit(db->handle);
    if (deadline == 0 || (job->deadline != 0 && job->deadline < deadline)) {
        db->deadline = job->deadline;
    }
    db->breakable = job->op == CSQ_EXECUTE || job->op == CSQ_EXECUTEMANY ||
                    job->op == CSQ_SCRIPT || job->op == CSQ_FETCH;
    run_op(db, job);
    note_deadline(db, job, transaction);
    db->deadline = deadline;
    db->breakable = breakable;
}

void
csq_op_run(struct csq_db *db, struct csq_job *job)
{
    if (db->deadline == 0 && job->deadline == 0) {
        run_op(db, job);
    } else {
        run_until(db, job);
    }
}
