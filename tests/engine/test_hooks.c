/* engine/hooks: who listens is called, in order, also when listeners come and go
 * meanwhile; and what a batch tells is what has been committed. */

#include <stdio.h>
#include <string.h>

#include "engine/alloc.h"
#include "engine/db.h"
#include "engine/harness.h"
#include "engine/hooks.h"
#include "engine/office.h"

/* What listeners have heard, one letter a call. */
struct story {
    struct csq_hooks *hooks;
    char letters[64];
    int released;
    struct csq_listener *remove; /* what a listener removes when it is called */
    bool answer;                 /* of commit hooks and progress handlers */
    int batches;
    size_t changes;
};

static void
tell(struct story *story, char letter)
{
    size_t size = strlen(story->letters);

    if (size + 1 < sizeof story->letters) {
        story->letters[size] = letter;
        story->letters[size + 1] = '\0';
    }
}

static void
released(void *argument)
{
    ((struct story *)argument)->released++;
}

static bool
on_commit(void *argument)
{
    struct story *story = argument;

    tell(story, 'c');
    if (story->remove != NULL) {
        csq_hooks_set(story->hooks, CSQ_ON_COMMIT, story->remove, NULL);
        story->remove = NULL;
        CHECK(story->released == 0); /* it is the one that runs */
    }
    return story->answer;
}

static bool
on_other_commit(void *argument)
{
    tell(argument, 'C');
    return false;
}

static void
on_rollback(void *argument)
{
    tell(argument, 'r');
}

static void
on_update(void *argument, int operation, const char *database, const char *table, int64_t rowid)
{
    CHECK(strcmp(database, "main") == 0 && strcmp(table, "t") == 0 && rowid > 0);
    tell(argument, operation == SQLITE_INSERT ? 'i' : operation == SQLITE_UPDATE ? 'u' : 'd');
}

static void
on_changes(void *argument, struct csq_changes *changes)
{
    struct story *story = argument;

    CHECK(csq_changes_any(changes) && !changes->unsettled);
    story->batches++;
    story->changes += changes->count;
}

static struct csq_listener *
listen(struct story *story, enum csq_hook hook, union csq_hook_call call, bool batched,
       int number)
{
    const struct csq_listener listener = {
        .call = call,
        .batched = batched,
        .number = number,
        .argument = story,
        .release = released,
    };

    CHECK(csq_hooks_set(story->hooks, hook, NULL, &listener));
    return csq_item(story->hooks->listeners[hook].head.prev, struct csq_listener, link);
}

/* Opens a database in memory with a table, and a story of it. */
static void
open_story(struct csq_db *db, struct story *story)
{
    const struct csq_open open = {
        .path = ":memory:",
        .flags = SQLITE_OPEN_READWRITE,
        .statements = 8,
        .autocommit = CSQ_LEGACY,
    };
    struct csq_error error;

    csq_db_init(db);
    csq_error_init(&error);
    CHECK(csq_db_open(db, &open, &error) == SQLITE_OK);
    CHECK(csq_db_run(db, "CREATE TABLE t(a INTEGER PRIMARY KEY)", &error) == SQLITE_OK);
    memset(story, 0, sizeof *story);
    story->hooks = &db->hooks;
}

static void
close_story(struct csq_db *db)
{
    struct csq_error error;

    csq_error_init(&error);
    CHECK(csq_db_close(db, &error) == SQLITE_OK);
    csq_db_destroy(db);
}

static int
run(struct csq_db *db, const char *sql)
{
    struct csq_error error;
    int rc;

    csq_error_init(&error);
    rc = csq_db_run(db, sql, &error);
    csq_error_clear(&error);
    return rc;
}

