/* The only pthread_create. All signals are blocked in a thread of the crew: they are
 * the main thread's. A free thread stands in a list with what it is told to do next;
 * who takes it out of the list, or the thread itself when it gives up, owns it. */

#include "engine/crew.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "engine/alloc.h"
#include "engine/clock.h"
#include "engine/list.h"

enum {
    FREE_MAX = 8,                 /* so many wait, the others end at once */
    WAIT_NANOSECONDS = 50 * 1000 * 1000, /* for so long */
};

struct csq_crew {
    atomic_int references;
    pthread_mutex_t lock; /* guards what follows, and all that stands in `free` */
    struct csq_list free; /* threads, by hand.link */
    int waiting;          /* how many of them */
    bool dismissed;       /* none waits any more */
};

/* One thread. It lives on that thread's stack, but for its first task. */
struct hand {
    struct csq_link link;
    struct csq_crew *crew;
    pthread_t thread;
    pthread_cond_t called;
    void (*run)(void *); /* NULL: nothing to do yet */
    void *argument;
};

struct csq_crew *
csq_crew_new(void)
{
    struct csq_crew *crew = csq_calloc(sizeof *crew);

    if (crew != NULL) {
        atomic_init(&crew->references, 1);
        pthread_mutex_init(&crew->lock, NULL);
        csq_list_init(&crew->free);
    }
    return crew;
}

/* Takes a reference: the owner has one, and each thread. */
static void
put(struct csq_crew *crew)
{
    if (atomic_fetch_sub(&crew->references, 1) == 1) {
        pthread_mutex_destroy(&crew->lock);
        csq_free(crew);
    }
}

void
csq_crew_dismiss(struct csq_crew *crew)
{
    struct csq_link *link;

    if (crew == NULL) {
        return;
    }
    pthread_mutex_lock(&crew->lock);
    crew->dismissed = true;
    for (link = crew->free.head.next; link != &crew->free.head; link = link->next) {
        pthread_cond_signal(&csq_item(link, struct hand, link)->called);
    }
    pthread_mutex_unlock(&crew->lock);
    put(crew);
}

/* -- in the thread ------------------------------------------------------------ */

/* Waits until somebody has something for this thread to do. False: nobody has. */
static bool
wait_for_call(struct hand *hand)
{
    struct csq_crew *crew = hand->crew;
    struct timespec end = csq_deadline(WAIT_NANOSECONDS);
    int rc = 0;

    hand->run = NULL;
    pthread_mutex_lock(&crew->lock);
    if (crew->waiting < FREE_MAX && !crew->dismissed) {
        crew->waiting++;
        csq_list_append(&crew->free, &hand->link);
        while (hand->run == NULL && !crew->dismissed && rc != ETIMEDOUT) {
            rc = pthread_cond_timedwait(&hand->called, &crew->lock, &end);
        }
        if (hand->run == NULL) {
            crew->waiting--;
            csq_link_remove(&hand->link);
        }
    }
    pthread_mutex_unlock(&crew->lock);
    return hand->run != NULL;
}

static void *
serve(void *first)
{
    struct hand hand = *(struct hand *)first;

    csq_free(first);
    csq_link_init(&hand.link);
    hand.thread = pthread_self();
    pthread_cond_init(&hand.called, NULL);
    do {
        hand.run(hand.argument);
    } while (wait_for_call(&hand));
    pthread_cond_destroy(&hand.called);
    put(hand.crew);
    return NULL;
}

/* -- calling one -------------------------------------------------------------- */

/* Gives the task to a free thread. False: there is none. */
static bool
call_free(struct csq_crew *crew, void (*run)(void *), void *argument, pthread_t *thread)
{
    struct csq_link *link;

    pthread_mutex_lock(&crew->lock);
    link = csq_list_shift(&crew->free);
    if (link != NULL) {
        struct hand *hand = csq_item(link, struct hand, link);

        crew->waiting--;
        hand->run = run;
        hand->argument = argument;
        *thread = hand->thread;
        /* Under the lock: once it is released, the thread may end, and `called` with it. */
        pthread_cond_signal(&hand->called);
    }
    pthread_mutex_unlock(&crew->lock);
    return link != NULL;
}

static int
create(struct hand *first, pthread_t *thread)
{
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;
    int rc = pthread_attr_init(&attributes);

    if (rc != 0) {
        return rc;
    }
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(thread, &attributes, serve, first);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return rc;
}

int
csq_crew_run(struct csq_crew *crew, void (*run)(void *), void *argument, pthread_t *thread)
{
    struct hand *first;
    int rc;

    if (call_free(crew, run, argument, thread)) {
        return 0;
    }
    first = csq_calloc(sizeof *first);
    if (first == NULL) {
        return ENOMEM;
    }
    first->crew = crew;
    first->run = run;
    first->argument = argument;
    atomic_fetch_add(&crew->references, 1);
    rc = create(first, thread);
    if (rc != 0) {
        put(crew);
        csq_free(first);
    }
    return rc;
}
