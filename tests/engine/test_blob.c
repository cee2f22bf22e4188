/* engine/blob: what is read, written and refused, what becomes of a blob whose row or
 * database goes, and jobs that meet it in the middle of its work. */

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "engine/alloc.h"
#include "engine/harness.h"
#include "engine/office.h"
#include "engine/ops.h"

enum { LARGE = 3 * 1024 * 1024 + 5 };

struct stage {
    struct office office;
    struct csq_blob blob;
    struct csq_job job; /* the last one */
    char bytes[16];     /* what was read last, with a 0 behind */
};

/* Ends the job before and makes another. */
static struct csq_blob_task *
make(struct stage *stage, enum csq_blob_action action)
{
    csq_job_clear(&stage->job);
    office_job(&stage->office, &stage->job, CSQ_BLOB_TASK, NULL, NULL);
    stage->job.with.blob.action = action;
    stage->job.with.blob.blob = &stage->blob;
    stage->job.with.blob.into = stage->bytes;
    stage->job.with.blob.room = sizeof stage->bytes - 1;
    memset(stage->bytes, 0, sizeof stage->bytes);
    return &stage->job.with.blob;
}

static int
run(struct stage *stage)
{
    return office_do(&stage->office, &stage->job);
}

static int
open_row(struct stage *stage, const char *table, int64_t row, bool writable)
{
    struct csq_blob_task *task = make(stage, CSQ_BLOB_OPEN);

    task->with.open.schema = "main";
    task->with.open.table = table;
    task->with.open.column = "b";
    task->with.open.row = row;
    task->with.open.writable = writable;
    return run(stage);
}

static int
reopen(struct stage *stage, int64_t row)
{
    make(stage, CSQ_BLOB_REOPEN)->with.open.row = row;
    return run(stage);
}

static int
simple(struct stage *stage, enum csq_blob_action action)
{
    make(stage, action);
    return run(stage);
}

static int
read_on(struct stage *stage, int length)
{
    make(stage, CSQ_BLOB_READ)->with.length = length;
    return run(stage);
}

static int
write_on(struct stage *stage, const char *text)
{
    struct csq_blob_task *task = make(stage, CSQ_BLOB_WRITE);

    task->data = text;
    task->data_size = strlen(text);
    return run(stage);
}

static enum csq_blob_refusal
seek(struct stage *stage, int offset, int whence)
{
    struct csq_blob_task *task = make(stage, CSQ_BLOB_SEEK);

    task->with.seek.offset = offset;
    task->with.seek.whence = whence;
    CHECK(run(stage) == SQLITE_OK);
    return task->refusal;
}

/* A slice, or an index where `step` is 0. */
static struct csq_blob_task *
slice(struct stage *stage, enum csq_blob_action action, int64_t start, int64_t stop, int64_t step)
{
    struct csq_blob_task *task = make(stage, action);

    task->with.slice.start = start;
    task->with.slice.stop = stop;
    task->with.slice.step = step;
    return task;
}

static bool
gives(struct stage *stage, const char *expected)
{
    return stage->job.with.blob.got == (int)strlen(expected) &&
           strcmp(stage->bytes, expected) == 0;
}