static void
test_transactions(void)
{
    struct csq_db db;
    struct story story;
    struct csq_listener *commit;

    open_story(&db, &story);
    commit = listen(&story, CSQ_ON_COMMIT, (union csq_hook_call){.commit = on_commit}, false, 0);
    listen(&story, CSQ_ON_COMMIT, (union csq_hook_call){.commit = on_other_commit}, false, 0);
    listen(&story, CSQ_ON_ROLLBACK, (union csq_hook_call){.rollback = on_rollback}, false, 0);
    listen(&story, CSQ_ON_UPDATE, (union csq_hook_call){.update = on_update}, false, 0);
    CHECK(run(&db, "INSERT INTO t VALUES(1)") == SQLITE_OK);
    CHECK(run(&db, "BEGIN") == SQLITE_OK && run(&db, "DELETE FROM t WHERE a=1") == SQLITE_OK);
    CHECK(run(&db, "ROLLBACK") == SQLITE_OK);
    CHECK(strcmp(story.letters, "icCdr") == 0);

    /* The first that says no is the last that is asked. */
    story.letters[0] = '\0';
    story.answer = true;
    CHECK(run(&db, "INSERT INTO t VALUES(2)") == SQLITE_CONSTRAINT);
    CHECK(strcmp(story.letters, "icr") == 0);
    story.answer = false;

    /* One that removes itself is freed when the call is over, and the next is called. */
    story.letters[0] = '\0';
    story.remove = commit;
    CHECK(run(&db, "INSERT INTO t VALUES(2)") == SQLITE_OK && story.released == 1);
    CHECK(run(&db, "INSERT INTO t VALUES(3)") == SQLITE_OK);
    CHECK(strcmp(story.letters, "icCiC") == 0);
    close_story(&db);
    CHECK(story.released == 4);
}

static void
test_batches(void)
{
    struct csq_db db;
    struct story story;
    struct csq_listener *batch;

    open_story(&db, &story);
    batch = listen(&story, CSQ_ON_UPDATE, (union csq_hook_call){.changes = on_changes}, true, 0);
    CHECK(run(&db, "INSERT INTO t VALUES(1), (2)") == SQLITE_OK);
    CHECK(story.batches == 0);
    csq_hooks_tell(&db.hooks);
    CHECK(story.batches == 1 && story.changes == 2);
    csq_hooks_tell(&db.hooks);
    CHECK(story.batches == 1);

    /* A transaction tells once it is committed; one that is rolled back, never. */
    CHECK(run(&db, "BEGIN") == SQLITE_OK && run(&db, "INSERT INTO t VALUES(3)") == SQLITE_OK);
    csq_hooks_tell(&db.hooks);
    CHECK(story.batches == 1);
    CHECK(run(&db, "COMMIT") == SQLITE_OK);
    csq_hooks_tell(&db.hooks);
    CHECK(story.batches == 2 && story.changes == 3);
    CHECK(run(&db, "BEGIN") == SQLITE_OK && run(&db, "INSERT INTO t VALUES(4)") == SQLITE_OK);
    CHECK(run(&db, "ROLLBACK") == SQLITE_OK);
    csq_hooks_tell(&db.hooks);
    CHECK(story.batches == 2);

    /* A statement of its own that fails takes back its own changes only. */
    CHECK(run(&db, "INSERT INTO t VALUES(5)") == SQLITE_OK);
    csq_hooks_settle(&db.hooks);
    CHECK(run(&db, "INSERT INTO t VALUES(6), (1)") == SQLITE_CONSTRAINT);
    csq_hooks_tell(&db.hooks);
    CHECK(story.batches == 3 && story.changes == 4);

    /* What is committed waits for the transaction that has begun behind it. */
    CHECK(run(&db, "INSERT INTO t VALUES(7)") == SQLITE_OK);
    csq_hooks_settle(&db.hooks);
    CHECK(run(&db, "BEGIN") == SQLITE_OK && run(&db, "INSERT INTO t VALUES(8)") == SQLITE_OK);
    csq_hooks_tell(&db.hooks);
    CHECK(story.batches == 3);
    CHECK(run(&db, "ROLLBACK") == SQLITE_OK);
    csq_hooks_tell(&db.hooks);
    CHECK(story.batches == 4 && story.changes == 5);

    /* Who has gone hears of nothing. */
    CHECK(run(&db, "INSERT INTO t VALUES(9)") == SQLITE_OK);
    CHECK(csq_hooks_set(&db.hooks, CSQ_ON_UPDATE, batch, NULL) && story.released == 1);
    csq_hooks_tell(&db.hooks);
    CHECK(story.batches == 4 && !csq_changes_any(&db.hooks.changes));
    close_story(&db);
}

