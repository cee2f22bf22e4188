/* engine/turn: what comes back is taken in once, in order, in slices and within a budget; the
 * descriptor tells while anything is left, also within a turn; and a loop that may wait awake
 * gets its answer without being rung for. The host is a list of who was told what. */

#include <poll.h>
#include <string.h>

#include "engine/clock.h"
#include "engine/job.h"
#include "engine/turn.h"
#include "harness.h"

enum { MOST = 64, POSTS = 2000 };

/* One who waits for a job. */
struct guest {
    struct csq_job job;
    struct csq_link under_way;
    struct csq_link news;
    int64_t dawdle; /* how long a slice of it takes, at least */
    int slices;     /* how many it is to need; counts down */
    int taken;      /* how often it has taken in news */
    int told;       /* how often it was let go on */
    bool raises;    /* when it is told */
    struct host *runs; /* whose loop it runs when it is told; or NULL */
};

struct host {
    struct csq_turn turn;
    long others;
    struct guest *order[MOST]; /* who was told, in this order */
    int told;
};

static struct csq_link *
find_news(struct csq_job *job)
{
    return &csq_item(job, struct guest, job)->news;
}

static bool
is_readable(const struct host *host)
{
    struct pollfd wake = {.fd = host->turn.mailbox.wake_read, .events = POLLIN};

    return poll(&wake, 1, 0) == 1;
}

/* What an event loop does: it comes as long as the descriptor is readable. Gives the turns. */
static int
run_loop(struct host *host)
{
    int turns = 0;

    while (is_readable(host) && turns < 1000) {
        csq_turn_run(&host->turn);
        turns++;
    }
    return turns;
}

static enum csq_turn_answer
take_in(struct csq_link *news, int64_t slice_end, bool tell)
{
    struct guest *guest = csq_item(news, struct guest, news);
    struct host *host = guest->job.client;
    int64_t end = csq_now() + guest->dawdle;

    CHECK(slice_end > 0);
    while (csq_now() < end) {
    }
    guest->taken++;
    if (guest->slices > 1) {
        guest->slices--;
        return CSQ_TURN_MORE;
    }
    if (guest->job.done) {
        csq_link_remove(&guest->under_way);
    }
    if (!tell) {
        return CSQ_TURN_DONE;
    }
    guest->told++;
    host->order[host->told++ % MOST] = guest;
    if (guest->runs != NULL) {
        run_loop(guest->runs);
    }
    return guest->raises ? CSQ_TURN_RAISED : CSQ_TURN_DONE;
}

static long
count_others(struct csq_turn *turn)
{
    return csq_item(turn, struct host, turn)->others;
}

static const struct csq_turn_calls calls = {
    .news = find_news,
    .take_in = take_in,
    .others = count_others,
};

static void
open_host(struct host *host, long others)
{
    memset(host, 0, sizeof *host);
    CHECK(csq_turn_init(&host->turn, &calls) == 0);
    host->others = others;
}

static void
close_host(struct host *host)
{
    CHECK(csq_turn_idle(&host->turn));
    CHECK(csq_list_empty(&host->turn.under_way));
    csq_turn_destroy(&host->turn);
}

/* Lets a guest have a job under way. */
static void
enter(struct guest *guest, struct host *host)
{
    memset(guest, 0, sizeof *guest);
    csq_job_init(&guest->job, CSQ_EXECUTE);
    guest->job.mailbox = &host->turn.mailbox;
    guest->job.client = host;
    csq_link_init(&guest->under_way);
    csq_link_init(&guest->news);
    csq_list_append(&host->turn.under_way, &guest->under_way);
}

static void
test_order(void)
{
    struct host host;
    struct guest guests[5];

    open_host(&host, 1);
    for (int i = 0; i < 5; i++) {
        enter(&guests[i], &host);
    }
    for (int i = 4; i >= 0; i--) {
        csq_mailbox_post(&guests[i].job, true);
    }
    CHECK(run_loop(&host) == 1);
    CHECK(!is_readable(&host));
    for (int i = 0; i < 5; i++) {
        CHECK(guests[i].taken == 1 && guests[i].told == 1);
        CHECK(host.order[i] == &guests[4 - i]);
    }
    close_host(&host);
}

