/* engine/record, watches, watcher, savepoint: what is told of what connections commit, and that
 * those who watch something else cost nothing. */

#include <stdio.h>
#include <string.h>

#include "engine/alloc.h"
#include "engine/db.h"
#include "engine/harness.h"
#include "engine/look.h"
#include "engine/mailbox.h"
#include "engine/office.h"
#include "engine/savepoint.h"
#include "engine/watcher.h"

enum { CROWD = 10000, ROWS = 300 };

static const char schema[] = "CREATE TABLE t(a INTEGER PRIMARY KEY, b UNIQUE)";

static int woken;

static void
wake(struct csq_watch *watch)
{
    (void)watch;
    woken++;
}

static bool
open_db(struct csq_db *db, const char *path)
{
    const struct csq_open open = {.path = path,
                                  .flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                                  .timeout = 10000,
                                  .statements = 8,
                                  .autocommit = CSQ_LEGACY};
    struct csq_error error;

    csq_db_init(db);
    csq_error_init(&error);
    return CHECK(csq_db_open(db, &open, &error) == SQLITE_OK);
}

static void
close_db(struct csq_db *db)
{
    struct csq_error error;

    csq_error_init(&error);
    CHECK(csq_db_close(db, &error) == SQLITE_OK);
    csq_db_destroy(db);
}

/* As a job does. Gives the code. */
static int
run(struct csq_db *db, const char *sql)
{
    struct csq_error error;
    int rc;

    csq_error_init(&error);
    csq_look(db);
    rc = csq_db_run(db, sql, &error);
    csq_error_clear(&error);
    return rc;
}

static void
begin(struct csq_watch *watch, struct csq_db *db, const char *table)
{
    const struct csq_table wanted = {NULL, table};

    CHECK(csq_record_admit(&db->recorder, db->handle, watch));
    csq_watch_want(watch, &wanted, 1);
}

/* What was told next, as "+7-8*9!?" for rows inserted, deleted, updated, schema and unknown;
 * "#" for a sum of tables, "~" where rows are not asked for. */
static const char *
told(struct csq_watch *watch)
{
    static char text[200];
    struct csq_news *news;
    struct csq_changes sum;
    unsigned what;
    size_t size = 0;

    text[0] = '\0';
    if (!csq_watch_take(watch, &news, &sum, &what)) {
        return "";
    }
    if (news == NULL) {
        size += (size_t)snprintf(text, sizeof text, "%s", csq_changes_any(&sum) ? "#" : "");
        csq_changes_clear(&sum);
    } else {
        what = news->commit->what;
        for (size_t i = 0; i < news->commit->changes.count && size < 150; i++) {
            const struct csq_row_change *change = &news->commit->changes.items[i];
            char sign = change->operation == SQLITE_INSERT   ? '+'
                        : change->operation == SQLITE_DELETE ? '-'
                                                             : '*';

            size += (size_t)snprintf(text + size, sizeof text - size, "%c%lld", sign,
                                     (long long)change->rowid);
        }
        csq_news_free(news);
    }
    snprintf(text + size, sizeof text - size, "%s%s%s", what & CSQ_TOLD_SCHEMA ? "!" : "",
             what & CSQ_TOLD_UNKNOWN ? "?" : "", what & CSQ_TOLD_ROWS ? "~" : "");
    return text;
}

#define TOLD(watch, expected) CHECK(strcmp(told(watch), expected) == 0)

/* -- what is told --------------------------------------------------------------- */

