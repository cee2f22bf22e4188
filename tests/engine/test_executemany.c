/* Whole jobs that write: executemany, fed while it runs, scripts, transactions, and
 * what remains of them when they are cancelled or fail. */

#include <string.h>

#include "engine/harness.h"
#include "engine/office.h"
#include "engine/watch.h"

enum { SLICES = 50, SLICE = 100 };

static const char insert[] = "INSERT INTO t VALUES(?)";

/* Makes `job` one that inserts what its flow gives, in a transaction of its own. */
static void
make_many(struct office *office, struct csq_job *job, const char *sql)
{
    office_job(office, job, CSQ_EXECUTEMANY, &office->cursor, sql);
    job->with.steps.begin = "BEGIN ";
    csq_job_stream(job);
}

static void
feed(struct csq_job *job, int64_t first, int count)
{
    struct csq_strip strip;

    csq_strip_init(&strip);
    rows_put(&strip, first, count);
    csq_flow_put(&job->flow, &strip);
}

/* Opens a database with a table t of one unique column. */
static void
set_up(struct office *office, const char *path)
{
    struct csq_open open = office_defaults(path);

    open.vfs = watch_locks(NULL);
    open.timeout = 100000;
    CHECK(office_open_as(office, &open) == SQLITE_OK);
    CHECK(office_run(office, "CREATE TABLE t(a UNIQUE)") == SQLITE_OK);
}

static bool
in_transaction(const struct office *office)
{
    return atomic_load(&csq_native_db(office->executor)->published.in_transaction);
}

/* All is packed before it begins. */
static void
test_ready(void)
{
    struct office office;
    struct csq_job job;

    set_up(&office, NULL);
    make_many(&office, &job, insert);
    feed(&job, 0, 1000);
    csq_flow_end(&job.flow);
    CHECK(office_do(&office, &job) == SQLITE_OK);
    CHECK(job.with.steps.changes == 1000 && in_transaction(&office));
    csq_job_clear(&job);
    make_many(&office, &job, insert);
    csq_flow_end(&job.flow); /* none at all */
    CHECK(office_do(&office, &job) == SQLITE_OK && job.with.steps.changes == 0);
    csq_job_clear(&job);
    office_job(&office, &job, CSQ_COMMIT, NULL, NULL);
    CHECK(office_do(&office, &job) == SQLITE_OK && !in_transaction(&office));
    csq_job_clear(&job);
    CHECK(office_number(&office, "SELECT sum(a) FROM t") == 499500);
    office_close(&office);
}

/* The next slice is packed when the worker says that it has taken the last. */
static void
test_slices(void)
{
    struct office office;
    struct csq_job job;
    int slices = 0;

    set_up(&office, NULL);
    make_many(&office, &job, insert);
    office_push(&office, &job);
    while (!job.done) {
        CHECK(office_next(&office) == &job);
        if (slices < SLICES && csq_flow_empty(&job.flow)) {
            feed(&job, (int64_t)SLICE * slices++, SLICE);
        } else if (slices == SLICES) {
            csq_flow_end(&job.flow);
        }
    }
    CHECK(slices == SLICES && job.error.code == SQLITE_OK &&
          job.with.steps.changes == SLICES * SLICE);
    csq_job_clear(&job);
    CHECK(office_number(&office, "SELECT count(DISTINCT a) FROM t") == SLICES * SLICE);
    office_close(&office);
}

static void
test_refused(void)
{
    struct office office;
    struct csq_job job;

    set_up(&office, NULL);
    make_many(&office, &job, "SELECT ?");
    feed(&job, 0, 1);
    csq_flow_end(&job.flow);
    CHECK(office_do(&office, &job) == CSQ_USAGE);
    CHECK(strcmp(job.error.message, "executemany() can only execute DML statements.") == 0);
    csq_job_clear(&job);
    make_many(&office, &job, "INSERT INTO t VALUES(:a)");
    job.with.steps.refuse_names = true;
    feed(&job, 0, 1);
    csq_flow_end(&job.flow);
    CHECK(office_do(&office, &job) == CSQ_USAGE && job.with.steps.first_name == 1);
    csq_job_clear(&job);
    make_many(&office, &job, "nonsense");
    CHECK(office_do(&office, &job) == SQLITE_ERROR);
    csq_job_clear(&job);
    office_close(&office);
}

