/* Whole jobs that read, through queue, worker and mailbox: what comes back, how much
 * of it at once, and how they are stopped. */

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "engine/harness.h"
#include "engine/office.h"

#define COUNT_TO(n) "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<" #n ")"
#define ENDLESS "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n)"

enum {
    CHUNK_BYTES = 256 * 1024,       /* the bounds of engine/rows.c */
    AHEAD_BYTES = 4 * 1024 * 1024,
};

/* Checks that `strip` holds the whole numbers from *next on, one a row. */
static void
check_numbers(const struct csq_strip *strip, int64_t *next)
{
    struct csq_reader reader = {NULL, NULL};
    size_t wrong = 0;

    for (size_t row = 0; row < strip->rows; row++) {
        wrong += csq_strip_read(strip, &reader)->value.integer != (*next)++;
    }
    CHECK(wrong == 0);
    CHECK(csq_strip_read(strip, &reader) == NULL);
}

static void
test_execute(void)
{
    struct office office;
    struct csq_job job;
    struct csq_cursor cursor;

    office_open(&office, NULL);
    csq_cursor_init(&cursor);
    CHECK(office_run(&office, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)") == SQLITE_OK);
    office_job(&office, &job, CSQ_EXECUTE, &cursor, "INSERT INTO t(b) VALUES(?),(?)");
    csq_head_set(job.down.first->cells, 2, false);
    csq_strip_put_integer(&job.down, 4);
    csq_strip_put_text(&job.down, "x", 1);
    CHECK(office_do(&office, &job) == SQLITE_OK);
    CHECK(job.with.steps.changes == 2 && job.with.steps.last_rowid == 2 &&
          job.with.steps.exhausted && job.columns == NULL);
    CHECK(cursor.stmt == NULL && job.up.rows == 0);
    csq_job_clear(&job);

    office_job(&office, &job, CSQ_EXECUTE, &cursor, "SELECT a, b AS c FROM t");
    CHECK(office_do(&office, &job) == SQLITE_OK);
    CHECK(job.with.steps.changes == -1 && job.with.steps.exhausted && job.up.rows == 2 &&
          job.columns->count == 2);
    CHECK(strcmp(job.columns->column[1].name, "c") == 0);
    csq_job_clear(&job);

    office_job(&office, &job, CSQ_EXECUTE, &cursor, " -- nothing");
    CHECK(office_do(&office, &job) == SQLITE_OK && job.with.steps.exhausted &&
          job.columns == NULL);
    csq_job_clear(&job);
    office_job(&office, &job, CSQ_EXECUTE, &cursor, "SELECT * FROM none");
    CHECK(office_do(&office, &job) == SQLITE_ERROR && cursor.stmt == NULL);
    CHECK(strcmp(job.error.message, "no such table: none") == 0);
    csq_job_clear(&job);
    office_close(&office);
}

static void
test_names(void)
{
    struct office office;
    struct csq_job job;

    office_open(&office, NULL);
    for (int refuse = 0; refuse < 2; refuse++) {
        office_job(&office, &job, CSQ_EXECUTE, &office.cursor, "SELECT ?, :b");
        csq_head_set(job.down.first->cells, 2, false);
        csq_strip_put_integer(&job.down, 1);
        csq_strip_put_integer(&job.down, 2);
        job.with.steps.refuse_names = refuse;
        CHECK(office_do(&office, &job) == (refuse ? CSQ_USAGE : SQLITE_OK));
        CHECK(job.with.steps.first_name == 2);
        csq_job_clear(&job);
    }
    office_close(&office);
}

/* Rows bound a chunk: a fetch goes on where the last one stopped. */
static void
test_rows(void)
{
    struct office office;
    struct csq_job job;
    int64_t next = 1;

    office_open(&office, NULL);
    office_job(&office, &job, CSQ_EXECUTE, &office.cursor, COUNT_TO(95) "SELECT i FROM n");
    job.with.steps.rows = 10;
    CHECK(office_do(&office, &job) == SQLITE_OK);
    while (!job.with.steps.exhausted) {
        CHECK(job.up.rows > 0 && job.up.rows <= 10); /* a slow machine may give less */
        CHECK(office.cursor.stmt != NULL);
        check_numbers(&job.up, &next);
        csq_job_clear(&job);
        office_job(&office, &job, CSQ_FETCH, &office.cursor, NULL);
        job.with.steps.rows = 10;
        CHECK(office_do(&office, &job) == SQLITE_OK);
    }
    check_numbers(&job.up, &next);
    CHECK(next == 96);
    CHECK(office.cursor.stmt == NULL); /* exhausted: it holds no snapshot */
    csq_job_clear(&job);
    office_job(&office, &job, CSQ_FETCH, &office.cursor, NULL);
    CHECK(office_do(&office, &job) == SQLITE_OK && job.with.steps.exhausted && job.up.rows == 0);
    csq_job_clear(&job);
    office_close(&office);
}

/* The last row ends the statement, wherever it stands in a chunk. */
static void
test_last_row(void)
{
    struct office office;
    struct csq_job job;

    office_open(&office, NULL);
    for (size_t chunk = 1; chunk <= 6; chunk++) {
        size_t rows;

        office_job(&office, &job, CSQ_EXECUTE, &office.cursor, COUNT_TO(5) "SELECT i FROM n");
        job.with.steps.rows = chunk;
        CHECK(office_do(&office, &job) == SQLITE_OK && job.up.rows < chunk);
        rows = job.up.rows;
        while (!job.with.steps.exhausted) {
            CHECK(rows < 5 && office.cursor.standing);
            csq_job_clear(&job);
            office_job(&office, &job, CSQ_FETCH, &office.cursor, NULL);
            job.with.steps.rows = chunk;
            CHECK(office_do(&office, &job) == SQLITE_OK && job.up.rows >= 1);
            rows += job.up.rows;
        }
        CHECK(rows == 5 && office.cursor.stmt == NULL);
        csq_job_clear(&job);
        office_job(&office, &job, CSQ_EXECUTE, &office.cursor, COUNT_TO(5) "SELECT i FROM n");
        job.with.steps.rows = chunk;
        job.with.steps.whole = true;
        CHECK(office_do(&office, &job) == SQLITE_OK);
        CHECK(job.up.rows == (chunk < 5 ? chunk : 5) && job.with.steps.exhausted == (chunk >= 5));
        csq_job_clear(&job);
    }
    office_close(&office);
}

/* Bytes and time bound it, too: a query that never ends gives its first rows. */
static void
test_endless(void)
{
    static const char *const queries[] = {ENDLESS "SELECT i FROM n",
                                          ENDLESS "SELECT randomblob(10000) FROM n",
                                          ENDLESS "SELECT i FROM n WHERE i % 1000000 = 0"};
    struct office office;
    struct csq_job job;

    office_open(&office, NULL);
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        office_job(&office, &job, CSQ_EXECUTE, &office.cursor, queries[i]);
        CHECK(office_do(&office, &job) == SQLITE_OK);
        CHECK(!job.with.steps.exhausted && job.up.rows >= 1);
        CHECK(job.up.bytes < CHUNK_BYTES + 64 * 1024 + 10000);
        csq_job_clear(&job);
        office_job(&office, &job, CSQ_RESET, &office.cursor, NULL);
        CHECK(office_do(&office, &job) == SQLITE_OK && office.cursor.stmt == NULL);
        csq_job_clear(&job);
    }
    office_close(&office);
}

