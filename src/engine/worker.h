/* One thread per connection: take, run, post.
 *
 * A worker is counted by reference: its connection holds one, its thread holds
 * one while it runs. The thread is a crew's; csq_worker_join() waits on a
 * condition, so that anybody may wait and nobody must. */

#ifndef CSQ_WORKER_H
#define CSQ_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "engine/crew.h"
#include "engine/db.h"
#include "engine/job.h"
#include "engine/queue.h"

struct csq_worker {
    struct csq_link kept; /* for whoever holds it; the worker does not look at it */
    atomic_int references;
    struct csq_queue queue;
    struct csq_db db;
    pthread_t thread;
    pthread_mutex_t lock;    /* guards what follows */
    pthread_cond_t ended;    /* `running` became false */
    pthread_cond_t woken;    /* what csq_worker_wait() waits for has come */
    bool running;            /* the thread was started and has not ended */
    bool working;            /* … and has not come to giving back what waits for its end */
    struct csq_list closing; /* CSQ_CLOSE: what waits for its end */
    bool stopping;           /* the farewell is pushed */
    struct csq_job *streaming; /* the job that runs, when it has a flow */
    const struct csq_list *taken; /* what waits behind it, out of the queue; worker thread */
    struct csq_job farewell; /* closes the database when nobody waits for it */
    void (*at_end)(void *);  /* called by the thread before it ends; NULL: nothing */
    void *at_end_argument;
};

/* Any thread. Gives a worker whose thread is not started, or NULL: no memory. */
struct csq_worker *csq_worker_new(void);

/* Any thread. Gives another reference. */
struct csq_worker *csq_worker_get(struct csq_worker *worker);

/* Any thread. Takes a reference. The last one frees it. */
void csq_worker_put(struct csq_worker *worker);

/* Any thread, once. Lets a thread of the crew be the worker's. 0 or an errno. */
int csq_worker_start(struct csq_worker *worker, struct csq_crew *crew);

/* Any thread. Whether the thread was started and has not ended; whoever was told that the
 * database is closed finds that it has. */
bool csq_worker_is_running(struct csq_worker *worker);

/* Any thread. Whether the caller is the worker's own thread. */
bool csq_worker_is_current(struct csq_worker *worker);

/* Any thread but the worker's. Whether it has nothing to do; it is waited for as long as who
 * has just got its last answer may be ahead of it. */
bool csq_worker_is_idle(struct csq_worker *worker);

/* Any thread. Hands a job over; it comes back through its mailbox or `release`.
 * False: the worker has closed, the job remains the caller's. A CSQ_CLOSE is taken until the
 * thread is about to end, and comes back then. */
bool csq_worker_push(struct csq_worker *worker, struct csq_job *job);

/* Any thread, one at a time for a cursor. Cancels a job that was pushed, finished or not:
 * its answer is not wanted. What it has left behind, or is about to leave, is ended before
 * any job that is pushed from now on: rows of its cursor, and the transaction that it has
 * begun, unless others have written to that. Without memory, that stays. */
void csq_worker_abandon(struct csq_worker *worker, struct csq_job *job);

/* Any thread. Lets the worker close the database and end when all that is
 * queued is done. It cannot fail, and a second time does nothing. */
void csq_worker_stop(struct csq_worker *worker);

/* Any thread. As csq_worker_stop(), and what only reads, or waits for a loop
 * that is gone, ends at once: the process is about to end. */
void csq_worker_quit(struct csq_worker *worker);

/* Worker thread, in the middle of `job`: waits until csq_worker_wake() has set *over.
 * False: the worker is told to quit, so that nobody may come any more; or the job's loop does
 * not run, and another one waits for the connection. */
bool csq_worker_wait(struct csq_worker *worker, struct csq_job *job, const bool *over);

/* Any thread, while the worker waits for it. Sets *over. */
void csq_worker_wake(struct csq_worker *worker, bool *over);

/* Any thread but the worker's. Waits until the thread has ended, at most
 * `seconds` (negative: for ever). False: it still runs. */
bool csq_worker_join(struct csq_worker *worker, double seconds);

#endif
