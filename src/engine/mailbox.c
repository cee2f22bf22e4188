/* eventfd where there is one, else a pipe. A full descriptor means that the loop
 * has been woken and has not come yet, which is all a post asks for. Where somebody has
 * closed all descriptors of the process, the loop has lost its own as well: nobody is
 * left to be woken. Any other failure is a bug of ours, and an await that never ends
 * would hide it.
 *
 * The loop is woken after the lock is released: else it would run into it, and on
 * one CPU that is two switches between threads more. */

#include "engine/mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/clock.h"

/* A program that was started without the standard descriptors still takes 0, 1 and 2 for
 * them, and writes there what it has to say. Gives another descriptor instead of one of
 * these, or -1. */
static int
above_standard(int descriptor)
{
    int moved;

    if (descriptor < 0 || descriptor > STDERR_FILENO) {
        return descriptor;
    }
    moved = fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(descriptor);
    return moved;
}

#ifdef __linux__
#include <sys/eventfd.h>

static int
wake_open(struct csq_mailbox *mailbox)
{
    mailbox->wake_read = above_standard(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    mailbox->wake_write = mailbox->wake_read;
    return mailbox->wake_read < 0 ? -1 : 0;
}

#else

static int
wake_open(struct csq_mailbox *mailbox)
{
    int ends[2];

    if (pipe(ends) < 0) {
        return -1;
    }
    mailbox->wake_read = above_standard(ends[0]);
    mailbox->wake_write = above_standard(ends[1]);
    if (mailbox->wake_read < 0 || mailbox->wake_write < 0) {
        return -1; /* what is open is closed with the mailbox */
    }
    for (int i = 0; i < 2; i++) {
        int end = i == 0 ? mailbox->wake_read : mailbox->wake_write;

        fcntl(end, F_SETFD, FD_CLOEXEC);
        fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK);
    }
    return 0;
}

#endif

int
csq_mailbox_init(struct csq_mailbox *mailbox)
{
    pthread_mutex_init(&mailbox->lock, NULL);
    csq_list_init(&mailbox->jobs);
    mailbox->attended = false;
    mailbox->forsaken = false;
    mailbox->rings = 0;
    atomic_init(&mailbox->rung_at, 0);
    atomic_init(&mailbox->answered, false);
    atomic_init(&mailbox->waking, 0);
    mailbox->wake_read = -1;
    mailbox->wake_write = -1;
    return wake_open(mailbox);
}

void
csq_mailbox_destroy(struct csq_mailbox *mailbox)
{
    while (atomic_load_explicit(&mailbox->waking, memory_order_acquire) > 0) {
        sched_yield();
    }
    if (mailbox->wake_read >= 0) {
        close(mailbox->wake_read);
    }
    if (mailbox->wake_write >= 0 && mailbox->wake_write != mailbox->wake_read) {
        close(mailbox->wake_write);
    }
    pthread_mutex_destroy(&mailbox->lock);
}

void
csq_mailbox_forsake(struct csq_mailbox *mailbox)
{
    pthread_mutex_init(&mailbox->lock, NULL); /* a worker may have held it */
    csq_list_init(&mailbox->jobs);
    mailbox->attended = false;
    mailbox->forsaken = true;
    atomic_store(&mailbox->waking, 0);
}

static void
wake(struct csq_mailbox *mailbox)
{
    const uint64_t one = 1;
    ssize_t written;

    do {
        written = write(mailbox->wake_write, &one, sizeof one);
    } while (written < 0 && errno == EINTR);
    if (written < 0 && errno != EAGAIN && errno != EBADF) {
        abort();
    }
}

/* Reads what was written. Gives how many writes that were. */
static uint64_t
read_writes(struct csq_mailbox *mailbox)
{
    uint64_t news[16];
    uint64_t writes = 0;
    ssize_t got;

    do {
        got = read(mailbox->wake_read, news, sizeof news);
        for (ssize_t i = 0; i < got / (ssize_t)sizeof *news; i++) {
            writes += news[i]; /* of an eventfd the sum, of a pipe one after the other */
        }
    } while ((got < 0 && errno == EINTR) || got == (ssize_t)sizeof news);
    return writes;
}

/* Lock held. Whether the descriptor is to be written to: not while an earlier write lies
 * there, or is about to. Each true is followed by finish_ring(). */
