/* engine/backup: step by step between two databases, either of which may be busy, be
 * written to or go away meanwhile. */

#include <string.h>

#include "engine/backup.h"
#include "engine/harness.h"
#include "engine/office.h"

enum { ROWS = 2000 };

struct bench {
    struct csq_db source;
    struct csq_db target;
    struct csq_error error;
    struct csq_backup backup;
};

static void
run(struct csq_db *db, const char *sql)
{
    struct csq_error error;

    csq_error_init(&error);
    CHECK(csq_db_run(db, sql, &error) == SQLITE_OK);
    csq_error_clear(&error);
}

static void
fill(struct csq_db *db)
{
    run(db, "CREATE TABLE t(a, b)");
    run(db, "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n "
            "WHERE i < 2000) SELECT i, hex(zeroblob(50)) FROM n");
}

static int64_t
number(struct csq_db *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;

    sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL);
    if (sqlite3_step(statement) == SQLITE_ROW) {
        value = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return value;
}

static void
open_db(struct csq_db *db, const char *path)
{
    const struct csq_open open = office_defaults(path);
    struct csq_error error;

    csq_db_init(db);
    csq_error_init(&error);
    CHECK(csq_db_open(db, &open, &error) == SQLITE_OK);
    csq_error_clear(&error);
}

static void
set_up(struct bench *bench, const char *target)
{
    memset(bench, 0, sizeof *bench);
    open_db(&bench->source, NULL);
    open_db(&bench->target, target);
    csq_error_init(&bench->error);
    fill(&bench->source);
    bench->backup.target = &bench->target;
    bench->backup.name = "main";
}

static void
tear_down(struct bench *bench)
{
    CHECK(bench->backup.handle == NULL);
    CHECK(bench->target.backups == 0 && bench->target.orphan == NULL);
    csq_error_clear(&bench->error);
    CHECK(csq_db_close(&bench->source, NULL) == SQLITE_OK);
    CHECK(csq_db_close(&bench->target, NULL) == SQLITE_OK);
    csq_db_destroy(&bench->source);
    csq_db_destroy(&bench->target);
}

/* One step as the source's worker makes it. */
static int
step(struct bench *bench, int pages)
{
    int rc;

    csq_error_clear(&bench->error);
    pthread_mutex_lock(&bench->source.lock);
    rc = csq_backup_step(&bench->backup, pages, &bench->source, &bench->error);
    pthread_mutex_unlock(&bench->source.lock);
    CHECK(rc == bench->error.code);
    return rc;
}

static void
test_at_once(void)
{
    struct bench bench;

    set_up(&bench, NULL);
    CHECK(step(&bench, -1) == SQLITE_OK && bench.backup.status == SQLITE_DONE);
    CHECK(bench.backup.remaining == 0 && bench.backup.total > 10);
    CHECK(number(&bench.target, "SELECT count(*) FROM t") == ROWS);
    csq_backup_finish(&bench.backup, &bench.source); /* harmless */
    tear_down(&bench);
}

static void
test_step_by_step(void)
{
    struct bench bench;
    int remaining;
    int steps = 1;

    set_up(&bench, harness_path("target.db"));
    CHECK(step(&bench, 1) == SQLITE_OK);
    remaining = bench.backup.total - 1;
    while (bench.backup.status == SQLITE_OK) {
        CHECK(steps >= 10 || bench.backup.remaining == remaining);
        CHECK(step(&bench, 2) == SQLITE_OK);
        remaining = remaining < 2 ? 0 : remaining - 2;
        steps++;
        if (steps == 10) { /* what is written meanwhile is in the copy, which begins anew */
            run(&bench.source, "UPDATE t SET b = 'new' WHERE a = 1");
        }
    }
    CHECK(bench.backup.status == SQLITE_DONE && steps > 10);
    CHECK(number(&bench.target, "SELECT count(*) FROM t") == ROWS);
    CHECK(number(&bench.target, "SELECT count(*) FROM t WHERE b = 'new'") == 1);
    tear_down(&bench);
}

