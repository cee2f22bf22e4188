/* No memory, at every place where memory is asked for: first the engine's own, then
 * SQLite's. One scenario uses most of what there is; the nth allocation in it fails, for
 * every n. Nothing crashes, nothing leaks, no job is lost, and what fails says so. */

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "engine/alloc.h"
#include "engine/harness.h"
#include "engine/heap.h"
#include "engine/office.h"
#include "engine/serialize.h"

#define COUNT_TO(n) "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<" #n ")"

enum { MOST = 20000, ENOUGH = 40 };

/* What a scenario works with. `failed` once a job has. */
struct scene {
    struct office office;
    struct csq_cursor cursor;
    bool failed;
};

static void
finish(struct scene *scene, struct csq_job *job)
{
    int code = job->error.code;

    if (code != SQLITE_OK) {
        scene->failed = true;
        /* The rest are what SQLite makes of it: what a rollback, or a table that could
         * not be created, leaves behind. */
        if (!(code == SQLITE_NOMEM || code == SQLITE_ERROR || code == SQLITE_IOERR ||
              code == SQLITE_CANTOPEN || code == CSQ_CLOSED || code == CSQ_CANCELLED ||
              code == CSQ_PACKED)) {
            CHECK(!"a failure is told as what it is");
        }
    }
    csq_job_clear(job);
}

static void
make(struct scene *scene, struct csq_job *job, enum csq_op op, const char *sql)
{
    csq_job_init(job, op);
    job->mailbox = &scene->office.mailbox;
    job->cursor = &scene->cursor;
    job->sql = sql;
    job->sql_size = sql == NULL ? 0 : strlen(sql);
    job->with.steps.rows = SIZE_MAX;
    job->with.steps.texts = true;
}

static void
execute(struct scene *scene, const char *sql, const char *text)
{
    struct csq_job job;
    struct csq_cell *head;

    make(scene, &job, CSQ_EXECUTE, sql);
    job.with.steps.begin = "BEGIN ";
    head = csq_strip_put_head(&job.down);
    if (head != NULL && text != NULL) {
        csq_head_set(head, 1, true);
        if (!csq_strip_put_text(&job.down, "text", 4) ||
            !csq_strip_put_text(&job.down, text, strlen(text))) {
            head->type = CSQ_POISON; /* as the binding does */
        }
    }
    if (head == NULL) {
        csq_error_copy(&job.error, NULL, SQLITE_NOMEM);
    } else {
        office_try(&scene->office, &job);
    }
    finish(scene, &job);
}

static void
simple(struct scene *scene, enum csq_op op, const char *sql)
{
    struct csq_job job;

    make(scene, &job, op, sql);
    office_try(&scene->office, &job);
    finish(scene, &job);
}

static void
execute_many(struct scene *scene)
{
    struct csq_job job;
    struct csq_strip rows;

    make(scene, &job, CSQ_EXECUTEMANY, "INSERT INTO t VALUES(?, 'x', 1)");
    job.with.steps.begin = "BEGIN ";
    csq_job_stream(&job);
    csq_strip_init(&rows);
    for (int i = 0; i < ENOUGH; i++) {
        struct csq_cell *head = csq_strip_put_head(&rows);

        if (head != NULL) {
            csq_head_set(head, 1, false);
            if (!csq_strip_put_integer(&rows, i)) {
                head->type = CSQ_POISON;
            }
            rows.rows++;
        }
    }
    csq_flow_put(&job.flow, &rows);
    csq_flow_end(&job.flow);
    office_try(&scene->office, &job);
    finish(scene, &job);
}

