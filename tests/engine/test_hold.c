/* engine/hold: a transaction that somebody holds. What belongs to it runs in it or not at all;
 * nothing else ends it, but SQLite itself; and what is half-read is not in its way. */

#include <stdio.h>
#include <string.h>

#include "engine/harness.h"
#include "engine/office.h"

/* An office with a table, and the number of the transaction that is held. */
struct scene {
    struct office office;
    int64_t number;
};

static void
set_up(struct scene *scene, const char *path)
{
    office_open(&scene->office, path);
    scene->number = 0;
    CHECK(office_run(&scene->office, "CREATE TABLE t(a INTEGER PRIMARY KEY)") == SQLITE_OK);
}

static bool
in_transaction(struct scene *scene)
{
    return atomic_load(&csq_native_db(scene->office.executor)->published.in_transaction);
}

/* Runs what CSQ_HOLD does, and gives the code; *open: whether it is open still. */
static int
hold_as(struct scene *scene, enum csq_hold_action action, const char *sql, bool read_only,
        bool *open)
{
    struct csq_job job;
    int rc;

    office_job(&scene->office, &job, CSQ_HOLD, NULL, sql);
    job.with.hold.action = action;
    job.with.hold.read_only = read_only;
    job.within = scene->number;
    rc = office_do(&scene->office, &job);
    if (open != NULL) {
        *open = job.with.hold.open;
    }
    csq_job_clear(&job);
    return rc;
}

static int
hold(struct scene *scene, enum csq_hold_action action, const char *sql)
{
    return hold_as(scene, action, sql, false, NULL);
}

static int
begin(struct scene *scene)
{
    scene->number++;
    return hold(scene, CSQ_HOLD_BEGIN, "BEGIN IMMEDIATE");
}

static int
commit(struct scene *scene)
{
    return hold(scene, CSQ_HOLD_COMMIT, NULL);
}

/* Executes `sql` as what belongs to the transaction `number`, 0: to none. */
static int
run_within(struct scene *scene, int64_t number, const char *sql)
{
    struct csq_job job;
    int rc;

    office_job(&scene->office, &job, CSQ_EXECUTE, &scene->office.cursor, sql);
    job.within = number;
    rc = office_do(&scene->office, &job);
    csq_job_clear(&job);
    return rc;
}

static int
run(struct scene *scene, const char *sql)
{
    return run_within(scene, scene->number, sql);
}

static int64_t
count(struct scene *scene)
{
    return office_number(&scene->office, "SELECT count(*) FROM t");
}

/* The same of a file, by another handle. */
static void
insert_elsewhere(const char *path, const char *sql)
{
    sqlite3 *handle = NULL;

    CHECK(sqlite3_open(path, &handle) == SQLITE_OK);
    CHECK(sqlite3_exec(handle, sql, NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_close(handle) == SQLITE_OK);
}

static void
test_begin_and_end(void)
{
    struct scene scene;
    bool open = true;

    set_up(&scene, NULL);
    CHECK(begin(&scene) == SQLITE_OK && in_transaction(&scene));
    CHECK(run(&scene, "INSERT INTO t VALUES(1)") == SQLITE_OK);
    CHECK(hold_as(&scene, CSQ_HOLD_COMMIT, NULL, false, &open) == SQLITE_OK && !open);
    CHECK(!in_transaction(&scene) && count(&scene) == 1);
    CHECK(commit(&scene) == CSQ_OVER);
    CHECK(hold(&scene, CSQ_HOLD_ROLLBACK, NULL) == SQLITE_OK);
    CHECK(begin(&scene) == SQLITE_OK);
    CHECK(run(&scene, "INSERT INTO t VALUES(2)") == SQLITE_OK);
    CHECK(hold(&scene, CSQ_HOLD_ROLLBACK, NULL) == SQLITE_OK);
    CHECK(!in_transaction(&scene) && count(&scene) == 1);
    office_close(&scene.office);
}

/* Each job of a transaction that is over fails, whatever is held by now. */
static void
test_nothing_runs_late(void)
{
    static const enum csq_op ops[] = {CSQ_EXECUTE, CSQ_SCRIPT, CSQ_COMMIT, CSQ_ROLLBACK};
    struct scene scene;

    set_up(&scene, NULL);
    CHECK(begin(&scene) == SQLITE_OK && commit(&scene) == SQLITE_OK);
    for (int held = 0; held < 2; held++) {
        for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
            struct csq_job job;

            office_job(&scene.office, &job, ops[i], &scene.office.cursor,
                       "INSERT INTO t VALUES(9)");
            job.within = 1;
            CHECK(office_do(&scene.office, &job) == CSQ_OVER);
            csq_job_clear(&job);
        }
        CHECK(count(&scene) == 0);
        CHECK(held == 1 || begin(&scene) == SQLITE_OK);
    }
    CHECK(commit(&scene) == SQLITE_OK);
    office_close(&scene.office);
}

