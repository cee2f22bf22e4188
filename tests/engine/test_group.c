/* Group commit: what waits together is committed together, nobody is answered before that, and
 * what came of each is what would have come of it alone; also when the disk fails at any moment, or
 * the power goes. */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/faultvfs.h"
#include "engine/harness.h"
#include "engine/office.h"

enum { JOBS = 12, MOST = 100000 };

/* Jobs that wait together for one worker, each with a cursor of its own. */
struct crowd {
    struct office office;
    struct csq_job jobs[JOBS];
    struct csq_cursor cursors[JOBS];
    char sql[JOBS][160];
    int count;
};

/* Opens `path` (NULL: in memory) so that its writes are committed together. */
static bool
crowd_open(struct crowd *crowd, const char *path, int batch)
{
    struct csq_open open = office_defaults(path);

    memset(crowd, 0, sizeof *crowd);
    open.batch = batch;
    open.timeout = 20;
    return office_open_as(&crowd->office, &open) == SQLITE_OK;
}

static struct csq_job *
crowd_add(struct crowd *crowd, const char *format, int number)
{
    struct csq_job *job = &crowd->jobs[crowd->count];

    snprintf(crowd->sql[crowd->count], sizeof crowd->sql[0], format, number);
    csq_cursor_init(&crowd->cursors[crowd->count]);
    office_job(&crowd->office, job, CSQ_EXECUTE, &crowd->cursors[crowd->count],
               crowd->sql[crowd->count]);
    job->with.steps.rows = 64;
    crowd->count++;
    return job;
}

/* Lets all that was added wait together, and then run. */
static void
crowd_run(struct crowd *crowd)
{
    struct csq_job holder;
    struct gate gate;

    gate_init(&gate);
    office_hold(&crowd->office, &holder, &gate);
    gate_await(&gate);
    for (int i = 0; i < crowd->count; i++) {
        office_push(&crowd->office, &crowd->jobs[i]);
    }
    gate_open(&gate);
    office_wait(&crowd->office, &holder);
    for (int i = 0; i < crowd->count; i++) {
        office_wait(&crowd->office, &crowd->jobs[i]);
    }
    csq_job_clear(&holder);
    gate_destroy(&gate);
}

static void
crowd_clear(struct crowd *crowd)
{
    for (int i = 0; i < crowd->count; i++) {
        csq_job_clear(&crowd->jobs[i]);
    }
    crowd->count = 0;
}

static void
crowd_close(struct crowd *crowd)
{
    crowd_clear(crowd);
    office_close(&crowd->office);
}

/* Whether there were as many commits for several as that; a slow machine ends a batch by the
 * clock, too. */
static bool
is_about(struct crowd *crowd, int commits)
{
    long long found =
        atomic_load(&csq_native_db(crowd->office.executor)->published.group_commits);

    return commits <= found && found <= commits + 2;
}

static void
test_together(void)
{
    struct crowd crowd;

    CHECK(crowd_open(&crowd, NULL, 100));
    CHECK(office_run(&crowd.office, "CREATE TABLE t(a INTEGER PRIMARY KEY)") == SQLITE_OK);
    for (int i = 0; i < JOBS; i++) {
        crowd_add(&crowd, "INSERT INTO t VALUES(%d)", 100 + i);
    }
    crowd_run(&crowd);
    for (int i = 0; i < JOBS; i++) {
        CHECK(crowd.jobs[i].error.code == SQLITE_OK);
        CHECK(crowd.jobs[i].with.steps.last_rowid == 100 + i);
        CHECK(crowd.jobs[i].with.steps.changes == 1);
    }
    CHECK(is_about(&crowd, 1));
    CHECK(office_number(&crowd.office, "SELECT count(*) FROM t") == JOBS);
    CHECK(office_number(&crowd.office, "SELECT total_changes()") == JOBS);
    crowd_close(&crowd);
}

static void
test_most(void)
{
    struct crowd crowd;

    CHECK(crowd_open(&crowd, NULL, 4));
    CHECK(office_run(&crowd.office, "CREATE TABLE t(a)") == SQLITE_OK);
    for (int i = 0; i < JOBS; i++) {
        crowd_add(&crowd, "INSERT INTO t VALUES(%d)", i);
    }
    crowd_run(&crowd);
    CHECK(is_about(&crowd, JOBS / 4));
    CHECK(office_number(&crowd.office, "SELECT count(*) FROM t") == JOBS);
    crowd_close(&crowd);
}

