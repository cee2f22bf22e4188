/* engine/worker: how a thread begins, ends and is waited for, and that no job is lost
 * on the way, whoever lets go of what first. */

#include <sched.h>
#include <stdlib.h>

#include "engine/alloc.h"
#include "engine/harness.h"
#include "engine/office.h"
#include "engine/watch.h"

enum { THREADS = 4, EACH = 200, ROUNDS = 50 };

/* Waits until nothing is allocated: a thread gives back its reference to the worker a
 * little after it says that it has ended. */
static void
await_nothing(void)
{
    while (csq_alloc_live() != 0) {
        sched_yield();
    }
    CHECK(csq_alloc_live() == 0);
}

/* A CSQ_CALL notes here what a worker is from within. */
struct visit {
    struct csq_job job;
    struct csq_executor *executor;
    struct gate gone; /* reached when the job is released */
    bool current;
    bool running;
};

static int
look_around(struct csq_job *job, sqlite3 *handle)
{
    struct visit *visit = job->with.host.argument;

    (void)handle;
    visit->current = csq_worker_is_current(visit->executor);
    visit->running = csq_worker_is_running(visit->executor);
    return SQLITE_OK;
}

static void
leave(struct csq_job *job)
{
    struct visit *visit = csq_item(job, struct visit, job);

    csq_job_clear(job);
    gate_reach(&visit->gone);
}

/* A job that comes back to nobody. */
static void
make_visit(struct visit *visit, struct csq_executor *executor)
{
    csq_job_init(&visit->job, CSQ_CALL);
    visit->job.release = leave;
    visit->job.with.host.run = look_around;
    visit->job.with.host.argument = visit;
    visit->executor = executor;
    gate_init(&visit->gone);
}

static void
test_inside(void)
{
    struct office office;
    struct visit visit;

    office_open(&office, NULL);
    CHECK(csq_worker_is_running(office.executor));
    CHECK(!csq_worker_is_current(office.executor));
    make_visit(&visit, office.executor);
    office_push(&office, &visit.job);
    gate_await(&visit.gone);
    CHECK(visit.current && visit.running);
    gate_destroy(&visit.gone);
    csq_worker_stop(office.executor);
    csq_worker_stop(office.executor); /* a second time does nothing */
    CHECK(csq_worker_join(office.executor, -1));
    CHECK(!csq_worker_is_running(office.executor) && !csq_worker_is_current(office.executor));
    csq_worker_stop(office.executor); /* nor after its end */
    CHECK(csq_worker_join(office.executor, 0));
    office_close(&office);
}

static void
test_never_started(void)
{
    struct csq_executor *executor = csq_native_new(NULL, NULL);

    CHECK(!csq_worker_is_running(executor));
    CHECK(csq_worker_join(executor, 0));
    CHECK(csq_executor_get(executor) == executor);
    csq_executor_put(executor);
    csq_worker_stop(executor);
    csq_executor_put(executor);
    await_nothing();
}

/* A database that cannot be opened ends the thread; what is queued learns of it. */
static void
test_open_fails(void)
{
    struct office office;
    struct csq_open open = office_defaults(harness_path("none/db"));
    struct csq_job jobs[3];
    struct csq_job late;
    struct gate gate;

    office.crew = csq_crew_new();
    office.executor = csq_native_new(NULL, NULL);
    CHECK(csq_mailbox_init(&office.mailbox) == 0);
    csq_cursor_init(&office.cursor);
    gate_init(&gate);
    office_hold(&office, &jobs[0], &gate); /* so that both stand in the queue */
    office_job(&office, &jobs[1], CSQ_OPEN, NULL, NULL);
    jobs[1].with.open = open;
    office_push(&office, &jobs[1]);
    office_job(&office, &jobs[2], CSQ_EXECUTE, &office.cursor, "SELECT 1");
    office_push(&office, &jobs[2]);
    CHECK(csq_worker_start(office.executor, office.crew) == 0);
    gate_open(&gate);
    CHECK(office_wait(&office, &jobs[1]) == SQLITE_CANTOPEN);
    CHECK(office_wait(&office, &jobs[2]) == CSQ_CLOSED);
    office_wait(&office, &jobs[0]);
    office_job(&office, &late, CSQ_COMMIT, NULL, NULL);
    CHECK(!csq_worker_push(office.executor, &late));
    for (int i = 0; i < 3; i++) {
        csq_job_clear(&jobs[i]);
    }
    gate_destroy(&gate);
    office_close(&office);
}

