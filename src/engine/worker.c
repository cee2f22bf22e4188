/* What the thread does. It is done after the job that closes the database, or that
 * failed to open it: the queue is closed with it, so a job is either run (and, with
 * no database, told so) or refused, never lost. */

#include "engine/worker.h"

#include <errno.h>

#include "engine/alloc.h"
#include "engine/clock.h"
#include "engine/mailbox.h"

static struct csq_worker *
worker_of(struct csq_executor *executor)
{
    return csq_item(executor, struct csq_worker, executor);
}

void
csq_worker_init(struct csq_worker *worker, const struct csq_executor_verbs *verbs,
                csq_worker_run run, void (*at_end)(void *), void *argument)
{
    csq_executor_init(&worker->executor, verbs);
    csq_queue_init(&worker->queue);
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->ended, NULL);
    pthread_cond_init(&worker->woken, NULL);
    csq_list_init(&worker->closing);
    csq_list_init(&worker->along);
    worker->run = run;
    worker->at_end = at_end;
    worker->at_end_argument = argument;
}

void
csq_worker_destroy(struct csq_worker *worker)
{
    csq_job_clear(&worker->farewell);
    csq_queue_destroy(&worker->queue);
    pthread_mutex_destroy(&worker->lock);
    pthread_cond_destroy(&worker->ended);
    pthread_cond_destroy(&worker->woken);
}

/* Whether a job is another loop's than that whose mailbox is `mailbox`, or closes. */
static bool
is_others(struct csq_link *link, const void *mailbox)
{
    const struct csq_job *job = csq_item(link, struct csq_job, link);

    return job->mailbox != mailbox && (job->mailbox != NULL || job->op == CSQ_CLOSE);
}

/* Whether the loop that `job` waits for does not run, while another one waits for the
 * connection. It may run again: but when, nobody can know. */
static bool
is_stopped(struct csq_worker *worker, struct csq_job *job)
{
    const struct csq_list *taken = worker->taken;
    bool others = csq_queue_any(&worker->queue, is_others, job->mailbox);
    struct csq_link *link;

    for (link = taken->head.next; !others && link != &taken->head; link = link->next) {
        others = is_others(link, job->mailbox);
    }
    return others && job->stopped != NULL && job->stopped(job);
}

/* For the flow of the job that runs. Rows are stepped on, since nobody need wait for them;
 * but nobody gives the parameters of the others. */
static bool
is_forsaken(void *argument)
{
    struct csq_worker *worker = argument;
    struct csq_job *job = worker->streaming;
    bool stopped = is_stopped(worker, job);

    if (stopped && job->op == CSQ_EXECUTEMANY) {
        csq_job_cancel(job);
    }
    return stopped;
}

/* Makes `job`, or NULL, the one that may have to wait for a loop. A worker that is
 * told to quit does not begin to. */
static void
set_streaming(struct csq_worker *worker, struct csq_job *job)
{
    pthread_mutex_lock(&worker->lock);
    worker->streaming = job;
    if (job != NULL && atomic_load(&worker->executor.quitting)) {
        csq_flow_abandon(&job->flow);
    }
    pthread_mutex_unlock(&worker->lock);
}

/* Whoever is cancelled and rolls back may be cancelled once more. */
static bool
cleans_up(const struct csq_job *job)
{
    return job->op == CSQ_CLOSE || job->op == CSQ_RESET || job->op == CSQ_BACKUP ||
           (job->op == CSQ_HOLD && job->with.hold.action != CSQ_HOLD_BEGIN) ||
           (job->op == CSQ_ROLLBACK && atomic_load(&job->cancelled) != CSQ_EXPIRED) ||
           (job->op == CSQ_BLOB_TASK && job->with.blob.action == CSQ_BLOB_CLOSE);
}

/* What was cancelled before it began never runs, nor what is too late, nor what would
 * call somebody without the memory for that; but for what cleans up. */
bool
csq_worker_may_run(struct csq_job *job)
{
    if (job->deadline != 0) {
        atomic_store(&job->begun, true);
        if (csq_now() >= job->deadline) {
            csq_job_expire(job);
        }
    }
    if (cleans_up(job)) {
        return true;
    }
    if (!atomic_load(&job->cancelled) && job->ready != NULL && !job->ready(job)) {
        csq_error_copy(&job->error, NULL, SQLITE_NOMEM);
    }
    return !atomic_load(&job->cancelled) && job->error.code == SQLITE_OK;
}

void
csq_worker_more(struct csq_worker *worker, struct csq_list *behind, int64_t end)
{
    csq_queue_more(&worker->queue, behind, end);
}