/* One in the middle that comes to nothing, or must not be in a batch. */
static void
test_culprits(void)
{
    static const struct {
        const char *sql;
        int code;
        int rows; /* that it leaves in t */
    } cases[] = {
        {"INSERT INTO t VALUES(1)", SQLITE_CONSTRAINT, 0},
        {"INSERT OR FAIL INTO t SELECT 90 UNION ALL SELECT 1", SQLITE_CONSTRAINT, 1},
        {"INSERT OR ROLLBACK INTO t VALUES(1)", SQLITE_CONSTRAINT, 0},
        {"INSERT INTO t SELECT 90 UNION ALL SELECT abs(-9223372036854775808)", SQLITE_ERROR, 0},
        {"INSERT INTO c VALUES(7)", SQLITE_CONSTRAINT, 0},
        {"INSERT INTO nothing VALUES(1)", SQLITE_ERROR, 0},
        {"INSERT INTO t VALUES(90) RETURNING a", SQLITE_OK, 1},
        {"CREATE TABLE other(a)", SQLITE_OK, 0},
        {"SELECT count(*) FROM t", SQLITE_OK, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct crowd crowd;

        CHECK(crowd_open(&crowd, NULL, 100));
        CHECK(office_run(&crowd.office, "PRAGMA foreign_keys = ON") == SQLITE_OK);
        CHECK(office_run(&crowd.office, "CREATE TABLE t(a INTEGER PRIMARY KEY)") == SQLITE_OK);
        CHECK(office_run(&crowd.office, "CREATE TABLE c(a REFERENCES t DEFERRABLE INITIALLY "
                                        "DEFERRED)") == SQLITE_OK);
        for (int job = 0; job < 5; job++) {
            crowd_add(&crowd, job == 2 ? cases[i].sql : "INSERT INTO t VALUES(%d)", job + 1);
        }
        crowd_run(&crowd);
        for (int job = 0; job < 5; job++) {
            CHECK(crowd.jobs[job].error.code == (job == 2 ? cases[i].code : SQLITE_OK));
        }
        CHECK(is_about(&crowd, 1));
        CHECK(office_number(&crowd.office, "SELECT count(*) FROM t") == 4 + cases[i].rows);
        CHECK(office_number(&crowd.office, "SELECT count(*) FROM c") == 0);
        crowd_close(&crowd);
    }
}

/* Rows of a RETURNING that are not all taken stand open, as they would have. */
static void
test_half_read(void)
{
    struct crowd crowd;
    struct csq_job reset;

    CHECK(crowd_open(&crowd, NULL, 100));
    CHECK(office_run(&crowd.office, "CREATE TABLE t(a)") == SQLITE_OK);
    crowd_add(&crowd, "INSERT INTO t VALUES(1)", 0);
    crowd_add(&crowd, "INSERT INTO t VALUES(2), (3), (4) RETURNING a", 0)->with.steps.rows = 2;
    crowd_add(&crowd, "INSERT INTO t VALUES(5)", 0);
    crowd_run(&crowd);
    CHECK(crowd.jobs[1].up.rows == 1 && crowd.cursors[1].stmt != NULL);
    office_job(&crowd.office, &reset, CSQ_RESET, &crowd.cursors[1], NULL);
    CHECK(office_do(&crowd.office, &reset) == SQLITE_OK);
    csq_job_clear(&reset);
    CHECK(office_number(&crowd.office, "SELECT count(*) FROM t") == 5);
    crowd_close(&crowd);
}

/* Who was cancelled while it waited leaves nothing. */
static void
test_cancelled(void)
{
    struct crowd crowd;

    CHECK(crowd_open(&crowd, NULL, 100));
    CHECK(office_run(&crowd.office, "CREATE TABLE t(a)") == SQLITE_OK);
    for (int i = 0; i < 6; i++) {
        crowd_add(&crowd, "INSERT INTO t VALUES(%d)", i);
    }
    csq_job_cancel(&crowd.jobs[0]);
    csq_job_cancel(&crowd.jobs[3]);
    crowd_run(&crowd);
    CHECK(crowd.jobs[3].error.code == CSQ_CANCELLED);
    CHECK(office_number(&crowd.office, "SELECT sum(a) FROM t") == 1 + 2 + 4 + 5);
    crowd_close(&crowd);
}

/* -- disks that fail, power that goes --------------------------------------------- */

struct setting {
    const char *journal;
    const char *synchronous;
};

static const struct setting settings[] = {
    {"wal", "FULL"}, {"wal", "EXTRA"}, {"delete", "FULL"}, {"delete", "EXTRA"}};

/* Rows with a key, some of them with more than one page. What was acknowledged is noted. */
static void
write_rows(struct crowd *crowd, const struct setting *setting, bool *acknowledged)
{
    char pragma[64];

    snprintf(pragma, sizeof pragma, "PRAGMA synchronous = %s", setting->synchronous);
    if (office_run(&crowd->office, pragma) != SQLITE_OK) {
        return;
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < JOBS; i++) {
            crowd_add(crowd, "INSERT INTO t VALUES(%d, hex(zeroblob(1500)))", round * JOBS + i);
        }
        crowd_run(crowd);
        for (int i = 0; i < JOBS; i++) {
            acknowledged[round * JOBS + i] = crowd->jobs[i].error.code == SQLITE_OK;
        }
        crowd_clear(crowd);
    }
}