static void
set_up(struct stage *stage)
{
    office_open(&stage->office, NULL);
    csq_blob_init(&stage->blob);
    csq_job_init(&stage->job, CSQ_CALL);
    CHECK(office_run(&stage->office, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)") == SQLITE_OK);
    CHECK(office_run(&stage->office, "INSERT INTO t VALUES(1,x'30313233343536373839'),(2,'text'),"
                                     "(3,5),(4,x'')") == SQLITE_OK);
}

static void
tear_down(struct stage *stage)
{
    csq_job_clear(&stage->job);
    office_close(&stage->office);
    CHECK(stage->blob.handle == NULL && stage->blob.open.next == &stage->blob.open);
}

static void
test_reading_and_writing(void)
{
    struct stage stage;

    set_up(&stage);
    CHECK(open_row(&stage, "t", 1, true) == SQLITE_OK);
    CHECK(atomic_load(&stage.blob.size) == 10 && atomic_load(&stage.blob.offset) == 0);
    CHECK(read_on(&stage, 3) == SQLITE_OK && gives(&stage, "012"));
    CHECK(read_on(&stage, 0) == SQLITE_OK && gives(&stage, ""));
    CHECK(write_on(&stage, "abc") == SQLITE_OK && stage.job.with.blob.refusal == 0);
    CHECK(simple(&stage, CSQ_BLOB_TELL) == SQLITE_OK && stage.job.with.blob.got == 6);
    CHECK(simple(&stage, CSQ_BLOB_LENGTH) == SQLITE_OK && stage.job.with.blob.got == 10);
    CHECK(read_on(&stage, -1) == SQLITE_OK && gives(&stage, "6789"));
    CHECK(read_on(&stage, -1) == SQLITE_OK && gives(&stage, ""));
    CHECK(write_on(&stage, "") == SQLITE_OK && stage.job.with.blob.refusal == CSQ_BLOB_ACCEPTED);
    CHECK(write_on(&stage, "x") == SQLITE_OK && stage.job.with.blob.refusal == CSQ_BLOB_TOO_LONG);
    CHECK(seek(&stage, 0, SEEK_SET) == CSQ_BLOB_ACCEPTED);
    CHECK(read_on(&stage, INT_MAX) == SQLITE_OK && gives(&stage, "012abc6789"));
    CHECK(reopen(&stage, 2) == SQLITE_OK && read_on(&stage, -1) == SQLITE_OK);
    CHECK(gives(&stage, "text"));
    CHECK(simple(&stage, CSQ_BLOB_CLOSE) == SQLITE_OK);
    CHECK(simple(&stage, CSQ_BLOB_CLOSE) == SQLITE_OK);
    CHECK(read_on(&stage, 1) == CSQ_USAGE);
    tear_down(&stage);
}

static void
test_seeking(void)
{
    struct stage stage;

    set_up(&stage);
    CHECK(open_row(&stage, "t", 1, false) == SQLITE_OK);
    CHECK(seek(&stage, 10, SEEK_SET) == CSQ_BLOB_ACCEPTED);
    CHECK(seek(&stage, -4, SEEK_CUR) == CSQ_BLOB_ACCEPTED);
    CHECK(seek(&stage, 5, SEEK_CUR) == CSQ_BLOB_OUTSIDE);
    CHECK(seek(&stage, -7, SEEK_CUR) == CSQ_BLOB_OUTSIDE);
    CHECK(seek(&stage, 1, SEEK_END) == CSQ_BLOB_OUTSIDE);
    CHECK(seek(&stage, INT_MAX, SEEK_CUR) == CSQ_BLOB_OVERFLOW);
    CHECK(seek(&stage, INT_MAX, SEEK_END) == CSQ_BLOB_OVERFLOW);
    CHECK(seek(&stage, INT_MIN, SEEK_SET) == CSQ_BLOB_OUTSIDE);
    CHECK(seek(&stage, INT_MIN, SEEK_END) == CSQ_BLOB_OUTSIDE);
    CHECK(atomic_load(&stage.blob.offset) == 6);
    CHECK(simple(&stage, CSQ_BLOB_CLOSE) == SQLITE_OK);
    tear_down(&stage);
}

/* All slices of a small value, against the definition: the items that start, start +
 * step ... give as long as they are not past the end. */
static void
test_slices(void)
{
    static const int64_t steps[] = {1, 2, 3, 9, 11, INT64_MAX, -1, -2, -3, -11, -INT64_MAX};
    struct stage stage;
    int wrong = 0;

    set_up(&stage);
    CHECK(open_row(&stage, "t", 1, true) == SQLITE_OK);
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        for (int64_t start = -12; start <= 12; start++) {
            for (int64_t stop = -12; stop <= 12; stop++) {
                int64_t step = steps[s];
                int64_t low = step < 0 ? -1 : 0;
                int64_t high = step < 0 ? 9 : 10;
                int64_t from = start < 0 ? start + 10 : start;
                int64_t to = stop < 0 ? stop + 10 : stop;
                char expected[16] = "";
                int count = 0;

                from = from < low ? low : from > high ? high : from;
                to = to < low ? low : to > high ? high : to;
                for (int64_t i = from; step < 0 ? i > to : i < to;
                     i = (step < 0 ? i < INT64_MIN - step : i > INT64_MAX - step) ? to
                                                                                  : i + step) {
                    expected[count++] = (char)('0' + i);
                }
                slice(&stage, CSQ_BLOB_GET, start, stop, step);
                wrong += run(&stage) != SQLITE_OK || !gives(&stage, expected);
            }
        }
    }
    CHECK(wrong == 0);
    slice(&stage, CSQ_BLOB_GET, -10, 0, 0);
    CHECK(run(&stage) == SQLITE_OK && gives(&stage, "0"));
    slice(&stage, CSQ_BLOB_GET, 10, 0, 0);
    CHECK(run(&stage) == SQLITE_OK && stage.job.with.blob.refusal == CSQ_BLOB_INDEX);
    slice(&stage, CSQ_BLOB_GET, -11, 0, 0);
    CHECK(run(&stage) == SQLITE_OK && stage.job.with.blob.refusal == CSQ_BLOB_INDEX);
    CHECK(simple(&stage, CSQ_BLOB_CLOSE) == SQLITE_OK);
    tear_down(&stage);
}