static bool
run(struct csq_worker *worker, struct csq_job *job, struct csq_list *behind)
{
    bool done;

    if (!job->streaming) {
        return worker->run(worker, job, behind);
    }
    job->flow.is_forsaken = is_forsaken;
    job->flow.argument = worker;
    set_streaming(worker, job);
    done = worker->run(worker, job, behind);
    set_streaming(worker, NULL);
    return done;
}

static void
give_back(struct csq_job *job)
{
    if (job->mailbox != NULL) {
        csq_mailbox_post(job, true);
    } else if (job->release != NULL) {
        job->release(job);
    }
}

/* Whether the thread ends with this job: the database is closed, or never opened. */
static bool
is_last(const struct csq_job *job)
{
    return job->op == CSQ_CLOSE || (job->op == CSQ_OPEN && job->error.code != SQLITE_OK);
}

/* Keeps a job that is to come back when the thread has nothing more to do. False: it has. */
static bool
keep_for_end(struct csq_worker *worker, struct csq_job *job)
{
    bool working;

    pthread_mutex_lock(&worker->lock);
    working = worker->working;
    if (working) {
        csq_list_append(&worker->closing, &job->link);
    }
    pthread_mutex_unlock(&worker->lock);
    return working;
}

/* The same of what was run with it. Apart, so that others do not pay for it. */
__attribute__((noinline)) static void
give_along(struct csq_worker *worker)
{
    struct csq_link *link;

    while ((link = csq_list_shift(&worker->along)) != NULL) {
        give_back(csq_item(link, struct csq_job, along));
    }
}

/* Runs what stands in `jobs`, in order. False: there will be no more. The last one, and what
 * asks behind it for the end, are kept for that. */
static bool
run_list(struct csq_worker *worker, struct csq_list *jobs)
{
    struct csq_link *link;
    bool last = false;

    worker->taken = jobs;
    while ((link = csq_list_shift(jobs)) != NULL) {
        struct csq_job *job = csq_item(link, struct csq_job, link);
        bool done = run(worker, job, jobs);

        if (done && is_last(job)) {
            if (!last) {
                csq_queue_close(&worker->queue, jobs);
                last = true;
            }
            keep_for_end(worker, job);
        } else if (done) {
            give_back(job);
        }
        if (!csq_list_empty(&worker->along)) {
            give_along(worker);
        }
    }
    return !last;
}

/* Gives back what was kept for the end. Nobody is to find the thread alive who hears of it. */
static void
tell_end(struct csq_worker *worker)
{
    struct csq_list closing;
    struct csq_link *link;

    csq_list_init(&closing);
    pthread_mutex_lock(&worker->lock);
    worker->working = false;
    csq_list_move(&closing, &worker->closing);
    pthread_mutex_unlock(&worker->lock);
    while ((link = csq_list_shift(&closing)) != NULL) {
        give_back(csq_item(link, struct csq_job, link));
    }
}

static void
work(void *argument)
{
    struct csq_worker *worker = argument;
    struct csq_list jobs;

    csq_list_init(&jobs);
    do {
        csq_queue_take(&worker->queue, &jobs);
    } while (run_list(worker, &jobs));
    /* Whoever hears that the connection is closed may end the interpreter at once,
     * and finds nothing of this thread in it. */
    if (worker->at_end != NULL) {
        worker->at_end(worker->at_end_argument);
    }
    tell_end(worker);
    pthread_mutex_lock(&worker->lock);
    worker->running = false;
    pthread_cond_broadcast(&worker->ended);
    pthread_mutex_unlock(&worker->lock);
    csq_executor_put(&worker->executor);
}

int
csq_worker_start(struct csq_executor *executor, struct csq_crew *crew)
{
    struct csq_worker *worker = worker_of(executor);
    int rc;

    pthread_mutex_lock(&worker->lock);
    csq_executor_get(executor);
    rc = csq_crew_run(crew, work, worker, &worker->thread);
    worker->running = worker->working = rc == 0;
    pthread_mutex_unlock(&worker->lock);
    if (rc != 0) {
        csq_executor_put(executor);
    }
    return rc;
}

bool
csq_worker_is_running(struct csq_executor *executor)
{
    struct csq_worker *worker = worker_of(executor);
    bool running;

    pthread_mutex_lock(&worker->lock);
    running = worker->working;
    pthread_mutex_unlock(&worker->lock);
    return running;
}

bool
csq_worker_is_current(struct csq_executor *executor)
{
    struct csq_worker *worker = worker_of(executor);
    bool current;

    pthread_mutex_lock(&worker->lock);
    current = worker->running && pthread_equal(pthread_self(), worker->thread);
    pthread_mutex_unlock(&worker->lock);
    return current;
}

unsigned long
csq_worker_ident(struct csq_executor *executor)
{
    return (unsigned long)worker_of(executor)->thread;
}

