/* Jobs that an SQL function runs while its own statement is being stepped, as a callback
 * of a user does through the synchronous view. */

#include <string.h>

#include "engine/harness.h"
#include "engine/office.h"
#include "engine/ops.h"

/* What nested() is to run, once, and what came of it. */
struct nest {
    struct office office;
    struct csq_job inner;
    struct csq_cursor other;
    struct gate gate; /* passed when the inner job has run */
    void *client;     /* what the db said of the outer job, after the inner one */
    bool run;
};

static void
nested(sqlite3_context *sql_call, int count, sqlite3_value **values)
{
    struct nest *nest = sqlite3_user_data(sql_call);

    (void)count;
    (void)values;
    if (!nest->run) {
        nest->run = true;
        csq_op_run(csq_native_db(nest->office.executor), &nest->inner);
        nest->client = csq_native_db(nest->office.executor)->client;
        gate_pass(&nest->gate);
    }
    sqlite3_result_int(sql_call, 1);
}

static int
teach(struct csq_job *job, sqlite3 *handle)
{
    return sqlite3_create_function(handle, "nested", 0, SQLITE_UTF8, job->with.host.argument,
                                   nested, NULL, NULL);
}

static void
set_up(struct nest *nest)
{
    struct csq_job job;

    office_open(&nest->office, NULL);
    csq_cursor_init(&nest->other);
    gate_init(&nest->gate);
    nest->run = false;
    office_job(&nest->office, &job, CSQ_APPLY, NULL, NULL);
    job.with.host.run = teach;
    job.with.host.argument = nest;
    CHECK(office_do(&nest->office, &job) == SQLITE_OK);
    csq_job_clear(&job);
}

static void
tear_down(struct nest *nest)
{
    csq_job_clear(&nest->inner);
    gate_destroy(&nest->gate);
    office_close(&nest->office);
}

static void
test_other_cursor(void)
{
    struct nest nest;
    struct csq_job job;

    set_up(&nest);
    office_job(&nest.office, &nest.inner, CSQ_EXECUTE, &nest.other, "SELECT 1 UNION SELECT 2");
    nest.inner.client = &nest.inner;
    nest.inner.with.steps.whole = true;
    office_job(&nest.office, &job, CSQ_EXECUTE, &nest.office.cursor, "SELECT nested()");
    job.client = &job;
    gate_open(&nest.gate);
    CHECK(office_do(&nest.office, &job) == SQLITE_OK && job.up.rows == 1);
    CHECK(nest.inner.error.code == SQLITE_OK && nest.inner.up.rows == 2);
    CHECK(nest.client == &job); /* the outer job's again */
    csq_job_clear(&job);
    tear_down(&nest);
}

/* SQLite would not survive these; they are refused, and the statement goes on. */
static void
test_refused(void)
{
    static const enum csq_op ops[] = {CSQ_EXECUTE, CSQ_FETCH, CSQ_RESET, CSQ_DUMP, CSQ_CLOSE};

    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        struct nest nest;
        struct csq_cursor *cursor = ops[i] == CSQ_CLOSE ? NULL : &nest.office.cursor;

        set_up(&nest);
        office_job(&nest.office, &nest.inner, ops[i], cursor, "SELECT 1");
        gate_open(&nest.gate);
        CHECK(office_number(&nest.office, "SELECT nested()") == 1);
        CHECK(nest.inner.error.code == CSQ_USAGE);
        tear_down(&nest);
    }
}

/* What the inner statement was does not make the outer one immune, or a victim. */
static void
test_cancel_outer(void)
{
    struct nest nest;
    struct csq_job job;

    set_up(&nest);
    office_run(&nest.office, "CREATE TABLE t(a)");
    office_job(&nest.office, &nest.inner, CSQ_EXECUTE, &nest.other, "INSERT INTO t VALUES(1)");
    office_job(&nest.office, &job, CSQ_EXECUTE, &nest.office.cursor,
               "WITH RECURSIVE n(i) AS (SELECT nested() UNION ALL SELECT i+1 FROM n)"
               "SELECT count(*) FROM n");
    office_push(&nest.office, &job);
    gate_await(&nest.gate);
    csq_job_cancel(&job);
    gate_open(&nest.gate);
    CHECK(office_wait(&nest.office, &job) == SQLITE_INTERRUPT);
    CHECK(nest.inner.error.code == SQLITE_OK && nest.inner.with.steps.changes == 1);
    CHECK(office_number(&nest.office, "SELECT count(*) FROM t") == 1);
    csq_job_clear(&job);
    tear_down(&nest);
}