/* All rows of a result that is handed over while it is stepped. */
static void
stream(struct scene *scene)
{
    struct csq_job job;
    struct csq_strip strip;

    csq_strip_init(&strip);
    make(scene, &job, CSQ_EXECUTE, COUNT_TO(60) "SELECT i, zeroblob(20000) FROM n");
    job.with.steps.whole = true;
    csq_job_stream(&job);
    if (csq_strip_put_head(&job.down) == NULL) {
        csq_error_copy(&job.error, NULL, SQLITE_NOMEM);
    } else if (csq_worker_push(scene->office.executor, &job)) {
        while (!job.done) {
            office_next(&scene->office);
            csq_flow_take(&job.flow, &strip);
            csq_strip_clear(&strip);
        }
    } else {
        csq_error_set(&job.error, CSQ_CLOSED, "closed");
    }
    finish(scene, &job);
}

static void
back_up(struct scene *scene)
{
    const struct csq_open open = office_defaults(NULL);
    struct csq_backup backup = {.name = "main"};
    struct csq_db target;
    struct csq_error error;
    struct csq_job job;

    csq_db_init(&target);
    csq_error_init(&error);
    backup.target = &target;
    if (csq_db_open(&target, &open, &error) == SQLITE_OK) {
        for (int i = 0; i < 3; i++) {
            make(scene, &job, CSQ_BACKUP, NULL);
            job.cursor = NULL;
            job.with.copy.backup = &backup;
            job.with.copy.pages = 1;
            office_try(&scene->office, &job);
            finish(scene, &job);
        }
        csq_backup_finish(&backup, csq_native_db(scene->office.executor));
    } else {
        scene->failed = true;
    }
    CHECK(csq_db_close(&target, NULL) == SQLITE_OK);
    csq_db_destroy(&target);
    csq_error_clear(&error);
}

static void
blob_task(struct scene *scene, struct csq_blob *blob, enum csq_blob_action action)
{
    struct csq_job job;

    make(scene, &job, CSQ_BLOB_TASK, NULL);
    job.cursor = NULL;
    job.with.blob.action = action;
    job.with.blob.blob = blob;
    if (action == CSQ_BLOB_OPEN) {
        job.with.blob.with.open.schema = "main";
        job.with.blob.with.open.table = "blobs";
        job.with.blob.with.open.column = "b";
        job.with.blob.with.open.row = 1;
        job.with.blob.with.open.writable = true;
    } else if (action == CSQ_BLOB_READ) {
        job.with.blob.with.length = -1;
    } else {
        job.with.blob.with.slice.start = -1;
        job.with.blob.with.slice.stop = 0;
        job.with.blob.with.slice.step = -2;
        job.with.blob.data = "xyz";
        job.with.blob.data_size = 3;
    }
    office_try(&scene->office, &job);
    finish(scene, &job);
}

/* Without a row, every task fails in its own way. */
static void
use_blob(struct scene *scene)
{
    struct csq_blob blob;

    csq_blob_init(&blob);
    simple(scene, CSQ_SCRIPT, "CREATE TABLE blobs(b); INSERT INTO blobs VALUES(zeroblob(7));");
    if (scene->failed) {
        return;
    }
    blob_task(scene, &blob, CSQ_BLOB_OPEN);
    if (!scene->failed) {
        blob_task(scene, &blob, CSQ_BLOB_READ);
        blob_task(scene, &blob, CSQ_BLOB_GET);
        blob_task(scene, &blob, CSQ_BLOB_SET);
    }
    blob_task(scene, &blob, CSQ_BLOB_CLOSE);
    CHECK(blob.handle == NULL);
}

static int
replace(struct csq_job *job, sqlite3 *handle)
{
    struct csq_db *db = job->with.host.argument;
    unsigned char *bytes;
    sqlite3_int64 size;
    int rc = csq_serialize(db, "main", &bytes, &size, &job->error);

    (void)handle;
    if (rc == SQLITE_OK) {
        rc = csq_deserialize(db, "main", bytes, (size_t)size, &job->error);
        sqlite3_free(bytes);
    }
    return rc;
}

/* Without memory for the new schema, an old SQLite leaves a handle that crashes. */
static void
serialize(struct scene *scene)
{
    struct csq_job job;

    if (sqlite3_libversion_number() < 3053000) {
        return;
    }
    make(scene, &job, CSQ_APPLY, NULL);
    job.cursor = NULL;
    job.with.host.run = replace;
    job.with.host.argument = csq_native_db(scene->office.executor);
    office_try(&scene->office, &job);
    finish(scene, &job);
}

