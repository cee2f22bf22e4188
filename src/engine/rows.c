/* Prefetching. A job that wants a chunk steps until it has so many rows, or so
 * many bytes, or a millisecond has passed, whichever is first: a slow query
 * gives its first row at once, a quick one spares the next crossing. A job that
 * wants the whole hands over strips while it goes on stepping, and waits when the
 * loop is far behind. */

#include "engine/rows.h"

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

/* One row or line into `job->up`: SQLITE_ROW, SQLITE_DONE or an error's code. */
static int
step(struct csq_db *db, struct csq_job *job)
{
    struct csq_cursor *cursor = job->cursor;
    int rc;

    if (cursor->dump != NULL) {
        return csq_dump_step(cursor->dump, &job->up, &job->error);
    }
    do {
        rc = csq_db_step(db, cursor->stmt->handle, &job->error);
        /* PRAGMA incremental_vacuum gives a row without columns for each page. */
    } while (rc == SQLITE_ROW && cursor->stmt->columns == NULL);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        return rc;
    }
    if (!note_columns(job, cursor->stmt) ||
        (rc == SQLITE_ROW && !csq_stmt_row(cursor->stmt, &job->up, job->texts))) {
        return csq_error_copy(&job->error, NULL, SQLITE_NOMEM);
    }
    return rc;
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
    int rc;

    do {
        rc = step(db, job);
        if (db->deadline != 0) {
            rc = end_late(db, job, rc);
        }
        if (rc == SQLITE_ROW && job->streaming && job->up.bytes >= STRIP_BYTES &&
            !hand_over(job)) {
            rc = csq_error_set(&job->error, CSQ_CANCELLED, "cancelled");
        }
    } while (rc == SQLITE_ROW && ++rows < job->rows);
    return rc;
}

static int
step_chunk(struct csq_db *db, struct csq_job *job)
{
    int64_t end = csq_now() + CHUNK_NANOSECONDS;
    int rc;

    do {
        rc = step(db, job);
        if (db->deadline != 0) {
            rc = end_late(db, job, rc);
        }
    } while (rc == SQLITE_ROW && job->up.rows < job->rows && job->up.bytes < CHUNK_BYTES &&
             csq_now() < end);
    return rc;
}

int
csq_rows_step(struct csq_db *db, struct csq_job *job)
{
    struct csq_cursor *cursor = job->cursor;
    int rc;

    rc = job->whole ? step_whole(db, job) : step_chunk(db, job);
    if (rc == SQLITE_ROW) {
        return SQLITE_OK;
    }
    job->exhausted = true;
    if (rc == SQLITE_DONE) {
        if (cursor->stmt != NULL && cursor->stmt->dml) {
            job->changes = sqlite3_changes(db->handle);
        }
        rc = SQLITE_OK;
    }
    csq_cursor_reset(cursor, &db->cache);
    return rc;
}