static void
test_told(void)
{
    struct csq_db a;
    struct csq_db b;
    struct csq_watch rows;
    struct csq_watch fact;
    const char *path = harness_path("told");

    if (!open_db(&a, path) || !open_db(&b, path)) {
        return;
    }
    run(&a, schema);
    csq_watch_init(&rows, true, 2, wake);
    csq_watch_init(&fact, false, 1, wake);
    begin(&rows, &a, "T");
    begin(&fact, &a, "u");
    TOLD(&rows, "");
    CHECK(run(&b, "INSERT INTO t VALUES (1, 1), (2, 2)") == SQLITE_OK);
    TOLD(&rows, "+1+2");
    TOLD(&rows, "");
    TOLD(&fact, "");
    run(&b, "BEGIN");
    run(&b, "DELETE FROM t");
    TOLD(&rows, "");
    run(&b, "ROLLBACK");
    TOLD(&rows, "");
    run(&b, "BEGIN");
    run(&b, "SAVEPOINT s");
    run(&b, "INSERT INTO t VALUES (3, 3)");
    run(&b, "ROLLBACK TO s");
    run(&b, "UPDATE t SET b = 4 WHERE a = 1");
    run(&b, "COMMIT");
    TOLD(&rows, "*1");
    run(&b, "CREATE TABLE u(a)");
    TOLD(&rows, "!");
    TOLD(&fact, "!~");
    run(&b, "INSERT INTO u VALUES (1)");
    TOLD(&rows, "");
    TOLD(&fact, "~");
    close_db(&a);
    CHECK(csq_watch_is_over(&rows) && csq_watch_is_over(&fact));
    csq_watch_destroy(&rows);
    csq_watch_destroy(&fact);
    run(&b, "INSERT INTO t VALUES (9, 9)");
    CHECK(!b.recorder.on);
    close_db(&b);
}

static void
test_waiting(void)
{
    struct csq_db db;
    struct csq_watch watch;

    if (!open_db(&db, ":memory:")) {
        return;
    }
    run(&db, schema);
    csq_watch_init(&watch, true, 1, wake);
    begin(&watch, &db, "t");
    woken = 0;
    CHECK(csq_watch_wait(&watch));
    run(&db, "INSERT INTO t VALUES (1, 1)");
    run(&db, "INSERT INTO t VALUES (2, 2)");
    CHECK(woken == 1);
    CHECK(!csq_watch_wait(&watch) && !csq_watch_wait_no_more(&watch));
    TOLD(&watch, "+1");
    TOLD(&watch, "#");
    CHECK(csq_watch_wait(&watch) && csq_watch_wait_no_more(&watch));
    run(&db, "INSERT INTO t VALUES (3, 3)");
    CHECK(woken == 1);
    CHECK(!csq_watch_wait(&watch));
    csq_watch_destroy(&watch);
    close_db(&db);
}

/* Another copy of the process's SQLite stands for another process. */
static void
test_others(void)
{
    static const char *const modes[] = {"PRAGMA journal_mode = WAL",
                                        "PRAGMA journal_mode = DELETE"};

    for (int i = 0; i < 2; i++) {
        struct csq_db db;
        struct csq_db second;
        struct csq_watch watch;
        sqlite3 *other = NULL;
        const char *path = harness_path(i == 0 ? "others-wal" : "others-delete");

        if (!open_db(&db, path) || !open_db(&second, path)) {
            return;
        }
        CHECK(sqlite3_open(path, &other) == SQLITE_OK);
        run(&db, modes[i]);
        run(&db, schema);
        csq_watch_init(&watch, true, 10, wake);
        begin(&watch, &db, "nothing");
        for (int round = 0; round < 5; round++) {
            run(&db, "INSERT INTO t(b) VALUES (1)");
            run(&second, "UPDATE t SET b = b");
            run(&second, "PRAGMA user_version = 7");
            run(&second, "BEGIN IMMEDIATE");
            run(&second, "COMMIT");
            run(&db, "DELETE FROM t");
            run(&db, "BEGIN IMMEDIATE");
            run(&db, "INSERT INTO t VALUES (1, 1)");
            run(&db, "ROLLBACK");
            csq_recorded_look(&db.recorder.databases, db.handle);
            TOLD(&watch, "");
            CHECK(sqlite3_exec(other, "INSERT INTO t(b) VALUES (2)", NULL, NULL, NULL) ==
                  SQLITE_OK);
            if (round % 2 == 0) {
                csq_recorded_look(&db.recorder.databases, db.handle);
            } else {
                run(&second, "DELETE FROM t"); /* who commits next sees it, too */
            }
            TOLD(&watch, "?");
            csq_recorded_look(&second.recorder.databases, second.handle);
            TOLD(&watch, "");
            run(&second, "DELETE FROM t");
        }
        sqlite3_close(other);
        csq_watch_destroy(&watch);
        close_db(&second);
        close_db(&db);
    }
}

/* -- those who watch something else ------------------------------------------------- */