/* Busy is not an error: who asked tries again. */
static void
test_busy(void)
{
    struct bench bench;
    sqlite3 *other;
    const char *path = harness_path("busy.db");

    set_up(&bench, path);
    bench.target.timeout = 0;
    pthread_mutex_lock(&bench.target.lock); /* its worker runs a job */
    CHECK(step(&bench, 1) == SQLITE_OK && bench.backup.status == SQLITE_BUSY);
    CHECK(bench.backup.handle == NULL);
    pthread_mutex_unlock(&bench.target.lock);

    sqlite3_open(path, &other);
    CHECK(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL) == SQLITE_OK);
    CHECK(step(&bench, 1) == SQLITE_OK && bench.backup.status == SQLITE_BUSY);
    CHECK(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
    CHECK(step(&bench, 1) == SQLITE_OK && bench.backup.status == SQLITE_OK);

    pthread_mutex_lock(&bench.target.lock);
    CHECK(step(&bench, 0) == SQLITE_OK && bench.backup.status == SQLITE_BUSY);
    CHECK(bench.backup.handle != NULL); /* not ended: to be asked again */
    pthread_mutex_unlock(&bench.target.lock);
    CHECK(step(&bench, -1) == SQLITE_OK && bench.backup.status == SQLITE_DONE);
    sqlite3_close(other);
    tear_down(&bench);
}

static void
test_refused(void)
{
    struct bench bench;

    set_up(&bench, NULL);
    bench.backup.name = "none";
    CHECK(step(&bench, 1) == SQLITE_ERROR);
    CHECK(strcmp(bench.error.message, "unknown database none") == 0);
    bench.backup.name = "main";
    run(&bench.target, "BEGIN");
    run(&bench.target, "CREATE TABLE u(a)");
    CHECK(step(&bench, 1) == SQLITE_ERROR);
    CHECK(strcmp(bench.error.message, "destination database is in use") == 0);
    run(&bench.target, "ROLLBACK");
    CHECK(step(&bench, -1) == SQLITE_OK && bench.backup.status == SQLITE_DONE);
    tear_down(&bench);
}

/* Ended in the middle, the target is what it was. */
static void
test_early(void)
{
    struct bench bench;

    for (int by_step = 0; by_step < 2; by_step++) {
        set_up(&bench, harness_path(by_step ? "early.db" : "earlier.db"));
        run(&bench.target, "CREATE TABLE old AS SELECT 42 AS a");
        CHECK(step(&bench, 3) == SQLITE_OK && bench.backup.status == SQLITE_OK);
        CHECK(bench.target.backups == 1);
        if (by_step) {
            CHECK(step(&bench, 0) == SQLITE_OK);
            CHECK(step(&bench, 0) == SQLITE_OK); /* harmless */
        } else {
            csq_backup_finish(&bench.backup, &bench.source);
        }
        CHECK(bench.backup.handle == NULL);
        CHECK(number(&bench.target, "SELECT a FROM old") == 42);
        run(&bench.target, "CREATE TABLE more(a)");
        tear_down(&bench);
    }
}

/* SQLite frees a target that is closed under a backup; ours outlives it. */
static void
test_target_closed(void)
{
    struct bench bench;

    for (int how = 0; how < 4; how++) {
        set_up(&bench, harness_path("closed.db"));
        if (how > 0) {
            CHECK(step(&bench, 3) == SQLITE_OK && bench.backup.handle != NULL);
        }
        CHECK(csq_db_close(&bench.target, &bench.error) == SQLITE_OK);
        if (how == 2) {
            CHECK(step(&bench, 0) == SQLITE_OK);
        } else if (how == 3) {
            csq_backup_finish(&bench.backup, &bench.source);
        }
        CHECK(step(&bench, 3) == CSQ_CLOSED && bench.backup.handle == NULL);
        CHECK(number(&bench.source, "SELECT count(*) FROM t") == ROWS);
        run(&bench.source, "DELETE FROM t");
        tear_down(&bench);
    }
}