static void
test_setting(void)
{
    struct stage stage;
    struct csq_blob_task *task;

    set_up(&stage);
    CHECK(open_row(&stage, "t", 1, true) == SQLITE_OK);
    task = slice(&stage, CSQ_BLOB_SET, 8, 0, -3);
    task->data = "xyz";
    task->data_size = 3;
    CHECK(run(&stage) == SQLITE_OK && task->refusal == CSQ_BLOB_ACCEPTED);
    CHECK(read_on(&stage, -1) == SQLITE_OK && gives(&stage, "01z34y67x9"));
    task = slice(&stage, CSQ_BLOB_SET, 0, 3, 1);
    task->data = "ab";
    task->data_size = 2;
    CHECK(run(&stage) == SQLITE_OK && task->refusal == CSQ_BLOB_WRONG_SIZE);
    task = slice(&stage, CSQ_BLOB_SET, 3, 3, 1);
    task->data = "a";
    task->data_size = 1;
    CHECK(run(&stage) == SQLITE_OK && task->refusal == CSQ_BLOB_WRONG_SIZE);
    task = slice(&stage, CSQ_BLOB_SET, 99, 0, 0);
    task->data = "a";
    task->data_size = 1;
    CHECK(run(&stage) == SQLITE_OK && task->refusal == CSQ_BLOB_INDEX);
    CHECK(simple(&stage, CSQ_BLOB_CLOSE) == SQLITE_OK);
    tear_down(&stage);
}

/* A value of several pieces, into room of its own. */
static void
test_large(void)
{
    struct stage stage;
    struct csq_blob_task *task;
    char *data = csq_malloc(LARGE);
    unsigned seed = 1;

    set_up(&stage);
    for (int i = 0; i < LARGE; i++) {
        data[i] = (char)harness_random(&seed, 256);
    }
    CHECK(office_run(&stage.office, "INSERT INTO t VALUES(9, zeroblob(3145733))") == SQLITE_OK);
    CHECK(open_row(&stage, "t", 9, true) == SQLITE_OK);
    task = make(&stage, CSQ_BLOB_WRITE);
    task->data = data;
    task->data_size = LARGE;
    CHECK(run(&stage) == SQLITE_OK && atomic_load(&stage.blob.offset) == LARGE);
    CHECK(seek(&stage, 0, SEEK_SET) == CSQ_BLOB_ACCEPTED);
    CHECK(read_on(&stage, -1) == SQLITE_OK && stage.job.with.blob.got == LARGE);
    CHECK(stage.job.with.blob.own != NULL && memcmp(stage.job.with.blob.own, data, LARGE) == 0);
    slice(&stage, CSQ_BLOB_GET, INT64_MIN, INT64_MAX, 2);
    CHECK(run(&stage) == SQLITE_OK && stage.job.with.blob.got == (LARGE + 1) / 2);
    CHECK(stage.job.with.blob.own[1000] == data[2000]);

    /* Cancelled by then, it ends behind the first piece. */
    CHECK(seek(&stage, 5, SEEK_SET) == CSQ_BLOB_ACCEPTED);
    make(&stage, CSQ_BLOB_READ)->with.length = -1;
    csq_job_cancel(&stage.job);
    pthread_mutex_lock(&csq_native_db(stage.office.executor)->lock);
    csq_op_run(csq_native_db(stage.office.executor), &stage.job);
    pthread_mutex_unlock(&csq_native_db(stage.office.executor)->lock);
    CHECK(stage.job.error.code == CSQ_CANCELLED && atomic_load(&stage.blob.offset) == 5);
    CHECK(simple(&stage, CSQ_BLOB_CLOSE) == SQLITE_OK);
    tear_down(&stage);
    csq_free(data);
}

