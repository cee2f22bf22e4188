/* engine/flow: what is put is taken once and in order, whichever side is faster; a
 * worker that waits is released by what it waits for, by the end and by an abort. */

#include <stdatomic.h>

#include "engine/flow.h"
#include "engine/harness.h"

enum { NUMBERS = 20000, ROOM = 4096 };

static void
put_number(struct csq_flow *flow, int64_t number)
{
    struct csq_strip strip;

    csq_strip_init(&strip);
    csq_strip_put_integer(&strip, number);
    strip.rows = 1;
    csq_flow_put(flow, &strip);
}

static void
test_alone(void)
{
    struct csq_flow flow;
    struct csq_strip strip;

    csq_flow_init(&flow);
    csq_strip_init(&strip);
    CHECK(csq_flow_empty(&flow));
    csq_flow_take(&flow, &strip);
    CHECK(strip.first == NULL);
    put_number(&flow, 1);
    put_number(&flow, 2);
    CHECK(!csq_flow_empty(&flow));
    CHECK(csq_flow_wait_more(&flow));
    CHECK(csq_flow_wait_room(&flow, SIZE_MAX));
    csq_flow_take(&flow, &strip);
    CHECK(strip.rows == 2);
    CHECK(csq_flow_empty(&flow));
    csq_flow_end(&flow);
    CHECK(!csq_flow_empty(&flow)); /* nothing lies there, but nothing will come */
    CHECK(csq_flow_wait_more(&flow));
    put_number(&flow, 3); /* freed with the flow */
    csq_strip_clear(&strip);
    csq_flow_clear(&flow);
}

static void
test_abort(void)
{
    struct csq_flow flow;
    struct csq_strip strip;

    csq_flow_init(&flow);
    csq_strip_init(&strip);
    put_number(&flow, 1);
    csq_flow_abort(&flow);
    put_number(&flow, 2); /* freed */
    CHECK(!csq_flow_wait_more(&flow));
    CHECK(!csq_flow_wait_room(&flow, SIZE_MAX));
    csq_flow_take(&flow, &strip);
    CHECK(strip.rows == 1);
    csq_flow_end(&flow);
    csq_flow_abandon(&flow);
    CHECK(!csq_flow_wait_more(&flow)); /* an abort is for good */
    csq_strip_clear(&strip);
    csq_flow_clear(&flow);
}

static void
test_abandon(void)
{
    struct csq_flow flow;

    csq_flow_init(&flow);
    put_number(&flow, 1);
    csq_flow_end(&flow);
    csq_flow_abandon(&flow); /* all is there: it may go on */
    CHECK(csq_flow_wait_more(&flow));
    csq_flow_clear(&flow);

    csq_flow_init(&flow);
    put_number(&flow, 1);
    csq_flow_abandon(&flow);
    CHECK(!csq_flow_wait_more(&flow));
    csq_flow_clear(&flow);
}

/* The worker of these tests: takes until the end and checks the order. */
static void *
take_numbers(void *argument)
{
    struct csq_flow *flow = argument;
    struct csq_strip strip;
    int64_t expected = 0;
    bool more = true;

    csq_strip_init(&strip);
    while (more && csq_flow_wait_more(flow)) {
        struct csq_reader reader = {NULL, NULL};
        const struct csq_cell *cell;

        csq_flow_take(flow, &strip);
        more = strip.first != NULL;
        while ((cell = csq_strip_read(&strip, &reader)) != NULL) {
            if (cell->value.integer != expected++) {
                CHECK(!"in order");
            }
        }
        csq_strip_clear(&strip);
    }
    CHECK(expected == NUMBERS);
    return NULL;
}

static void
test_down(void)
{
    struct csq_flow flow;
    pthread_t worker;

    csq_flow_init(&flow);
    pthread_create(&worker, NULL, take_numbers, &flow);
    for (int64_t number = 0; number < NUMBERS; number++) {
        put_number(&flow, number);
    }
    csq_flow_end(&flow);
    pthread_join(worker, NULL);
    csq_flow_clear(&flow);
}

/* Another worker: puts as long as there is room, and says what it has put. */
struct source {
    struct csq_flow flow;
    atomic_long put;
    bool aborted;
};

static void *
put_numbers(void *argument)
{
    struct source *source = argument;

    for (int64_t number = 0; number < NUMBERS && !source->aborted; number++) {
        source->aborted = !csq_flow_wait_room(&source->flow, ROOM);
        if (!source->aborted) {
            put_number(&source->flow, number);
            atomic_fetch_add(&source->put, 1);
        }
    }
    csq_flow_end(&source->flow);
    return NULL;
}

static void
test_up(void)
{
    struct source source = {.aborted = false};
    struct csq_strip strip;
    pthread_t worker;
    int64_t rows = 0;

    csq_flow_init(&source.flow);
    csq_strip_init(&strip);
    pthread_create(&worker, NULL, put_numbers, &source);
    while (rows < NUMBERS && csq_flow_wait_more(&source.flow)) {
        csq_flow_take(&source.flow, &strip);
        if (strip.bytes >= 2 * ROOM) {
            CHECK(!"no more than there is room for");
        }
        rows += (int64_t)strip.rows;
        csq_strip_clear(&strip);
    }
    pthread_join(worker, NULL);
    CHECK(rows == NUMBERS && !source.aborted);
    csq_flow_clear(&source.flow);
}

/* Nobody takes: the worker comes to stand, and an abort lets it go. */
static void
test_release(void)
{
    struct source source = {.aborted = false};
    pthread_t worker;
    long put;

    csq_flow_init(&source.flow);
    put_number(&source.flow, 0); /* one cell in a chunk */
    pthread_create(&worker, NULL, put_numbers, &source);
    do {
        put = atomic_load(&source.put);
    } while (put < 1);
    csq_flow_abort(&source.flow);
    pthread_join(worker, NULL);
    CHECK(source.aborted && atomic_load(&source.put) < NUMBERS);
    csq_flow_clear(&source.flow);
}

static bool
is_forsaken(void *argument)
{
    int *asked = argument;

    return ++*asked == 2;
}

/* A worker that has waited for long asks whether anybody comes. */
static void
test_forsaken(void)
{
    struct csq_flow flow;
    int asked = 0;

    csq_flow_init(&flow);
    flow.is_forsaken = is_forsaken;
    flow.argument = &asked;
    put_number(&flow, 1);
    CHECK(csq_flow_wait_room(&flow, 1) && asked == 2); /* there is no bound any more */
    put_number(&flow, 2);
    CHECK(csq_flow_wait_room(&flow, 1) && csq_flow_wait_more(&flow));
    csq_flow_clear(&flow);

    asked = 0;
    csq_flow_init(&flow);
    flow.is_forsaken = is_forsaken;
    flow.argument = &asked;
    CHECK(!csq_flow_wait_more(&flow) && asked == 2); /* nobody gives more */
    put_number(&flow, 1);
    CHECK(!csq_flow_wait_more(&flow) && asked == 2); /* for good */
    csq_flow_clear(&flow);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"alone", test_alone},       {"abort", test_abort}, {"abandon", test_abandon},
        {"down", test_down},         {"up", test_up},       {"release", test_release},
        {"forsaken", test_forsaken},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
