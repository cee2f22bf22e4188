/* What a job does: the table op -> function, run by the worker. */

#ifndef CSQ_OPS_H
#define CSQ_OPS_H

#include "engine/db.h"
#include "engine/job.h"

/* Worker thread (or any, for the synchronous view), holding `db->lock`. Runs the
 * job; what comes of it stands in the job. Never fails by itself: a failure is
 * the job's error. */
void csq_op_run(struct csq_db *db, struct csq_job *job);

/* The same for a job that runs in place of waiting in the queue, so that what is queued says
 * nothing about it: a query sees all that was committed before it. */
void csq_op_run_in_place(struct csq_db *db, struct csq_job *job);

/* Worker thread, holding `db->lock`. In place of csq_op_run() for a job that is not
 * wanted any more, or cannot be run: what was kept for it is let go, and its error says
 * so, unless it does already. */
void csq_op_skip(struct csq_db *db, struct csq_job *job);

#endif
