/* engine/db: one handle, without a worker. What waits or runs is stopped by somebody
 * who knows that it does: a gate in an SQL function, or a VFS that tells of locks. */

#include <string.h>
#include <time.h>

#include "engine/control.h"
#include "engine/cursor.h"
#include "engine/db.h"
#include "engine/harness.h"
#include "engine/reset.h"
#include "engine/watch.h"

static const char endless[] = "WITH RECURSIVE n(i) AS (SELECT pass() UNION ALL SELECT i+1 FROM n)"
                              " SELECT count(*) FROM n";

static int
open_db(struct csq_db *db, struct csq_error *error, const char *path, int timeout,
        enum csq_autocommit autocommit)
{
    const struct csq_open open = {
        .path = path,
        .flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
        .timeout = timeout,
        .vfs = watch_locks(NULL),
        .statements = 8,
        .autocommit = autocommit,
    };

    csq_db_init(db);
    csq_error_init(error);
    return csq_db_open(db, &open, error);
}

static void
close_db(struct csq_db *db, struct csq_error *error)
{
    csq_error_clear(error);
    CHECK(csq_db_close(db, error) == SQLITE_OK);
    CHECK(db->handle == NULL);
    csq_db_destroy(db);
    csq_error_clear(error);
}

static bool
in_transaction(const struct csq_db *db)
{
    return !sqlite3_get_autocommit(db->handle);
}

static void
test_open_errors(void)
{
    struct csq_db db;
    struct csq_error error;
    struct csq_open open = {.path = ":memory:", .flags = SQLITE_OPEN_READWRITE, .vfs = "none"};

    CHECK(open_db(&db, &error, harness_path("none/db"), 0, CSQ_LEGACY) == SQLITE_CANTOPEN);
    CHECK(error.code == SQLITE_CANTOPEN && db.handle == NULL);
    CHECK(strcmp(error.message, "unable to open database file") == 0);
    close_db(&db, &error);
    csq_db_init(&db);
    CHECK(csq_db_open(&db, &open, &error) == SQLITE_ERROR && db.handle == NULL);
    CHECK(strcmp(error.message, "no such vfs: none") == 0);
    csq_db_interrupt(&db); /* nothing to interrupt */
    CHECK(csq_db_close(&db, &error) == SQLITE_OK);
    close_db(&db, &error);
}

static void
test_legacy(void)
{
    struct csq_db db;
    struct csq_error error;

    CHECK(open_db(&db, &error, ":memory:", 0, CSQ_LEGACY) == SQLITE_OK);
    CHECK(!in_transaction(&db));
    CHECK(csq_control_commit(&db, &error) == SQLITE_OK &&
          csq_control_rollback(&db, &error) == SQLITE_OK);
    CHECK(csq_db_run(&db, "CREATE TABLE t(a)", &error) == SQLITE_OK);
    CHECK(csq_db_run(&db, "BEGIN", &error) == SQLITE_OK);
    CHECK(csq_db_run(&db, "INSERT INTO t VALUES(1)", &error) == SQLITE_OK);
    csq_db_publish(&db);
    CHECK(atomic_load(&db.published.in_transaction) &&
          atomic_load(&db.published.total_changes) == 1);
    CHECK(csq_control_commit(&db, &error) == SQLITE_OK && !in_transaction(&db));
    csq_db_publish(&db);
    CHECK(!atomic_load(&db.published.in_transaction));
    CHECK(csq_db_run(&db, "BEGIN", &error) == SQLITE_OK);
    CHECK(csq_control_rollback(&db, &error) == SQLITE_OK && !in_transaction(&db));
    CHECK(csq_db_run(&db, "nonsense", &error) == SQLITE_ERROR && error.code == SQLITE_ERROR);
    close_db(&db, &error);
}

