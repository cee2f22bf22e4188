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
    void *context;    /* what the db said of the outer job, after the inner one */
    bool run;
};

static void
nested(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct nest *nest = sqlite3_user_data(context);

    (void)count;
    (void)values;
    if (!nest->run) {
        nest->run = true;
        csq_op_run(&nest->office.worker->db, &nest->inner);
        nest->context = nest->office.worker->db.context;
        gate_pass(&nest->gate);
    }
    sqlite3_result_int(context, 1);
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
    nest.inner.context = &nest.inner;
    nest.inner.whole = true;
    office_job(&nest.office, &job, CSQ_EXECUTE, &nest.office.cursor, "SELECT nested()");
    job.context = &job;
    gate_open(&nest.gate);
    CHECK(office_do(&nest.office, &job) == SQLITE_OK && job.up.rows == 1);
    CHECK(nest.inner.error.code == SQLITE_OK && nest.inner.up.rows == 2);
    CHECK(nest.context == &job); /* the outer job's again */
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
    CHECK(nest.inner.error.code == SQLITE_OK && nest.inner.changes == 1);
    CHECK(office_number(&nest.office, "SELECT count(*) FROM t") == 1);
    csq_job_clear(&job);
    tear_down(&nest);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"other_cursor", test_other_cursor},
        {"refused", test_refused},
        {"cancel_outer", test_cancel_outer},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
