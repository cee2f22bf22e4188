/* The power goes: at each change of the disk in turn, and of what was not synced, all is
 * lost, or some of it, sector by sector. Under synchronous=FULL every acknowledged commit
 * is there afterwards; under NORMAL with a write-ahead log the last ones may be missing,
 * but never one without those behind it. On a disk that says it has synced and has not,
 * the database may be found corrupt, and that is said. */

#include <stdio.h>

#include "engine/faultvfs.h"
#include "engine/harness.h"
#include "engine/scenario.h"

enum { MOST = 100000 };

/* What is promised of a way to write on a kind of disk. */
enum promise {
    KEPT,     /* all that was acknowledged */
    ORDERED,  /* sound, but the last commits may be missing */
    REPORTED, /* sound, or an error says that it is not */
    LOST,     /* nothing: some commit that was acknowledged is lost */
};

struct habit {
    const char *name;
    const char *journal;
    const char *synchronous;
    bool deletes_last;
    int lies;
    enum promise promise;
};

/* A rollback journal that was deleted, and comes back because the directory was not
 * synced, takes its transaction back: FULL does not sync it, EXTRA does. With a
 * write-ahead log that is the journal under which the file was turned to it. */
static const struct habit habits[] = {
    {"delete_full", "delete", "FULL", true, 0, KEPT},
    {"delete_extra", "delete", "EXTRA", false, 0, KEPT},
    {"delete_full_undeleted", "delete", "FULL", false, 0, ORDERED},
    {"truncate_full", "truncate", "FULL", true, 0, KEPT},
    {"persist_full", "persist", "FULL", true, 0, KEPT},
    {"wal_full", "wal", "FULL", true, 0, KEPT},
    {"wal_extra", "wal", "EXTRA", false, 0, KEPT},
    {"wal_normal", "wal", "NORMAL", false, 0, ORDERED},
    {"delete_liar", "delete", "FULL", false, 2, REPORTED},
    {"wal_liar", "wal", "FULL", false, 2, REPORTED},
    {"wal_never", "wal", "FULL", false, 1, REPORTED},
};

/* Without any sync, and with all of them in vain, commits have to be lost: else this
 * test would see nothing. */
static const struct habit careless[] = {
    {"delete_off", "delete", "OFF", true, 0, LOST},
    {"wal_off", "wal", "OFF", true, 0, LOST},
    {"wal_never", "wal", "FULL", true, 1, LOST},
};

static long losses;

static void
judge(const struct habit *habit, const struct scenario *scenario)
{
    if (habit->promise == LOST) {
        losses += !scenario_is_kept(scenario, false);
    } else if (habit->promise == REPORTED) {
        CHECK(scenario_is_sound(scenario->path, true));
    } else {
        CHECK(scenario_is_kept(scenario, habit->promise == ORDERED));
    }
}

/* Runs the scenario with the power going at the nth change. Gives whether it went. */
static bool
run(const struct habit *habit, long nth, enum fault_loss loss, unsigned seed)
{
    const struct fault_disk disk = {habit->deletes_last, habit->lies, seed};
    struct scenario scenario;
    struct scenario_paths paths;
    bool dark;
    long failed = harness_failures();

    scenario_init(&scenario, &paths, habit->journal);
    scenario.synchronous = habit->synchronous;
    scenario.brief = true;
    scenario.quiet = habit->promise == LOST;
    fault_record(&disk);
    fault_cut_at(nth);
    if (CHECK(scenario_run(&scenario))) {
        scenario_end(&scenario);
    }
    dark = fault_is_dark();
    fault_restore(loss);
    CHECK(dark || !scenario.failed);
    judge(habit, &scenario);
    if (harness_failures() > failed) {
        fprintf(stderr, "  %s: change %ld, loss %d, seed %u\n", habit->name, nth, (int)loss,
                seed);
    }
    return dark;
}

static void
test_power(void)
{
    for (size_t i = 0; i < sizeof habits / sizeof *habits; i++) {
        const unsigned seeds = (unsigned)harness_dose(1, 20);
        bool dark = true;
        long cuts = 0;

        for (long nth = 1; dark && nth < MOST; nth += harness_dose(nth < 4 ? 1 : 11, 1)) {
            dark = run(&habits[i], nth, FAULT_LOSES_ALL, 0);
            for (unsigned seed = 1; seed <= seeds; seed++) {
                run(&habits[i], nth, FAULT_LOSES_SOME, seed * 1000003u + (unsigned)nth);
            }
            cuts += 1 + seeds;
        }
        CHECK(!dark);
        printf("%s: the power goes %ld times\n", habits[i].name, cuts);
    }
}

static void
test_losses_are_seen(void)
{
    for (size_t i = 0; i < sizeof careless / sizeof *careless; i++) {
        losses = 0;
        for (long nth = 1; run(&careless[i], nth, FAULT_LOSES_ALL, 0); nth += 7) {
        }
        CHECK(losses > 0);
    }
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"power", test_power},
        {"losses_are_seen", test_losses_are_seen},
    };

    fault_register();
    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
