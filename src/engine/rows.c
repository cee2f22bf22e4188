/* Prefetching. A job that wants a chunk steps until it has so many rows, or so
 * many bytes, or a millisecond has passed, whichever is first: a slow query
 * gives its first row soon, a quick one spares the next crossing. A job that
 * wants the whole hands over strips while it goes on stepping, and waits when the
 * loop is far behind.
 *
 * A row is handed out once the statement has been stepped behind it, as in the sqlite3
 * module: with the last row it is over, and in nobody's way. So it stands on a row that is
 * not taken yet (`standing`), or has ended. */

#include "engine/rows.h"

#include <string.h>

#include "engine/clock.h"
#include "engine/mailbox.h"

enum {
    CHUNK_BYTES = 256 * 1024,        /* a chunk ends at the row that passes this */
    CHUNK_NANOSECONDS = 1000 * 1000, /* … or this */
    STRIP_BYTES = 192 * 1024,        /* what is handed over at once when streaming */
    AHEAD_BYTES = 4 * 1024 * 1024,   /* how far the worker may be ahead of the loop */
};

/* Notes what the caller learns of the statement. After the first step, because
 * that may prepare the statement anew for a changed schema. */
static bool
note_columns(struct csq_job *job, struct csq_stmt *stmt)
{
    if (job->columns == NULL && stmt->columns != NULL) {
        if (!csq_stmt_refresh(stmt)) {
            return false;
        }
        job->columns = csq_columns_get(stmt->columns);
    }
    return true;
}

/* After a step: a job that is late ends, though SQLite, which looks at the clock only every so
 * many steps, has given one more row. What a write returns is there to be had. Apart, so that
 * others do not pay for it. */
__attribute__((noinline)) static int
end_late(struct csq_db *db, struct csq_job *job, int rc)
{
    const struct csq_stmt *stmt = job->cursor->stmt;

    if (rc == SQLITE_ROW && (stmt == NULL || stmt->readonly) && csq_db_is_over(db)) {
        return csq_error_set(&job->error, CSQ_CANCELLED, "cancelled");
    }
    return rc;
}

/* What a fetch has asked for is here, and the step behind it was stopped by the deadline: the
 * rows are given, and the next fetch is told (CSQ_DEADLINE). Where the transaction was rolled
 * back for it, this one is. */
static int
spare_rows(struct csq_job *job, int rc)
{
    if (job->op == CSQ_FETCH && job->up.rows > 0 && job->cursor->stmt->readonly &&
        atomic_load(&job->cancelled) == CSQ_EXPIRED &&
        (rc == SQLITE_INTERRUPT || rc == CSQ_CANCELLED)) {
        csq_error_clear(&job->error);
        return CSQ_DEADLINE;
    }
    return rc;
}

/* Steps the statement: SQLITE_ROW when it stands on a row, SQLITE_DONE, or an error's code. */
static int
step(struct csq_db *db, struct csq_job *job)
{
    struct csq_stmt *stmt = job->cursor->stmt;
    int rc;

    do {
        rc = csq_db_step(db, stmt->handle, &job->error);
        /* PRAGMA incremental_vacuum gives a row without columns for each page. */
    } while (rc == SQLITE_ROW && stmt->columns == NULL);
    if ((rc == SQLITE_ROW || rc == SQLITE_DONE) && !note_columns(job, stmt)) {
        return csq_error_copy(&job->error, NULL, SQLITE_NOMEM);
    }
    return db->deadline == 0 ? rc : end_late(db, job, rc);
}

/* Lets the statement stand on its next row, unless it does. */
static inline int
stand(struct csq_db *db, struct csq_job *job)
{
    return job->cursor->standing ? SQLITE_ROW : step(db, job);
}

/* Takes the row on which the statement stands into `job->up`. */
static inline bool
take(struct csq_job *job)
{
    return csq_stmt_row(job->cursor->stmt, &job->up, job->with.steps.texts);
}

static int
no_memory(struct csq_job *job)
{
    return csq_error_copy(&job->error, NULL, SQLITE_NOMEM);
}

/* Hands over what has been stepped. False: nobody wants it any more. */
static bool
hand_over(struct csq_job *job)
{
    if (!csq_flow_wait_room(&job->flow, AHEAD_BYTES)) {
        return false;
    }
    csq_flow_put(&job->flow, &job->up);
    csq_mailbox_post(job, false);
    return true;
}

static int
step_whole(struct csq_db *db, struct csq_job *job)
{
    size_t rows = 0;
    int rc = stand(db, job);

    while (rc == SQLITE_ROW && rows < job->with.steps.rows) {
        if (!take(job)) {
            return no_memory(job);
        }
        rows++;
        if (job->streaming && !db->batch.open && job->up.bytes >= STRIP_BYTES &&
            !hand_over(job)) {
            return csq_error_set(&job->error, CSQ_CANCELLED, "cancelled");
        }
        rc = step(db, job);
        if (rc != SQLITE_ROW && rows == job->with.steps.rows) {
            rc = spare_rows(job, rc);
        }
    }
    return rc;
}

/* Executing steps no more often than there are to be rows: the last one is stood on, so a
 * chunk of one calls functions as often as the sqlite3 module would. */
