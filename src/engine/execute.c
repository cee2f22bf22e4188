/* Executing. What stopping a statement would cost stands in transaction.c, stepping it
 * into rows in rows.c. */

#include "engine/execute.h"

#include <string.h>

#include "engine/batch.h"
#include "engine/bounds.h"
#include "engine/claim.h"
#include "engine/mailbox.h"
#include "engine/rows.h"
#include "engine/scan.h"
#include "engine/snapshot.h"
#include "engine/transaction.h"

int
csq_execute_closed(struct csq_job *job)
{
    return csq_error_set(&job->error, CSQ_CLOSED, "Cannot operate on a closed database.");
}

/* Lends the job's statement; NULL with its error set. */
static struct csq_stmt *
prepare(struct csq_db *db, struct csq_job *job)
{
    struct csq_stmt *stmt;

    db->prepares = job->sql;
    stmt = csq_stmt_get(&db->cache, db->handle, job->sql, job->sql_size, &job->error);
    db->prepares = NULL;
    return stmt;
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

/* Values in order for named placeholders: an error or, later, a warning. */
static int
check_names(struct csq_job *job, const struct csq_stmt *stmt, const struct csq_strip *parameters)
{
    const struct csq_cell *head = parameters->first->cells;

    if (head->type == CSQ_POISON || csq_head_named(head)) {
        return SQLITE_OK;
    }
    job->with.steps.first_name = csq_stmt_first_name(stmt);
    if (job->with.steps.first_name == 0 || !job->with.steps.refuse_names) {
        return SQLITE_OK;
    }
    return csq_error_set(&job->error, CSQ_USAGE,
                         "Binding %d ('%s') is a named parameter, but you supplied a sequence "
                         "which requires nameless (qmark) placeholders.",
                         job->with.steps.first_name,
                         sqlite3_bind_parameter_name(stmt->handle, job->with.steps.first_name));
}

/* Steps what the job's cursor holds, and notes whether it has written to a transaction
 * that is somebody else's alone. */
static int
step_in_transaction(struct csq_db *db, struct csq_job *job)
{
    const struct csq_stmt *stmt = job->cursor->stmt;
    struct csq_mark mark = csq_transaction_mark(db, stmt->handle, stmt->dml);
    int rc = csq_rows_step(db, job);

    csq_transaction_note_run(db, &mark, rc, job->cursor->stmt != NULL && !stmt->readonly);
    return rc;
}

/* Runs the statement that `job->cursor` holds, parameters bound. */
static int
run_statement(struct csq_db *db, struct csq_job *job, bool began)
{
    struct csq_cursor *cursor = job->cursor;
    const struct csq_stmt *stmt = cursor->stmt;

    if (stmt->dml) {
        job->with.steps.changes = 0;
    }
    if (stmt->handle == NULL) {
        job->with.steps.exhausted = true;
        csq_cursor_reset(cursor, &db->cache);
        return SQLITE_OK;
    }
    csq_transaction_guard(db, job, stmt, began);
    if (!stmt->readonly) {
        if (stmt->writes && csq_claim(db, stmt->sql, &job->error) != SQLITE_OK) {
            return job->error.code;
        }
        if (stmt->perhaps) {
            csq_claim_perhaps(db, stmt->sql);
        }
        csq_bounds_narrow(db, stmt->handle, stmt->dml);
        db->batch.stepped = true;
    } else if (stmt->attaches) {
        csq_claim_attaches(db);
    }
    if (stmt->query || began || db->lone == 0) {
        return csq_rows_step(db, job);
    }
    return step_in_transaction(db, job);
}

/* Binds and runs. *began: the job has begun a transaction that is its own alone. */
static int
bind_and_run(struct csq_db *db, struct csq_job *job, bool *began)
{
    struct csq_cursor *cursor = job->cursor;
    struct csq_stmt *stmt = cursor->stmt;
    struct csq_reader reader = {NULL, NULL};
    bool outside = !stmt->query && sqlite3_get_autocommit(db->handle);
    int rc = csq_transaction_begin(db, job, stmt, began);

    if (rc == SQLITE_OK) {
        rc = csq_stmt_bind(stmt, &cursor->parameters, &reader, &job->error);
    }
    if (rc == SQLITE_OK) {
        rc = check_names(job, stmt, &cursor->parameters);
    }
    if (rc == SQLITE_OK) {
        rc = run_statement(db, job, *began);
    }
    if (outside && !*began && !sqlite3_get_autocommit(db->handle) &&
        !csq_transaction_is_shared(db, cursor)) {
        csq_transaction_note_begin(db, job); /* it was a BEGIN */
        *began = true;
    }
    return rc;
}

int
csq_execute(struct csq_db *db, struct csq_job *job)
{
    struct csq_cursor *cursor = job->cursor;
    struct csq_stmt *stmt;
    bool began;
    int rc;

    csq_rows_begin(db, job);
    if (db->handle == NULL) {
        return csq_execute_closed(job);
    }
    stmt = prepare(db, job);
    if (stmt == NULL) {
        return job->error.code;
    }
    if (db->bound != CSQ_SHAPES && !csq_bounds_allow_statement(db, stmt->handle)) {
        csq_stmt_put(&db->cache, stmt);
        return csq_bounds_refuse(&job->error);
    }
    cursor->stmt = stmt;
    csq_list_append(&db->cursors, &cursor->open);
    csq_strip_move(&cursor->parameters, &job->down);
    if (db->batch.open && db->running == 1) {
        cursor->lender = &job->down;
    }
    share_snapshot(db, stmt);
    job->with.steps.empty = stmt->handle == NULL;
    rc = bind_and_run(db, job, &began);
    if (rc != SQLITE_OK ||
        (began && atomic_load(&job->cancelled) && !csq_transaction_is_answered(job))) {
        csq_cursor_reset(cursor, &db->cache);
        csq_transaction_undo(db, job, began);
    }
    job->with.steps.last_rowid = sqlite3_last_insert_rowid(db->handle);
    return rc;
}

/* Executes all rows that lie in `rows`, adding up what they change. */
static int
execute_rows(struct csq_db *db, struct csq_job *job, struct csq_stmt *stmt,
             const struct csq_strip *rows)
{
    const bool alone = sqlite3_get_autocommit(db->handle) != 0; /* each row is a transaction */
    struct csq_reader reader = {NULL, NULL};
    int rc = alone || rows->rows == 0 ? SQLITE_OK : csq_claim(db, stmt->sql, &job->error);

    for (size_t row = 0; row < rows->rows && rc == SQLITE_OK; row++) {
        job->with.steps.row++;
        rc = csq_stmt_bind(stmt, rows, &reader, &job->error);
        if (rc == SQLITE_OK && alone) {
            rc = csq_claim(db, stmt->sql, &job->error);
        }
        if (rc != SQLITE_OK) {
            break;
        }
        db->batch.stepped = true;
        do {
            rc = csq_db_step(db, stmt->handle, &job->error);
        } while (rc == SQLITE_ROW);
        if (rc == SQLITE_DONE) {
            rc = SQLITE_OK;
            job->with.steps.changes += stmt->dml ? sqlite3_changes(db->handle) : 0;
        }
        sqlite3_reset(stmt->handle);
        if (alone) {
            csq_claim_settle(db);
        }
        if (rc == SQLITE_OK) {
            csq_hooks_settle(&db->hooks);
        }
        if (csq_db_is_over(db)) {
            rc = csq_job_over(job);
        } else if (db->batch.open && rc == SQLITE_OK && csq_batch_owes(db)) {
            rc = csq_error_set(&job->error, SQLITE_CONSTRAINT, "it has to be run by itself");
        }
    }
    return rc;
}

/* The same. Where each row is a transaction they are committed together if they can be; when
 * anything goes wrong, it goes wrong once more row by row, as it has to. */
static int
execute_slice(struct csq_db *db, struct csq_job *job, struct csq_stmt *stmt,
              const struct csq_strip *rows)
{
    const int64_t row = job->with.steps.row;
    const int64_t changes = job->with.steps.changes;
    int rc;

    if (rows->rows < 2 || job->alone || !stmt->dml || !csq_batch_allows(db) ||
        !csq_batch_begin(db)) {
        return execute_rows(db, job, stmt, rows);
    }
    db->batch.nested = false;
    rc = execute_rows(db, job, stmt, rows);
    if (rc == SQLITE_OK && !db->batch.nested) {
        if (csq_batch_commit(db, job, (int)rows->rows, &job->error) != CSQ_UNDONE) {
            return job->error.code;
        }
        /* The first of them would have waited as long for nothing. */
        rc = job->error.code;
        job->with.steps.row = rc == SQLITE_BUSY ? row + 1 : job->with.steps.row;
    } else {
        csq_batch_undo(db);
    }
    job->with.steps.changes = changes;
    if (rc == SQLITE_BUSY && job->with.steps.row == row + 1) {
        return rc;
    }
    if (csq_db_is_over(db)) {
        csq_error_clear(&job->error);
        return csq_job_over(job);
    }
    csq_error_clear(&job->error);
    job->renewed = true;
    job->with.steps.row = row;
    return execute_rows(db, job, stmt, rows);
}

/* Takes slice after slice from the flow until the caller has packed the last. */
static int
execute_flow(struct csq_db *db, struct csq_job *job, struct csq_stmt *stmt)
{
    struct csq_strip rows;
    struct csq_strip run;
    int rc = SQLITE_OK;

    csq_strip_init(&rows);
    csq_strip_init(&run);
    if (job->mailbox != NULL && csq_flow_empty(&job->flow)) {
        csq_mailbox_post(job, false);
    }
    while (rc == SQLITE_OK) {
        if (!csq_flow_wait_more(&job->flow)) {
            rc = csq_job_over(job);
            break;
        }
        csq_flow_take(&job->flow, &rows);
        if (rows.first == NULL) {
            break;
        }
        if (job->mailbox != NULL && !csq_flow_is_complete(&job->flow)) {
            csq_mailbox_post(job, false);
        }
        rc = job->with.steps.first_name == 0 ? check_names(job, stmt, &rows) : SQLITE_OK;
        if (rc == SQLITE_OK) {
            rc = execute_slice(db, job, stmt, &rows);
        }
        if (stmt->parameters > 0) {
            sqlite3_clear_bindings(stmt->handle);
        }
        if (db->batch.open && db->running == 1) {
            csq_strip_move(&run, &rows); /* they may have to be run once more */
        }
        csq_strip_clear(&rows);
    }
    if (run.first != NULL) {
        csq_flow_put(&job->flow, &run);
    }
    return rc;
}

/* Executes all rows, in a transaction that the job has `began`, or as it finds it. */
static int
execute_all(struct csq_db *db, struct csq_job *job, struct csq_stmt *stmt, bool began)
{
    struct csq_mark mark = csq_transaction_mark(db, stmt->handle, stmt->dml);
    int rc;

    job->with.steps.changes = stmt->dml ? 0 : -1;
    csq_transaction_guard(db, job, stmt, began);
    csq_bounds_narrow(db, stmt->handle, stmt->dml);
    rc = execute_flow(db, job, stmt);
    if (!began) {
        csq_transaction_note_run(db, &mark, rc, false);
    }
    return rc;
}

int
csq_execute_many(struct csq_db *db, struct csq_job *job)
{
    struct csq_stmt *stmt;
    bool began = false;
    int rc;

    csq_rows_begin(db, job);
    if (db->handle == NULL) {
        return csq_execute_closed(job);
    }
    stmt = prepare(db, job);
    if (stmt == NULL) {
        return job->error.code;
    }
    if (stmt->readonly) {
        csq_stmt_put(&db->cache, stmt);
        return csq_error_set(&job->error, CSQ_USAGE,
                             "executemany() can only execute DML statements.");
    }
    if (db->bound != CSQ_SHAPES && !csq_bounds_allow_statement(db, stmt->handle)) {
        csq_stmt_put(&db->cache, stmt);
        return csq_bounds_refuse(&job->error);
    }
    rc = csq_transaction_begin(db, job, stmt, &began);
    if (rc == SQLITE_OK) {
        rc = execute_all(db, job, stmt, began);
    }
    csq_stmt_put(&db->cache, stmt);
    csq_transaction_undo(db, job, began);
    return rc;
}

/* What a statement of a script claims. */
static int
claim(struct csq_db *db, sqlite3_stmt *handle, const char *sql, struct csq_error *error)
{
    if (csq_scan_shaping(sql) == CSQ_SHAPES_ATTACHED) {
        csq_claim_attaches(db);
    } else if (sqlite3_stmt_readonly(handle)) {
        return SQLITE_OK;
    } else if (!csq_scan_is_upkeep(sql)) {
        return csq_claim(db, sql, error);
    } else if (csq_scan_may_write(sql)) {
        csq_claim_perhaps(db, sql);
    }
    return SQLITE_OK;
}

/* Steps one statement of a script to its end. `lends`: the script says something of how
 * long locks are waited for. */
static int
step_out(struct csq_db *db, struct csq_job *job, sqlite3_stmt *handle, bool lends)
{
    const char *sql = sqlite3_sql(handle);
    struct csq_mark mark = csq_transaction_mark(db, handle, sql != NULL && csq_scan_is_dml(sql));
    enum csq_lending lending =
        lends && sql != NULL ? csq_scan_lending(sql, strlen(sql)) : CSQ_LENT_NEVER;
    int rc;

    if (sql != NULL && claim(db, handle, sql, &job->error) != SQLITE_OK) {
        return job->error.code;
    }
    csq_transaction_guard_handle(db, job, handle);
    csq_bounds_narrow(db, handle, false);
    if (lending != CSQ_LENT_NEVER) {
        csq_db_lend(db, true);
    }
    do {
        rc = csq_db_step(db, handle, &job->error);
        if (rc == SQLITE_ROW && csq_rows_tell_timeout(handle, lending)) {
            atomic_store(&db->timeout, sqlite3_column_int(handle, 0));
        }
    } while (rc == SQLITE_ROW);
    if (lending != CSQ_LENT_NEVER) {
        csq_db_lend(db, false);
    }
    rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
    csq_transaction_note_run(db, &mark, rc, false);
    return rc;
}

/* Copies why a statement of the script cannot be prepared; the place is one of the script. */
static int
fail_to_prepare(struct csq_db *db, struct csq_job *job, int rc)
{
    rc = csq_error_copy(&job->error, db->handle, rc);
    if (job->error.offset >= 0) {
        job->error.offset += (int)job->with.steps.at;
    }
    return rc;
}

/* Runs one statement of a script and moves *sql behind it. */
static int
run_one(struct csq_db *db, struct csq_job *job, const char **sql, bool lends)
{
    sqlite3_stmt *handle = NULL;
    bool lent = lends && csq_scan_is_pragma(*sql);
    int rc;

    job->with.steps.at = (size_t)(*sql - job->sql);
    if (!csq_bounds_allow_text(db, *sql)) {
        return csq_bounds_refuse(&job->error);
    }
    if (lent) {
        csq_db_lend(db, true);
    }
    db->prepares = *sql;
    rc = sqlite3_prepare_v2(db->handle, *sql, -1, &handle, sql);
    db->prepares = NULL;
    if (lent) {
        csq_db_lend(db, false);
    }
    if (rc != SQLITE_OK) {
        return fail_to_prepare(db, job, rc);
    }
    if (!csq_bounds_allow_statement(db, handle)) {
        rc = csq_bounds_refuse(&job->error);
    } else if (handle != NULL) {
        rc = step_out(db, job, handle, lends);
    }
    sqlite3_finalize(handle);
    csq_claim_settle(db);
    if (rc == SQLITE_OK) {
        csq_hooks_settle(&db->hooks);
    }
    return rc;
}

/* The same, as far as the bound goes that holds for all of the script. */
static int
run_one_apart(struct csq_db *db, struct csq_job *job, const char **sql, bool lends)
{
    const enum csq_effect bound = db->bound;
    struct csq_standing before = csq_bounds_look(db);
    int rc = run_one(db, job, sql, lends);

    db->bound = bound;
    if (bound != CSQ_SHAPES) {
        csq_bounds_compare(db, before);
    }
    return rc;
}

int
csq_execute_script(struct csq_db *db, struct csq_job *job)
{
    const char *sql = job->sql;
    bool lends = csq_scan_mentions(sql, job->sql_size, "busy_timeout");
    int rc = SQLITE_OK;
    bool outside;

    atomic_store(&job->result, job->cursor->result); /* as in the sqlite3 module, it goes on */
    if (db->handle == NULL) {
        return csq_execute_closed(job);
    }
    if (job->sql_size > (size_t)sqlite3_limit(db->handle, SQLITE_LIMIT_SQL_LENGTH, -1)) {
        return csq_error_set(&job->error, SQLITE_TOOBIG, "query string is too large");
    }
    if (db->published.autocommit == CSQ_LEGACY && !sqlite3_get_autocommit(db->handle)) {
        db->lone = 0;
        rc = csq_bounds_allow_text(db, "COMMIT") ? csq_db_run(db, "COMMIT", &job->error)
                                                 : csq_bounds_refuse(&job->error);
    }
    outside = sqlite3_get_autocommit(db->handle);
    while (rc == SQLITE_OK && *sql != '\0') {
        rc = run_one_apart(db, job, &sql, lends);
        if (rc == SQLITE_OK && csq_db_is_over(db)) {
            rc = csq_job_over(job);
        }
    }
    if (outside && !sqlite3_get_autocommit(db->handle) &&
        !csq_transaction_is_shared(db, job->cursor)) {
        csq_transaction_note_begin(db, job);
        csq_transaction_undo(db, job, true);
    }
    return rc;
}