static void
test_nothing_else_ends_it(void)
{
    static const char *const ends[] = {"COMMIT",
                                       " /* a */ end",
                                       ";COMMIT",
                                       "ROLLBACK",
                                       "; -- b\n; rollback",
                                       "\xef\xbb\xbf"
                                       "COMMIT",
                                       "END TRANSACTION",
                                       "ROLLBACK TRANSACTION"};
    static const char *const others[] = {
        "SAVEPOINT a", "ROLLBACK TO a", "ROLLBACK TRANSACTION TO a", "RELEASE a",
        ";",           "EXPLAIN COMMIT"};
    static const enum csq_op ops[] = {CSQ_COMMIT, CSQ_ROLLBACK, CSQ_SCRIPT};
    struct scene scene;

    set_up(&scene, NULL);
    CHECK(begin(&scene) == SQLITE_OK);
    for (int64_t number = 0; number < 2; number++) {
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
            CHECK(run_within(&scene, number, ends[i]) == CSQ_USAGE);
        }
        for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
            struct csq_job job;

            office_job(&scene.office, &job, ops[i], &scene.office.cursor, "SELECT 1");
            job.within = number;
            CHECK(office_do(&scene.office, &job) == CSQ_USAGE);
            csq_job_clear(&job);
        }
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        CHECK(run(&scene, others[i]) == SQLITE_OK);
    }
    CHECK(in_transaction(&scene) && commit(&scene) == SQLITE_OK);
    office_close(&scene.office);
}

/* What SQLite ends by itself stays ended until its holder has heard of it. */
static void
test_ended_by_sqlite(void)
{
    struct scene scene;

    set_up(&scene, NULL);
    for (int undone = 0; undone < 2; undone++) {
        struct csq_job job;

        CHECK(begin(&scene) == SQLITE_OK);
        CHECK(run(&scene, "INSERT INTO t VALUES(1)") == SQLITE_OK);
        CHECK(run(&scene, "INSERT OR ROLLBACK INTO t VALUES(1)") == SQLITE_CONSTRAINT);
        CHECK(!in_transaction(&scene));
        CHECK(run(&scene, "INSERT INTO t VALUES(2)") == CSQ_OVER);
        CHECK(hold(&scene, CSQ_HOLD_SAVE, "a") == CSQ_OVER);
        office_job(&scene.office, &job, CSQ_HOLD, NULL, NULL);
        job.with.hold.action = undone ? CSQ_HOLD_ROLLBACK : CSQ_HOLD_COMMIT;
        job.within = scene.number;
        CHECK(office_do(&scene.office, &job) == (undone ? SQLITE_OK : CSQ_OVER));
        CHECK(undone || strstr(job.error.message, "UNIQUE") != NULL);
        csq_job_clear(&job);
        CHECK(count(&scene) == 0);
    }
    CHECK(begin(&scene) == SQLITE_OK && commit(&scene) == SQLITE_OK);
    office_close(&scene.office);
}

static void
test_another_is_open(void)
{
    struct scene scene;

    set_up(&scene, NULL);
    CHECK(office_run(&scene.office, "BEGIN") == SQLITE_OK);
    CHECK(begin(&scene) == CSQ_OPENED);
    CHECK(office_run(&scene.office, "INSERT INTO t VALUES(1)") == SQLITE_OK);
    CHECK(office_run(&scene.office, "COMMIT") == SQLITE_OK);
    CHECK(begin(&scene) == SQLITE_OK && commit(&scene) == SQLITE_OK && count(&scene) == 1);
    office_close(&scene.office);
}

