/* One read transaction for a run of queued queries.
 *
 * What a SELECT outside a transaction costs most is to begin and end its own read
 * transaction: locks on the file. Queries that wait in the queue at the same time
 * may all see the database as of the same moment, which lies between the submission
 * and the answer of each. Worker thread, holding the db's lock. */

#ifndef CSQ_SNAPSHOT_H
#define CSQ_SNAPSHOT_H

#include "engine/db.h"

/* Keeps the read transaction that the coming queries share open, for a few
 * milliseconds at most. It cannot fail: without it each has its own. */
void csq_snapshot_hold(struct csq_db *db);

/* Ends it, if there is one. Closing the handle does, too. */
void csq_snapshot_release(struct csq_db *db);

#endif
