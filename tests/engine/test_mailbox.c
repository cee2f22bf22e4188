/* engine/mailbox: every job arrives and none twice, the last post is the one that is
 * final, and a burst costs one wake-up. */

#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/harness.h"
#include "engine/mailbox.h"

enum { THREADS = 4, EACH = 2000, NEWS = 3 };

static bool
is_ringing(const struct csq_mailbox *mailbox)
{
    struct pollfd wake = {.fd = mailbox->wake_read, .events = POLLIN};

    return poll(&wake, 1, 0) == 1;
}

/* How often it has been rung: an eventfd says so, of a pipe it is counted. */
static uint64_t
rings(struct csq_mailbox *mailbox)
{
    uint64_t news[16];
    ssize_t got = read(mailbox->wake_read, news, sizeof news);

    if (got < (ssize_t)sizeof *news) {
        return 0;
    }
    return mailbox->wake_read == mailbox->wake_write ? news[0] : (uint64_t)got / sizeof *news;
}

static void
make_job(struct csq_job *job, struct csq_mailbox *mailbox)
{
    csq_job_init(job, CSQ_CALL);
    job->mailbox = mailbox;
}

static void
test_burst(void)
{
    struct csq_mailbox mailbox;
    struct csq_job jobs[10];

    CHECK(csq_mailbox_init(&mailbox) == 0);
    CHECK(!is_ringing(&mailbox) && csq_mailbox_empty(&mailbox));
    for (int i = 0; i < 10; i++) {
        make_job(&jobs[i], &mailbox);
        csq_mailbox_post(&jobs[i], true);
        CHECK(is_ringing(&mailbox));
    }
    CHECK(rings(&mailbox) == 1);
    for (int i = 0; i < 10; i++) {
        CHECK(!csq_mailbox_empty(&mailbox));
        CHECK(csq_mailbox_take(&mailbox, NULL) == &jobs[i]);
        CHECK(jobs[i].done);
    }
    CHECK(csq_mailbox_empty(&mailbox));
    CHECK(csq_mailbox_take(&mailbox, NULL) == NULL);
    csq_mailbox_destroy(&mailbox);
}

/* The descriptor is quiet when it is told to be and nothing lies there, and not before. */
static void
test_quiet(void)
{
    struct csq_mailbox mailbox;
    struct csq_job job;

    CHECK(csq_mailbox_init(&mailbox) == 0);
    make_job(&job, &mailbox);
    for (int i = 0; i < 3; i++) {
        csq_mailbox_post(&job, false);
        CHECK(csq_mailbox_take(&mailbox, NULL) == &job);
        CHECK(is_ringing(&mailbox));
    }
    CHECK(csq_mailbox_take(&mailbox, NULL) == NULL);
    CHECK(is_ringing(&mailbox));
    CHECK(csq_mailbox_quiet(&mailbox));
    CHECK(!is_ringing(&mailbox));
    csq_mailbox_post(&job, true);
    CHECK(is_ringing(&mailbox));
    CHECK(csq_mailbox_take(&mailbox, NULL) == &job);
    csq_mailbox_destroy(&mailbox);
}

static void
test_news(void)
{
    struct csq_mailbox mailbox;
    struct csq_job job;

    CHECK(csq_mailbox_init(&mailbox) == 0);
    make_job(&job, &mailbox);
    csq_mailbox_post(&job, false);
    csq_mailbox_post(&job, false); /* lies there already */
    CHECK(csq_mailbox_take(&mailbox, NULL) == &job && !job.done);
    CHECK(csq_mailbox_take(&mailbox, NULL) == NULL);
    csq_mailbox_post(&job, false);
    csq_mailbox_post(&job, true); /* news that nobody has taken become the last */
    CHECK(csq_mailbox_take(&mailbox, NULL) == &job && job.done);
    CHECK(csq_mailbox_take(&mailbox, NULL) == NULL);
    csq_mailbox_destroy(&mailbox);
}

/* A wake-up that finds the descriptor full has been heard already. */
static void
test_full(void)
{
    struct csq_mailbox mailbox;
    struct csq_job job;
    const uint64_t most = UINT64_MAX - 1;

    CHECK(csq_mailbox_init(&mailbox) == 0);
    while (write(mailbox.wake_write, &most, sizeof most) == (ssize_t)sizeof most) {
    }
    make_job(&job, &mailbox);
    csq_mailbox_post(&job, true);
    CHECK(csq_mailbox_take(&mailbox, NULL) == &job);
    CHECK(csq_mailbox_take(&mailbox, NULL) == NULL);
    CHECK(is_ringing(&mailbox));
    CHECK(csq_mailbox_quiet(&mailbox));
    CHECK(!is_ringing(&mailbox));
    csq_mailbox_destroy(&mailbox);
}

/* Who waits for the post needs no bell, and hears it again as soon as it goes. */
static void
test_attended(void)
{
    struct csq_mailbox mailbox;
    struct csq_job jobs[3];

    CHECK(csq_mailbox_init(&mailbox) == 0);
    for (int i = 0; i < 3; i++) {
        make_job(&jobs[i], &mailbox);
    }
    CHECK(csq_mailbox_attend(&mailbox));
    csq_mailbox_post(&jobs[0], true);
    CHECK(!is_ringing(&mailbox));
    CHECK(csq_mailbox_wait(&mailbox, INT64_MAX / 2));
    CHECK(!csq_mailbox_attend(&mailbox)); /* something lies there */
    CHECK(csq_mailbox_take(&mailbox, NULL) == &jobs[0]);

    CHECK(csq_mailbox_attend(&mailbox));
    CHECK(!csq_mailbox_wait(&mailbox, 1000));
    csq_mailbox_post(&jobs[1], true);
    CHECK(is_ringing(&mailbox));
    csq_mailbox_post(&jobs[2], true);
    CHECK(csq_mailbox_take(&mailbox, NULL) == &jobs[1]);
    CHECK(csq_mailbox_take(&mailbox, NULL) == &jobs[2]);
    CHECK(csq_mailbox_take(&mailbox, NULL) == NULL);
    CHECK(is_ringing(&mailbox));
    CHECK(csq_mailbox_quiet(&mailbox));
    CHECK(!is_ringing(&mailbox));
    csq_mailbox_destroy(&mailbox);
}