static void
test_savepoints(void)
{
    static const char name[] = "so \"it\" is";
    struct scene scene;

    set_up(&scene, NULL);
    CHECK(begin(&scene) == SQLITE_OK);
    CHECK(hold(&scene, CSQ_HOLD_SAVE, name) == SQLITE_OK);
    CHECK(run(&scene, "INSERT INTO t VALUES(1)") == SQLITE_OK);
    CHECK(hold(&scene, CSQ_HOLD_BACK, name) == SQLITE_OK);
    CHECK(hold(&scene, CSQ_HOLD_SAVE, name) == SQLITE_OK);
    CHECK(run(&scene, "INSERT INTO t VALUES(2)") == SQLITE_OK);
    CHECK(hold(&scene, CSQ_HOLD_RELEASE, name) == SQLITE_OK);
    CHECK(hold(&scene, CSQ_HOLD_RELEASE, name) == SQLITE_ERROR); /* there is none */
    CHECK(commit(&scene) == SQLITE_OK);
    CHECK(office_number(&scene.office, "SELECT a FROM t") == 2);
    office_close(&scene.office);
}

static void
test_read_only(void)
{
    struct scene scene;

    set_up(&scene, NULL);
    scene.number = 1;
    CHECK(hold_as(&scene, CSQ_HOLD_BEGIN, "BEGIN", true, NULL) == SQLITE_OK);
    CHECK(run(&scene, "INSERT INTO t VALUES(1)") == SQLITE_READONLY);
    CHECK(commit(&scene) == SQLITE_OK);
    CHECK(office_run(&scene.office, "INSERT INTO t VALUES(1)") == SQLITE_OK);
    CHECK(office_run(&scene.office, "PRAGMA query_only=1") == SQLITE_OK);
    scene.number = 2;
    CHECK(hold_as(&scene, CSQ_HOLD_BEGIN, "BEGIN", true, NULL) == SQLITE_OK);
    CHECK(commit(&scene) == SQLITE_OK);
    CHECK(office_number(&scene.office, "PRAGMA query_only") == 1); /* it was set before */
    office_close(&scene.office);
}

/* A COMMIT that fails leaves it open where SQLite does. */
static void
test_commit_that_fails(void)
{
    struct scene scene;
    bool open = false;

    set_up(&scene, NULL);
    CHECK(office_run(&scene.office, "PRAGMA foreign_keys=1") == SQLITE_OK);
    CHECK(office_run(&scene.office,
                     "CREATE TABLE c(a REFERENCES t DEFERRABLE INITIALLY DEFERRED)") ==
          SQLITE_OK);
    CHECK(begin(&scene) == SQLITE_OK);
    CHECK(run(&scene, "INSERT INTO c VALUES(1)") == SQLITE_OK);
    CHECK(hold_as(&scene, CSQ_HOLD_COMMIT, NULL, false, &open) == SQLITE_CONSTRAINT && open);
    CHECK(run(&scene, "INSERT INTO t VALUES(1)") == SQLITE_OK);
    CHECK(hold_as(&scene, CSQ_HOLD_COMMIT, NULL, false, &open) == SQLITE_OK && !open);
    CHECK(count(&scene) == 1);
    office_close(&scene.office);
}

/* -- what is half-read ------------------------------------------------------------ */

static void
begin_reading(struct scene *scene, struct csq_cursor *cursor, const char *sql)
{
    struct csq_job job;

    csq_cursor_init(cursor);
    office_job(&scene->office, &job, CSQ_EXECUTE, cursor, sql);
    job.with.steps.rows = 1;
    CHECK(office_do(&scene->office, &job) == SQLITE_OK && cursor->stmt != NULL);
    csq_job_clear(&job);
}

/* Fetches one row, or more that are there. Gives the code. */
static int
fetch(struct scene *scene, struct csq_cursor *cursor, size_t *rows)
{
    struct csq_job job;
    int rc;

    office_job(&scene->office, &job, CSQ_FETCH, cursor, NULL);
    job.with.steps.rows = 1;
    rc = office_do(&scene->office, &job);
    *rows += job.up.rows;
    csq_job_clear(&job);
    return rc;
}