static bool
note_ring(struct csq_mailbox *mailbox)
{
    if (mailbox->rings > 0 || mailbox->forsaken) {
        return false;
    }
    mailbox->rings++;
    atomic_fetch_add_explicit(&mailbox->waking, 1, memory_order_relaxed);
    return true;
}

/* Lock not held. */
static void
finish_ring(struct csq_mailbox *mailbox)
{
    wake(mailbox);
    atomic_fetch_sub_explicit(&mailbox->waking, 1, memory_order_release);
}

void
csq_mailbox_post(struct csq_job *job, bool finished)
{
    struct csq_mailbox *mailbox = job->mailbox;
    bool first = false;
    bool rings = false;

    pthread_mutex_lock(&mailbox->lock);
    job->finished = finished;
    if (!job->posted) {
        first = csq_list_empty(&mailbox->jobs);
        job->posted = true;
        csq_list_append(&mailbox->jobs, &job->link);
        atomic_store_explicit(&mailbox->answered, true, memory_order_release);
    }
    if (first && !mailbox->attended) {
        atomic_store_explicit(&mailbox->rung_at, csq_now(), memory_order_relaxed);
        rings = note_ring(mailbox);
    }
    pthread_mutex_unlock(&mailbox->lock);
    /* From here on the loop may take the job, and with the last job goes the mailbox;
     * but not while somebody is waking it. */
    if (rings) {
        finish_ring(mailbox);
    }
}

void
csq_mailbox_ring(struct csq_mailbox *mailbox)
{
    bool rings;

    pthread_mutex_lock(&mailbox->lock);
    rings = note_ring(mailbox);
    if (rings) {
        atomic_store_explicit(&mailbox->rung_at, csq_now(), memory_order_relaxed);
    }
    pthread_mutex_unlock(&mailbox->lock);
    if (rings) {
        finish_ring(mailbox);
    }
}

struct csq_job *
csq_mailbox_take(struct csq_mailbox *mailbox, bool *more)
{
    struct csq_job *job = NULL;
    struct csq_link *link;

    pthread_mutex_lock(&mailbox->lock);
    mailbox->attended = false;
    link = csq_list_shift(&mailbox->jobs);
    if (link != NULL) {
        job = csq_item(link, struct csq_job, link);
        job->posted = false;
        job->done = job->finished;
    }
    if (more != NULL) {
        *more = !csq_list_empty(&mailbox->jobs);
    }
    pthread_mutex_unlock(&mailbox->lock);
    return job;
}

bool
csq_mailbox_quiet(struct csq_mailbox *mailbox)
{
    bool empty;

    pthread_mutex_lock(&mailbox->lock);
    empty = csq_list_empty(&mailbox->jobs);
    if (empty && mailbox->rings > 0 && !mailbox->forsaken) {
        uint64_t writes = read_writes(mailbox);

        mailbox->rings -= writes < mailbox->rings ? writes : mailbox->rings;
    }
    pthread_mutex_unlock(&mailbox->lock);
    return empty;
}

bool
csq_mailbox_attend(struct csq_mailbox *mailbox)
{
    bool attended;

    pthread_mutex_lock(&mailbox->lock);
    attended = csq_list_empty(&mailbox->jobs);
    mailbox->attended = attended;
    atomic_store_explicit(&mailbox->answered, false, memory_order_relaxed);
    pthread_mutex_unlock(&mailbox->lock);
    return attended;
}

bool
csq_mailbox_wait(struct csq_mailbox *mailbox, int64_t nanoseconds)
{
    int64_t end = csq_now() + nanoseconds;
    bool found;

    while (csq_now() < end) {
        if (atomic_load_explicit(&mailbox->answered, memory_order_acquire)) {
            return true;
        }
        sched_yield();
    }
    pthread_mutex_lock(&mailbox->lock);
    mailbox->attended = false;
    found = !csq_list_empty(&mailbox->jobs);
    pthread_mutex_unlock(&mailbox->lock);
    return found;
}

bool
csq_mailbox_empty(struct csq_mailbox *mailbox)
{
    bool empty;

    pthread_mutex_lock(&mailbox->lock);
    empty = csq_list_empty(&mailbox->jobs);
    pthread_mutex_unlock(&mailbox->lock);
    return empty;
}