/* What a commit does with none of them, it does with ten thousand: it wakes nobody, and asks for
 * no memory. */
static void
test_idle_crowd(void)
{
    struct csq_db db;
    struct csq_watch *crowd = csq_calloc(CROWD * sizeof *crowd);
    char name[20];

    if (!CHECK(crowd != NULL) || !open_db(&db, harness_path("idle"))) {
        return;
    }
    run(&db, schema);
    for (int i = 0; i < CROWD; i++) {
        snprintf(name, sizeof name, "table_%d", i);
        csq_watch_init(&crowd[i], i % 2 == 0, 10, wake);
        begin(&crowd[i], &db, name);
        csq_watch_wait(&crowd[i]);
    }
    woken = 0;
    CHECK(run(&db, "INSERT INTO t(b) VALUES (random())") == SQLITE_OK);
    csq_alloc_fail_from(1);
    for (int i = 0; i < ROWS; i++) {
        CHECK(run(&db, "INSERT INTO t(b) VALUES (random())") == SQLITE_OK);
    }
    CHECK(csq_alloc_fail_at(0) == 1); /* nothing was asked for */
    CHECK(woken == 0 && db.recorder.changes.count == 0 && db.recorder.changes.tables_count == 0);
    for (int i = 0; i < CROWD; i++) {
        TOLD(&crowd[i], "");
        csq_watch_destroy(&crowd[i]);
    }
    csq_free(crowd);
    close_db(&db);
}

/* Without memory less is known, but nothing is missed. */
static void
test_no_memory(void)
{
    for (long nth = 1; nth < 30; nth++) {
        struct csq_db db;
        struct csq_watch watch;
        struct csq_table wanted = {NULL, "t"};
        char name[40];

        snprintf(name, sizeof name, "memory-%ld", nth);
        if (!open_db(&db, harness_path(name))) {
            return;
        }
        run(&db, schema);
        run(&db, "INSERT INTO t VALUES (1, 1)");
        csq_watch_init(&watch, true, 10, wake);
        csq_alloc_fail_at(nth);
        if (csq_record_admit(&db.recorder, db.handle, &watch)) {
            csq_watch_want(&watch, &wanted, 1);
            run(&db, "BEGIN");
            run(&db, "SAVEPOINT s");
            CHECK(run(&db, "DELETE FROM t") == SQLITE_OK || csq_alloc_fail_at(0) <= 0);
            run(&db, "COMMIT");
            csq_alloc_fail_at(0);
            if (sqlite3_get_autocommit(db.handle) && sqlite3_total_changes(db.handle) > 1) {
                CHECK(told(&watch)[0] != '\0');
            }
        }
        csq_alloc_fail_at(0);
        csq_watch_destroy(&watch);
        close_db(&db);
    }
    CHECK(true);
}

/* -- threads --------------------------------------------------------------------------- */

struct writer {
    struct office office;
    pthread_t thread;
    int first;
};

static void *
write_rows(void *argument)
{
    struct writer *writer = argument;

    for (int i = 0; i < ROWS; i++) {
        char sql[80];

        snprintf(sql, sizeof sql, "INSERT INTO t VALUES (%d, %d)", writer->first + i,
                 writer->first + i);
        CHECK(office_run(&writer->office, sql) == SQLITE_OK);
    }
    return NULL;
}

/* Counts the rows that are told while two connections write, and waits as an executor's job. */
static void
test_threads(void)
{
    const char *path = harness_path("threads");
    struct csq_executor *watcher = csq_watcher_new(true, 1000);
    struct csq_watch *watch = csq_watcher_watch(watcher);
    struct writer writers[2] = {{.first = 0}, {.first = 1000}};
    struct csq_db db;
    struct csq_mailbox mailbox;
    int rows = 0;

    if (!open_db(&db, path)) {
        return;
    }
    run(&db, "PRAGMA journal_mode = WAL");
    run(&db, schema);
    begin(watch, &db, "t");
    CHECK(csq_mailbox_init(&mailbox) == 0);
    for (int i = 0; i < 2; i++) {
        office_open(&writers[i].office, path);
        pthread_create(&writers[i].thread, NULL, write_rows, &writers[i]);
    }
    for (int turn = 0; rows < 2 * ROWS; turn++) {
        struct csq_job job;
        struct csq_news *news;
        struct csq_changes sum;
        unsigned what;

        csq_job_init(&job, CSQ_APPLY);
        job.mailbox = &mailbox;
        CHECK(watcher->verbs->push(watcher, &job));
        if (turn % 3 == 0) {
            watcher->verbs->abandon(watcher, &job);
        }
        while (csq_mailbox_take(&mailbox, NULL) == NULL) {
        }
        while (csq_watch_take(watch, &news, &sum, &what)) {
            CHECK(what == 0 && news != NULL);
            if (news != NULL) {
                rows += (int)news->commit->changes.count;
                csq_news_free(news);
            }
        }
        csq_job_clear(&job);
    }
    CHECK(rows == 2 * ROWS);
    for (int i = 0; i < 2; i++) {
        pthread_join(writers[i].thread, NULL);
        office_close(&writers[i].office);
    }
    csq_executor_put(watcher);
    csq_mailbox_destroy(&mailbox);
    close_db(&db);
}

