/* Executing: one statement, one statement for many rows of parameters, a script.
 *
 * Worker thread, holding the db's lock. Each runs in the job's cursor, whose result
 * before it ends, and returns SQLITE_OK or the code in the job's error. The order of
 * what is checked is that of the sqlite3 module, so that of two mistakes in one call the
 * same one is reported. */

#ifndef CSQ_EXECUTE_H
#define CSQ_EXECUTE_H

#include "engine/db.h"
#include "engine/job.h"

/* CSQ_EXECUTE */
int csq_execute(struct csq_db *db, struct csq_job *job);

/* CSQ_EXECUTEMANY */
int csq_execute_many(struct csq_db *db, struct csq_job *job);

/* CSQ_SCRIPT */
int csq_execute_script(struct csq_db *db, struct csq_job *job);

/* Sets the job's error: the database is closed. Gives its code. */
int csq_execute_closed(struct csq_job *job);

#endif