static void
test_manual(void)
{
    struct csq_db db;
    struct csq_error error;

    CHECK(open_db(&db, &error, ":memory:", 0, CSQ_MANUAL) == SQLITE_OK);
    CHECK(in_transaction(&db));
    CHECK(csq_db_run(&db, "CREATE TABLE t(a)", &error) == SQLITE_OK);
    CHECK(csq_control_rollback(&db, &error) == SQLITE_OK && in_transaction(&db));
    CHECK(csq_db_run(&db, "SELECT * FROM t", &error) == SQLITE_ERROR);
    csq_error_clear(&error);
    CHECK(csq_db_run(&db, "CREATE TABLE t(a)", &error) == SQLITE_OK);
    CHECK(csq_control_commit(&db, &error) == SQLITE_OK && in_transaction(&db));
    CHECK(csq_db_run(&db, "SELECT * FROM t", &error) == SQLITE_OK);
    close_db(&db, &error);
}

static void
test_autocommit(void)
{
    struct csq_db db;
    struct csq_error error;

    CHECK(open_db(&db, &error, ":memory:", 0, CSQ_AUTO) == SQLITE_OK && !in_transaction(&db));
    CHECK(csq_db_run(&db, "BEGIN", &error) == SQLITE_OK);
    CHECK(csq_control_commit(&db, &error) == SQLITE_OK && in_transaction(&db)); /* does nothing */
    CHECK(csq_control_rollback(&db, &error) == SQLITE_OK && in_transaction(&db));
    CHECK(csq_control_set_autocommit(&db, CSQ_MANUAL, &error) == SQLITE_OK &&
          in_transaction(&db));
    CHECK(csq_control_set_autocommit(&db, CSQ_AUTO, &error) == SQLITE_OK && !in_transaction(&db));
    CHECK(csq_control_set_autocommit(&db, CSQ_MANUAL, &error) == SQLITE_OK &&
          in_transaction(&db));
    CHECK(csq_control_set_autocommit(&db, CSQ_LEGACY, &error) == SQLITE_OK &&
          in_transaction(&db));
    CHECK(db.published.autocommit == CSQ_LEGACY);
    CHECK(csq_control_commit(&db, &error) == SQLITE_OK && !in_transaction(&db));
    close_db(&db, &error);
}

/* Two handles on one file; the second has it locked. */
struct pair {
    struct csq_db db;
    struct csq_error error;
    sqlite3 *other;
    struct gate waiting; /* reached when the db is refused a lock */
    atomic_int stop;
    int rc;
};

static void
lock_pair(struct pair *pair, int timeout)
{
    const char *path = harness_path("pair.db");

    atomic_init(&pair->stop, 0);
    gate_init(&pair->waiting);
    CHECK(open_db(&pair->db, &pair->error, path, timeout, CSQ_LEGACY) == SQLITE_OK);
    sqlite3_open(path, &pair->other);
    CHECK(sqlite3_exec(pair->other, "CREATE TABLE IF NOT EXISTS t(a); BEGIN EXCLUSIVE", NULL,
                       NULL, NULL) == SQLITE_OK);
    watch_locks(&pair->waiting);
}

static void
unlock_pair(struct pair *pair)
{
    watch_locks(NULL);
    CHECK(sqlite3_close(pair->other) == SQLITE_OK);
    close_db(&pair->db, &pair->error);
    gate_destroy(&pair->waiting);
}

static void *
insert(void *argument)
{
    struct pair *pair = argument;

    pair->db.stop = &pair->stop;
    pair->rc = csq_db_run(&pair->db, "INSERT INTO t VALUES(1)", &pair->error);
    pair->db.stop = NULL;
    return NULL;
}

static double
now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void
test_timeout(void)
{
    struct pair pair;
    double start;

    lock_pair(&pair, 0);
    insert(&pair);
    CHECK(pair.rc == SQLITE_BUSY && strcmp(pair.error.message, "database is locked") == 0);
    pair.db.timeout = 60;
    start = now();
    insert(&pair);
    CHECK(pair.rc == SQLITE_BUSY && now() - start >= 0.06);
    unlock_pair(&pair);
}

