/* Jobs are embedded in what waits for them and are plain data: what to do with
 * one stands in ops.c, where it goes in worker.c. */

#include "engine/job.h"

#include <string.h>

#include "engine/alloc.h"

void
csq_job_init(struct csq_job *job, enum csq_op op)
{
    memset(job, 0, sizeof *job);
    csq_job_init_zeroed(job, op);
}

void
csq_job_stream(struct csq_job *job)
{
    csq_flow_init(&job->flow);
    job->streaming = true;
}

void
csq_job_clear(struct csq_job *job)
{
    csq_strip_clear(&job->down);
    csq_strip_clear(&job->up);
    if (csq_op_steps(job->op)) {
        csq_strip_clear(&job->with.steps.kept);
    }
    csq_columns_put(job->columns);
    job->columns = NULL;
    csq_error_clear(&job->error);
    if (job->op == CSQ_BLOB_TASK) {
        csq_free(job->with.blob.own);
        job->with.blob.own = NULL;
    }
    if (job->streaming) {
        csq_flow_clear(&job->flow);
        job->streaming = false;
    }
}

void
csq_job_cancel(struct csq_job *job)
{
    atomic_store(&job->cancelled, CSQ_GIVEN_UP);
    if (job->streaming) {
        csq_flow_abort(&job->flow);
    }
}

int
csq_job_over(struct csq_job *job)
{
    return csq_error_set(&job->error, CSQ_CANCELLED, "%s",
                         job->streaming && job->flow.forsaken
                             ? "the event loop that gives the rows does not run"
                             : "cancelled");
}

bool
csq_job_refuse(struct csq_job *job)
{
    job->refused = true;
    if (job->error.code != SQLITE_OK) {
        return false; /* it is said already why */
    }
    if (atomic_load(&job->cancelled) == CSQ_EXPIRED) {
        csq_error_set(&job->error, CSQ_DEADLINE, "it was not begun");
        return false;
    }
    csq_job_over(job);
    return true;
}

bool
csq_job_expire(struct csq_job *job)
{
    int wanted = CSQ_WANTED;

    /* The worker stores `begun` before it loads `cancelled`: of the two, at least one
     * sees what the other has stored. */
    atomic_compare_exchange_strong(&job->cancelled, &wanted, CSQ_EXPIRED);
    if (job->streaming) {
        csq_flow_abort(&job->flow);
    }
    return !atomic_load(&job->begun);
}