/* Makes a new file at `path`. */
static void
prepare_file(const char *path, const struct setting *setting)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    struct office office;
    char pragma[64];
    char name[512];

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
    snprintf(pragma, sizeof pragma, "PRAGMA journal_mode = %s", setting->journal);
    office_open(&office, path);
    office_run(&office, pragma);
    office_run(&office, "CREATE TABLE t(k INTEGER PRIMARY KEY, v)");
    office_close(&office);
}

/* How many of those that were acknowledged are not there; with `exact`, also of the others that
 * are. */
static int
count_wrong(const char *path, const bool *acknowledged, bool exact)
{
    struct office office;
    int wrong = 0;

    office_open(&office, path);
    CHECK(office_number(&office, "SELECT count(*) FROM pragma_integrity_check "
                                 "WHERE integrity_check = 'ok'") == 1);
    for (int key = 0; key < 2 * JOBS; key++) {
        char sql[64];
        int64_t found;

        snprintf(sql, sizeof sql, "SELECT count(*) FROM t WHERE k = %d", key);
        found = office_number(&office, sql);
        wrong += acknowledged[key] ? found != 1 : exact && found != 0;
    }
    office_close(&office);
    return wrong;
}

static bool
run_faulty(const struct setting *setting, enum fault_call call, long nth)
{
    const struct fault_plan plan = {.call = call, .nth = nth};
    bool acknowledged[2 * JOBS] = {false};
    struct crowd crowd;
    const char *path = harness_path("faulty.db");
    bool opened;
    long failed;

    prepare_file(path, setting);
    fault_arm(&plan);
    opened = crowd_open(&crowd, path, 100);
    if (opened) {
        write_rows(&crowd, setting, acknowledged);
    }
    crowd_close(&crowd);
    failed = fault_disarm();
    CHECK(count_wrong(path, acknowledged,
                      call != FAULT_SYNC && call != FAULT_DELETE && call != FAULT_TRUNCATE) == 0);
    return failed > 0;
}

static void
test_faults(void)
{
    static const enum fault_call calls[] = {FAULT_WRITE,  FAULT_SYNC, FAULT_TRUNCATE,
                                            FAULT_DELETE, FAULT_LOCK, FAULT_READ};

    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        for (size_t call = 0; call < sizeof calls / sizeof *calls; call++) {
            for (long nth = 1; run_faulty(&settings[i], calls[call], nth);
                 nth += harness_dose(nth < 4 ? 1 : 7, 1)) {
            }
        }
    }
}

/* Runs it with the power going at the nth change. Whether it went; *wrong: what is lost of what
 * was acknowledged. */
static bool
run_dark(const struct setting *setting, long nth, enum fault_loss loss, int *wrong)
{
    const struct fault_disk disk = {true, 0, 7919u + (unsigned)nth};
    bool acknowledged[2 * JOBS] = {false};
    struct crowd crowd;
    const char *path = harness_path("dark.db");
    bool dark;

    fault_record(&disk);
    prepare_file(path, setting);
    fault_cut_at(nth);
    if (crowd_open(&crowd, path, 100)) {
        write_rows(&crowd, setting, acknowledged);
    }
    crowd_close(&crowd);
    dark = fault_is_dark();
    fault_restore(loss);
    *wrong = count_wrong(path, acknowledged, false);
    return dark;
}

static void
test_power(void)
{
    int wrong;

    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        bool dark = true;
        long cuts = 0;

        for (long nth = 1; dark && nth < MOST; nth += harness_dose(nth < 4 ? 1 : 5, 1)) {
            dark = run_dark(&settings[i], nth, FAULT_LOSES_ALL, &wrong);
            CHECK(wrong == 0);
            run_dark(&settings[i], nth, FAULT_LOSES_SOME, &wrong);
            CHECK(wrong == 0);
            cuts += 2;
        }
        printf("%s %s: the power goes %ld times\n", settings[i].journal, settings[i].synchronous,
               cuts);
    }
}

/* Without any sync commits have to be lost: else the test above would see nothing. */
static void
test_losses_are_seen(void)
{
    static const struct setting careless = {"wal", "OFF"};
    int losses = 0;
    int wrong;

    for (long nth = 1; run_dark(&careless, nth, FAULT_LOSES_ALL, &wrong); nth++) {
        losses += wrong;
    }
    CHECK(losses > 0);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"together", test_together},   {"most", test_most},
        {"culprits", test_culprits},   {"half_read", test_half_read},
        {"cancelled", test_cancelled}, {"faults", test_faults},
        {"power", test_power},         {"losses_are_seen", test_losses_are_seen},
    };

    fault_register();
    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