static void
test_lock_released(void)
{
    struct pair pair;
    pthread_t thread;

    lock_pair(&pair, 60000);
    pthread_create(&thread, NULL, insert, &pair);
    gate_await(&pair.waiting);
    CHECK(sqlite3_exec(pair.other, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
    pthread_join(thread, NULL);
    CHECK(pair.rc == SQLITE_OK);
    unlock_pair(&pair);
}

static void
test_wait_stopped(void)
{
    struct pair pair;
    pthread_t thread;
    double start = now();

    lock_pair(&pair, 100000);
    pthread_create(&thread, NULL, insert, &pair);
    gate_await(&pair.waiting);
    atomic_store(&pair.stop, 1);
    pthread_join(thread, NULL);
    CHECK(pair.rc == SQLITE_BUSY && now() - start < 50);

    atomic_store(&pair.stop, 0); /* whoever comes next waits again */
    CHECK(sqlite3_exec(pair.other, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
    insert(&pair);
    CHECK(pair.rc == SQLITE_OK);
    unlock_pair(&pair);
}

/* At the end of the process, a writer goes on waiting for its lock. */
static void
test_quitting(void)
{
    struct pair pair;
    pthread_t thread;
    atomic_bool quitting = false;

    lock_pair(&pair, 60000);
    pair.db.quitting = &quitting;
    pthread_create(&thread, NULL, insert, &pair);
    gate_await(&pair.waiting);
    atomic_store(&quitting, true);
    CHECK(sqlite3_exec(pair.other, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
    pthread_join(thread, NULL);
    CHECK(pair.rc == SQLITE_OK);
    CHECK(sqlite3_exec(pair.other, "BEGIN EXCLUSIVE", NULL, NULL, NULL) == SQLITE_OK);
    pair.db.reading = true;
    insert(&pair);
    CHECK(pair.rc == SQLITE_BUSY);
    unlock_pair(&pair);
}

static void
test_open_cursors(void)
{
    struct csq_db db;
    struct csq_error error;
    struct csq_cursor cursors[3];

    CHECK(open_db(&db, &error, ":memory:", 0, CSQ_LEGACY) == SQLITE_OK);
    for (int i = 0; i < 3; i++) {
        csq_cursor_init(&cursors[i]);
        cursors[i].stmt = csq_stmt_get(&db.cache, db.handle, "SELECT 1", 8, &error);
        CHECK(csq_strip_put_integer(&cursors[i].parameters, 1));
        CHECK(sqlite3_step(cursors[i].stmt->handle) == SQLITE_ROW);
        csq_list_append(&db.cursors, &cursors[i].open);
    }
    csq_cursor_reset(&cursors[1], &db.cache);
    csq_cursor_reset(&cursors[1], &db.cache); /* harmless */
    cursors[1].dump = csq_dump_new(db.handle, NULL);
    csq_list_append(&db.cursors, &cursors[1].open);
    CHECK(csq_db_close(&db, &error) == SQLITE_OK);
    for (int i = 0; i < 3; i++) {
        CHECK(cursors[i].stmt == NULL && cursors[i].dump == NULL);
        CHECK(cursors[i].parameters.first == NULL);
    }
    csq_cursor_reset(&cursors[0], &db.cache); /* after the close, too */
    close_db(&db, &error);
}

static void
pass(sqlite3_context *sql_call, int count, sqlite3_value **values)
{
    (void)count;
    (void)values;
    gate_pass(sqlite3_user_data(sql_call));
    sqlite3_result_int(sql_call, 1);
}

static void *
run_endless(void *argument)
{
    struct pair *pair = argument;

    pair->rc = csq_db_run(&pair->db, endless, &pair->error);
    return NULL;
}

/* A pair without the other; its gate is what pass() stands before. */
static void
open_endless(struct pair *pair)
{
    atomic_init(&pair->stop, 0);
    gate_init(&pair->waiting);
    CHECK(open_db(&pair->db, &pair->error, ":memory:", 0, CSQ_LEGACY) == SQLITE_OK);
    sqlite3_create_function(pair->db.handle, "pass", 0, SQLITE_UTF8, &pair->waiting, pass, NULL,
                            NULL);
}

static void
close_endless(struct pair *pair)
{
    CHECK(csq_db_run(&pair->db, "SELECT 1", &pair->error) == SQLITE_OK); /* it goes on */
    close_db(&pair->db, &pair->error);
    gate_destroy(&pair->waiting);
}

static void
test_interrupt(void)
{
    struct pair pair;
    pthread_t thread;

    open_endless(&pair);
    pthread_create(&thread, NULL, run_endless, &pair);
    gate_await(&pair.waiting);
    csq_db_interrupt(&pair.db);
    gate_open(&pair.waiting);
    pthread_join(thread, NULL);
    CHECK(pair.rc == SQLITE_INTERRUPT && strcmp(pair.error.message, "interrupted") == 0);
    close_endless(&pair);
}

/* Threads that interrupt and one that closes: nobody uses a handle that is gone. */
static void *
interrupt(void *argument)
{
    for (int i = 0; i < 1000; i++) {
        csq_db_interrupt(argument);
    }
    return NULL;
}

static void
test_interrupt_and_close(void)
{
    struct csq_db db;
    struct csq_error error;
    pthread_t threads[2];

    CHECK(open_db(&db, &error, ":memory:", 0, CSQ_LEGACY) == SQLITE_OK);
    for (int i = 0; i < 2; i++) {
        pthread_create(&threads[i], NULL, interrupt, &db);
    }
    CHECK(csq_db_close(&db, &error) == SQLITE_OK);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    close_db(&db, &error);
}

static void
test_stop(void)
{
    struct pair pair;
    pthread_t thread;

    open_endless(&pair);
    pair.db.stop = &pair.stop;
    pair.db.stopping = CSQ_STOPS;
    pthread_create(&thread, NULL, run_endless, &pair);
    gate_await(&pair.waiting);
    atomic_store(&pair.stop, 1);
    gate_open(&pair.waiting);
    pthread_join(thread, NULL);
    CHECK(pair.rc == SQLITE_INTERRUPT);
    pair.db.stop = NULL;
    close_endless(&pair);
}

static int
count_to_hundred(void *argument)
{
    return ++*(int *)argument >= 100;
}

/* The user's progress handler and ours live in one. */
static void
test_progress(void)
{
    struct pair pair;
    int called = 0;

    open_endless(&pair);
    gate_open(&pair.waiting);
    csq_db_set_progress(&pair.db, count_to_hundred, &called, 7);
    run_endless(&pair);
    CHECK(pair.rc == SQLITE_INTERRUPT && called == 100);

    called = 0;
    csq_db_set_progress(&pair.db, count_to_hundred, &called, 0); /* none, for SQLite */
    atomic_store(&pair.stop, 1);
    pair.db.stop = &pair.stop;
    pair.db.stopping = CSQ_STOPS;
    run_endless(&pair);
    CHECK(pair.rc == SQLITE_INTERRUPT && called == 0);
    pair.db.stop = NULL;
    csq_db_set_progress(&pair.db, NULL, NULL, 0);
    close_endless(&pair);
}

static void
release(void *argument)
{
    ++*(int *)argument;
}

static void
test_handlers(void)
{
    struct csq_db db;
    struct csq_error error;
    int released[3] = {0, 0, 0};

    CHECK(open_db(&db, &error, ":memory:", 0, CSQ_LEGACY) == SQLITE_OK);
    csq_db_keep(&db, CSQ_TRACE, &released[0], release);
    csq_db_keep(&db, CSQ_TRACE, &released[1], release);
    csq_db_keep(&db, CSQ_PROGRESS, &released[2], release);
    CHECK(released[0] == 1 && released[1] == 0);
    csq_db_keep(&db, CSQ_TRACE, NULL, NULL);
    CHECK(released[1] == 1 && released[2] == 0);
    close_db(&db, &error);
    CHECK(released[0] == 1 && released[1] == 1 && released[2] == 1);
}

static int
number(struct csq_db *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int answer = -1;

    if (CHECK(sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL) == SQLITE_OK) &&
        sqlite3_step(statement) == SQLITE_ROW) {
        answer = sqlite3_column_int(statement, 0);
    }
    sqlite3_finalize(statement);
    return answer;
}

/* A reset ends what is under way and empties "temp", and leaves what was set up. */
static void
test_reset(void)
{
    static const char *const setup[] = {
        "CREATE TABLE t(a INTEGER PRIMARY KEY)",
        "INSERT INTO t VALUES(7)",
        "PRAGMA temp_store = 2",
        "PRAGMA foreign_keys = 1",
        "CREATE TEMP TABLE parent(a INTEGER PRIMARY KEY)",
        "CREATE TEMP TABLE child(a REFERENCES parent)",
        "INSERT INTO parent VALUES(1)",
        "INSERT INTO child VALUES(1)",
        "CREATE TEMP VIEW v AS SELECT a FROM t",
        "CREATE TEMP TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO child VALUES(1); END",
        "BEGIN",
        "DELETE FROM t",
    };
    static const enum csq_autocommit controls[] = {CSQ_LEGACY, CSQ_AUTO, CSQ_MANUAL};

    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++) {
        struct csq_db db;
        struct csq_error error;
        struct csq_cursor cursor;

        CHECK(open_db(&db, &error, ":memory:", 0, CSQ_LEGACY) == SQLITE_OK);
        for (size_t j = 0; j < sizeof setup / sizeof *setup; j++) {
            CHECK(csq_db_run(&db, setup[j], &error) == SQLITE_OK);
        }
        db.published.autocommit = controls[i];
        csq_cursor_init(&cursor);
        cursor.stmt = csq_stmt_get(&db.cache, db.handle, "SELECT 1 UNION SELECT 2", 23, &error);
        csq_list_append(&db.cursors, &cursor.open);
        CHECK(sqlite3_step(cursor.stmt->handle) == SQLITE_ROW);

        CHECK(csq_reset(&db, &error) == SQLITE_OK && error.code == SQLITE_OK);
        CHECK(cursor.stmt == NULL && cursor.ended && csq_list_empty(&db.cursors));
        CHECK(in_transaction(&db) == (controls[i] == CSQ_MANUAL));
        CHECK(number(&db, "SELECT count(*) FROM sqlite_temp_master") == 0);
        CHECK(number(&db, "SELECT a FROM t") == 7);
        CHECK(number(&db, "PRAGMA temp_store") == 2 && number(&db, "PRAGMA foreign_keys") == 1);
        CHECK(sqlite3_last_insert_rowid(db.handle) == 0);
        CHECK(csq_reset(&db, &error) == SQLITE_OK);
        csq_cursor_reset(&cursor, &db.cache);
        CHECK(!cursor.ended);
        close_db(&db, &error);
    }
}

static int
deny_pragmas(void *argument, int action, const char *a, const char *b, const char *c,
             const char *d)
{
    (void)argument;
    return action == SQLITE_PRAGMA ? SQLITE_DENY : SQLITE_OK;
}

/* One that fails has done what it could, and goes on as transactions are controlled. */
static void
test_reset_denied(void)
{
    struct csq_db db;
    struct csq_error error;

    CHECK(open_db(&db, &error, ":memory:", 0, CSQ_MANUAL) == SQLITE_OK);
    CHECK(csq_db_run(&db, "CREATE TEMP TABLE t(a)", &error) == SQLITE_OK);
    CHECK(csq_control_commit(&db, &error) == SQLITE_OK);
    CHECK(csq_db_run(&db, "INSERT INTO t VALUES(1)", &error) == SQLITE_OK);
    sqlite3_set_authorizer(db.handle, deny_pragmas, NULL);
    CHECK(csq_reset(&db, &error) == SQLITE_AUTH && error.code == SQLITE_AUTH);
    CHECK(in_transaction(&db) && number(&db, "SELECT count(*) FROM t") == 0);
    close_db(&db, &error);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"open_errors", test_open_errors},
        {"legacy", test_legacy},
        {"manual", test_manual},
        {"autocommit", test_autocommit},
        {"timeout", test_timeout},
        {"lock_released", test_lock_released},
        {"wait_stopped", test_wait_stopped},
        {"quitting", test_quitting},
        {"open_cursors", test_open_cursors},
        {"interrupt", test_interrupt},
        {"interrupt_and_close", test_interrupt_and_close},
        {"stop", test_stop},
        {"progress", test_progress},
        {"handlers", test_handlers},
        {"reset", test_reset},
        {"reset_denied", test_reset_denied},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