/* What is queued behind a close is told that it is closed, whatever it is. */
static void
test_close(void)
{
    static const enum csq_op ops[] = {
        CSQ_EXECUTE, CSQ_EXECUTEMANY, CSQ_SCRIPT, CSQ_FETCH,      CSQ_RESET, CSQ_COMMIT,
        CSQ_DUMP,    CSQ_ROLLBACK,    CSQ_APPLY,  CSQ_AUTOCOMMIT, CSQ_CLOSE, CSQ_CALL,
    };
    enum { COUNT = sizeof ops / sizeof *ops };
    struct office office;
    struct csq_job hold;
    struct csq_job close;
    struct csq_job jobs[COUNT];
    struct visit visit;
    struct gate gate;

    office_open(&office, NULL);
    gate_init(&gate);
    make_visit(&visit, office.executor);
    office_hold(&office, &hold, &gate);
    office_job(&office, &close, CSQ_CLOSE, NULL, NULL);
    office_push(&office, &close);
    for (int i = 0; i < COUNT; i++) {
        office_job(&office, &jobs[i], ops[i], &office.cursor, "SELECT 1");
        if (ops[i] == CSQ_CALL || ops[i] == CSQ_APPLY) {
            jobs[i].with.host.run = look_around;
            jobs[i].with.host.argument = &visit;
        }
        if (ops[i] == CSQ_EXECUTEMANY) {
            csq_job_stream(&jobs[i]);
        }
        office_push(&office, &jobs[i]);
    }
    gate_open(&gate);
    CHECK(office_wait(&office, &close) == SQLITE_OK);
    for (int i = 0; i < COUNT; i++) {
        bool runs = ops[i] == CSQ_CLOSE || ops[i] == CSQ_CALL;

        CHECK(office_wait(&office, &jobs[i]) == (runs ? SQLITE_OK : CSQ_CLOSED));
        csq_job_clear(&jobs[i]);
    }
    CHECK(visit.current);
    CHECK(!csq_worker_push(office.executor, &hold));
    csq_job_clear(&hold);
    csq_job_clear(&close);
    gate_destroy(&visit.gone);
    gate_destroy(&gate);
    office_close(&office);
}

/* Without a close, the farewell is one: after all that was queued. */
static void
test_farewell(void)
{
    struct office office;
    struct csq_job hold;
    struct csq_job job;
    struct gate gate;
    sqlite3 *other;
    const char *path = harness_path("farewell.db");

    office_open(&office, path);
    CHECK(office_run(&office, "CREATE TABLE t(a)") == SQLITE_OK);
    gate_init(&gate);
    office_hold(&office, &hold, &gate);
    office_job(&office, &job, CSQ_EXECUTE, &office.cursor, "INSERT INTO t VALUES(1)");
    office_push(&office, &job);
    csq_worker_stop(office.executor);
    CHECK(!csq_worker_join(office.executor, 0.01)); /* it still has work */
    gate_open(&gate);
    CHECK(csq_worker_join(office.executor, 1000));
    CHECK(office_wait(&office, &job) == SQLITE_OK);
    office_wait(&office, &hold);
    csq_job_clear(&job);
    csq_job_clear(&hold);
    gate_destroy(&gate);
    sqlite3_open(path, &other);
    CHECK(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL) == SQLITE_OK); /* closed */
    CHECK(sqlite3_exec(other, "DELETE FROM t", NULL, NULL, NULL) == SQLITE_OK &&
          sqlite3_changes(other) == 1);
    sqlite3_close(other);
    office_close(&office);
}

static void
at_end(void *argument)
{
    gate_reach(argument);
}

static void
test_at_end(void)
{
    struct office office;
    struct csq_worker *worker;
    struct gate gate;

    office_open(&office, NULL);
    gate_init(&gate);
    worker = csq_item(office.executor, struct csq_worker, executor);
    worker->at_end_argument = &gate;
    worker->at_end = at_end;
    office_run(&office, "SELECT 1"); /* the worker sees what was set before */
    office_close(&office);
    CHECK(gate.reached);
    gate_destroy(&gate);
}

