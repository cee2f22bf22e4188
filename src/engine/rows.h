/* Stepping a statement (or a dump) into the strips of a job.
 *
 * Worker thread, holding the db's lock. */

#ifndef CSQ_ROWS_H
#define CSQ_ROWS_H

#include "engine/db.h"
#include "engine/job.h"

/* What is open in `job->cursor` ends, and another result set, of the next number, begins. */
void csq_rows_begin(struct csq_db *db, struct csq_job *job);

/* Steps what is open in `job->cursor`, up to the job's bounds, into `job->up`,
 * and what does not fit into its flow. Sets `exhausted` and, for DML, `changes`;
 * resets the cursor when it is exhausted. Returns SQLITE_OK or the code in the
 * job's error, the cursor being reset then. Rows that came before an error
 * remain in the job. */
int csq_rows_step(struct csq_db *db, struct csq_job *job);

/* Whether a statement that has been prepared with that is PRAGMA busy_timeout: the value of
 * its only row is how long locks are waited for from now on. */
bool csq_rows_tell_timeout(sqlite3_stmt *handle, enum csq_lending lending);

#endif
