/* Who would lose what, if the running statement were stopped: whether it is alone in
 * its transaction, and whose the transaction is.
 *
 * Worker thread, holding the db's lock. */

#ifndef CSQ_TRANSACTION_H
#define CSQ_TRANSACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/db.h"
#include "engine/job.h"

/* Whether somebody else has written what is not committed, although no transaction is
 * open: a statement of another cursor that writes is half-read, a blob is open for
 * writing, or the job is made in a callback of such a statement. `cursor`: the job's, or NULL. */
bool csq_transaction_is_shared(const struct csq_db *db, const struct csq_cursor *cursor);

/* Says what stopping the statement that the job is about to step would undo. `began`:
 * the job has begun the transaction, and nobody else is in it. */
void csq_transaction_guard(struct csq_db *db, const struct csq_job *job,
                           const struct csq_stmt *stmt, bool began);

/* The same of a statement of a script. */
void csq_transaction_guard_handle(struct csq_db *db, const struct csq_job *job,
                                  sqlite3_stmt *handle);

/* The implicit BEGIN, if one is due. *began: the transaction is the job's alone. Returns
 * SQLITE_OK or the code in the job's error. */
int csq_transaction_begin(struct csq_db *db, struct csq_job *job, const struct csq_stmt *stmt,
                          bool *began);

/* The job has begun a transaction, which is its own alone. */
void csq_transaction_note_begin(struct csq_db *db, struct csq_job *job);

/* What there was before a statement was run in a transaction that is still one job's alone. */
struct csq_mark {
    bool looked;     /* there is such a transaction, and the statement may write to it */
    bool counted;    /* what it writes is counted: it is INSERT, UPDATE, DELETE or REPLACE */
    int64_t changes; /* sqlite3_total_changes() */
};

/* Before a statement is stepped whose transaction the job has not begun. */
struct csq_mark csq_transaction_mark(const struct csq_db *db, sqlite3_stmt *handle, bool dml);

/* Behind it: once it has written to the transaction, or controls it, that is nobody's
 * alone. `rc`: what came of it; `open`: it is half-read, and not counted yet. */
void csq_transaction_note_run(struct csq_db *db, const struct csq_mark *mark, int rc, bool open);

/* The same of what is no statement: whether anything was counted since. */
struct csq_mark csq_transaction_mark_call(const struct csq_db *db);

/* A transaction that only a cancelled job has `began`, and that nobody was told of, is
 * not left behind. A job that fails by itself leaves it, as in the sqlite3 module. Who
 * is cancelled too late for this reads `began` of the job, and leaves it to CSQ_UNDO. */
void csq_transaction_undo(struct csq_db *db, struct csq_job *job, bool began);

/* Whether somebody waits for what the job has come to, although the time is over by now. */
bool csq_transaction_is_answered(struct csq_job *job);

#endif
