/* A thread that runs the jobs of an executor: take, run, post.
 *
 * An executor that has one begins with it. Its thread holds a reference to the executor while
 * it runs. The thread is a crew's; csq_worker_join() waits on a condition, so that anybody may
 * wait and nobody must. */

#ifndef CSQ_WORKER_H
#define CSQ_WORKER_H

#include <pthread.h>
#include <stdbool.h>

#include "engine/crew.h"
#include "engine/executor.h"
#include "engine/job.h"
#include "engine/queue.h"

struct csq_worker;

/* Worker thread. Runs a job, or lets go of what was kept for it, if csq_worker_may_run() denies
 * that; what comes of it stands in the job. `behind`: what waits, as far as it was taken. What of
 * that was run as well is moved to csq_worker.along. False: the job has to be run once more, and stands
 * in `behind` again. */
typedef bool (*csq_worker_run)(struct csq_worker *worker, struct csq_job *job,
                               struct csq_list *behind);

struct csq_worker {
    struct csq_executor executor;
    csq_worker_run run;
    struct csq_queue queue;
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
    struct csq_list along; /* what was run with the last job, by csq_job.along; worker thread */
    struct csq_job farewell; /* closes the database when nobody waits for it */
    void (*at_end)(void *);  /* called by the thread before it ends; NULL: nothing */
    void *at_end_argument;
    /* Any thread: the job that runs may be cancelled, or the worker is told to quit, so that a
     * wait of `run` may be over. NULL: nobody need be told. Set before it is started. */
    void (*look)(struct csq_worker *worker);
};

/* Any thread. Makes one, of zeroes, whose thread is not started. */
void csq_worker_init(struct csq_worker *worker, const struct csq_executor_verbs *verbs,
                     csq_worker_run run, void (*at_end)(void *), void *argument);

/* The last to use it. Frees what it holds. */
void csq_worker_destroy(struct csq_worker *worker);

/* Worker thread, when it comes to a job: whether it is still to run. False: its `error` may say
 * why already. */
bool csq_worker_may_run(struct csq_job *job);

/* Worker thread. Takes what was pushed meanwhile behind what `behind` holds; when that is nothing,
 * waits for it until `end`, by csq_now(). */
void csq_worker_more(struct csq_worker *worker, struct csq_list *behind, int64_t end);

/* The verbs of an executor that begins with a worker: engine/executor.h. */
int csq_worker_start(struct csq_executor *executor, struct csq_crew *crew);
bool csq_worker_push(struct csq_executor *executor, struct csq_job *job);
void csq_worker_abandon(struct csq_executor *executor, struct csq_job *job);
void csq_worker_stop(struct csq_executor *executor);
void csq_worker_quit(struct csq_executor *executor);
bool csq_worker_wait(struct csq_executor *executor, struct csq_job *job, const bool *over);
void csq_worker_wake(struct csq_executor *executor, bool *over);
bool csq_worker_is_empty(struct csq_executor *executor);
bool csq_worker_is_idle(struct csq_executor *executor);
bool csq_worker_is_running(struct csq_executor *executor);
bool csq_worker_is_current(struct csq_executor *executor);
unsigned long csq_worker_ident(struct csq_executor *executor);
bool csq_worker_join(struct csq_executor *executor, double seconds);

#define CSQ_WORKER_VERBS                                                                     \
    .start = csq_worker_start, .push = csq_worker_push, .abandon = csq_worker_abandon,       \
    .stop = csq_worker_stop, .quit = csq_worker_quit, .wait = csq_worker_wait,               \
    .wake = csq_worker_wake, .is_empty = csq_worker_is_empty, .is_idle = csq_worker_is_idle, \
    .is_running = csq_worker_is_running, .is_current = csq_worker_is_current,                \
    .ident = csq_worker_ident, .join = csq_worker_join

#endif