/* News that come while older ones are still in line are taken in with these, once. */
static void
test_news_join(void)
{
    struct host host;
    struct guest guest;

    open_host(&host, 1);
    enter(&guest, &host);
    guest.slices = 3;
    guest.dawdle = 30 * 1000 * 1000; /* longer than any turn */
    csq_mailbox_post(&guest.job, false);
    csq_turn_run(&host.turn);
    csq_mailbox_post(&guest.job, true);
    run_loop(&host);
    CHECK(guest.taken == 3 && guest.told == 1 && guest.job.done);
    close_host(&host);
}

/* One that has much is taken in after all that have little, whoever came first. */
static void
test_large_after_small(void)
{
    struct host host;
    struct guest large;
    struct guest small[3];

    open_host(&host, 1);
    enter(&large, &host);
    large.slices = 4;
    csq_mailbox_post(&large.job, true);
    for (int i = 0; i < 3; i++) {
        enter(&small[i], &host);
        csq_mailbox_post(&small[i].job, true);
    }
    run_loop(&host);
    CHECK(host.told == 4 && host.order[3] == &large && large.taken == 4);
    close_host(&host);
}

/* A turn ends with its budget. What it leaves keeps the descriptor readable. */
static void
test_budget(void)
{
    struct host host;
    struct guest guests[6];

    open_host(&host, 1);
    for (int i = 0; i < 6; i++) {
        enter(&guests[i], &host);
        guests[i].dawdle = 30 * 1000 * 1000; /* longer than any turn */
        csq_mailbox_post(&guests[i].job, true);
    }
    for (int i = 0; i < 6; i++) {
        CHECK(is_readable(&host));
        CHECK(csq_turn_run(&host.turn));
        CHECK(host.told == i + 1);
    }
    CHECK(!is_readable(&host));
    close_host(&host);
}

/* What is raised ends the turn, and nothing is lost by it. */
static void
test_raised(void)
{
    struct host host;
    struct guest guests[3];

    open_host(&host, 1);
    for (int i = 0; i < 3; i++) {
        enter(&guests[i], &host);
        guests[i].raises = true;
        csq_mailbox_post(&guests[i].job, true);
    }
    for (int i = 0; i < 3; i++) {
        CHECK(is_readable(&host));
        CHECK(!csq_turn_run(&host.turn));
        CHECK(host.told == i + 1);
    }
    CHECK(!is_readable(&host));
    close_host(&host);
}

/* Who is let go on runs the same loop: that takes in what the turn has not come to yet. */
static void
test_loop_within_a_turn(void)
{
    struct host host;
    struct guest guests[4];

    open_host(&host, 1);
    for (int i = 0; i < 4; i++) {
        enter(&guests[i], &host);
        csq_mailbox_post(&guests[i].job, true);
    }
    guests[0].runs = &host;
    guests[1].runs = &host;
    guests[2].slices = 5;
    CHECK(run_loop(&host) == 1);
    CHECK(host.told == 4 && !is_readable(&host));
    close_host(&host);
}

/* The same for what is delivered by others than workers. */
static void
test_deliver(void)
{
    struct host host;
    struct guest guest;

    open_host(&host, 1);
    enter(&guest, &host);
    guest.job.done = true;
    csq_turn_deliver(&host.turn, &guest.news);
    csq_turn_deliver(&host.turn, &guest.news);
    CHECK(is_readable(&host) && !csq_turn_idle(&host.turn));
    CHECK(run_loop(&host) == 1);
    CHECK(guest.taken == 1 && guest.told == 1);
    close_host(&host);
}

/* An answer that is waited for awake is taken in, told to nobody and rung for by nobody; what
 * is another's waits for the loop. */
static void
test_wait(void)
{
    struct host host;
    struct guest guests[2];

    open_host(&host, 0);
    host.turn.turned = csq_now() + 1000000000; /* however slow the machine is */
    CHECK(csq_turn_attend(&host.turn));
    enter(&guests[0], &host);
    enter(&guests[1], &host);
    csq_mailbox_post(&guests[1].job, true);
    csq_mailbox_post(&guests[0].job, true);
    CHECK(!is_readable(&host));
    CHECK(csq_turn_wait(&host.turn, &guests[0].news));
    CHECK(guests[0].taken == 1 && guests[0].told == 0 && guests[1].taken == 0);
    CHECK(run_loop(&host) == 1);
    CHECK(guests[1].taken == 1 && guests[1].told == 1);
    close_host(&host);
}