static void
test_failures(void)
{
    struct stage stage;

    set_up(&stage);
    CHECK(open_row(&stage, "none", 1, true) == SQLITE_ERROR);
    CHECK(open_row(&stage, "t", 99, true) == SQLITE_ERROR);
    CHECK(open_row(&stage, "t", 3, true) == SQLITE_ERROR);
    CHECK(stage.blob.handle == NULL);
    CHECK(open_row(&stage, "t", 1, false) == SQLITE_OK);
    CHECK(write_on(&stage, "x") == SQLITE_READONLY);
    CHECK(simple(&stage, CSQ_BLOB_CLOSE) == SQLITE_OK); /* which is not repeated */

    CHECK(open_row(&stage, "t", 1, true) == SQLITE_OK);
    CHECK(reopen(&stage, 3) == SQLITE_ERROR && atomic_load(&stage.blob.size) == 0);
    CHECK(read_on(&stage, -1) == SQLITE_ABORT && reopen(&stage, 1) == SQLITE_ABORT);
    CHECK(simple(&stage, CSQ_BLOB_CLOSE) == SQLITE_OK);

    CHECK(open_row(&stage, "t", 1, true) == SQLITE_OK);
    CHECK(office_run(&stage.office, "DELETE FROM t WHERE a = 1") == SQLITE_OK);
    CHECK(read_on(&stage, 2) == SQLITE_ABORT && atomic_load(&stage.blob.size) == 0);
    CHECK(read_on(&stage, 2) == SQLITE_ABORT && write_on(&stage, "") == SQLITE_ABORT);
    slice(&stage, CSQ_BLOB_GET, 0, 0, 0);
    CHECK(run(&stage) == SQLITE_ABORT);
    CHECK(simple(&stage, CSQ_BLOB_CLOSE) == SQLITE_OK);

    CHECK(office_run(&stage.office, "BEGIN") == SQLITE_OK);
    CHECK(open_row(&stage, "t", 2, true) == SQLITE_OK && write_on(&stage, "n") == SQLITE_OK);
    CHECK(office_run(&stage.office, "ROLLBACK") == SQLITE_OK);
    CHECK(read_on(&stage, 2) == SQLITE_ABORT && read_on(&stage, 2) == SQLITE_ABORT);
    CHECK(strcmp(stage.job.error.message, "abort due to ROLLBACK") == 0);
    CHECK(simple(&stage, CSQ_BLOB_CLOSE) == SQLITE_OK);
    CHECK(office_number(&stage.office, "SELECT count(*) FROM t WHERE b = 'text'") == 1);
    tear_down(&stage);
}

/* The commit that closing is, refused by a reader. */
static void
test_close_that_fails(void)
{
    char path[256];
    struct stage stage;
    struct office reader;
    struct csq_open open;

    snprintf(path, sizeof path, "%s", harness_path("blob.db"));
    open = office_defaults(path);
    open.timeout = 0;
    CHECK(office_open_as(&stage.office, &open) == SQLITE_OK);
    csq_blob_init(&stage.blob);
    csq_job_init(&stage.job, CSQ_CALL);
    CHECK(office_run(&stage.office, "CREATE TABLE t(b)") == SQLITE_OK);
    CHECK(office_run(&stage.office, "INSERT INTO t VALUES('text')") == SQLITE_OK);
    office_open(&reader, path);
    CHECK(office_run(&reader, "BEGIN") == SQLITE_OK);
    CHECK(office_number(&reader, "SELECT count(*) FROM t") == 1);
    CHECK(open_row(&stage, "t", 1, true) == SQLITE_OK && write_on(&stage, "n") == SQLITE_OK);
    CHECK(simple(&stage, CSQ_BLOB_CLOSE) == SQLITE_BUSY && stage.blob.handle == NULL);
    CHECK(office_run(&reader, "COMMIT") == SQLITE_OK);
    CHECK(office_number(&stage.office, "SELECT count(*) FROM t WHERE b = 'text'") == 1);
    office_close(&reader);
    tear_down(&stage);
}