/* A change for which there is no memory must not be committed unheard. */
static void
test_no_memory(void)
{
    struct csq_db db;
    struct story story;
    const struct csq_listener listener = {.call = {.commit = on_commit}, .argument = &story};

    open_story(&db, &story);
    csq_alloc_fail_at(1);
    CHECK(!csq_hooks_set(&db.hooks, CSQ_ON_COMMIT, NULL, &listener));
    csq_alloc_fail_at(0);
    CHECK(!csq_hooks_any(&db.hooks, CSQ_ON_COMMIT));

    listen(&story, CSQ_ON_UPDATE, (union csq_hook_call){.changes = on_changes}, true, 0);
    CHECK(run(&db, "BEGIN") == SQLITE_OK && run(&db, "INSERT INTO t VALUES(1)") == SQLITE_OK);
    csq_changes_clear(&db.hooks.changes);
    sqlite3_exec(db.handle, "SELECT 1", NULL, NULL, NULL);
    csq_alloc_fail_at(1);
    CHECK(sqlite3_exec(db.handle, "INSERT INTO t VALUES(2)", NULL, NULL, NULL) == SQLITE_OK);
    CHECK(csq_alloc_fail_at(0) <= 0);
    CHECK(run(&db, "COMMIT") == SQLITE_CONSTRAINT);
    CHECK(sqlite3_get_autocommit(db.handle));
    csq_hooks_tell(&db.hooks);
    CHECK(story.batches == 0);

    /* The next one is as good as ever. */
    CHECK(run(&db, "INSERT INTO t VALUES(3)") == SQLITE_OK);
    csq_hooks_tell(&db.hooks);
    CHECK(story.batches == 1 && story.changes == 1);
    close_story(&db);
}

static int
on_wal(void *argument, const char *database, int pages)
{
    CHECK(strcmp(database, "main") == 0 && pages > 0);
    tell(argument, 'w');
    return SQLITE_OK;
}

static int64_t
file_size(const char *path)
{
    FILE *file = fopen(path, "rb");
    int64_t size = -1;

    if (file != NULL) {
        fseek(file, 0, SEEK_END);
        size = ftell(file);
        fclose(file);
    }
    return size;
}

static void
test_wal(void)
{
    struct csq_open open = office_defaults(NULL);
    struct csq_error error;
    struct csq_db db;
    struct story story = {.hooks = &db.hooks};
    struct csq_listener *wal;
    char path[512];
    int64_t size;

    snprintf(path, sizeof path, "%s", harness_path("wal.db"));
    open.path = path;
    csq_db_init(&db);
    csq_error_init(&error);
    CHECK(csq_db_open(&db, &open, &error) == SQLITE_OK);
    CHECK(run(&db, "PRAGMA journal_mode=WAL") == SQLITE_OK);
    CHECK(run(&db, "CREATE TABLE t(a)") == SQLITE_OK);
    CHECK(csq_hooks_set_autocheckpoint(&db.hooks, 0) == SQLITE_OK);
    wal = listen(&story, CSQ_ON_WAL, (union csq_hook_call){.wal = on_wal}, false, 0);
    CHECK(db.hooks.autocheckpoint == 0);

    CHECK(run(&db, "INSERT INTO t VALUES(1)") == SQLITE_OK);
    size = file_size(path);
    CHECK(run(&db, "INSERT INTO t VALUES(zeroblob(100000))") == SQLITE_OK);
    CHECK(file_size(path) == size);
    CHECK(csq_hooks_set_autocheckpoint(&db.hooks, 1) == SQLITE_OK);
    CHECK(run(&db, "INSERT INTO t VALUES(1)") == SQLITE_OK);
    CHECK(file_size(path) > size);
    CHECK(strcmp(story.letters, "www") == 0);

    /* SQLite's own goes on where ours has stood. */
    CHECK(csq_hooks_set(&db.hooks, CSQ_ON_WAL, wal, NULL) && story.released == 1);
    size = file_size(path);
    CHECK(run(&db, "INSERT INTO t VALUES(zeroblob(100000))") == SQLITE_OK);
    CHECK(file_size(path) > size && strcmp(story.letters, "www") == 0);

    /* A pragma puts SQLite's in the place of ours; what it says is kept. */
    listen(&story, CSQ_ON_WAL, (union csq_hook_call){.wal = on_wal}, false, 0);
    CHECK(db.hooks.autocheckpoint == 1);
    CHECK(run(&db, "PRAGMA wal_autocheckpoint=7") == SQLITE_OK);
    wal = csq_item(db.hooks.listeners[CSQ_ON_WAL].head.next, struct csq_listener, link);
    CHECK(csq_hooks_set(&db.hooks, CSQ_ON_WAL, wal, NULL) && db.hooks.autocheckpoint == 7);
    close_story(&db);
}