/* A callback that SQLite forbids to use the handle: only what says that it harms nothing. */
static void
test_sealed(void)
{
    static const enum csq_op refused[] = {CSQ_EXECUTE, CSQ_SCRIPT,   CSQ_DUMP,  CSQ_COMMIT,
                                          CSQ_APPLY,   CSQ_ROLLBACK, CSQ_RESET, CSQ_FETCH};

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct nest nest;

        set_up(&nest);
        csq_native_db(nest.office.executor)->sealed = 1;
        office_job(&nest.office, &nest.inner, refused[i], &nest.other, "SELECT 1");
        csq_op_run(csq_native_db(nest.office.executor), &nest.inner);
        CHECK(nest.inner.error.code == CSQ_USAGE);
        csq_native_db(nest.office.executor)->sealed = 0;
        tear_down(&nest);
    }
}

static int
succeed(struct csq_job *job, sqlite3 *handle)
{
    *(int *)job->with.host.argument += handle == NULL ? 1 : 10;
    return SQLITE_OK;
}

static void
test_sealed_anytime(void)
{
    struct nest nest;
    int ran = 0;

    set_up(&nest);
    csq_native_db(nest.office.executor)->sealed = 1;
    office_job(&nest.office, &nest.inner, CSQ_APPLY, NULL, NULL);
    nest.inner.with.host.run = succeed;
    nest.inner.with.host.argument = &ran;
    nest.inner.anytime = true;
    csq_op_run(csq_native_db(nest.office.executor), &nest.inner);
    nest.inner.op = CSQ_CALL;
    nest.inner.anytime = false;
    csq_op_run(csq_native_db(nest.office.executor), &nest.inner);
    CHECK(nest.inner.error.code == SQLITE_OK && ran == 11);
    csq_native_db(nest.office.executor)->sealed = 0;
    tear_down(&nest);
}

/* Fails where SQLite cannot be told, as a collation does. */
static void
fail_quietly(sqlite3_context *sql_call, int count, sqlite3_value **values)
{
    struct csq_db *db = sqlite3_user_data(sql_call);

    (void)count;
    db->raised = sqlite3_value_int(values[0]) == 3;
    sqlite3_result_value(sql_call, values[0]);
}

static int
teach_failing(struct csq_job *job, sqlite3 *handle)
{
    return sqlite3_create_function(handle, "quietly", 1, SQLITE_UTF8, job->with.host.argument,
                                   fail_quietly, NULL, NULL);
}

/* Each way of stepping hears of it, at that row, and the next statement does not. */
static void
test_raised(void)
{
    static const char *const sql[] = {
        "WITH n(i) AS (VALUES(1), (2), (3), (4)) SELECT quietly(i) FROM n",
        "SELECT 1; INSERT INTO t VALUES(quietly(3)); INSERT INTO t VALUES(4)",
    };
    static const enum csq_op ops[] = {CSQ_EXECUTE, CSQ_SCRIPT};
    struct office office;
    struct csq_job job;

    office_open(&office, NULL);
    office_run(&office, "CREATE TABLE t(a)");
    office_job(&office, &job, CSQ_APPLY, NULL, NULL);
    job.with.host.run = teach_failing;
    job.with.host.argument = csq_native_db(office.executor);
    CHECK(office_do(&office, &job) == SQLITE_OK);
    csq_job_clear(&job);
    for (size_t i = 0; i < 2; i++) {
        office_job(&office, &job, ops[i], &office.cursor, sql[i]);
        job.with.steps.whole = true;
        job.with.steps.rows = SIZE_MAX;
        CHECK(office_do(&office, &job) == CSQ_RAISED);
        CHECK(job.up.rows == (ops[i] == CSQ_EXECUTE ? 2 : 0));
        csq_job_clear(&job);
        CHECK(!csq_native_db(office.executor)->raised);
        CHECK(office_number(&office, "SELECT quietly(5)") == 5);
    }
    CHECK(office_number(&office, "SELECT count(*) FROM t WHERE a = 4") == 0);
    office_close(&office);
}

static void
tidy_at_last(struct csq_db *db)
{
    CHECK(db->running == 0);
    db->tidy = NULL;
}

/* What is left to do is done before a job, and not in the midst of another. */
static void
test_tidy(void)
{
    struct nest nest;

    set_up(&nest);
    office_job(&nest.office, &nest.inner, CSQ_EXECUTE, &nest.other, "SELECT 1");
    csq_native_db(nest.office.executor)->tidy = tidy_at_last;
    gate_open(&nest.gate);
    CHECK(office_number(&nest.office, "SELECT nested()") == 1);
    CHECK(csq_native_db(nest.office.executor)->tidy == NULL);
    tear_down(&nest);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"other_cursor", test_other_cursor},
        {"sealed", test_sealed},
        {"sealed_anytime", test_sealed_anytime},
        {"raised", test_raised},
        {"tidy", test_tidy},
        {"refused", test_refused},
        {"cancel_outer", test_cancel_outer},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
