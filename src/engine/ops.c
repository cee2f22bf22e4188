/* One small function an op, but for those that execute. Each returns SQLITE_OK or the
 * code it left in the job's error; the order of what they check is that of the sqlite3
 * module, so that of two mistakes in one call the same one is reported. */

#include "engine/ops.h"

#include "engine/bounds.h"
#include "engine/claim.h"
#include "engine/control.h"
#include "engine/execute.h"
#include "engine/hold.h"
#include "engine/look.h"
#include "engine/rows.h"
#include "engine/snapshot.h"
#include "engine/transaction.h"

static int
op_open(struct csq_db *db, struct csq_job *job)
{
    return csq_db_open(db, &job->with.open, &job->error);
}

static int
op_close(struct csq_db *db, struct csq_job *job)
{
    /* Closing would roll back by itself. As in sqlite3 a statement does so first, which a
     * trace shows; whether it fails does not matter. */
    if (job->with.close.asked && db->published.autocommit == CSQ_MANUAL && db->handle != NULL &&
        !sqlite3_get_autocommit(db->handle)) {
        struct csq_error ignored;

        csq_error_init(&ignored);
        csq_db_run(db, "ROLLBACK", &ignored);
        csq_error_clear(&ignored);
    }
    db->held = 0;
    return csq_db_close(db, &job->error);
}

/* Nothing is open in the cursor: its rows are all gone or kept, or it was ended before. */
static int
fetch_nothing(struct csq_job *job)
{
    struct csq_cursor *cursor = job->cursor;

    job->with.steps.exhausted = true;
    if (cursor->rest.rows > 0) {
        csq_strip_move(&job->up, &cursor->rest);
        return SQLITE_OK;
    }
    if (cursor->late) {
        cursor->late = false;
        return csq_error_set(&job->error, CSQ_DEADLINE, "the fetch before it");
    }
    if (cursor->ended) {
        return csq_error_set(
            &job->error, CSQ_USAGE,
            "The cursor was ended by reset() or by a transaction's begin before it "
            "was read to its end.");
    }
    return SQLITE_OK;
}

static int
op_fetch(struct csq_db *db, struct csq_job *job)
{
    struct csq_cursor *cursor = job->cursor;

    if (db->handle == NULL) {
        return csq_execute_closed(job);
    }
    atomic_store(&job->result, cursor->result);
    if (cursor->stmt == NULL && cursor->dump == NULL) {
        return fetch_nothing(job);
    }
    if (cursor->stmt != NULL) {
        /* What a RETURNING tells of has been reported as done. */
        db->reading = cursor->stmt->readonly;
        db->stopping = cursor->stmt->readonly ? CSQ_STOPS : CSQ_RUNS_ON;
    }
    return csq_rows_step(db, job);
}

static int
op_reset(struct csq_db *db, struct csq_job *job)
{
    csq_rows_begin(db, job);
    return db->handle == NULL ? csq_execute_closed(job) : SQLITE_OK;
}

static int
op_commit(struct csq_db *db, struct csq_job *job)
{
    return db->handle == NULL ? csq_execute_closed(job) : csq_control_commit(db, &job->error);
}

static int
op_rollback(struct csq_db *db, struct csq_job *job)
{
    return db->handle == NULL ? csq_execute_closed(job) : csq_control_rollback(db, &job->error);
}

static int
op_autocommit(struct csq_db *db, struct csq_job *job)
{
    return db->handle == NULL ? csq_execute_closed(job)
                              : csq_control_set_autocommit(db, job->with.autocommit, &job->error);
}

/* Begins a dump in the cursor; `sql` is the filter, or NULL. */
static int
op_dump(struct csq_db *db, struct csq_job *job)
{
    csq_rows_begin(db, job);
    if (db->handle == NULL) {
        return csq_execute_closed(job);
    }
    job->columns = csq_columns_named("sql");
    job->cursor->dump = csq_dump_new(db->handle, job->sql);
    if (job->columns == NULL || job->cursor->dump == NULL) {
        csq_cursor_reset(job->cursor, &db->cache);
        return csq_error_copy(&job->error, NULL, SQLITE_NOMEM);
    }
    csq_list_append(&db->cursors, &job->cursor->open);
    db->stopping = CSQ_STOPS;
    db->reading = true;
    return csq_rows_step(db, job);
}