/* The file has 100 small rows, and one of `size` bytes behind them. */
static void
set_up_file(struct scene *scene, const char *path, int size)
{
    char sql[128];

    set_up(scene, path);
    CHECK(office_run(&scene->office, "PRAGMA journal_mode=WAL") == SQLITE_OK);
    CHECK(office_run(&scene->office, "CREATE TABLE b(x)") == SQLITE_OK);
    CHECK(office_run(&scene->office,
                     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                     "WHERE i < 100) INSERT INTO b SELECT i FROM n") == SQLITE_OK);
    (void)snprintf(sql, sizeof sql, "INSERT INTO b VALUES(zeroblob(%d))", size);
    CHECK(office_run(&scene->office, sql) == SQLITE_OK);
}

static void
test_rows_are_kept(void)
{
    const char *path = harness_path("kept.db");
    struct csq_cursor cursors[2];
    struct scene scene;

    set_up_file(&scene, path, 10);
    begin_reading(&scene, &cursors[0], "SELECT x FROM b");
    begin_reading(&scene, &cursors[1], "SELECT x FROM b WHERE rowid > 50");
    insert_elsewhere(path, "INSERT INTO t VALUES(1)");
    CHECK(begin(&scene) == SQLITE_OK);
    CHECK(run(&scene, "INSERT INTO t VALUES(2)") == SQLITE_OK && commit(&scene) == SQLITE_OK);
    for (int i = 0; i < 2; i++) {
        size_t rows = 0;

        CHECK(cursors[i].stmt == NULL && !cursors[i].ended);
        for (int times = 0; times < 3; times++) {
            CHECK(fetch(&scene, &cursors[i], &rows) == SQLITE_OK);
        }
        CHECK(rows == (i == 0 ? 101 : 51));
    }
    CHECK(count(&scene) == 2);
    office_close(&scene.office);
}

static void
test_what_is_too_much_is_told(void)
{
    const char *path = harness_path("told.db");
    struct csq_cursor cursor;
    struct scene scene;
    size_t rows = 0;

    set_up_file(&scene, path, 2 * 1024 * 1024);
    CHECK(office_run(&scene.office, "INSERT INTO b VALUES(1)") == SQLITE_OK);
    begin_reading(&scene, &cursor, "SELECT x FROM b");
    insert_elsewhere(path, "INSERT INTO t VALUES(1)");
    CHECK(begin(&scene) == SQLITE_OK && commit(&scene) == SQLITE_OK);
    CHECK(cursor.stmt == NULL && cursor.ended);
    CHECK(fetch(&scene, &cursor, &rows) == CSQ_USAGE && rows == 0);
    office_close(&scene.office);
}

/* Where nobody has committed, nothing is ended. */
static void
test_readers_that_are_in_nobodys_way(void)
{
    struct csq_cursor cursor;
    struct scene scene;
    struct csq_job job;
    size_t rows = 0;

    set_up_file(&scene, harness_path("free.db"), 10);
    begin_reading(&scene, &cursor, "SELECT x FROM b");
    CHECK(begin(&scene) == SQLITE_OK && commit(&scene) == SQLITE_OK);
    CHECK(cursor.stmt != NULL && fetch(&scene, &cursor, &rows) == SQLITE_OK && rows == 1);
    office_job(&scene.office, &job, CSQ_RESET, &cursor, NULL);
    CHECK(office_do(&scene.office, &job) == SQLITE_OK);
    csq_job_clear(&job);
    office_close(&scene.office);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"begin_and_end", test_begin_and_end},
        {"nothing_runs_late", test_nothing_runs_late},
        {"nothing_else_ends_it", test_nothing_else_ends_it},
        {"ended_by_sqlite", test_ended_by_sqlite},
        {"another_is_open", test_another_is_open},
        {"savepoints", test_savepoints},
        {"read_only", test_read_only},
        {"commit_that_fails", test_commit_that_fails},
        {"rows_are_kept", test_rows_are_kept},
        {"what_is_too_much_is_told", test_what_is_too_much_is_told},
        {"readers_that_are_in_nobodys_way", test_readers_that_are_in_nobodys_way},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
