/* A disk that fails: each call of each kind in turn, through a whole scenario, once and
 * for good, in each journal mode. Whatever fails is told; the connection answers when
 * the fault has gone, and can always be closed; nothing leaks; and the database holds
 * what was acknowledged. */

#include <stdio.h>
#include <string.h>

#include "engine/faultvfs.h"
#include "engine/harness.h"
#include "engine/scenario.h"

enum { MOST = 100000, WAYS = 3 };

static const char *const journals[] = {"delete", "wal", "memory"};
enum { JOURNALS = sizeof journals / sizeof *journals };

/* Runs the scenario under what is armed and judges it. Gives how many calls failed.
 * `forever`: the fault stays until the database is closed. */
static long
judge(const char *journal, bool forever, int64_t memory, int descriptors)
{
    struct scenario_paths paths;
    struct scenario scenario;
    long failures = 0;
    /* Without a journal on disk, what cannot be undone stays half done. */
    bool kept = !(forever && strcmp(journal, "memory") == 0);

    scenario_init(&scenario, &paths, journal);
    scenario.reckless = !kept;
    if (CHECK(scenario_run(&scenario))) {
        if (!forever) {
            failures = fault_disarm();
            CHECK(scenario_answers(&scenario));
        }
        scenario_end(&scenario);
    }
    failures += fault_disarm();
    CHECK(failures > 0 || !scenario.failed);
    CHECK(kept ? scenario_is_kept(&scenario, false) : scenario_is_sound(paths.main, true));
    CHECK(scenario_is_sound(paths.copy, !kept));
    CHECK(scenario_memory() == memory);
    CHECK(scenario_descriptors() == descriptors);
    return failures;
}

/* What a process has when all is closed, after it has opened a database once. */
static void
measure(int64_t *memory, int *descriptors)
{
    struct scenario_paths paths;
    struct scenario scenario;

    scenario_init(&scenario, &paths, "delete");
    CHECK(scenario_run(&scenario) && !scenario.failed);
    scenario_end(&scenario);
    CHECK(scenario_is_kept(&scenario, false));
    *memory = scenario_memory();
    *descriptors = scenario_descriptors();
}

static bool
say(bool good, const char *journal, const struct fault_plan *plan)
{
    if (!good) {
        fprintf(stderr, "  %s: %s %ld%s%s\n", journal, fault_name(plan->call), plan->nth,
                plan->forever ? ", for good" : "", plan->partial ? ", half written" : "");
    }
    return good;
}

/* Lets the nth call of a kind fail, for n of every `step`, until none does. */
static long
walk(const char *journal, enum fault_call call, int way, int64_t memory, int descriptors)
{
    struct fault_plan plan = {call, 1, way == 1, way == 2};
    bool over = false;
    long runs = 0;

    /* A short dose begins with the first ones, which open the database. */
    while (!over && plan.nth < MOST) {
        long failed;
        int step = plan.nth < 4 ? 1 : harness_dose(call == FAULT_OPEN ? 7 : 61, 1);

        fault_arm(&plan);
        failed = harness_failures();
        over = judge(journal, plan.forever, memory, descriptors) == 0;
        say(harness_failures() == failed, journal, &plan);
        plan.nth += step;
        runs++;
    }
    CHECK(over);
    return runs;
}

static void
test_every_call(void)
{
    int64_t memory;
    int descriptors;
    long runs = 0;

    measure(&memory, &descriptors);
    for (int journal = 0; journal < JOURNALS; journal++) {
        for (int call = 0; call < FAULT_CALLS; call++) {
            for (int way = 0; way < (call == FAULT_WRITE ? WAYS : 2); way++) {
                runs += walk(journals[journal], (enum fault_call)call, way, memory, descriptors);
            }
        }
    }
    printf("a call fails: %ld scenarios\n", runs);
}

/* The disk is full after n bytes, and stays so until the database is closed; or somebody
 * makes room as soon as the scenario has ended. */
static void
test_disk_full(void)
{
    int64_t memory;
    int descriptors;
    long runs = 0;

    measure(&memory, &descriptors);
    for (int journal = 0; journal < 2; journal++) {
        bool over = false;

        for (int64_t bytes = 0; !over && bytes < 1 << 30;
             bytes += bytes < 40 ? 13 : harness_dose(50021, 61)) {
            long failed = harness_failures();

            fault_fill_after(bytes);
            over = judge(journals[journal], runs % 2 == 0, memory, descriptors) == 0;
            if (harness_failures() > failed) {
                fprintf(stderr, "  %s: full after %lld bytes\n", journals[journal],
                        (long long)bytes);
            }
            runs++;
        }
        CHECK(over);
    }
    printf("the disk is full: %ld scenarios\n", runs);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"every_call", test_every_call},
        {"disk_full", test_disk_full},
    };

    fault_register();
    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
