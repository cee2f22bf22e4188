/* Finished jobs for one event loop, and the descriptor that wakes it.
 *
 * Workers post, the loop takes. A burst of posts costs one write: only the post
 * that makes an empty mailbox non-empty writes, and not even that one while the loop
 * thread itself waits for it, or while the descriptor is readable still. That it stays
 * until the loop says that nothing is left to do: csq_mailbox_quiet(). */

#ifndef CSQ_MAILBOX_H
#define CSQ_MAILBOX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/job.h"
#include "engine/list.h"

struct csq_mailbox {
    pthread_mutex_t lock;
    struct csq_list jobs;
    bool forsaken;        /* csq_mailbox_forsake() */
    bool attended;        /* the loop thread waits in csq_mailbox_wait(), or is about to */
    uint64_t rings;       /* writes to the descriptor, done or about to be, not yet read */
    atomic_llong rung_at; /* csq_now() of what last made it non-empty, or rang */
    atomic_bool answered; /* a job was posted while it was attended */
    atomic_int waking;    /* posts that have put their job here and write to the descriptor */
    int wake_read;  /* readable while something may lie here */
    int wake_write; /* the same descriptor where there is eventfd */
};

/* Any thread. 0, or -1 with errno set. */
int csq_mailbox_init(struct csq_mailbox *mailbox);

/* Any thread, when no job names it any more. Closes the descriptors. */
void csq_mailbox_destroy(struct csq_mailbox *mailbox);

/* In a forked child: whoever posts has stayed behind, and the descriptor is the parent's as
 * well, so that to write or to read there would wake, or take the wake-up of, another
 * process. From now on the mailbox is empty and quiet, and can be destroyed. */
void csq_mailbox_forsake(struct csq_mailbox *mailbox);

/* Worker thread. Lets the job's mailbox have it: with news, or for good when
 * `finished`; after that the worker does not touch it again. A job that still
 * lies there is not posted twice. */
void csq_mailbox_post(struct csq_job *job, bool finished);

/* Any thread. Makes the descriptor readable, as a post does, unless it is already. It takes
 * no memory, so it cannot fail. */
void csq_mailbox_ring(struct csq_mailbox *mailbox);

/* Loop thread. Gives the job that was posted first and notes in `done` whether it
 * is finished; NULL when there is none. *more: whether there is another (NULL: never mind).
 * One at a time: a job with more news to come may be posted again as soon as it is out. */
struct csq_job *csq_mailbox_take(struct csq_mailbox *mailbox, bool *more);

/* Loop thread. Lets the descriptor be quiet until the next post. False: something lies
 * there, and the descriptor is left as it is. */
bool csq_mailbox_quiet(struct csq_mailbox *mailbox);

/* Loop thread. Announces csq_mailbox_wait(): until then a post writes to no descriptor.
 * False: something lies there already, and nothing was announced. */
bool csq_mailbox_attend(struct csq_mailbox *mailbox);

/* Loop thread, after csq_mailbox_attend(). Waits, giving way to other threads of the
 * same CPU, at most `nanoseconds`. Whether something has come: it is to be taken, and until
 * then no post writes. */
bool csq_mailbox_wait(struct csq_mailbox *mailbox, int64_t nanoseconds);

/* Any thread. Whether nothing lies there. */
bool csq_mailbox_empty(struct csq_mailbox *mailbox);

#endif
