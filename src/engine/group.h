/* Group commit: writes of many tasks that wait together are committed together.
 *
 * Worker thread. What waits behind one such write, as far as it is the same kind, runs with it
 * in one batch (engine/batch.h), and nobody has an answer before the commit that holds what
 * he has written. What would have come out otherwise by itself is run once more by itself, and the
 * rest once more without it. */

#ifndef CSQ_GROUP_H
#define CSQ_GROUP_H

#include <stdbool.h>

#include "engine/db.h"
#include "engine/job.h"
#include "engine/list.h"
#include "engine/worker.h"

/* Whether `job` is to be run with what stands `behind` it. Where the db says that it may wait
 * for others, it waits. Not holding the db's lock. */
bool csq_group_begins(struct csq_worker *worker, struct csq_db *db, struct csq_job *job,
                      struct csq_list *behind);

/* Holding the db's lock. Runs `job` and what goes with it out of `behind`, and of the worker's
 * queue; that is in worker->along then, done. What has to run by itself stands at the beginning of
 * `behind` again. Whether `job` is done. */
bool csq_group_run(struct csq_worker *worker, struct csq_db *db, struct csq_job *job,
                   struct csq_list *behind);

#endif