/* Waiting in vain several times, it is tried less often. */
static void
test_wait_in_vain(void)
{
    struct host host;
    struct guest guest;
    int tried = 0;

    open_host(&host, 0);
    enter(&guest, &host);
    csq_link_remove(&guest.under_way);
    for (int i = 0; i < 40; i++) {
        host.turn.turned = csq_now() + 1000000000;
        if (csq_turn_attend(&host.turn)) {
            CHECK(!csq_turn_wait(&host.turn, &guest.news));
            tried++;
        }
    }
    CHECK(tried > 0 && tried < 10);
    csq_mailbox_post(&guest.job, true);
    CHECK(is_readable(&host)); /* nobody waits any more */
    run_loop(&host);
    close_host(&host);
}

/* When not to wait at all. */
static void
test_no_waiting(void)
{
    struct host host;
    struct guest guest;

    open_host(&host, 0);
    host.turn.turned = csq_now() + 1000000000;
    CHECK(csq_turn_attend(&host.turn));
    csq_turn_disregard(&host.turn);
    host.others = -1; /* not known */
    CHECK(!csq_turn_attend(&host.turn));
    host.others = 3; /* they are to run */
    CHECK(!csq_turn_attend(&host.turn));
    host.others = 0;
    host.turn.gated = 1;
    CHECK(!csq_turn_attend(&host.turn));
    host.turn.gated = 0;
    host.turn.turned = csq_now() - 1000000000; /* the selector has long not been asked */
    CHECK(!csq_turn_attend(&host.turn));
    host.turn.turned = csq_now() + 1000000000;
    enter(&guest, &host); /* another's answer would come first */
    CHECK(!csq_turn_attend(&host.turn));
    csq_mailbox_post(&guest.job, true);
    run_loop(&host);
    close_host(&host);
}

static void
test_drop(void)
{
    struct host host;
    struct guest guests[3];
    int dropped = 0;

    open_host(&host, 1);
    for (int i = 0; i < 3; i++) {
        enter(&guests[i], &host);
    }
    guests[0].slices = 9;
    csq_mailbox_post(&guests[0].job, true);
    csq_turn_run(&host.turn);
    csq_mailbox_post(&guests[1].job, true);
    csq_mailbox_post(&guests[2].job, true);
    while (csq_turn_drop(&host.turn) != NULL) {
        dropped++;
    }
    CHECK(dropped == 3 - host.told);
    for (int i = 0; i < 3; i++) {
        csq_link_remove(&guests[i].under_way);
    }
    close_host(&host);
}

static void *
post_all(void *argument)
{
    struct guest *guests = argument;

    for (int i = 0; i < POSTS; i++) {
        csq_mailbox_post(&guests[i].job, false);
        csq_mailbox_post(&guests[i].job, true);
    }
    return NULL;
}

/* Two workers post while the loop comes, waits awake, and turns. */
static void
test_threads(void)
{
    static struct guest guests[2][POSTS];
    struct host host;
    pthread_t threads[2];

    open_host(&host, 0);
    for (int i = 0; i < 2 * POSTS; i++) {
        enter(&guests[i / POSTS][i % POSTS], &host);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&threads[i], NULL, post_all, guests[i]) == 0);
    }
    while (!csq_list_empty(&host.turn.under_way)) {
        struct pollfd wake = {.fd = host.turn.mailbox.wake_read, .events = POLLIN};

        poll(&wake, 1, -1);
        csq_turn_run(&host.turn);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < 2 * POSTS; i++) {
        CHECK(guests[i / POSTS][i % POSTS].job.done);
    }
    run_loop(&host);
    CHECK(!is_readable(&host));
    close_host(&host);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"order", test_order},
        {"news_join", test_news_join},
        {"large_after_small", test_large_after_small},
        {"budget", test_budget},
        {"raised", test_raised},
        {"loop_within_a_turn", test_loop_within_a_turn},
        {"deliver", test_deliver},
        {"wait", test_wait},
        {"wait_in_vain", test_wait_in_vain},
        {"no_waiting", test_no_waiting},
        {"drop", test_drop},
        {"threads", test_threads},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
