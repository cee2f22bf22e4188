/* engine/queue: order, one wake-up for a burst, and nothing lost when it closes. */

#include <stdatomic.h>
#include <stdlib.h>

#include "engine/harness.h"
#include "engine/queue.h"

enum { THREADS = 4, EACH = 5000 };

struct ticket {
    struct csq_link link;
    int thread;
    int number;
};

struct desk {
    struct csq_queue queue;
    pthread_barrier_t start;
    atomic_int threads;
    atomic_long refused;
    struct ticket tickets[THREADS][EACH];
};

static void
test_alone(void)
{
    struct csq_queue queue;
    struct csq_list jobs;
    struct ticket tickets[3];

    csq_queue_init(&queue);
    csq_list_init(&jobs);
    CHECK(csq_queue_empty(&queue));
    for (int i = 0; i < 3; i++) {
        csq_link_init(&tickets[i].link);
        CHECK(csq_queue_push(&queue, &tickets[i].link));
    }
    CHECK(!csq_queue_empty(&queue));
    csq_queue_take(&queue, &jobs);
    CHECK(csq_queue_empty(&queue));
    for (int i = 0; i < 3; i++) {
        CHECK(csq_list_shift(&jobs) == &tickets[i].link);
    }
    CHECK(csq_queue_push(&queue, &tickets[0].link));
    csq_queue_close(&queue, &jobs);
    CHECK(csq_list_shift(&jobs) == &tickets[0].link);
    CHECK(csq_list_empty(&jobs));
    CHECK(!csq_queue_push(&queue, &tickets[1].link));
    CHECK(csq_queue_empty(&queue));
    csq_queue_destroy(&queue);
}

static void *
push_tickets(void *argument)
{
    struct desk *desk = argument;
    int thread = atomic_fetch_add(&desk->threads, 1);

    pthread_barrier_wait(&desk->start);
    for (int i = 0; i < EACH; i++) {
        struct ticket *ticket = &desk->tickets[thread][i];

        csq_link_init(&ticket->link);
        ticket->thread = thread;
        ticket->number = i;
        if (!csq_queue_push(&desk->queue, &ticket->link)) {
            atomic_fetch_add(&desk->refused, 1);
        }
    }
    return NULL;
}

/* Takes until `enough` have come; each thread's must come in its order. */
static long
take_tickets(struct desk *desk, long enough, bool close)
{
    int next[THREADS] = {0};
    struct csq_list jobs;
    struct csq_link *link;
    long taken = 0;

    csq_list_init(&jobs);
    while (taken < enough) {
        csq_queue_take(&desk->queue, &jobs);
        if (close && taken + 1 >= enough / 2) {
            csq_queue_close(&desk->queue, &jobs);
            enough = 0;
        }
        while ((link = csq_list_shift(&jobs)) != NULL) {
            const struct ticket *ticket = csq_item(link, struct ticket, link);

            if (ticket->number != next[ticket->thread]++) {
                CHECK(!"in order");
            }
            taken++;
        }
    }
    return taken;
}

static void
race(bool close)
{
    struct desk *desk = calloc(1, sizeof *desk);
    pthread_t threads[THREADS];
    long taken;

    csq_queue_init(&desk->queue);
    pthread_barrier_init(&desk->start, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, push_tickets, desk);
    }
    pthread_barrier_wait(&desk->start);
    taken = take_tickets(desk, THREADS * EACH, close);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(taken + atomic_load(&desk->refused) == THREADS * EACH); /* none is lost */
    CHECK(close || taken == THREADS * EACH);
    CHECK(csq_queue_empty(&desk->queue));
    csq_queue_destroy(&desk->queue);
    pthread_barrier_destroy(&desk->start);
    free(desk);
}

static void
test_threads(void)
{
    race(false);
}

static void
test_close(void)
{
    race(true);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"alone", test_alone},
        {"threads", test_threads},
        {"close", test_close},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