static int
step_chunk(struct csq_db *db, struct csq_job *job)
{
    const size_t rows = job->with.steps.rows - (job->op == CSQ_EXECUTE ? 1 : 0);
    int64_t end = csq_now() + CHUNK_NANOSECONDS;
    int rc = stand(db, job);

    while (rc == SQLITE_ROW && job->up.rows < rows) {
        if (!take(job)) {
            return no_memory(job);
        }
        rc = step(db, job);
        /* What writes has done all of it with the first row: it is not left uncommitted for that. */
        if (job->up.bytes >= CHUNK_BYTES || (csq_now() >= end && job->cursor->stmt->readonly)) {
            break;
        }
    }
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? rc : spare_rows(job, rc);
}

/* A dump cannot stand on a line: the one that is ahead is kept. */
static int
step_dump(struct csq_db *db, struct csq_job *job)
{
    struct csq_cursor *cursor = job->cursor;
    int64_t end = csq_now() + CHUNK_NANOSECONDS;
    int rc = SQLITE_ROW;

    if (cursor->standing) {
        csq_strip_move(&job->up, &cursor->line);
    } else {
        rc = csq_dump_step(cursor->dump, &job->up, &job->error);
    }
    while (rc == SQLITE_ROW && job->up.rows < job->with.steps.rows &&
           (job->with.steps.whole || (job->up.bytes < CHUNK_BYTES && csq_now() < end))) {
        rc = csq_dump_step(cursor->dump, &job->up, &job->error);
        rc = db->deadline == 0 ? rc : end_late(db, job, rc);
    }
    return rc != SQLITE_ROW ? rc : csq_dump_step(cursor->dump, &cursor->line, &job->error);
}

/* A loop over the cursor is still to see these rows. What ends them early, an error too, is
 * nobody's affair any more. Apart, because it is seldom asked for. */
__attribute__((noinline)) static void
keep_rows(struct csq_db *db, struct csq_job *job)
{
    const bool reading = db->reading;
    const enum csq_stopping stopping = db->stopping;
    int rc;

    db->reading = job->cursor->stmt->readonly;
    db->stopping = db->reading ? CSQ_STOPS : CSQ_RUNS_ON;
    rc = stand(db, job);
    while (rc == SQLITE_ROW && job->up.rows < job->with.steps.keep && take(job)) {
        rc = step(db, job);
    }
    csq_strip_move(&job->with.steps.kept, &job->up);
    csq_columns_put(job->columns);
    job->columns = NULL;
    csq_error_clear(&job->error);
    db->reading = reading;
    db->stopping = stopping;
}

void
csq_rows_begin(struct csq_db *db, struct csq_job *job)
{
    if (job->with.steps.keep > 0 && job->cursor->stmt != NULL) {
        keep_rows(db, job);
    }
    csq_cursor_reset(job->cursor, &db->cache);
    atomic_store(&job->result, ++job->cursor->result);
}

/* The first row is all that is wanted. What writes is done, and its errors are met, when it has
 * been stepped to its end. Apart, so that others do not pay for it. */
__attribute__((noinline)) static int
step_first(struct csq_db *db, struct csq_job *job)
{
    const bool readonly = job->cursor->stmt->readonly;
    int rc = step(db, job);

    if (rc == SQLITE_ROW && !take(job)) {
        return no_memory(job);
    }
    while (rc == SQLITE_ROW && !readonly) {
        rc = step(db, job);
    }
    return rc == SQLITE_ROW ? SQLITE_DONE : rc;
}

static int
step_rows(struct csq_db *db, struct csq_job *job)
{
    if (job->with.steps.whole) {
        return step_whole(db, job);
    }
    return job->with.steps.first ? step_first(db, job) : step_chunk(db, job);
}

/* The same of what asks how long locks are waited for, or sets it. Apart, so that others do
 * not pay for it. */
__attribute__((noinline)) static int
step_lending(struct csq_db *db, struct csq_job *job)
{
    const struct csq_stmt *stmt = job->cursor->stmt;
    struct csq_reader reader = {NULL, NULL};
    int rc;

    csq_db_lend(db, true);
    rc = step_rows(db, job);
    csq_db_lend(db, false);
    if (csq_rows_tell_timeout(stmt->handle, stmt->lending)) {
        if (job->up.rows > 0) {
            atomic_store(&db->timeout, (int)csq_strip_read(&job->up, &reader)->value.integer);
        } else if (rc == SQLITE_ROW) {
            atomic_store(&db->timeout, sqlite3_column_int(stmt->handle, 0));
        }
    }
    return rc;
}

bool
csq_rows_tell_timeout(sqlite3_stmt *handle, enum csq_lending lending)
{
    const char *name = lending == CSQ_LENT_PREPARING ? sqlite3_column_name(handle, 0) : NULL;

    return name != NULL && strcmp(name, "timeout") == 0;
}

int
csq_rows_step(struct csq_db *db, struct csq_job *job)
{
    struct csq_cursor *cursor = job->cursor;
    int rc;

    cursor->texts = job->with.steps.texts;
    if (cursor->dump != NULL) {
        rc = step_dump(db, job);
    } else if (cursor->stmt->lending != CSQ_LENT_NEVER) {
        rc = step_lending(db, job);
    } else {
        rc = step_rows(db, job);
    }
    cursor->standing = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) {
        return SQLITE_OK;
    }
    job->with.steps.exhausted = rc != CSQ_DEADLINE;
    if (rc == SQLITE_DONE) {
        if (cursor->stmt != NULL && cursor->stmt->dml) {
            job->with.steps.changes = sqlite3_changes(db->handle);
        }
        rc = SQLITE_OK;
    }
    csq_cursor_reset(cursor, &db->cache);
    if (rc == CSQ_DEADLINE) {
        cursor->late = true;
        rc = SQLITE_OK;
    }
    return rc;
}
