/* Whose the open transaction is, who would lose what if a write were stopped, and a cursor
 * that is busy from the beginning of its job to the end. */

#include <string.h>

#include "engine/clock.h"
#include "engine/harness.h"
#include "engine/office.h"
#include "engine/ops.h"

#define ENDLESS "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT i FROM n"

static const char returning[] =
    "INSERT INTO big SELECT value FROM json_each('[1,2,3]') RETURNING a";

/* An office with tables, and a cursor in which something that writes stands open. */
struct scene {
    struct office office;
    struct csq_cursor open;
    struct csq_job opening;
};

static void
set_up(struct scene *scene)
{
    office_open(&scene->office, NULL);
    csq_cursor_init(&scene->open);
    CHECK(office_run(&scene->office, "CREATE TABLE t(a)") == SQLITE_OK);
    CHECK(office_run(&scene->office, "CREATE TABLE big(a)") == SQLITE_OK);
    office_job(&scene->office, &scene->opening, CSQ_EXECUTE, &scene->open, returning);
    scene->opening.with.steps.rows = 1;
    CHECK(office_do(&scene->office, &scene->opening) == SQLITE_OK);
    CHECK(scene->open.stmt != NULL); /* half-read */
}

static void
tear_down(struct scene *scene)
{
    csq_job_clear(&scene->opening);
    office_close(&scene->office);
}

/* What an endless write comes to that is to end by its deadline. */
static int
run_endless(struct scene *scene, const char *begin)
{
    struct csq_job job;
    int rc;

    office_job(&scene->office, &job, CSQ_EXECUTE, &scene->office.cursor,
               "INSERT INTO big " ENDLESS);
    job.with.steps.begin = begin;
    job.deadline = csq_now() + 5 * 1000 * 1000;
    rc = office_do(&scene->office, &job);
    csq_job_clear(&job);
    return rc;
}

#ifdef CSQLITE_BUNDLED

/* Others were told that they have written: they have. */
static void
test_stopped_alone(void)
{
    struct scene scene;

    set_up(&scene);
    CHECK(office_run(&scene.office, "INSERT INTO t VALUES(1)") == SQLITE_OK);
    for (int times = 0; times < 3; times++) {
        CHECK(run_endless(&scene, NULL) == CSQ_DEADLINE);
        CHECK(office_number(&scene.office, "SELECT count(*) FROM t") == 1);
        CHECK(office_number(&scene.office, "SELECT count(*) FROM big") == 3);
        CHECK(scene.open.stmt != NULL);
    }
    CHECK(office_run(&scene.office, "INSERT INTO t VALUES(2)") == SQLITE_OK);
    tear_down(&scene);
}

static void
test_stopped_alone_behind_begin(void)
{
    struct scene scene;

    set_up(&scene);
    CHECK(office_run(&scene.office, "INSERT INTO t VALUES(1)") == SQLITE_OK);
    CHECK(run_endless(&scene, "BEGIN") == CSQ_DEADLINE);
    CHECK(atomic_load(&csq_native_db(scene.office.executor)->published.in_transaction));
    CHECK(office_number(&scene.office, "SELECT count(*) FROM t") == 1);
    CHECK(office_number(&scene.office, "SELECT count(*) FROM big") == 3);
    tear_down(&scene);
}

#endif

/* With nothing open the write is a transaction of its own, which goes as a whole. */
static void
test_stopped_whole(void)
{
    struct scene scene;

    set_up(&scene);
    csq_job_clear(&scene.opening);
    office_job(&scene.office, &scene.opening, CSQ_RESET, &scene.open, NULL);
    CHECK(office_do(&scene.office, &scene.opening) == SQLITE_OK);
    CHECK(run_endless(&scene, NULL) == CSQ_DEADLINE);
    CHECK(run_endless(&scene, "BEGIN") == CSQ_DEADLINE);
    CHECK(!atomic_load(&csq_native_db(scene.office.executor)->published.in_transaction));
    CHECK(office_number(&scene.office, "SELECT count(*) FROM big") == 3);
    tear_down(&scene);
}

/* A job that has begun a transaction, and whose answer nobody takes, is undone unless another
 * one has written to that. */