static void
test_whole(void)
{
    struct office office;
    struct csq_job job;
    int64_t next = 1;

    office_open(&office, NULL);
    office_job(&office, &job, CSQ_EXECUTE, &office.cursor, ENDLESS "SELECT i FROM n");
    job.with.steps.whole = true;
    job.with.steps.rows = 20000;
    CHECK(office_do(&office, &job) == SQLITE_OK && job.up.rows == 20000 &&
          !job.with.steps.exhausted);
    check_numbers(&job.up, &next);
    csq_job_clear(&job);
    office_job(&office, &job, CSQ_FETCH, &office.cursor, NULL);
    job.with.steps.whole = true;
    job.with.steps.rows = 5;
    CHECK(office_do(&office, &job) == SQLITE_OK && job.up.rows == 5);
    check_numbers(&job.up, &next);
    csq_job_clear(&job); /* the cursor remains open; closing resets it */
    office_close(&office);
}

/* Makes `job` one that streams all rows of `sql`. */
static void
make_stream(struct office *office, struct csq_job *job, const char *sql)
{
    office_job(office, job, CSQ_EXECUTE, &office->cursor, sql);
    job->with.steps.whole = true;
    csq_job_stream(job);
}

static void
test_stream(void)
{
    struct office office;
    struct csq_job job;
    struct csq_strip strip;
    int64_t next = 1;
    int news = 0;

    office_open(&office, NULL);
    csq_strip_init(&strip);
    make_stream(&office, &job, COUNT_TO(300000) "SELECT i FROM n");
    office_push(&office, &job);
    do {
        CHECK(office_next(&office) == &job);
        csq_flow_take(&job.flow, &strip);
        check_numbers(&strip, &next);
        csq_strip_clear(&strip);
        news++;
    } while (!job.done);
    check_numbers(&job.up, &next); /* the last ones */
    CHECK(next == 300001 && job.with.steps.exhausted && job.error.code == SQLITE_OK && news > 1);
    csq_job_clear(&job);
    office_close(&office);
}