/* Everything but the closing. */
static void
act(struct scene *scene)
{
    struct csq_job job;

    make(scene, &job, CSQ_OPEN, NULL);
    job.cursor = NULL;
    job.with.open = office_defaults(NULL);
    office_try(&scene->office, &job);
    finish(scene, &job);
    simple(scene, CSQ_SCRIPT, "CREATE TABLE t(a INT, b TEXT, c BLOB); CREATE INDEX i ON t(b);");
    execute(scene, "INSERT INTO t(b) VALUES(:text)", "parameter");
    execute_many(scene);
    simple(scene, CSQ_COMMIT, NULL);
    execute(scene, "SELECT a, b AS \"b [x]\", c FROM t WHERE b <> :text", "other");
    simple(scene, CSQ_FETCH, NULL);
    execute(scene, "SELECT nonsense", NULL);
    scene->failed = false; /* that one has to */
    stream(scene);
    simple(scene, CSQ_DUMP, NULL);
    simple(scene, CSQ_FETCH, NULL);
    back_up(scene);
    simple(scene, CSQ_RESET, NULL);
    use_blob(scene);
    serialize(scene);
    execute(scene, "DELETE FROM t", NULL);
    simple(scene, CSQ_ROLLBACK, NULL);
    execute(scene, "SELECT * FROM t", NULL);
}

/* Acts it once. Gives whether something failed. */
static bool
run_scene(void)
{
    struct scene scene = {.failed = false};
    int rc;

    scene.office.crew = csq_crew_new();
    scene.office.executor = scene.office.crew == NULL ? NULL : csq_native_new(NULL, NULL);
    if (scene.office.executor == NULL) {
        csq_crew_dismiss(scene.office.crew);
        return true;
    }
    csq_cursor_init(&scene.cursor);
    CHECK(csq_mailbox_init(&scene.office.mailbox) == 0);
    rc = csq_worker_start(scene.office.executor, scene.office.crew);
    CHECK(rc == 0 || rc == ENOMEM);
    if (rc == ENOMEM) {
        scene.failed = true;
    } else {
        act(&scene);
        csq_worker_stop(scene.office.executor);
        CHECK(csq_worker_join(scene.office.executor, -1));
    }
    CHECK(scene.cursor.stmt == NULL && scene.cursor.dump == NULL);
    CHECK(csq_mailbox_empty(&scene.office.mailbox));
    csq_mailbox_destroy(&scene.office.mailbox);
    csq_executor_put(scene.office.executor);
    csq_crew_dismiss(scene.office.crew);
    return scene.failed;
}

/* The thread puts its reference a little after it is said to have ended. A leak
 * is a test that hangs here, which the harness ends. */
static void
await_nothing(void)
{
    while (csq_alloc_live() != 0) {
        sched_yield();
    }
}

static void
test_engine_memory(void)
{
    bool over = false;
    long failures = 0;

    for (long nth = 1; !over && nth < MOST; nth++) {
        bool failed;

        csq_alloc_fail_at(nth);
        failed = run_scene();
        over = csq_alloc_fail_at(0) > 0;
        failures += failed;
        await_nothing();
        CHECK(!over || !failed);
    }
    CHECK(over && failures > ENOUGH);
}

static void
test_sqlite_memory(void)
{
    bool over = false;
    long failures = 0;

    for (long nth = 1; !over && nth < MOST; nth++) {
        bool failed;

        heap_fail_at(nth);
        failed = run_scene();
        over = heap_fail_at(0) > 0;
        failures += failed;
        await_nothing();
        CHECK(!over || !failed);
    }
    CHECK(over && failures > ENOUGH);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"engine_memory", test_engine_memory},
        {"sqlite_memory", test_sqlite_memory},
    };

    heap_install();
    sqlite3_initialize();
    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