/* Quitting ends what reads and what waits for a loop, and lets what writes finish. */
static void
test_quit_read(void)
{
    struct office office;
    struct csq_job jobs[2];
    struct gate gate;

    office_open(&office, NULL);
    gate_init(&gate);
    office_run(&office, "CREATE TABLE t(a)");
    office_teach_pass(&office, &gate);
    office_job(&office, &jobs[0], CSQ_EXECUTE, &office.cursor,
               "WITH RECURSIVE n(i) AS (SELECT pass() UNION ALL SELECT i+1 FROM n)"
               "SELECT count(*) FROM n");
    office_job(&office, &jobs[1], CSQ_EXECUTE, &office.cursor,
               "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n "
               "WHERE i < 30000) SELECT i FROM n");
    office_push(&office, &jobs[0]);
    office_push(&office, &jobs[1]);
    gate_await(&gate);
    csq_worker_quit(office.executor);
    gate_open(&gate);
    CHECK(office_wait(&office, &jobs[0]) == SQLITE_INTERRUPT);
    CHECK(office_wait(&office, &jobs[1]) == SQLITE_OK && jobs[1].with.steps.changes == 30000);
    csq_job_clear(&jobs[0]);
    csq_job_clear(&jobs[1]);
    gate_destroy(&gate);
    office_close(&office);
}

/* The first job waits for a loop already; the others have not begun. */
static void
test_quit_streams(void)
{
    struct office office;
    struct csq_job jobs[3];
    struct csq_cursor cursors[3];
    struct csq_strip rows;

    office_open(&office, NULL);
    office_run(&office, "CREATE TABLE t(a)");
    for (int i = 0; i < 3; i++) {
        csq_cursor_init(&cursors[i]);
        office_job(&office, &jobs[i], CSQ_EXECUTEMANY, &cursors[i], "INSERT INTO t VALUES(?)");
        csq_job_stream(&jobs[i]);
        csq_strip_init(&rows);
        rows_put(&rows, 0, 3);
        csq_flow_put(&jobs[i].flow, &rows);
        if (i == 1) {
            csq_flow_end(&jobs[i].flow); /* this one has all it needs */
        }
        office_push(&office, &jobs[i]);
    }
    while (!csq_flow_empty(&jobs[0].flow)) {
        office_next(&office);
    }
    csq_worker_quit(office.executor);
    CHECK(office_wait(&office, &jobs[0]) == CSQ_CANCELLED);
    CHECK(office_wait(&office, &jobs[1]) == SQLITE_OK && jobs[1].with.steps.changes == 3);
    CHECK(office_wait(&office, &jobs[2]) == CSQ_CANCELLED);
    for (int i = 0; i < 3; i++) {
        csq_job_clear(&jobs[i]);
    }
    office_close(&office);
}

/* A job that waits for somebody, and how that came out. */
struct wait {
    struct csq_executor *executor;
    struct gate begun;
    bool over;
    bool woken;
};

static int
wait_for_somebody(struct csq_job *job, sqlite3 *handle)
{
    struct wait *wait = job->with.host.argument;

    (void)handle;
    gate_reach(&wait->begun);
    wait->woken = csq_worker_wait(wait->executor, job, &wait->over);
    return SQLITE_OK;
}

enum waking { WAKE_AFTER, WAKE_BEFORE, QUIT_AFTER, QUIT_BEFORE, WAKINGS };

static void
wake(struct wait *wait, bool quit)
{
    if (quit) {
        csq_worker_quit(wait->executor);
    } else {
        csq_worker_wake(wait->executor, &wait->over);
    }
}

/* Whether it comes before or after the worker waits: it goes on. */
static void
test_wait(void)
{
    for (int waking = 0; waking < WAKINGS; waking++) {
        const bool quit = waking == QUIT_AFTER || waking == QUIT_BEFORE;
        const bool before = waking == WAKE_BEFORE || waking == QUIT_BEFORE;
        struct office office;
        struct csq_job hold;
        struct csq_job job;
        struct gate gate;
        struct wait wait = {.over = false};

        office_open(&office, NULL);
        gate_init(&gate);
        gate_init(&wait.begun);
        wait.executor = office.executor;
        office_hold(&office, &hold, &gate);
        office_job(&office, &job, CSQ_CALL, NULL, NULL);
        job.with.host.run = wait_for_somebody;
        job.with.host.argument = &wait;
        office_push(&office, &job);
        if (before) {
            wake(&wait, quit);
        }
        gate_open(&gate);
        gate_await(&wait.begun);
        if (!before) {
            wake(&wait, quit);
        }
        CHECK(office_wait(&office, &job) == SQLITE_OK && wait.woken == !quit);
        csq_job_clear(&job);
        csq_job_clear(&hold);
        gate_destroy(&gate);
        gate_destroy(&wait.begun);
        office_close(&office);
    }
}

