/* A transaction that somebody holds: begun by a job of its own, with a number. Jobs that belong
 * to it name the number, and none of them runs once it is over; no other job may end it.
 * Who else waits meanwhile is seen to above (bridge/lease.h).
 *
 * Worker thread, holding the db's lock. */

#ifndef CSQ_HOLD_H
#define CSQ_HOLD_H

#include <stdbool.h>

#include "engine/db.h"
#include "engine/job.h"

/* What CSQ_HOLD does, by `with.hold` of the job; `within` is the number of the transaction.
 * csq_job.sql is the statement that begins it, or the name of a savepoint. Returns SQLITE_OK or
 * the code in the job's error: CSQ_OPENED where a transaction is open already. */
int csq_hold_run(struct csq_db *db, struct csq_job *job);

/* Whether the job must not run because of the transaction that is held, or that it belongs to;
 * its error says why. To be asked where one of `db->held` and `job->within` is not 0. */
bool csq_hold_refuses(const struct csq_db *db, struct csq_job *job);

/* Behind a job, while a transaction is held: notes when SQLite has ended it, and why. */
void csq_hold_look(struct csq_db *db, const struct csq_job *job);

#endif