/* Waits until the worker is as far ahead as it may be. */
static size_t
await_full(struct csq_flow *flow)
{
    size_t bytes;

    do {
        sched_yield();
        pthread_mutex_lock(&flow->lock);
        bytes = flow->strip.bytes;
        pthread_mutex_unlock(&flow->lock);
    } while (bytes < AHEAD_BYTES);
    return bytes;
}

static void
test_back_pressure(void)
{
    struct office office;
    struct csq_job job;
    struct csq_strip strip;
    int64_t rows = 0;

    office_open(&office, NULL);
    csq_strip_init(&strip);
    make_stream(&office, &job, COUNT_TO(40000) "SELECT zeroblob(600) FROM n");
    office_push(&office, &job);
    for (int i = 0; i < 3; i++) {
        CHECK(await_full(&job.flow) < AHEAD_BYTES + CHUNK_BYTES);
        csq_flow_take(&job.flow, &strip);
        rows += (int64_t)strip.rows;
        csq_strip_clear(&strip);
    }
    do {
        office_next(&office);
        csq_flow_take(&job.flow, &strip);
        rows += (int64_t)strip.rows;
        csq_strip_clear(&strip);
    } while (!job.done);
    CHECK(rows + (int64_t)job.up.rows == 40000);
    csq_job_clear(&job);
    office_close(&office);
}

/* A worker that is as far ahead as it may be is released by cancelling. */
static void
test_cancel_stream(void)
{
    struct office office;
    struct csq_job job;

    office_open(&office, NULL);
    make_stream(&office, &job, ENDLESS "SELECT zeroblob(600) FROM n");
    office_push(&office, &job);
    await_full(&job.flow);
    csq_job_cancel(&job);
    CHECK(office_wait(&office, &job) == CSQ_CANCELLED || job.error.code == SQLITE_INTERRUPT);
    CHECK(office.cursor.stmt == NULL);
    csq_job_clear(&job);
    CHECK(office_number(&office, "SELECT 42") == 42);
    office_close(&office);
}

static void
test_cancel_before(void)
{
    struct office office;
    struct csq_job hold;
    struct csq_job jobs[2];
    struct gate gate;

    office_open(&office, NULL);
    gate_init(&gate);
    office_hold(&office, &hold, &gate);
    office_job(&office, &jobs[0], CSQ_EXECUTE, &office.cursor, "CREATE TABLE t(a)");
    office_job(&office, &jobs[1], CSQ_RESET, &office.cursor, NULL);
    for (int i = 0; i < 2; i++) {
        office_push(&office, &jobs[i]);
        csq_job_cancel(&jobs[i]);
    }
    gate_open(&gate);
    CHECK(office_wait(&office, &jobs[0]) == CSQ_CANCELLED);
    CHECK(office_wait(&office, &jobs[1]) == SQLITE_OK); /* cleans up: it runs */
    CHECK(office_number(&office, "SELECT count(*) FROM sqlite_master") == 0);
    csq_job_clear(&hold);
    csq_job_clear(&jobs[0]);
    csq_job_clear(&jobs[1]);
    gate_destroy(&gate);
    office_close(&office);
}

/* Cancels `sql`, which calls pass(), in the middle. Gives the code. */
static int
cancel_amid(struct office *office, const char *sql)
{
    struct csq_job job;
    struct gate gate;
    int rc;

    gate_init(&gate);
    office_teach_pass(office, &gate);
    office_job(office, &job, CSQ_EXECUTE, &office->cursor, sql);
    job.with.steps.whole = true;
    office_push(office, &job);
    gate_await(&gate);
    csq_job_cancel(&job);
    gate_open(&gate);
    rc = office_wait(office, &job);
    CHECK(office->cursor.stmt == NULL); /* reset: it holds no snapshot */
    csq_job_clear(&job);
    gate_destroy(&gate);
    return rc;
}

