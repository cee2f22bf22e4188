/* A transaction that nobody has asked for, in which writes that would each be committed by
 * itself are committed at once.
 *
 * Worker thread, holding the db's lock. For whoever writes it is as if there were none: it is
 * begun and ended between statements, `in_transaction` and who traces do not see it, and what
 * would make a difference keeps it from being begun, or undoes it as a whole, so that what
 * was written in it can be written again without it. */

#ifndef CSQ_BATCH_H
#define CSQ_BATCH_H

#include <stdbool.h>

#include "engine/db.h"
#include "engine/job.h"

/* Whether a job, by the looks of it, may be run in one: a write in autocommit mode, with all
 * that it needs. */
bool csq_batch_suits(struct csq_db *db, struct csq_job *job);

/* Whether nothing stands in the way: no transaction, nobody who would hear of how many there are
 * (hooks, an authorizer), nothing written that is not committed yet. */
bool csq_batch_allows(const struct csq_db *db);

/* Begins one. False: it cannot be, and all is as it was. */
bool csq_batch_begin(struct csq_db *db);

/* What has come of committing. */
enum csq_outcome {
    CSQ_COMMITTED,
    CSQ_UNDONE, /* nothing of it is there, and it may be run once more */
    CSQ_FAILED, /* it may be there, or not: the disk has failed, or it was committed and who hears of
                   that has refused it. Whoever has written is told */
};

/* Commits it: what `writes` have written. What hears of that is called as in `job`. Unless it is
 * committed, `error` says why. */
enum csq_outcome csq_batch_commit(struct csq_db *db, struct csq_job *job, int writes,
                                  struct csq_error *error);

/* Undoes all that was written in it, unless SQLite has done so already. */
void csq_batch_undo(struct csq_db *db);

/* Whether SQLite has ended it by itself. */
bool csq_batch_is_lost(const struct csq_db *db);

/* For a callback of which a batch can make no secret, because it changes what is not the
 * database's, or waits for a task that may wait for the commit. True: it must not go on; its
 * statement is run once more by itself. */
bool csq_batch_refuses(struct csq_db *db);

/* Whether a foreign key is violated that has only until the end: committed by itself, what was
 * written last would have failed. */
bool csq_batch_owes(const struct csq_db *db);

/* Keeps a statement out of batches: it has ended one, or has left one open. */
void csq_batch_shun(struct csq_db *db, const struct csq_job *job);

#endif