/* As in sqlite3: what came before a wrong row stays, in the open transaction. */
static void
test_wrong_row(void)
{
    struct office office;
    struct csq_job job;
    struct csq_strip strip;

    set_up(&office, NULL);
    for (int poison = 0; poison < 2; poison++) {
        make_many(&office, &job, insert);
        csq_strip_init(&strip);
        rows_put(&strip, 0, 3);
        if (poison) {
            csq_strip_put_head(&strip)->type = CSQ_POISON;
            strip.rows++;
        } else {
            rows_put(&strip, 0, 1); /* not unique */
        }
        csq_flow_put(&job.flow, &strip);
        feed(&job, 100, 3);
        CHECK(office_do(&office, &job) == (poison ? CSQ_PACKED : SQLITE_CONSTRAINT));
        CHECK(poison || job.error.extended == SQLITE_CONSTRAINT_UNIQUE);
        CHECK(in_transaction(&office));
        CHECK(office_number(&office, "SELECT count(*) FROM t") == 3);
        csq_job_clear(&job);
        CHECK(office_run(&office, "ROLLBACK") == SQLITE_OK);
    }
    office_close(&office);
}

/* Lets an executemany come to wait for more than the rows it has, and cancels it. */
static void
cancel_waiting(struct office *office)
{
    struct csq_job job;

    make_many(office, &job, insert);
    feed(&job, 0, SLICE);
    office_push(office, &job);
    while (!csq_flow_empty(&job.flow)) {
        office_next(office); /* taken: the worker executes them */
    }
    csq_job_cancel(&job);
    CHECK(office_wait(office, &job) == CSQ_CANCELLED);
    csq_job_clear(&job);
}

static void
test_cancel(void)
{
    struct office office;

    set_up(&office, NULL);
    cancel_waiting(&office);
    CHECK(!in_transaction(&office)); /* what it began, it undid */
    CHECK(office_number(&office, "SELECT count(*) FROM t") == 0);

    CHECK(office_run(&office, "BEGIN") == SQLITE_OK);
    CHECK(office_run(&office, "INSERT INTO t VALUES(-1)") == SQLITE_OK);
    cancel_waiting(&office);
    CHECK(in_transaction(&office)); /* somebody else's: it is theirs to end */
    CHECK(office_number(&office, "SELECT count(*) FROM t WHERE a = -1") == 1);
    office_close(&office);
}

/* Cancelled by the row that runs: no further one is. */
static void
test_cancel_amid(void)
{
    struct office office;
    struct csq_job job;
    struct gate gate;

    set_up(&office, NULL);
    gate_init(&gate);
    office_teach_pass(&office, &gate);
    make_many(&office, &job, "INSERT INTO t VALUES(pass() + ?)");
    feed(&job, 0, SLICE);
    csq_flow_end(&job.flow);
    office_push(&office, &job);
    gate_await(&gate);
    csq_job_cancel(&job);
    gate_open(&gate);
    CHECK(office_wait(&office, &job) == CSQ_CANCELLED);
    CHECK(job.with.steps.changes == 1 && !in_transaction(&office));
    csq_job_clear(&job);
    CHECK(office_number(&office, "SELECT count(*) FROM t") == 0);
    gate_destroy(&gate);
    office_close(&office);
}

/* Pushes `job` while another handle has the file locked, and cancels it when it waits. */
static void
cancel_locked(struct office *office, struct csq_job *job, const char *path)
{
    struct gate gate;
    sqlite3 *other;

    gate_init(&gate);
    sqlite3_open(path, &other);
    CHECK(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL) == SQLITE_OK);
    watch_locks(&gate);
    office_push(office, job);
    gate_await(&gate);
    csq_job_cancel(job);
    office_wait(office, job);
    watch_locks(NULL);
    sqlite3_close(other);
    gate_destroy(&gate);
}

static void
test_cancel_locked(void)
{
    static const char *const begins[] = {"BEGIN ", "BEGIN IMMEDIATE"};
    const char *path = harness_path("locked.db");
    struct office office;
    struct csq_job job;

    set_up(&office, path);
    for (int i = 0; i < 2; i++) {
        make_many(&office, &job, insert);
        job.with.steps.begin = begins[i];
        feed(&job, 0, SLICE);
        csq_flow_end(&job.flow);
        cancel_locked(&office, &job, path);
        CHECK(job.error.code == CSQ_CANCELLED || job.error.code == SQLITE_BUSY);
        CHECK(!in_transaction(&office));
        csq_job_clear(&job);
    }
    office_job(&office, &job, CSQ_EXECUTE, &office.cursor, "SELECT * FROM t");
    cancel_locked(&office, &job, path);
    CHECK(job.error.code == SQLITE_BUSY && office.cursor.stmt == NULL);
    csq_job_clear(&job);
    CHECK(office_number(&office, "SELECT count(*) FROM t") == 0);
    office_close(&office);
}

