/* What stands between a connection and what runs its jobs. Who submits a job knows this and no
 * more: whether a thread with SQLite runs it (engine/native.h), one that calls the connection
 * of another module, or a server.
 *
 * An executor begins with a struct csq_executor, by which all others know it, and is counted by
 * reference: its connection holds one. One that has a thread has a worker (engine/worker.h),
 * which has most of these verbs ready. */

#ifndef CSQ_EXECUTOR_H
#define CSQ_EXECUTOR_H

#include <stdatomic.h>
#include <stdbool.h>

#include "engine/crew.h"
#include "engine/job.h"
#include "engine/list.h"

struct csq_executor;

/* How a job is run in the thread of who asks for that. */
struct csq_here {
    bool within; /* the thread is in the middle of a job of the same executor already */
    bool wait;   /* what runs is waited for, and so are locks of the database */
    /* Called around the job, by that thread. `outer`: csq_job.client of the job within which
     * it runs; NULL: there is none. */
    void (*enter)(struct csq_job *job, void *outer, void *argument);
    void (*leave)(struct csq_job *job, void *argument);
    void *argument;
};

/* The verbs. Any thread, unless it is said otherwise. */
struct csq_executor_verbs {
    /* Once. Begins to take jobs, with a thread of the crew's. 0 or an errno. */
    int (*start)(struct csq_executor *executor, struct csq_crew *crew);

    /* Hands a job over; it comes back through its mailbox or `release`. False: the executor
     * has closed, the job remains the caller's. A CSQ_CLOSE is taken until it is about to end,
     * and comes back then. */
    bool (*push)(struct csq_executor *executor, struct csq_job *job);

    /* One at a time for a cursor. Cancels a job that was pushed, finished or not: its answer is
     * not wanted. What it has left behind, or is about to leave, is ended before any job that
     * is pushed from now on: rows of its cursor, and the transaction that it has begun, unless
     * others have written to that. Without memory, that stays. */
    void (*abandon)(struct csq_executor *executor, struct csq_job *job);

    /* Runs a job at once, in the calling thread. False: something else runs, or no job can be
     * run so; the job is as it was. */
    bool (*run_here)(struct csq_executor *executor, struct csq_job *job,
                     const struct csq_here *here);

    /* Stops the statement that runs, whoever's it is; harmless when it is closed. */
    void (*interrupt)(struct csq_executor *executor);

    /* Closes the database and ends when all that is queued is done. It cannot fail, and a second
     * time does nothing. */
    void (*stop)(struct csq_executor *executor);

    /* The same, and what only reads, or waits for a loop that is gone, ends at once: the
     * process is about to end. */
    void (*quit)(struct csq_executor *executor);

    /* Where the job runs, in the middle of it: waits until `wake` has set *over. False: the
     * executor is told to quit, so that nobody may come any more; or the job's loop does not
     * run, and another one waits for the connection. */
    bool (*wait)(struct csq_executor *executor, struct csq_job *job, const bool *over);

    /* While it is waited for. Sets *over. */
    void (*wake)(struct csq_executor *executor, bool *over);

    /* Whether nothing is queued. */
    bool (*is_empty)(struct csq_executor *executor);

    /* Not the executor's thread. Whether it has nothing to do; it is waited for as long as who
     * has just got its last answer may be ahead of it. */
    bool (*is_idle)(struct csq_executor *executor);

    /* Whether it was started and has not ended; whoever was told that the database is closed
     * finds that it has. */
    bool (*is_running)(struct csq_executor *executor);

    /* Whether the caller is its thread. */
    bool (*is_current)(struct csq_executor *executor);

    /* What threading.get_ident() gives in its thread, once it is started. */
    unsigned long (*ident)(struct csq_executor *executor);

    /* Not the executor's thread. Waits until it has ended, at most `seconds` (negative: for
     * ever). False: it still runs. */
    bool (*join)(struct csq_executor *executor, double seconds);

    /* For csq_executor_put(): nobody uses it any more. */
    void (*destroy)(struct csq_executor *executor);
};

struct csq_executor {
    const struct csq_executor_verbs *verbs;
    struct csq_link kept; /* for whoever holds it; the executor does not look at it */
    atomic_int references;
    atomic_bool quitting; /* it was told to quit */
    /* What any thread may read of its database; set by its maker, NULL: nothing. */
    const struct csq_published *published;
};

/* Any thread. Makes one that its maker holds. */
void csq_executor_init(struct csq_executor *executor, const struct csq_executor_verbs *verbs);

/* Any thread. Gives another reference. */
struct csq_executor *csq_executor_get(struct csq_executor *executor);

/* Any thread. Takes a reference. The last one frees it. */
void csq_executor_put(struct csq_executor *executor);

#endif