static void
test_source_closed(void)
{
    struct bench bench;

    for (int how = 0; how < 4; how++) {
        set_up(&bench, NULL);
        if (how > 0) {
            CHECK(step(&bench, 3) == SQLITE_OK && bench.backup.handle != NULL);
        }
        CHECK(csq_db_close(&bench.source, &bench.error) == SQLITE_OK);
        if (how == 2) {
            CHECK(step(&bench, 0) == SQLITE_OK);
        } else if (how == 3) {
            csq_backup_finish(&bench.backup, &bench.source);
        }
        CHECK(step(&bench, 3) == CSQ_CLOSED && bench.backup.handle == NULL);
        run(&bench.target, "CREATE TABLE u(a)");
        tear_down(&bench);
    }
}

/* Two at once into one target that closes: the last of them lets it go. The second
 * has to wait until the first is done, as SQLite says. */
static void
test_two(void)
{
    struct bench bench;
    struct csq_backup second;

    set_up(&bench, NULL);
    second = bench.backup;
    CHECK(step(&bench, 1) == SQLITE_OK && bench.backup.status == SQLITE_OK);
    csq_backup_step(&second, 1, &bench.source, &bench.error);
    CHECK(csq_db_close(&bench.target, NULL) == SQLITE_OK);
    csq_backup_finish(&second, &bench.source);
    CHECK(bench.target.orphan != NULL);
    csq_backup_finish(&bench.backup, &bench.source);
    CHECK(bench.target.orphan == NULL);
    tear_down(&bench);
}

/* Makes one step of `backup` through the worker of its source. */
static int
step_job(struct office *office, struct csq_backup *backup)
{
    struct csq_job job;
    int rc;

    office_job(office, &job, CSQ_BACKUP, NULL, NULL);
    job.with.copy.backup = backup;
    job.with.copy.pages = 2;
    rc = office_do(office, &job);
    csq_job_clear(&job);
    return rc;
}

static void
test_workers(void)
{
    struct office source;
    struct office target;
    struct csq_backup backup = {.name = "main"};

    office_open(&source, NULL);
    office_open(&target, NULL);
    backup.target = csq_native_db(target.executor);
    office_run(&source, "CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
                        "SELECT i+1 FROM n WHERE i < 20000) SELECT i FROM n");
    do {
        CHECK(step_job(&source, &backup) == SQLITE_OK);
        CHECK(office_number(&source, "SELECT count(*) FROM t") == 20000);
    } while (backup.status != SQLITE_DONE);
    CHECK(office_number(&target, "SELECT count(*) FROM t") == 20000);
    office_close(&source);
    office_close(&target);
}

/* Two that back up into each other: neither waits for the other for ever. */
static void
test_each_other(void)
{
    struct office offices[2];
    struct csq_backup backups[2];
    struct csq_job jobs[2];

    for (int i = 0; i < 2; i++) {
        office_open(&offices[i], NULL);
        office_run(&offices[i], "CREATE TABLE t(a)");
        backups[i] = (struct csq_backup){.name = "main"};
    }
    backups[0].target = csq_native_db(offices[1].executor);
    backups[1].target = csq_native_db(offices[0].executor);
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 2; i++) {
            office_job(&offices[i], &jobs[i], CSQ_BACKUP, NULL, NULL);
            jobs[i].with.copy.backup = &backups[i];
            jobs[i].with.copy.pages = round % 2; /* a step, then the end of it */
            office_push(&offices[i], &jobs[i]);
        }
        for (int i = 0; i < 2; i++) {
            int rc = office_wait(&offices[i], &jobs[i]);

            CHECK(rc == SQLITE_OK || rc == SQLITE_ERROR); /* "in use" is a fair answer */
            csq_job_clear(&jobs[i]);
        }
    }
    csq_backup_finish(&backups[0], csq_native_db(offices[0].executor));
    csq_backup_finish(&backups[1], csq_native_db(offices[1].executor));
    office_close(&offices[0]);
    office_close(&offices[1]);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"at_once", test_at_once},
        {"step_by_step", test_step_by_step},
        {"busy", test_busy},
        {"refused", test_refused},
        {"early", test_early},
        {"target_closed", test_target_closed},
        {"source_closed", test_source_closed},
        {"two", test_two},
        {"workers", test_workers},
        {"each_other", test_each_other},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