/* Connections come and go while others begin and cease to watch. */
static void *
come_and_go(void *argument)
{
    const char *path = argument;

    for (int i = 0; i < 40; i++) {
        struct csq_db db;
        struct csq_watch watch;

        if (!open_db(&db, path)) {
            break;
        }
        csq_watch_init(&watch, i % 2 == 0, 3, wake);
        begin(&watch, &db, i % 3 == 0 ? NULL : "t");
        run(&db, "INSERT INTO t(b) VALUES (random())");
        if (i % 4 < 2) {
            csq_watch_destroy(&watch);
            close_db(&db);
        } else {
            close_db(&db);
            csq_watch_destroy(&watch);
        }
    }
    return NULL;
}

static void
test_coming_and_going(void)
{
    static char path[200];
    pthread_t threads[3];
    struct csq_db db;

    snprintf(path, sizeof path, "%s", harness_path("coming"));
    if (!open_db(&db, path)) {
        return;
    }
    run(&db, "PRAGMA journal_mode = WAL");
    run(&db, schema);
    for (int i = 0; i < 3; i++) {
        pthread_create(&threads[i], NULL, come_and_go, path);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    close_db(&db);
}

/* -- savepoints --------------------------------------------------------------------------- */

static void
test_savepoints(void)
{
    static const struct {
        const char *sql;
        int action; /* -1: it is none */
        const char *name;
    } cases[] = {
        {"SAVEPOINT a", CSQ_SAVEPOINT_SET, "a"},
        {" savepoint\t\"a b\"\"c\" ;", CSQ_SAVEPOINT_SET, "a b\"c"},
        {"/* x */ SavePoint /**/ [to]", CSQ_SAVEPOINT_SET, "to"},
        {"RELEASE a", CSQ_SAVEPOINT_RELEASE, "a"},
        {"release savepoint 'a'", CSQ_SAVEPOINT_RELEASE, "a"},
        {"ROLLBACK TO a", CSQ_SAVEPOINT_BACK, "a"},
        {"rollback transaction to savepoint `a`", CSQ_SAVEPOINT_BACK, "a"},
        {"rollback transaction x to a", CSQ_SAVEPOINT_BACK, "a"},
        {"ROLLBACK", -1, ""},
        {"ROLLBACK TRANSACTION", -1, ""},
        {"BEGIN", -1, ""},
        {"COMMIT", -1, ""},
        {"", -1, ""},
        {"-- SAVEPOINT a", -1, ""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct csq_savepoint savepoint = {.action = CSQ_SAVEPOINT_SET, .name = ""};
        bool read = csq_savepoint_read(cases[i].sql, &savepoint);

        CHECK(read == (cases[i].action >= 0));
        if (read) {
            CHECK((int)savepoint.action == cases[i].action && savepoint.fits);
            CHECK(strcmp(savepoint.name, cases[i].name) == 0);
        }
    }
}

static const struct harness_test tests[] = {
    {"told", test_told},
    {"waiting", test_waiting},
    {"others", test_others},
    {"idle_crowd", test_idle_crowd},
    {"no_memory", test_no_memory},
    {"threads", test_threads},
    {"coming_and_going", test_coming_and_going},
    {"savepoints", test_savepoints},
};

int
main(int argc, char **argv)
{
    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
