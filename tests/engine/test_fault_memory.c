/* No memory, in whole scenarios on a file: the nth allocation of the engine's, or of
 * SQLite's, fails, once or with all that come behind it. Whatever fails is told, the
 * connection answers when there is memory again, nothing leaks, and the file holds what
 * was acknowledged. */

#include <sqlite3.h>
#include <stdio.h>

#include "engine/alloc.h"
#include "engine/faultvfs.h"
#include "engine/harness.h"
#include "engine/heap.h"
#include "engine/scenario.h"

enum { MOST = 1000000 };

/* -- arming ----------------------------------------------------------------------- */

struct heap {
    const char *name;
    void (*arm)(long nth, bool forever);
    bool (*disarm)(void); /* whether something has failed */
    int brief; /* one allocation in so many fails in a short dose */
};

static void
arm_engine(long nth, bool forever)
{
    if (forever) {
        csq_alloc_fail_from(nth);
    } else {
        csq_alloc_fail_at(nth);
    }
}

static bool
disarm_engine(void)
{
    return csq_alloc_fail_at(0) <= 0;
}

static void
arm_sqlite(long nth, bool forever)
{
    if (forever) {
        heap_fail_from(nth);
    } else {
        heap_fail_at(nth);
    }
}

static bool
disarm_sqlite(void)
{
    return heap_fail_at(0) <= 0;
}

static const struct heap heaps[] = {
    {"the engine's memory", arm_engine, disarm_engine, 11},
    {"SQLite's memory", arm_sqlite, disarm_sqlite, 131},
};

/* -- running ---------------------------------------------------------------------- */

/* Runs it once. Gives whether an allocation has failed. */
static bool
run(const struct heap *heap, const char *journal, long nth, bool forever, int64_t *memory)
{
    struct scenario_paths paths;
    struct scenario scenario;
    bool met;
    long failures = harness_failures();
    bool begun;

    scenario_init(&scenario, &paths, journal);
    scenario.no_memory = true;
    heap->arm(nth, forever);
    begun = scenario_run(&scenario);
    if (begun && forever) {
        scenario_end(&scenario);
    }
    met = heap->disarm();
    if (begun && !forever) {
        CHECK(scenario_answers(&scenario));
        scenario_end(&scenario);
    }
    CHECK(met || !scenario.failed);
    CHECK(scenario_is_kept(&scenario, false));
    CHECK(scenario_is_sound(paths.copy, false));
    if (*memory < 0) {
        *memory = scenario_memory();
    }
    CHECK(scenario_memory() == *memory);
    if (harness_failures() > failures) {
        fprintf(stderr, "  %s, %s: %ld%s\n", heap->name, journal, nth,
                forever ? ", for good" : "");
    }
    return met;
}

static void
test_memory(void)
{
    static const char *const journals[] = {"delete", "wal"};
    int64_t memory = -1;
    long runs = 0;

    run(&heaps[0], "delete", MOST, false, &memory);
    for (int heap = 0; heap < 2; heap++) {
        for (int way = 0; way < 4; way++) {
            bool met = true;
            long nth = 1;

            /* A short dose begins with the first ones, which open the database. */
            while (met && nth < MOST) {
                met = run(&heaps[heap], journals[way / 2], nth, way % 2 == 1, &memory);
                nth += harness_dose(nth < 30 ? 1 : heaps[heap].brief, 1);
                runs++;
            }
            CHECK(!met);
        }
    }
    printf("no memory: %ld scenarios\n", runs);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {{"memory", test_memory}};

    heap_install();
    fault_register();
    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