static void
on_trace(void *argument, unsigned event, void *p, void *x)
{
    (void)p;
    (void)x;
    tell(argument, event == SQLITE_TRACE_STMT    ? 's'
                   : event == SQLITE_TRACE_ROW   ? 'r'
                   : event == SQLITE_TRACE_CLOSE ? 'x'
                                                 : 'p');
}

static int
on_first_trace(unsigned event, void *argument, void *p, void *x)
{
    (void)p;
    (void)x;
    tell(argument, event == SQLITE_TRACE_STMT ? '1' : '?');
    return 0;
}

static void
test_trace(void)
{
    struct csq_db db;
    struct story story;
    struct csq_listener *rows;

    open_story(&db, &story);
    csq_hooks_set_trace(&db.hooks, on_first_trace, &story);
    rows = listen(&story, CSQ_ON_TRACE, (union csq_hook_call){.trace = on_trace}, false,
                  SQLITE_TRACE_ROW);
    CHECK(run(&db, "SELECT 1") == SQLITE_OK);
    CHECK(strcmp(story.letters, "1r") == 0);
    listen(&story, CSQ_ON_TRACE, (union csq_hook_call){.trace = on_trace}, false,
           SQLITE_TRACE_STMT | SQLITE_TRACE_CLOSE);
    csq_hooks_set(&db.hooks, CSQ_ON_TRACE, rows, NULL);
    csq_hooks_set_trace(&db.hooks, NULL, NULL);
    story.letters[0] = '\0';
    CHECK(run(&db, "SELECT 2") == SQLITE_OK);
    close_story(&db);
    CHECK(strcmp(story.letters, "sx") == 0 && story.released == 2);
}

static bool
on_progress(void *argument)
{
    tell(argument, 'p');
    return ((struct story *)argument)->answer;
}

static int
count_calls(void *argument)
{
    ++*(int *)argument;
    return 0;
}

/* Each handler is called as often as it asks for, whatever the others ask for. */
static void
test_progress(void)
{
    static const char work[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n"
                               " LIMIT 20000) SELECT count(*) FROM n";
    const struct csq_listener rare = {.call = {.progress = on_progress}, .number = 50000};
    struct csq_listener listener = rare;
    struct csq_db db;
    struct story story;
    int alone = 0;
    int called = 0;

    open_story(&db, &story);
    csq_db_set_progress(&db, count_calls, &alone, 100);
    CHECK(run(&db, work) == SQLITE_OK && alone > 1000);
    csq_db_set_progress(&db, count_calls, &called, 2500);
    listener.argument = &story;
    CHECK(csq_db_set_hook(&db, CSQ_ON_PROGRESS, NULL, &listener));
    CHECK(run(&db, work) == SQLITE_OK);
    /* A look takes place every 1,000 steps, so 2,500 steps are 2 or 3 looks. */
    CHECK(called >= alone / 25 - 1 && called <= alone / 25 + 1);
    CHECK((int)strlen(story.letters) >= alone / 500 - 1);
    CHECK((int)strlen(story.letters) <= alone / 500 + 1);

    story.answer = true;
    CHECK(run(&db, work) == SQLITE_INTERRUPT);
    close_story(&db);
}

/* An op is refused while SQLite is in a hook from which the handle must not be used. */
static void
test_sealed(void)
{
    struct office office;
    struct csq_job job;

    office_open(&office, NULL);
    csq_native_db(office.executor)->sealed = 1;
    CHECK(office_run(&office, "SELECT 1") == CSQ_USAGE);
    office_job(&office, &job, CSQ_COMMIT, NULL, NULL);
    CHECK(office_do(&office, &job) == CSQ_USAGE);
    CHECK(strcmp(job.error.message,
                 "The connection cannot be used in a callback of this kind.") == 0);
    csq_job_clear(&job);
    csq_native_db(office.executor)->sealed = 0;
    CHECK(office_run(&office, "SELECT 1") == SQLITE_OK);
    office_close(&office);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"transactions", test_transactions},
        {"batches", test_batches},
        {"no_memory", test_no_memory},
        {"wal", test_wal},
        {"trace", test_trace},
        {"progress", test_progress},
        {"sealed", test_sealed},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
