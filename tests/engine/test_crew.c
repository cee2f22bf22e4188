/* engine/crew: every task is run, by a thread that has come free or by a new one. */

#include <sched.h>
#include <stdatomic.h>

#include "engine/alloc.h"
#include "engine/crew.h"
#include "engine/harness.h"

enum { TASKS = 20, TRIES = 100000 };

struct task {
    pthread_t thread;
    pthread_t named; /* as csq_crew_run() has named it */
    atomic_bool done;
    pthread_barrier_t *together; /* NULL: alone */
};

static void
run_task(void *argument)
{
    struct task *task = argument;

    task->thread = pthread_self();
    if (task->together != NULL) {
        pthread_barrier_wait(task->together);
    }
    atomic_store(&task->done, true);
}

static void
start(struct csq_crew *crew, struct task *task, pthread_barrier_t *together)
{
    task->together = together;
    atomic_init(&task->done, false);
    CHECK(csq_crew_run(crew, run_task, task, &task->named) == 0);
}

static void
await(struct task *task)
{
    while (!atomic_load(&task->done)) {
        sched_yield();
    }
    CHECK(pthread_equal(task->thread, task->named));
}

/* All memory is back when the last thread is gone. */
static void
dismiss(struct csq_crew *crew)
{
    csq_crew_dismiss(crew);
    while (csq_alloc_live() != 0) {
        sched_yield();
    }
}

/* A thread that is done takes the next task, if that comes soon enough. */
static void
test_again(void)
{
    struct csq_crew *crew = csq_crew_new();
    bool same = false;

    for (int i = 0; i < TRIES && !same; i++) {
        struct task first;
        struct task second;

        start(crew, &first, NULL);
        await(&first);
        sched_yield();
        start(crew, &second, NULL);
        await(&second);
        same = pthread_equal(first.thread, second.thread);
    }
    CHECK(same);
    dismiss(crew);
}

/* Tasks that need one another all run: none waits for a thread to come free. */
static void
test_together(void)
{
    struct csq_crew *crew = csq_crew_new();
    struct task tasks[TASKS];
    pthread_barrier_t together;

    pthread_barrier_init(&together, NULL, TASKS);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < TASKS; i++) {
            start(crew, &tasks[i], &together);
        }
        for (int i = 0; i < TASKS; i++) {
            await(&tasks[i]);
        }
    }
    pthread_barrier_destroy(&together);
    dismiss(crew);
}

/* What runs when the crew is dismissed runs to its end. */
static void
test_dismissed(void)
{
    struct csq_crew *crew = csq_crew_new();
    struct task task;
    pthread_barrier_t together;

    pthread_barrier_init(&together, NULL, 2);
    start(crew, &task, &together);
    csq_crew_dismiss(crew);
    CHECK(!atomic_load(&task.done));
    pthread_barrier_wait(&together);
    await(&task);
    while (csq_alloc_live() != 0) {
        sched_yield();
    }
    pthread_barrier_destroy(&together);
    csq_crew_dismiss(NULL);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"again", test_again},
        {"together", test_together},
        {"dismissed", test_dismissed},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