static void
test_cancel_read(void)
{
    struct office office;

    office_open(&office, NULL);
    CHECK(cancel_amid(&office,
                      "WITH RECURSIVE n(i) AS (SELECT pass() UNION ALL SELECT i+1 FROM n)"
                      "SELECT count(*) FROM n") == SQLITE_INTERRUPT);
    CHECK(office_run(&office, "CREATE TABLE t(a)") == SQLITE_OK);
    CHECK(office_run(&office, "BEGIN") == SQLITE_OK);
    CHECK(office_run(&office, "INSERT INTO t VALUES(1)") == SQLITE_OK);
    CHECK(cancel_amid(&office,
                      "WITH RECURSIVE n(i) AS (SELECT pass() UNION ALL SELECT i+1 FROM n)"
                      "SELECT count(*) FROM n") == SQLITE_INTERRUPT);
    CHECK(office_number(&office, "SELECT count(*) FROM t") == 1); /* still in the transaction */
    CHECK(office_run(&office, "COMMIT") == SQLITE_OK);
    office_close(&office);
}

/* A write is undone as a whole when it is a transaction, else it is completed. */
static void
test_cancel_write(void)
{
    struct office office;

    office_open(&office, NULL);
    CHECK(office_run(&office, "CREATE TABLE t(a)") == SQLITE_OK);
    CHECK(cancel_amid(&office, "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT pass() UNION ALL "
                               "SELECT i+1 FROM n) SELECT i FROM n") == SQLITE_INTERRUPT);
    CHECK(office_number(&office, "SELECT count(*) FROM t") == 0);
    CHECK(office_run(&office, "BEGIN") == SQLITE_OK);
    CHECK(office_run(&office, "INSERT INTO t VALUES(0)") == SQLITE_OK);
    CHECK(cancel_amid(&office, "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT pass() UNION ALL "
                               "SELECT i+1 FROM n WHERE i < 5000) SELECT i FROM n") == SQLITE_OK);
    CHECK(office_run(&office, "COMMIT") == SQLITE_OK);
    CHECK(office_number(&office, "SELECT count(*) FROM t") == 5001);
    office_close(&office);
}

/* The first row after ALTER TABLE has the columns that the table has now. */
static void
test_schema(void)
{
    struct office office;
    struct csq_job job;

    office_open(&office, NULL);
    office_run(&office, "CREATE TABLE t(a)");
    office_run(&office, "INSERT INTO t VALUES(1)");
    CHECK(office_number(&office, "SELECT * FROM t") == 1);
    office_run(&office, "ALTER TABLE t ADD COLUMN b DEFAULT 2");
    office_job(&office, &job, CSQ_EXECUTE, &office.cursor, "SELECT * FROM t");
    CHECK(office_do(&office, &job) == SQLITE_OK && job.columns->count == 2);
    csq_job_clear(&job);
    office_close(&office);
}

static void
test_dump(void)
{
    struct office office;
    struct csq_job job;
    size_t lines = 0;

    office_open(&office, NULL);
    office_run(&office, "CREATE TABLE t(a)");
    office_run(&office, "INSERT INTO t VALUES(1),(2)");
    office_job(&office, &job, CSQ_DUMP, &office.cursor, NULL);
    job.with.steps.rows = 2;
    CHECK(office_do(&office, &job) == SQLITE_OK);
    CHECK(job.columns->count == 1 && job.up.rows <= 2 && !job.with.steps.exhausted);
    lines += job.up.rows;
    csq_job_clear(&job);
    office_job(&office, &job, CSQ_FETCH, &office.cursor, NULL);
    job.with.steps.whole = true;
    CHECK(office_do(&office, &job) == SQLITE_OK && job.with.steps.exhausted);
    lines += job.up.rows;
    CHECK(lines == 5 && office.cursor.dump == NULL);
    csq_job_clear(&job);
    office_job(&office, &job, CSQ_DUMP, &office.cursor, NULL);
    job.with.steps.rows = 1;
    CHECK(office_do(&office, &job) == SQLITE_OK && office.cursor.dump != NULL);
    csq_job_clear(&job); /* closing ends it */
    office_close(&office);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"execute", test_execute},
        {"names", test_names},
        {"rows", test_rows},
        {"last_row", test_last_row},
        {"endless", test_endless},
        {"whole", test_whole},
        {"stream", test_stream},
        {"back_pressure", test_back_pressure},
        {"cancel_stream", test_cancel_stream},
        {"cancel_before", test_cancel_before},
        {"cancel_read", test_cancel_read},
        {"cancel_write", test_cancel_write},
        {"schema", test_schema},
        {"dump", test_dump},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