struct street {
    struct csq_mailbox mailbox;
    pthread_barrier_t start;
    atomic_int threads;
    struct csq_job jobs[THREADS][EACH];
};

static void *
post_jobs(void *argument)
{
    struct street *street = argument;
    int thread = atomic_fetch_add(&street->threads, 1);

    pthread_barrier_wait(&street->start);
    for (int i = 0; i < EACH; i++) {
        struct csq_job *job = &street->jobs[thread][i];

        make_job(job, &street->mailbox);
        for (int news = 0; news < NEWS; news++) {
            csq_mailbox_post(job, false);
        }
        csq_mailbox_post(job, true);
    }
    return NULL;
}

static void
test_threads(void)
{
    struct street *street = calloc(1, sizeof *street);
    pthread_t threads[THREADS];
    long finished = 0;
    long times = 0;

    CHECK(csq_mailbox_init(&street->mailbox) == 0);
    pthread_barrier_init(&street->start, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, post_jobs, street);
    }
    pthread_barrier_wait(&street->start);
    while (finished < THREADS * EACH) {
        struct pollfd wake = {.fd = street->mailbox.wake_read, .events = POLLIN};
        struct csq_job *job;

        /* Sometimes it waits itself, and sometimes that is in vain. */
        if (finished % 3 == 0 || !csq_mailbox_attend(&street->mailbox) ||
            !csq_mailbox_wait(&street->mailbox, finished % 2 * 20000)) {
            poll(&wake, 1, -1);
        }
        do {
            while ((job = csq_mailbox_take(&street->mailbox, NULL)) != NULL) {
                times++;
                finished += job->done;
            }
        } while (!csq_mailbox_quiet(&street->mailbox));
    }
    CHECK(finished == THREADS * EACH);
    CHECK(times <= (NEWS + 1L) * THREADS * EACH);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(csq_mailbox_take(&street->mailbox, NULL) == NULL);
    CHECK(csq_mailbox_quiet(&street->mailbox));
    CHECK(!is_ringing(&street->mailbox));
    CHECK(atomic_load(&street->mailbox.waking) == 0);
    csq_mailbox_destroy(&street->mailbox);
    pthread_barrier_destroy(&street->start);
    free(street);
}

/* The last of several posts is announced, whether the one before was taken or not. */
static void
test_not_quiet_with_mail(void)
{
    struct csq_mailbox mailbox;
    struct csq_job jobs[2];
    bool more;

    CHECK(csq_mailbox_init(&mailbox) == 0);
    make_job(&jobs[0], &mailbox);
    make_job(&jobs[1], &mailbox);
    csq_mailbox_post(&jobs[0], true);
    CHECK(csq_mailbox_take(&mailbox, &more) == &jobs[0] && !more);
    csq_mailbox_post(&jobs[1], true); /* nobody has quieted it: this writes nothing */
    CHECK(!csq_mailbox_quiet(&mailbox) && is_ringing(&mailbox));
    csq_mailbox_post(&jobs[0], true);
    CHECK(csq_mailbox_take(&mailbox, &more) == &jobs[1] && more);
    CHECK(csq_mailbox_take(&mailbox, &more) == &jobs[0] && !more);
    CHECK(rings(&mailbox) == 1);
    csq_mailbox_destroy(&mailbox);
}

/* Rung without mail, it is quiet again once somebody has looked. */
static void
test_ring(void)
{
    struct csq_mailbox mailbox;

    CHECK(csq_mailbox_init(&mailbox) == 0);
    csq_mailbox_ring(&mailbox);
    csq_mailbox_ring(&mailbox);
    CHECK(is_ringing(&mailbox));
    CHECK(csq_mailbox_take(&mailbox, NULL) == NULL);
    CHECK(is_ringing(&mailbox));
    CHECK(csq_mailbox_quiet(&mailbox));
    CHECK(!is_ringing(&mailbox));
    csq_mailbox_destroy(&mailbox);
}

/* In a child, the descriptor is the parent's as well. */
static void
test_forsaken(void)
{
    struct csq_mailbox mailbox;
    struct csq_job job;

    CHECK(csq_mailbox_init(&mailbox) == 0);
    csq_job_init(&job, CSQ_CALL);
    job.mailbox = &mailbox;
    csq_mailbox_post(&job, true);
    csq_mailbox_forsake(&mailbox);
    CHECK(csq_mailbox_empty(&mailbox) && csq_mailbox_take(&mailbox, NULL) == NULL);
    CHECK(csq_mailbox_quiet(&mailbox));
    CHECK(is_ringing(&mailbox)); /* the parent's wake-up is still there */
    csq_mailbox_destroy(&mailbox);

    CHECK(csq_mailbox_init(&mailbox) == 0);
    csq_mailbox_forsake(&mailbox);
    csq_mailbox_ring(&mailbox);
    CHECK(!is_ringing(&mailbox));
    csq_mailbox_destroy(&mailbox);
    csq_job_clear(&job);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"burst", test_burst},       {"quiet", test_quiet},
        {"news", test_news},         {"full", test_full},
        {"attended", test_attended}, {"threads", test_threads},
        {"ring", test_ring},         {"not_quiet_with_mail", test_not_quiet_with_mail},
        {"forsaken", test_forsaken},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