static void
test_begin(void)
{
    struct office office;
    struct csq_job job;

    set_up(&office, NULL);
    office_job(&office, &job, CSQ_EXECUTE, &office.cursor, "SELECT 1");
    job.with.steps.begin = "BEGIN ";
    CHECK(office_do(&office, &job) == SQLITE_OK && !in_transaction(&office));
    csq_job_clear(&job);
    for (int i = 0; i < 2; i++) {
        office_job(&office, &job, CSQ_EXECUTE, &office.cursor, "INSERT INTO t VALUES(NULL)");
        job.with.steps.begin = "BEGIN ";
        CHECK(office_do(&office, &job) == SQLITE_OK && in_transaction(&office));
        csq_job_clear(&job);
    }
    office_job(&office, &job, CSQ_ROLLBACK, NULL, NULL);
    CHECK(office_do(&office, &job) == SQLITE_OK && !in_transaction(&office));
    csq_job_clear(&job);
    CHECK(office_number(&office, "SELECT count(*) FROM t") == 0);
    office_job(&office, &job, CSQ_AUTOCOMMIT, NULL, NULL);
    job.with.autocommit = CSQ_MANUAL;
    CHECK(office_do(&office, &job) == SQLITE_OK && in_transaction(&office));
    csq_job_clear(&job);
    office_close(&office);
}

static void
test_script(void)
{
    struct office office;
    struct csq_job job;

    set_up(&office, NULL);
    CHECK(office_run(&office, "BEGIN") == SQLITE_OK);
    CHECK(office_run(&office, "INSERT INTO t VALUES(1)") == SQLITE_OK);
    office_job(&office, &job, CSQ_SCRIPT, &office.cursor,
               "ROLLBACK; INSERT INTO t VALUES(2); nonsense; INSERT INTO t VALUES(3)");
    CHECK(office_do(&office, &job) == SQLITE_ERROR); /* committed before: no transaction */
    csq_job_clear(&job);
    CHECK(office_number(&office, "SELECT sum(a) FROM t") == 1);
    office_job(&office, &job, CSQ_SCRIPT, &office.cursor,
               "INSERT INTO t VALUES(2); /* ; */ SELECT * FROM t; ; nonsense; DELETE FROM t");
    CHECK(office_do(&office, &job) == SQLITE_ERROR);
    CHECK(strstr(job.error.message, "nonsense") != NULL);
    csq_job_clear(&job);
    CHECK(office_number(&office, "SELECT sum(a) FROM t") == 3);
    office_job(&office, &job, CSQ_SCRIPT, &office.cursor, "");
    CHECK(office_do(&office, &job) == SQLITE_OK);
    csq_job_clear(&job);
    office_close(&office);
}

static void
test_cancel_script(void)
{
    struct office office;
    struct csq_job job;
    struct gate gate;

    set_up(&office, NULL);
    gate_init(&gate);
    office_teach_pass(&office, &gate);
    office_job(&office, &job, CSQ_SCRIPT, &office.cursor,
               "INSERT INTO t VALUES(pass()); INSERT INTO t VALUES(2)");
    office_push(&office, &job);
    gate_await(&gate);
    csq_job_cancel(&job);
    gate_open(&gate);
    CHECK(office_wait(&office, &job) == CSQ_CANCELLED);
    csq_job_clear(&job);
    CHECK(office_number(&office, "SELECT count(*) FROM t") == 1); /* whole statements */
    gate_destroy(&gate);
    office_close(&office);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"ready", test_ready},
        {"slices", test_slices},
        {"refused", test_refused},
        {"wrong_row", test_wrong_row},
        {"cancel", test_cancel},
        {"cancel_amid", test_cancel_amid},
        {"cancel_locked", test_cancel_locked},
        {"begin", test_begin},
        {"script", test_script},
        {"cancel_script", test_cancel_script},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
