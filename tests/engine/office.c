/* A loop as small as can be: poll(), then take. */

#include "engine/office.h"

#include <poll.h>
#include <string.h>

struct csq_open
office_defaults(const char *path)
{
    return (struct csq_open){
        .path = path == NULL ? ":memory:" : path,
        .flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
        .timeout = 10000,
        .statements = 16,
        .autocommit = CSQ_LEGACY,
    };
}

int
office_open_as(struct office *office, const struct csq_open *open)
{
    struct csq_job job;
    int rc;

    office->crew = csq_crew_new();
    office->executor = csq_native_new(NULL, NULL);
    CHECK(csq_mailbox_init(&office->mailbox) == 0);
    csq_cursor_init(&office->cursor);
    CHECK(csq_worker_start(office->executor, office->crew) == 0);
    office_job(office, &job, CSQ_OPEN, NULL, NULL);
    job.with.open = *open;
    rc = office_do(office, &job);
    csq_job_clear(&job);
    return rc;
}

void
office_open(struct office *office, const char *path)
{
    struct csq_open open = office_defaults(path);

    CHECK(office_open_as(office, &open) == SQLITE_OK);
}

void
office_close(struct office *office)
{
    csq_worker_stop(office->executor);
    CHECK(csq_worker_join(office->executor, -1));
    CHECK(office->cursor.stmt == NULL);
    csq_executor_put(office->executor);
    csq_crew_dismiss(office->crew);
    CHECK(csq_mailbox_empty(&office->mailbox));
    csq_mailbox_destroy(&office->mailbox);
}

void
office_job(struct office *office, struct csq_job *job, enum csq_op op, struct csq_cursor *cursor,
           const char *sql)
{
    csq_job_init(job, op);
    job->mailbox = &office->mailbox;
    job->cursor = cursor;
    job->sql = sql;
    job->sql_size = sql == NULL ? 0 : strlen(sql);
    if (csq_op_steps(op)) {
        job->with.steps.rows = SIZE_MAX;
    }
    if (op == CSQ_EXECUTE) {
        CHECK(csq_strip_put_head(&job->down) != NULL);
    }
}

void
office_push(struct office *office, struct csq_job *job)
{
    CHECK(csq_worker_push(office->executor, job));
}

struct csq_job *
office_next(struct office *office)
{
    struct csq_job *job = csq_mailbox_take(&office->mailbox, NULL);

    while (job == NULL) {
        struct pollfd wake = {.fd = office->mailbox.wake_read, .events = POLLIN};

        if (csq_mailbox_quiet(&office->mailbox)) {
            poll(&wake, 1, -1);
        }
        job = csq_mailbox_take(&office->mailbox, NULL);
    }
    return job;
}

int
office_wait(struct office *office, struct csq_job *job)
{
    while (!job->done) {
        office_next(office);
    }
    return job->error.code;
}

int
office_do(struct office *office, struct csq_job *job)
{
    office_push(office, job);
    return office_wait(office, job);
}

void
office_try(struct office *office, struct csq_job *job)
{
    if (csq_worker_push(office->executor, job)) {
        office_wait(office, job);
    } else {
        csq_error_set(&job->error, CSQ_CLOSED, "closed");
    }
}

int
office_run(struct office *office, const char *sql)
{
    struct csq_job job;
    int rc;

    office_job(office, &job, CSQ_EXECUTE, &office->cursor, sql);
    job.with.steps.whole = true;
    rc = office_do(office, &job);
    csq_job_clear(&job);
    return rc;
}

int64_t
office_number(struct office *office, const char *sql)
{
    struct csq_job job;
    struct csq_reader reader = {NULL, NULL};
    int64_t number = INT64_MIN;

    office_job(office, &job, CSQ_EXECUTE, &office->cursor, sql);
    job.with.steps.whole = true;
    if (CHECK(office_do(office, &job) == SQLITE_OK) && job.up.rows > 0) {
        number = csq_strip_read(&job.up, &reader)->value.integer;
    }
    csq_job_clear(&job);
    return number;
}

static int
stand(struct csq_job *job, sqlite3 *handle)
{
    CHECK(handle == NULL);
    gate_pass(job->with.host.argument);
    return SQLITE_OK;
}

void
office_hold(struct office *office, struct csq_job *job, struct gate *gate)
{
    office_job(office, job, CSQ_CALL, NULL, NULL);
    job->with.host.run = stand;
    job->with.host.argument = gate;
    office_push(office, job);
}

static void
pass(sqlite3_context *sql_call, int count, sqlite3_value **values)
{
    (void)count;
    (void)values;
    gate_pass(sqlite3_user_data(sql_call));
    sqlite3_result_int(sql_call, 1);
}

static int
teach(struct csq_job *job, sqlite3 *handle)
{
    return sqlite3_create_function(handle, "pass", 0, SQLITE_UTF8, job->with.host.argument, pass,
                                   NULL, NULL);
}

void
office_teach_pass(struct office *office, struct gate *gate)
{
    struct csq_job job;

    office_job(office, &job, CSQ_APPLY, NULL, NULL);
    job.with.host.run = teach;
    job.with.host.argument = gate;
    CHECK(office_do(office, &job) == SQLITE_OK);
    csq_job_clear(&job);
}

void
rows_put(struct csq_strip *strip, int64_t first, int count)
{
    for (int i = 0; i < count; i++) {
        struct csq_cell *head = csq_strip_put_head(strip);

        csq_head_set(head, 1, false);
        csq_strip_put_integer(strip, first + i);
        strip->rows++;
    }
}
