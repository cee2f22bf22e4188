/* Jobs waiting for one worker, first in, first out. Locked within. */

#ifndef CSQ_QUEUE_H
#define CSQ_QUEUE_H

#include <pthread.h>
#include <stdbool.h>

#include <stdint.h>

#include "engine/list.h"

struct csq_queue {
    pthread_mutex_t lock;
    pthread_cond_t pushed;
    struct csq_list jobs;
    bool sleeping; /* the worker waits for `pushed` */
    bool closed;
    bool taken; /* what was taken last may not all be done */
};

/* Any thread. */
void csq_queue_init(struct csq_queue *queue);

/* Any thread, when nobody else uses it. It must be empty. */
void csq_queue_destroy(struct csq_queue *queue);

/* Any thread. Takes a job by its link; wakes the worker only if it sleeps.
 * False: the queue is closed, the job remains the caller's. */
bool csq_queue_push(struct csq_queue *queue, struct csq_link *job);

/* Worker thread. Waits until there are jobs and moves them all to `jobs`. */
void csq_queue_take(struct csq_queue *queue, struct csq_list *jobs);

/* Worker thread. Moves what there is behind what `jobs` holds; when that is nothing, waits for it
 * until `end`, by csq_now(). */
void csq_queue_more(struct csq_queue *queue, struct csq_list *jobs, int64_t end);

/* Worker thread. Closes it and moves what still stands in it to `jobs`. */
void csq_queue_close(struct csq_queue *queue, struct csq_list *jobs);

/* Any thread. Whether `is` holds for one that waits. It is called under the lock. */
bool csq_queue_any(struct csq_queue *queue,
                   bool (*is)(struct csq_link *job, const void *argument), const void *argument);

/* Any thread. Whether nothing waits, and all that was taken is done. */
bool csq_queue_idle(struct csq_queue *queue);

/* Any thread. Whether nothing waits. */
bool csq_queue_empty(struct csq_queue *queue);

#endif