static int
op_backup(struct csq_db *db, struct csq_job *job)
{
    return csq_backup_step(job->with.copy.backup, job->with.copy.pages, db, &job->error);
}

/* Opening one for writing takes the lock, until it is closed. */
static int
op_blob(struct csq_db *db, struct csq_job *job)
{
    struct csq_blob_task *task = &job->with.blob;

    if (db->handle == NULL) {
        return csq_execute_closed(job);
    }
    if (task->action == CSQ_BLOB_OPEN && task->with.open.writable &&
        csq_claim_call(db, task->with.open.schema, "blobopen()", &job->error) != SQLITE_OK) {
        return job->error.code;
    }
    task->heard = !csq_list_empty(&db->sessions) || csq_hooks_any(&db->hooks, CSQ_ON_PREUPDATE) ||
                  db->recorder.on;
    return csq_blob_run(task, db->handle, &db->blobs, &job->cancelled, &job->error);
}

static int
op_apply(struct csq_db *db, struct csq_job *job)
{
    struct csq_record_mark mark = csq_record_mark(&db->recorder);
    int rc;

    if (db->handle == NULL) {
        return csq_execute_closed(job);
    }
    rc = job->with.host.run(job, db->handle);
    if (rc != SQLITE_OK) {
        csq_record_go_back(&db->recorder, &mark); /* a changeset is applied as a whole, or not */
    }
    /* It may have prepared a PRAGMA busy_timeout, to describe it or in an extension. */
    if (db->handle != NULL) {
        csq_db_lend(db, false);
    }
    return rc;
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
 * the kind, a later one may have begun another result set, and the database may be closed. */
static int
op_undo(struct csq_db *db, struct csq_job *job)
{
    struct csq_cursor *cursor = job->with.undo.cursor;
    int64_t began = job->with.undo.began;

    if (db->handle == NULL) {
        return SQLITE_OK;
    }
    if (cursor->result == job->with.undo.result) {
        csq_cursor_reset(cursor, &db->cache);
    }
    if (began == 0 || began != db->lone || sqlite3_get_autocommit(db->handle)) {
        return SQLITE_OK;
    }
    return csq_db_run(db, "ROLLBACK", &job->error);
}

/* Whether the transaction that is open has become somebody's else, too, through a job that
 * is no statement, or has ended. `mark`: from before it. */
static void
note_run(struct csq_db *db, const struct csq_job *job, const struct csq_mark *mark)
{
    const struct csq_blob_task *task = &job->with.blob;

    switch (job->op) {
    case CSQ_COMMIT:
    case CSQ_ROLLBACK:
    case CSQ_AUTOCOMMIT:
        db->lone = 0;
        break;
    case CSQ_BLOB_TASK:
        if (task->action == CSQ_BLOB_WRITE || task->action == CSQ_BLOB_SET ||
            (task->action == CSQ_BLOB_OPEN && task->with.open.writable)) {
            db->lone = 0;
        }
        break;
    case CSQ_APPLY:
        csq_transaction_note_run(db, mark, job->error.code, false);
        break;
    default:
        break;
    }
}

/* A callback can reach its own cursor or blob, or close the connection under a
 * statement that is being stepped. SQLite would survive none of these. */
static bool
is_recursive(const struct csq_db *db, const struct csq_job *job)
{
    return (job->cursor != NULL && job->cursor->busy) ||
           (job->op == CSQ_BLOB_TASK && job->with.blob.blob->working) ||
           (job->op == CSQ_CLOSE && db->running > 0);
}

/* Nor a handle that is used in the middle of preparing or comparing; nor some of what can be
 * done with it, in the middle of something else. */
static bool
is_sealed(const struct csq_db *db, const struct csq_job *job)
{
    return (db->sealed > 0 && !job->anytime && job->op != CSQ_CALL) ||
           (db->bound != CSQ_SHAPES && !csq_bounds_allow(db, job));
}

void
csq_op_skip(struct csq_db *db, struct csq_job *job)
{
    if (csq_job_refuse(job) && job->cursor != NULL) {
        csq_cursor_reset(job->cursor, &db->cache); /* as if it had been stopped */
    }
    if (!db->queued) {
        csq_snapshot_release(db);
    }
    if (db->claimed && db->running == 0) {
        csq_claim_end(db); /* what was half-read may have been the last that writes */
    }
}

/* What holds for the statement in whose callback a job runs. */
struct outer {
    atomic_int *stop;
    enum csq_stopping stopping;
    bool reading;
    bool raised;
    void *client;
    enum csq_effect bound;
    enum csq_effect around;
};

/* Whether who waits for the job may be told what one before it has failed with: it is
 * executing, and ends nothing. */
static bool
is_told(const struct csq_job *job)
{
    return job->op == CSQ_EXECUTE || job->op == CSQ_EXECUTEMANY || job->op == CSQ_SCRIPT ||
           job->op == CSQ_FETCH || job->op == CSQ_COMMIT || job->op == CSQ_DUMP;
}


/* Whether there is anything for which the job may have to be refused. */
static inline bool
is_doubtful(const struct csq_db *db, const struct csq_job *job)
{
    return is_recursive(db, job) || db->sealed > 0 || db->bound != CSQ_SHAPES ||
           (db->held | job->within) != 0 || db->owed.code != SQLITE_OK;
}

/* Says whether the job must not run here, in its error. Apart, so that others do not pay for it. */
__attribute__((noinline)) static bool
is_refused(struct csq_db *db, struct csq_job *job)
{
    if (is_recursive(db, job)) {
        csq_error_set(&job->error, CSQ_USAGE, "Recursive use of %s not allowed.",
                      job->op == CSQ_BLOB_TASK ? "blobs" : "cursors");
    } else if (is_sealed(db, job)) {
        csq_bounds_refuse(&job->error);
    } else if ((db->held | job->within) != 0 && csq_hold_refuses(db, job)) {
        /* It says why. */
    } else if (db->owed.code != SQLITE_OK && is_told(job)) {
        job->error = db->owed;
        csq_error_init(&db->owed);
    } else {
        return false;
    }
    job->refused = true;
    return true;
}

/* A callback of a statement may run another one: what holds for the outer statement holds
 * again when the inner one is done. */
static struct outer
enter(struct csq_db *db, struct csq_job *job)
{
    struct outer outer = {db->stop,   db->stopping, db->reading, db->raised,
                          db->client, db->bound,    db->around};

    if (db->running == 0) {
        db->undone = false;
    }
    db->running += job->op == CSQ_CALL ? 0 : 1;
    db->stop = &job->cancelled;
    db->client = job->client;
    db->stopping = CSQ_RUNS_ON;
    db->reading = false;
    db->raised = false;
    db->around = db->bound;
    if (job->cursor != NULL) {
        job->cursor->busy = true;
    }
    return outer;
}

/* Whether the job has left open what is not committed before it is closed. */
static bool
leaves_write(const struct csq_job *job)
{
    return (job->cursor != NULL && job->cursor->stmt != NULL && !job->cursor->stmt->readonly) ||
           (job->op == CSQ_BLOB_TASK && job->with.blob.action == CSQ_BLOB_OPEN &&
            job->with.blob.blob->handle != NULL && job->with.blob.with.open.writable);
}

static void
leave(struct csq_db *db, struct csq_job *job, const struct outer *outer)
{
    db->stop = outer->stop;
    db->stopping = outer->reading || !leaves_write(job) ? outer->stopping : CSQ_RUNS_ON;
    db->reading = outer->reading;
    db->raised = outer->raised;
    db->client = outer->client;
    db->around = outer->around;
    if (job->cursor != NULL) {
        job->cursor->busy = false;
    }
    db->running -= job->op == CSQ_CALL ? 0 : 1;
    if (db->claimed && db->running == 0) {
        if (job->error.code == SQLITE_BUSY && db->handle != NULL) {
            csq_claim_explain(db, &job->error);
        }
        csq_claim_end(db);
    }
    csq_db_publish(db);
}

static void
run_other(struct csq_db *db, struct csq_job *job)
{
    static int (*const ops[CSQ_OPS])(struct csq_db *, struct csq_job *) = {
        [CSQ_OPEN] = op_open,
        [CSQ_CLOSE] = op_close,
        [CSQ_EXECUTEMANY] = csq_execute_many,
        [CSQ_SCRIPT] = csq_execute_script,
        [CSQ_FETCH] = op_fetch,
        [CSQ_RESET] = op_reset,
        [CSQ_COMMIT] = op_commit,
        [CSQ_ROLLBACK] = op_rollback,
        [CSQ_AUTOCOMMIT] = op_autocommit,
        [CSQ_DUMP] = op_dump,
        [CSQ_BACKUP] = op_backup,
        [CSQ_BLOB_TASK] = op_blob,
        [CSQ_APPLY] = op_apply,
        [CSQ_CALL] = op_call,
        [CSQ_UNDO] = op_undo,
        [CSQ_HOLD] = csq_hold_run,
    };
    struct csq_mark mark;

    csq_snapshot_release(db);
    mark = csq_transaction_mark_call(db);
    ops[job->op](db, job);
    note_run(db, job, &mark);
}

static void
run_any(struct csq_db *db, struct csq_job *job)
{
    if (job->op == CSQ_EXECUTE) {
        csq_execute(db, job);
    } else {
        run_other(db, job);
    }
}

/* The same of a job that a callback asks for, within a bound. */
static void
run_bounded(struct csq_db *db, struct csq_job *job)
{
    struct csq_standing before = csq_bounds_look(db);

    db->batch.nested = true;
    run_any(db, job);
    csq_bounds_compare(db, before);
}

/* Tells what the job has committed. */
static inline void
tell_watches(struct csq_db *db, const struct csq_job *job)
{
    if (csq_record_is_late(&db->recorder)) {
        csq_look_behind(db, job);
    }
    if (db->recorder.pending || db->recorder.databases.commits) {
        csq_record_settle(&db->recorder, db->handle);
    }
}

/* Before a job, while nothing runs. Apart, so that others do not pay for it. */
__attribute__((noinline)) static void
make_ready(struct csq_db *db)
{
    if (csq_record_is_late(&db->recorder) && db->handle != NULL) {
        csq_look(db);
    }
    if (db->tidy != NULL) {
        csq_snapshot_release(db); /* it is a running statement, too */
        db->tidy(db);
    }
}

static void
run_op(struct csq_db *db, struct csq_job *job)
{
    struct outer outer;

    if (is_doubtful(db, job) && is_refused(db, job)) {
        return;
    }
    if (db->running == 0 && (db->tidy != NULL || csq_record_is_late(&db->recorder))) {
        make_ready(db);
    }
    outer = enter(db, job);
    if (outer.bound == CSQ_SHAPES) {
        run_any(db, job);
    } else {
        run_bounded(db, job);
    }
    db->bound = outer.bound;
    if (db->held != 0) {
        csq_hold_look(db, job);
    }
    if (!db->queued || job->error.code == SQLITE_INTERRUPT) {
        csq_snapshot_release(db);
    }
    if (job->cursor != NULL && atomic_load(&job->cancelled) &&
        !csq_transaction_is_answered(job)) {
        csq_cursor_reset(job->cursor, &db->cache);
    }
    if (db->handle != NULL && db->running == 1 && job->op != CSQ_CALL) {
        csq_hooks_tell(&db->hooks);
        tell_watches(db, job);
    }
    leave(db, job, &outer);
    if (job->owes && job->error.code != SQLITE_OK) {
        csq_error_clear(&db->owed);
        db->owed = job->error;
        csq_error_init(&job->error);
    }
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
    if (db->published.autocommit == CSQ_MANUAL) {
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

    transaction = db->handle != NULL && !csq_db_is_outside(db);
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

void
csq_op_run_in_place(struct csq_db *db, struct csq_job *job)
{
    const bool queued = db->queued;

    csq_snapshot_release(db);
    db->queued = false;
    csq_op_run(db, job);
    db->queued = queued;
}