bool
csq_worker_is_empty(struct csq_executor *executor)
{
    return csq_queue_empty(&worker_of(executor)->queue);
}

bool
csq_worker_is_idle(struct csq_executor *executor)
{
    struct csq_worker *worker = worker_of(executor);
    const struct timespec pause = {0, 20 * 1000};
    int tries = 50;

    while (!csq_queue_idle(&worker->queue) && tries-- > 0) {
        nanosleep(&pause, NULL);
    }
    return tries >= 0;
}

bool
csq_worker_push(struct csq_executor *executor, struct csq_job *job)
{
    struct csq_worker *worker = worker_of(executor);

    return csq_queue_push(&worker->queue, &job->link) ||
           (job->op == CSQ_CLOSE && keep_for_end(worker, job));
}

static void
release_undo(struct csq_job *undo)
{
    csq_job_clear(undo);
    csq_free(undo);
}

/* Whether it is still running, or done, cannot be known here: so what it may leave behind
 * is looked for in any case. `cancelled` is set before `began` and `result` are read, and the
 * worker does the opposite, so one of them sees what the other has done. */
void
csq_worker_abandon(struct csq_executor *executor, struct csq_job *job)
{
    struct csq_worker *worker = worker_of(executor);
    struct csq_job *undo;

    csq_job_cancel(job);
    if (worker->look != NULL) {
        worker->look(worker);
    }
    if (job->cursor == NULL || job->op == CSQ_RESET) {
        return;
    }
    undo = csq_malloc(sizeof *undo);
    if (undo == NULL) {
        return;
    }
    csq_job_init(undo, CSQ_UNDO);
    undo->release = release_undo;
    undo->with.undo.cursor = job->cursor;
    undo->with.undo.result = atomic_load(&job->result);
    undo->with.undo.began = atomic_load(&job->began);
    if (csq_worker_push(executor, undo)) {
        job->cursor->abandoned = true;
    } else {
        release_undo(undo);
    }
}

void
csq_worker_stop(struct csq_executor *executor)
{
    struct csq_worker *worker = worker_of(executor);
    bool push;

    pthread_mutex_lock(&worker->lock);
    push = worker->running && !worker->stopping;
    worker->stopping = true;
    pthread_mutex_unlock(&worker->lock);
    if (push) {
        csq_job_init(&worker->farewell, CSQ_CLOSE);
        csq_worker_push(executor, &worker->farewell);
    }
}

void
csq_worker_quit(struct csq_executor *executor)
{
    struct csq_worker *worker = worker_of(executor);

    atomic_store(&worker->executor.quitting, true);
    pthread_mutex_lock(&worker->lock);
    if (worker->streaming != NULL) {
        csq_flow_abandon(&worker->streaming->flow);
    }
    pthread_cond_broadcast(&worker->woken);
    pthread_mutex_unlock(&worker->lock);
    if (worker->look != NULL) {
        worker->look(worker);
    }
    csq_worker_stop(executor);
}

bool
csq_worker_wait(struct csq_executor *executor, struct csq_job *job, const bool *over)
{
    struct csq_worker *worker = worker_of(executor);
    bool late;
    bool woken;

    do {
        late = false;
        pthread_mutex_lock(&worker->lock);
        while (!late && !*over && !atomic_load(&worker->executor.quitting)) {
            struct timespec end = csq_deadline(CSQ_FLOW_LONG);

            late = pthread_cond_timedwait(&worker->woken, &worker->lock, &end) == ETIMEDOUT;
        }
        woken = *over;
        pthread_mutex_unlock(&worker->lock);
    } while (late && !woken && !is_stopped(worker, job));
    return woken;
}

void
csq_worker_wake(struct csq_executor *executor, bool *over)
{
    struct csq_worker *worker = worker_of(executor);

    pthread_mutex_lock(&worker->lock);
    *over = true;
    pthread_cond_broadcast(&worker->woken);
    pthread_mutex_unlock(&worker->lock);
}

bool
csq_worker_join(struct csq_executor *executor, double seconds)
{
    struct csq_worker *worker = worker_of(executor);
    const double most = 1e9; /* as good as for ever */
    struct timespec end =
        csq_deadline(seconds > 0 ? (int64_t)((seconds < most ? seconds : most) * 1e9) : 0);
    bool running;
    int rc = 0;

    pthread_mutex_lock(&worker->lock);
    while (worker->running && rc != ETIMEDOUT) {
        rc = seconds < 0 ? pthread_cond_wait(&worker->ended, &worker->lock)
                         : pthread_cond_timedwait(&worker->ended, &worker->lock, &end);
    }
    running = worker->running;
    pthread_mutex_unlock(&worker->lock);
    return !running;
}