static void
test_lone(void)
{
    static const struct {
        const char *between;
        bool stays;
    } cases[] = {
        {"SELECT * FROM t", false},
        {"DELETE FROM t WHERE a = 'nobody'", false},
        {"PRAGMA user_version", false},
        {"INSERT INTO t VALUES(2)", true},
        {"WITH x AS (SELECT 2) INSERT INTO t SELECT * FROM x", true},
        {"CREATE TABLE u(a)", true},
        {"SAVEPOINT mine", true},
        {"PRAGMA user_version = 5", true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct office office;
        struct csq_cursor cursor;
        struct csq_job job;

        office_open(&office, NULL);
        csq_cursor_init(&cursor);
        CHECK(office_run(&office, "CREATE TABLE t(a)") == SQLITE_OK);
        office_job(&office, &job, CSQ_EXECUTE, &cursor, "INSERT INTO t VALUES(1)");
        job.with.steps.begin = "BEGIN";
        CHECK(office_do(&office, &job) == SQLITE_OK && atomic_load(&job.began) != 0);
        CHECK(office_run(&office, cases[i].between) == SQLITE_OK);
        csq_worker_abandon(office.executor, &job);
        CHECK(office_number(&office, "SELECT count(*) FROM t WHERE a = 1") == cases[i].stays);
        CHECK(atomic_load(&csq_native_db(office.executor)->published.in_transaction) ==
              cases[i].stays);
        csq_job_clear(&job);
        office_close(&office);
    }
}

/* -- a cursor is busy ------------------------------------------------------------ */

/* What a trace callback asks for in the middle of a job, with that job's cursor. */
struct intruder {
    struct office *office;
    enum csq_op op;
    int refused;
    int done;
};

static void
intrude(struct intruder *intruder)
{
    struct csq_job inner;

    office_job(intruder->office, &inner, intruder->op, &intruder->office->cursor, "SELECT 1");
    csq_op_run(csq_native_db(intruder->office->executor), &inner);
    if (inner.refused && inner.error.code == CSQ_USAGE) {
        intruder->refused++;
    } else {
        intruder->done++;
    }
    csq_job_clear(&inner);
}

static int
hear(unsigned kind, void *context, void *statement, void *detail)
{
    (void)kind;
    (void)statement;
    (void)detail;
    intrude(context);
    return 0;
}

static int
listen(struct csq_job *job, sqlite3 *handle)
{
    return sqlite3_trace_v2(handle, SQLITE_TRACE_STMT | SQLITE_TRACE_PROFILE | SQLITE_TRACE_ROW,
                            hear, job->with.host.argument);
}

/* In the implicit BEGIN and COMMIT, before the first row and behind the last one. */
static void
test_busy(void)
{
    static const enum csq_op moments[] = {CSQ_EXECUTE, CSQ_EXECUTEMANY, CSQ_SCRIPT};
    static const enum csq_op uses[] = {CSQ_EXECUTE, CSQ_EXECUTEMANY, CSQ_SCRIPT,
                                       CSQ_FETCH,   CSQ_RESET,       CSQ_DUMP};

    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        for (size_t j = 0; j < sizeof uses / sizeof *uses; j++) {
            struct office office;
            struct intruder intruder = {&office, uses[j], 0, 0};
            struct csq_job job;

            office_open(&office, NULL);
            CHECK(office_run(&office, "CREATE TABLE t(a)") == SQLITE_OK);
            office_job(&office, &job, CSQ_APPLY, NULL, NULL);
            job.with.host.run = listen;
            job.with.host.argument = &intruder;
            CHECK(office_do(&office, &job) == SQLITE_OK);
            csq_job_clear(&job);
            if (moments[i] == CSQ_SCRIPT) { /* it is to have something to commit */
                CHECK(office_run(&office, "BEGIN") == SQLITE_OK);
            }
            office_job(&office, &job, moments[i], &office.cursor, "INSERT INTO t VALUES(7)");
            job.with.steps.begin = "BEGIN";
            if (moments[i] == CSQ_EXECUTEMANY) {
                struct csq_strip rows;

                csq_strip_init(&rows);
                csq_job_stream(&job);
                csq_head_set(csq_strip_put_head(&rows), 0, false);
                rows.rows = 1;
                csq_flow_put(&job.flow, &rows);
                csq_flow_end(&job.flow);
            }
            CHECK(office_do(&office, &job) == SQLITE_OK);
            CHECK(intruder.refused >= 3 && intruder.done == 0);
            csq_job_clear(&job);
            CHECK(office_number(&office, "SELECT a FROM t") == 7);
            office_close(&office);
        }
    }
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
#ifdef CSQLITE_BUNDLED
        {"stopped_alone", test_stopped_alone},
        {"stopped_alone_behind_begin", test_stopped_alone_behind_begin},
#endif
        {"stopped_whole", test_stopped_whole},
        {"lone", test_lone},
        {"busy", test_busy},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