/* Closing the database closes the blob, and what comes later is told. */
static void
test_closed_database(void)
{
    struct stage stage;
    struct csq_job close;

    set_up(&stage);
    CHECK(open_row(&stage, "t", 1, true) == SQLITE_OK);
    office_job(&stage.office, &close, CSQ_CLOSE, NULL, NULL);
    make(&stage, CSQ_BLOB_READ)->with.length = 1;
    office_push(&stage.office, &close);
    if (csq_worker_push(stage.office.executor, &stage.job)) {
        CHECK(office_wait(&stage.office, &stage.job) == CSQ_CLOSED);
    }
    CHECK(office_wait(&stage.office, &close) == SQLITE_OK);
    CHECK(stage.blob.handle == NULL && atomic_load(&stage.blob.size) == 0);
    csq_job_clear(&close);
    tear_down(&stage);
}

/* Cancelled before their turn, jobs do nothing; but one that closes does. */
static void
test_cancelled(void)
{
    struct stage stage;
    struct csq_job wait;
    struct gate gate;

    set_up(&stage);
    CHECK(open_row(&stage, "t", 1, true) == SQLITE_OK);
    for (int i = 0; i < 2; i++) {
        gate_init(&gate);
        office_hold(&stage.office, &wait, &gate);
        if (i == 0) {
            make(&stage, CSQ_BLOB_READ)->with.length = 3;
        } else {
            make(&stage, CSQ_BLOB_CLOSE);
        }
        office_push(&stage.office, &stage.job);
        csq_job_cancel(&stage.job);
        gate_open(&gate);
        office_wait(&stage.office, &wait);
        office_wait(&stage.office, &stage.job);
        csq_job_clear(&wait);
        gate_destroy(&gate);
        CHECK(stage.job.error.code == (i == 0 ? CSQ_CANCELLED : SQLITE_OK));
        CHECK(atomic_load(&stage.blob.offset) == 0);
        CHECK((stage.blob.handle == NULL) == (i == 1));
    }
    tear_down(&stage);
}

/* What a progress handler, called by SQLite in the middle of reopening, tries. */
struct intruder {
    struct stage stage;
    int codes[2];
    int count;
};

static int
intrude(void *argument)
{
    struct intruder *intruder = argument;
    struct csq_job job;

    if (intruder->count < 2) {
        csq_job_init(&job, CSQ_BLOB_TASK);
        job.with.blob.action = intruder->count == 0 ? CSQ_BLOB_CLOSE : CSQ_BLOB_TELL;
        job.with.blob.blob = &intruder->stage.blob;
        csq_op_run(csq_native_db(intruder->stage.office.executor), &job);
        intruder->codes[intruder->count++] = job.error.code;
        csq_job_clear(&job);
    }
    return 0;
}

static int
let_in(struct csq_job *job, sqlite3 *handle)
{
    struct intruder *intruder = job->with.host.argument;

    (void)handle;
    csq_db_set_progress(csq_native_db(intruder->stage.office.executor), intrude, intruder, 1);
    return SQLITE_OK;
}

static void
test_recursion(void)
{
    struct intruder intruder = {.count = 0};
    struct csq_job job;

    set_up(&intruder.stage);
    CHECK(open_row(&intruder.stage, "t", 1, true) == SQLITE_OK);
    office_job(&intruder.stage.office, &job, CSQ_APPLY, NULL, NULL);
    job.with.host.run = let_in;
    job.with.host.argument = &intruder;
    CHECK(office_do(&intruder.stage.office, &job) == SQLITE_OK);
    csq_job_clear(&job);
    CHECK(reopen(&intruder.stage, 2) == SQLITE_OK);
    CHECK(intruder.count == 2);
    CHECK(intruder.codes[0] == CSQ_USAGE && intruder.codes[1] == CSQ_USAGE);
    CHECK(read_on(&intruder.stage, -1) == SQLITE_OK && gives(&intruder.stage, "text"));
    CHECK(simple(&intruder.stage, CSQ_BLOB_CLOSE) == SQLITE_OK);
    tear_down(&intruder.stage);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"reading_and_writing", test_reading_and_writing},
        {"seeking", test_seeking},
        {"slices", test_slices},
        {"setting", test_setting},
        {"large", test_large},
        {"failures", test_failures},
        {"close_that_fails", test_close_that_fails},
        {"closed_database", test_closed_database},
        {"cancelled", test_cancelled},
        {"recursion", test_recursion},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
