/* The worker takes the whole list at once and works outside the lock, so a burst
 * of pushes meets the lock without contention and wakes the worker once. It is
 * woken after the lock is released: else it would run into it, and on one CPU
 * that is two switches between threads more. */

#include "engine/queue.h"

#include <sched.h>

#include "engine/clock.h"

void
csq_queue_init(struct csq_queue *queue)
{
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->pushed, NULL);
    csq_list_init(&queue->jobs);
    queue->sleeping = false;
    queue->closed = false;
    queue->taken = false;
}

void
csq_queue_destroy(struct csq_queue *queue)
{
    pthread_mutex_destroy(&queue->lock);
    pthread_cond_destroy(&queue->pushed);
}

bool
csq_queue_push(struct csq_queue *queue, struct csq_link *job)
{
    bool open;
    bool wake;

    pthread_mutex_lock(&queue->lock);
    open = !queue->closed;
    wake = open && queue->sleeping;
    if (open) {
        csq_list_append(&queue->jobs, job);
        queue->sleeping = false;
    }
    pthread_mutex_unlock(&queue->lock);
    if (wake) {
        pthread_cond_signal(&queue->pushed);
    }
    return open;
}

void
csq_queue_take(struct csq_queue *queue, struct csq_list *jobs)
{
    pthread_mutex_lock(&queue->lock);
    queue->taken = false;
    if (csq_list_empty(&queue->jobs)) {
        /* Whoever has just got an answer may be about to ask again. */
        pthread_mutex_unlock(&queue->lock);
        sched_yield();
        pthread_mutex_lock(&queue->lock);
    }
    while (csq_list_empty(&queue->jobs)) {
        queue->sleeping = true;
        pthread_cond_wait(&queue->pushed, &queue->lock);
    }
    queue->sleeping = false;
    csq_list_move(jobs, &queue->jobs);
    queue->taken = true;
    pthread_mutex_unlock(&queue->lock);
}

void
csq_queue_more(struct csq_queue *queue, struct csq_list *jobs, int64_t end)
{
    int64_t now = end == 0 ? 0 : csq_now();
    struct timespec until;

    pthread_mutex_lock(&queue->lock);
    if (csq_list_empty(&queue->jobs) && now < end) {
        until = csq_deadline(end - now);
        queue->sleeping = true;
        pthread_cond_timedwait(&queue->pushed, &queue->lock, &until);
        queue->sleeping = false;
    }
    csq_list_move(jobs, &queue->jobs);
    pthread_mutex_unlock(&queue->lock);
}

void
csq_queue_close(struct csq_queue *queue, struct csq_list *jobs)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    csq_list_move(jobs, &queue->jobs);
    pthread_mutex_unlock(&queue->lock);
}

bool
csq_queue_any(struct csq_queue *queue, bool (*is)(struct csq_link *job, const void *argument),
              const void *argument)
{
    struct csq_link *link;
    bool any = false;

    pthread_mutex_lock(&queue->lock);
    for (link = queue->jobs.head.next; !any && link != &queue->jobs.head; link = link->next) {
        any = is(link, argument);
    }
    pthread_mutex_unlock(&queue->lock);
    return any;
}

bool
csq_queue_idle(struct csq_queue *queue)
{
    bool idle;

    pthread_mutex_lock(&queue->lock);
    idle = csq_list_empty(&queue->jobs) && !queue->taken;
    pthread_mutex_unlock(&queue->lock);
    return idle;
}

bool
csq_queue_empty(struct csq_queue *queue)
{
    bool empty;

    pthread_mutex_lock(&queue->lock);
    empty = csq_list_empty(&queue->jobs);
    pthread_mutex_unlock(&queue->lock);
    return empty;
}