/* SQLite calls a COMMIT read-only; at the end it is waited for all the same. */
static void
test_quit_commit(void)
{
    const char *path = harness_path("commit.db");
    struct office office;
    struct csq_open open = office_defaults(path);
    struct csq_job job;
    struct gate gate;
    sqlite3 *other;

    open.vfs = watch_locks(NULL);
    open.timeout = 100000;
    CHECK(office_open_as(&office, &open) == SQLITE_OK);
    gate_init(&gate);
    CHECK(office_run(&office, "CREATE TABLE t AS SELECT 1 AS a") == SQLITE_OK);
    CHECK(sqlite3_open(path, &other) == SQLITE_OK);
    CHECK(sqlite3_exec(other, "BEGIN; SELECT * FROM t", NULL, NULL, NULL) == SQLITE_OK);
    CHECK(office_run(&office, "BEGIN") == SQLITE_OK);
    CHECK(office_run(&office, "INSERT INTO t VALUES(2)") == SQLITE_OK);
    watch_locks(&gate);
    office_job(&office, &job, CSQ_EXECUTE, &office.cursor, "COMMIT");
    office_push(&office, &job);
    gate_await(&gate); /* it waits for the reader */
    csq_worker_quit(office.executor);
    watch_locks(NULL);
    CHECK(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
    CHECK(office_wait(&office, &job) == SQLITE_OK);
    csq_job_clear(&job);
    sqlite3_close(other);
    gate_destroy(&gate);
    office_close(&office);
}

/* One of several loops that share a worker, each with a mailbox of its own. */
struct loop {
    struct office office;
    pthread_barrier_t *start;
    int number;
};

static void *
run_loop(void *argument)
{
    struct loop *loop = argument;
    char sql[64];

    CHECK(csq_mailbox_init(&loop->office.mailbox) == 0);
    csq_cursor_init(&loop->office.cursor);
    pthread_barrier_wait(loop->start);
    for (int i = 0; i < EACH; i++) {
        sqlite3_snprintf(sizeof sql, sql, "INSERT INTO t VALUES(%d, %d)", loop->number, i);
        CHECK(office_run(&loop->office, sql) == SQLITE_OK);
        sqlite3_snprintf(sizeof sql, sql, "SELECT count(*) FROM t WHERE loop=%d", loop->number);
        CHECK(office_number(&loop->office, sql) == i + 1); /* first in, first out */
    }
    csq_executor_put(loop->office.executor);
    csq_mailbox_destroy(&loop->office.mailbox);
    return NULL;
}

static void
test_many_threads(void)
{
    struct office office;
    struct loop loops[THREADS];
    pthread_t threads[THREADS];
    pthread_barrier_t start;

    office_open(&office, NULL);
    pthread_barrier_init(&start, NULL, THREADS);
    CHECK(office_run(&office, "CREATE TABLE t(loop, i)") == SQLITE_OK);
    for (int i = 0; i < THREADS; i++) {
        loops[i].office.executor = csq_executor_get(office.executor);
        loops[i].start = &start;
        loops[i].number = i;
        pthread_create(&threads[i], NULL, run_loop, &loops[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(office_number(&office, "SELECT count(*) FROM t") == THREADS * EACH);
    pthread_barrier_destroy(&start);
    office_close(&office);
}

/* Pushes until it is refused: every job that was taken comes back. */
static void *
push_until_closed(void *argument)
{
    struct loop *loop = argument;
    struct csq_job job;
    bool taken;

    CHECK(csq_mailbox_init(&loop->office.mailbox) == 0);
    csq_cursor_init(&loop->office.cursor);
    pthread_barrier_wait(loop->start);
    do {
        office_job(&loop->office, &job, CSQ_EXECUTE, &loop->office.cursor, "SELECT 1");
        taken = csq_worker_push(loop->office.executor, &job);
        if (taken && office_wait(&loop->office, &job) != SQLITE_OK) {
            CHECK(job.error.code == CSQ_CLOSED);
        }
        csq_job_clear(&job);
    } while (taken);
    csq_executor_put(loop->office.executor);
    csq_mailbox_destroy(&loop->office.mailbox);
    return NULL;
}

static void
test_closing_race(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct office office;
        struct loop loops[THREADS];
        pthread_t threads[THREADS];
        pthread_barrier_t start;

        office_open(&office, NULL);
        pthread_barrier_init(&start, NULL, THREADS + 1);
        for (int i = 0; i < THREADS; i++) {
            loops[i].office.executor = csq_executor_get(office.executor);
            loops[i].start = &start;
            pthread_create(&threads[i], NULL, push_until_closed, &loops[i]);
        }
        pthread_barrier_wait(&start);
        if (round % 2) {
            csq_worker_quit(office.executor);
        }
        office_close(&office);
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
        }
        pthread_barrier_destroy(&start);
    }
}

/* The last reference may be anybody's: the thread's, a visitor's or the owner's. */
static void
test_freed(void)
{
    for (int order = 0; order < 3 * ROUNDS; order++) {
        struct csq_crew *crew = csq_crew_new();
        struct csq_executor *executor = csq_native_new(NULL, NULL);
        struct visit visit;

        CHECK(csq_worker_start(executor, crew) == 0);
        make_visit(&visit, executor);
        CHECK(csq_worker_push(executor, &visit.job));
        switch (order % 3) {
        case 0:
            csq_worker_stop(executor);
            csq_executor_put(executor); /* the thread is on its way still */
            break;
        case 1:
            gate_await(&visit.gone);
            csq_worker_stop(executor);
            csq_executor_put(executor);
            break;
        default:
            csq_worker_quit(executor);
            CHECK(csq_worker_join(executor, -1));
            csq_executor_put(executor);
        }
        gate_await(&visit.gone);
        csq_crew_dismiss(crew);
        await_nothing();
        gate_destroy(&visit.gone);
    }
}

/* A loop that does not run is waited for as long as nobody else wants the connection. */
static bool
is_stopped(struct csq_job *job)
{
    (void)job;
    return true;
}

static void
test_wait_for_stopped_loop(void)
{
    struct wait wait = {.over = false};
    struct csq_mailbox mailbox;
    struct office office;
    struct csq_job own;
    struct csq_job job;
    struct csq_job other;

    office_open(&office, NULL);
    CHECK(csq_mailbox_init(&mailbox) == 0);
    gate_init(&wait.begun);
    wait.executor = office.executor;
    office_job(&office, &job, CSQ_CALL, NULL, NULL);
    job.with.host.run = wait_for_somebody;
    job.with.host.argument = &wait;
    job.stopped = is_stopped;
    office_push(&office, &job);
    gate_await(&wait.begun);
    office_job(&office, &own, CSQ_COMMIT, NULL, NULL);
    office_push(&office, &own);
    CHECK(!csq_worker_join(office.executor, 0.25)); /* it has asked, and goes on waiting */
    csq_job_init(&other, CSQ_COMMIT);
    other.mailbox = &mailbox;
    office_push(&office, &other);
    CHECK(office_wait(&office, &job) == SQLITE_OK && !wait.woken);
    CHECK(office_wait(&office, &own) == SQLITE_OK);
    while (csq_mailbox_empty(&mailbox)) {
        sched_yield();
    }
    CHECK(csq_mailbox_take(&mailbox, &(bool){false}) == &other);
    csq_job_clear(&job);
    csq_job_clear(&own);
    csq_job_clear(&other);
    gate_destroy(&wait.begun);
    office_close(&office);
    csq_mailbox_destroy(&mailbox);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"inside", test_inside},
        {"never_started", test_never_started},
        {"open_fails", test_open_fails},
        {"close", test_close},
        {"farewell", test_farewell},
        {"at_end", test_at_end},
        {"quit_read", test_quit_read},
        {"quit_streams", test_quit_streams},
        {"wait", test_wait},
        {"wait_for_stopped_loop", test_wait_for_stopped_loop},
        {"quit_commit", test_quit_commit},
        {"many_threads", test_many_threads},
        {"closing_race", test_closing_race},
        {"freed", test_freed},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
