/* The db's lock is held while a job runs, so that the worker's thread, or another one in its
 * place, has the handle to itself. */

#include "engine/native.h"

#include <time.h>

#include "engine/alloc.h"
#include "engine/clock.h"
#include "engine/group.h"
#include "engine/ops.h"
#include "engine/worker.h"

struct native {
    struct csq_worker worker;
    struct csq_db db;
};

static struct native *
native_of(struct csq_executor *executor)
{
    return csq_item(executor, struct native, worker.executor);
}

/* Whether the next job is to execute a statement. */
static bool
is_followed(const struct csq_list *jobs)
{
    return !csq_list_empty(jobs) &&
           csq_item(jobs->head.next, struct csq_job, link)->op == CSQ_EXECUTE;
}

/* Worker thread. The same of a job with which others may run. */
__attribute__((noinline)) static bool
run_group(struct csq_worker *worker, struct csq_job *job, struct csq_list *behind)
{
    struct csq_db *db = &native_of(&worker->executor)->db;
    bool done;

    pthread_mutex_lock(&db->lock);
    db->queued = is_followed(behind);
    done = csq_group_run(worker, db, job, behind);
    pthread_mutex_unlock(&db->lock);
    return done;
}

/* Worker thread. */
static bool
run(struct csq_worker *worker, struct csq_job *job, struct csq_list *behind)
{
    struct csq_db *db = &native_of(&worker->executor)->db;

    if (db->batch.most > 1 && csq_group_begins(worker, db, job, behind)) {
        return run_group(worker, job, behind);
    }
    pthread_mutex_lock(&db->lock);
    db->queued = is_followed(behind);
    if (csq_worker_may_run(job)) {
        csq_op_run(db, job);
    } else {
        csq_op_skip(db, job);
    }
    pthread_mutex_unlock(&db->lock);
    return true;
}

/* Takes the lock; at most the connection's timeout is waited for, because what runs may itself
 * be waiting for this thread's event loop. */
static bool
lock_db(struct csq_db *db, bool wait, int64_t deadline)
{
    const struct timespec pause = {0, 1000 * 1000};

    for (int milliseconds = wait ? atomic_load(&db->timeout) : 0; milliseconds > 0;
         milliseconds--) {
        if (pthread_mutex_trylock(&db->lock) == 0) {
            return true;
        }
        if (deadline != 0 && csq_now() >= deadline) {
            break;
        }
        nanosleep(&pause, NULL);
    }
    return pthread_mutex_trylock(&db->lock) == 0;
}

static bool
run_here(struct csq_executor *executor, struct csq_job *job, const struct csq_here *here)
{
    struct csq_db *db = &native_of(executor)->db;

    if (!here->within && !lock_db(db, here->wait, job->deadline)) {
        return false;
    }
    here->enter(job, here->within ? db->client : NULL, here->argument);
    db->patient = here->wait;
    csq_op_run_in_place(db, job);
    db->patient = true;
    here->leave(job, here->argument);
    if (!here->within) {
        pthread_mutex_unlock(&db->lock);
    }
    return true;
}

/* The job that runs is to end: it may be waiting for its turn to write. */
static void
look(struct csq_worker *worker)
{
    csq_writers_look(&native_of(&worker->executor)->db.places.main);
}

static void
interrupt(struct csq_executor *executor)
{
    csq_db_interrupt(&native_of(executor)->db);
}

static void
destroy(struct csq_executor *executor)
{
    struct native *native = native_of(executor);

    csq_worker_destroy(&native->worker);
    csq_db_destroy(&native->db);
    csq_free(native);
}

/* csq_writer_owner.keep. While the connection stands in a line it is there to be kept. */
static void
keep(void *owner, bool kept)
{
    struct native *native = csq_item(owner, struct native, db);

    if (kept) {
        csq_executor_get(&native->worker.executor);
    } else {
        csq_executor_put(&native->worker.executor);
    }
}

static const struct csq_executor_verbs verbs = {
    CSQ_WORKER_VERBS,
    .run_here = run_here,
    .interrupt = interrupt,
    .destroy = destroy,
};

struct csq_executor *
csq_native_new(void (*at_end)(void *), void *argument)
{
    struct native *native = csq_calloc(sizeof *native);

    if (native == NULL) {
        return NULL;
    }
    csq_db_init(&native->db);
    native->db.places.main.owner = (struct csq_writer_owner){&native->db, keep};
    native->db.quitting = &native->worker.executor.quitting;
    csq_worker_init(&native->worker, &verbs, run, at_end, argument);
    native->worker.look = look;
    native->worker.executor.published = &native->db.published;
    return &native->worker.executor;
}

struct csq_db *
csq_native_db(struct csq_executor *executor)
{
    return executor->verbs == &verbs ? &native_of(executor)->db : NULL;
}
