/* A transaction has a key, and a number of rows with that key: so what became of each
 * can be told from the rows that are there. */

#include "engine/scenario.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/alloc.h"
#include "engine/serialize.h"

enum {
    MANY = 90,           /* rows of executemany() */
    SLICES = 3,          /* in which they come */
    LARGE = 60,          /* rows of the large result: more than may lie in a flow */
    AHEAD = 4096 * 1024, /* what may */
};

/* -- jobs ------------------------------------------------------------------------- */

static void
make(struct scenario *scenario, struct csq_job *job, enum csq_op op, const char *sql)
{
    csq_job_init(job, op);
    job->mailbox = &scenario->office.mailbox;
    job->cursor = &scenario->cursor;
    job->sql = sql;
    job->sql_size = sql == NULL ? 0 : strlen(sql);
    job->with.steps.rows = SIZE_MAX;
}

/* What a fault may be told as. */
static bool
is_told(const struct csq_error *error, bool no_memory, bool reckless)
{
    switch (error->code) {
    case SQLITE_NOMEM:
    case CSQ_PACKED:
        return no_memory;
    case SQLITE_IOERR:
    case SQLITE_FULL:
    case SQLITE_CANTOPEN:
    case SQLITE_ERROR: /* what a failure before has left undone: no such table */
    case SQLITE_READONLY:
    case SQLITE_PROTOCOL:
    case CSQ_CLOSED:
    case SQLITE_ABORT:
        return no_memory || (error->message != NULL && error->message[0] != '\0');
    case SQLITE_CORRUPT:
        return reckless;
    default:
        return false;
    }
}

/* Notes what came of a job, and frees it. Gives whether it has succeeded. */
static bool
finish(struct scenario *scenario, struct csq_job *job)
{
    bool good = job->error.code == SQLITE_OK;

    if (!good) {
        scenario->failed = true;
        if (!CHECK(is_told(&job->error, scenario->no_memory, scenario->reckless))) {
            fprintf(stderr, "  code %d of %d: %s\n", job->error.code, job->op,
                    job->error.message == NULL ? "no message" : job->error.message);
        }
    }
    csq_job_clear(job);
    return good;
}

static bool
simple(struct scenario *scenario, enum csq_op op, const char *sql)
{
    struct csq_job job;

    make(scenario, &job, op, sql);
    office_try(&scenario->office, &job);
    return finish(scenario, &job);
}

/* Executes `sql` with an integer as its only parameter; negative: without one. The
 * result is to have `rows` rows, negative: any number. */
static bool
execute(struct scenario *scenario, const char *sql, const char *begin, int parameter, int rows)
{
    struct csq_job job;
    struct csq_cell *head;

    make(scenario, &job, CSQ_EXECUTE, sql);
    job.with.steps.whole = true;
    job.with.steps.begin = begin;
    head = csq_strip_put_head(&job.down);
    if (head != NULL && parameter >= 0) {
        csq_head_set(head, 1, false);
        if (!csq_strip_put_integer(&job.down, parameter)) {
            head->type = CSQ_POISON;
        }
    }
    if (head == NULL) {
        csq_error_copy(&job.error, NULL, SQLITE_NOMEM);
    } else {
        office_try(&scenario->office, &job);
        CHECK(job.error.code != SQLITE_OK || rows < 0 || (int)job.up.rows == rows);
    }
    return finish(scenario, &job);
}

/* -- transactions ----------------------------------------------------------------- */

/* Ends the transaction `key`: commits it if all went `well`. */
static void
settle(struct scenario *scenario, int key, int rows, bool well)
{
    if (well) {
        scenario->rows[key] = rows;
        scenario->outcomes[key] = INDOUBT;
        if (simple(scenario, CSQ_COMMIT, NULL)) {
            scenario->outcomes[key] = WHOLE;
            return;
        }
    }
    scenario->given_up =
        !simple(scenario, CSQ_ROLLBACK, NULL) && !simple(scenario, CSQ_ROLLBACK, NULL);
}

/* One row, which lies on more than one page. */
static const char insert[] = "INSERT INTO t(k, v) VALUES(?, hex(zeroblob(1500)))";

static void
autocommit(struct scenario *scenario, int key)
{
    if (!scenario->given_up) {
        scenario->rows[key] = 1;
        scenario->outcomes[key] = execute(scenario, insert, NULL, key, 0) ? WHOLE : INDOUBT;
    }
}

static void
transact(struct scenario *scenario, int key)
{
    if (!scenario->given_up) {
        bool well =
            execute(scenario, insert, "BEGIN ", key, 0) &&
            execute(scenario, "UPDATE t SET v = v || '.' WHERE k = ?", "BEGIN ", key, 0) &&
            execute(scenario, insert, "BEGIN ", key, 0);

        settle(scenario, key, 2, well);
    }
}

/* Rolled back on purpose. */
static void
think_again(struct scenario *scenario, int key)
{
    if (!scenario->given_up) {
        execute(scenario, insert, "BEGIN ", key, 0);
        execute(scenario, "DELETE FROM t WHERE k < ?", "BEGIN ", key, 0);
        settle(scenario, key, 1, false);
    }
}

static void
use_savepoint(struct scenario *scenario, int key, int undone)
{
    if (!scenario->given_up) {
        bool well = execute(scenario, insert, "BEGIN ", key, 0) &&
                    execute(scenario, "SAVEPOINT s", NULL, -1, 0) &&
                    execute(scenario, insert, "BEGIN ", undone, 0) &&
                    execute(scenario, "ROLLBACK TO s", NULL, -1, 0) &&
                    execute(scenario, "RELEASE s", NULL, -1, 0);

        settle(scenario, key, 1, well);
    }
}

static void
put_slice(struct csq_flow *flow, int key)
{
    struct csq_strip rows;

    csq_strip_init(&rows);
    for (int i = 0; i < MANY / SLICES; i++) {
        struct csq_cell *head = csq_strip_put_head(&rows);

        if (head != NULL) {
            csq_head_set(head, 1, false);
            if (!csq_strip_put_integer(&rows, key)) {
                head->type = CSQ_POISON;
            }
            rows.rows++;
        } else {
            /* As in the binding, nothing is executed of which a row is missing. */
            csq_strip_clear(&rows);
            csq_flow_abort(flow);
            return;
        }
    }
    csq_flow_put(flow, &rows);
}

/* The next slice is packed when the worker has taken one, as the binding does. */
static void
execute_many(struct scenario *scenario, int key)
{
    struct csq_job job;
    int slices = 0;
    bool well;

    if (scenario->given_up) {
        return;
    }
    make(scenario, &job, CSQ_EXECUTEMANY, "INSERT INTO t(k, v) VALUES(?, hex(zeroblob(100)))");
    job.with.steps.begin = "BEGIN ";
    csq_job_stream(&job);
    if (csq_worker_push(scenario->office.executor, &job)) {
        while (!job.done) {
            office_next(&scenario->office);
            if (slices < SLICES) {
                put_slice(&job.flow, key);
            }
            if (++slices == SLICES) {
                csq_flow_end(&job.flow);
            }
        }
    } else {
        csq_error_set(&job.error, CSQ_CLOSED, "closed");
    }
    if (job.error.code == CSQ_CANCELLED && scenario->no_memory) {
        csq_error_set(&job.error, SQLITE_NOMEM, "no memory for a row");
    }
    CHECK(job.error.code != SQLITE_OK || job.with.steps.changes == MANY);
    well = finish(scenario, &job);
    settle(scenario, key, MANY, well);
}

/* -- reading ---------------------------------------------------------------------- */

/* Waits until the worker waits for room, or has done. */
static void
let_it_fill(struct csq_job *job)
{
    bool full = false;

    while (!full) {
        pthread_mutex_lock(&job->mailbox->lock);
        full = job->finished;
        pthread_mutex_unlock(&job->mailbox->lock);
        pthread_mutex_lock(&job->flow.lock);
        full = full || job->flow.strip.bytes >= AHEAD;
        pthread_mutex_unlock(&job->flow.lock);
        sched_yield();
    }
}

/* All rows of a result that is larger than what may lie between worker and loop. */
static void
stream(struct scenario *scenario)
{
    static const char sql[] = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 60) "
                              "SELECT i, zeroblob(100000), (SELECT count(v) FROM t) FROM n";
    struct csq_job job;
    struct csq_strip strip;
    size_t rows = 0;

    csq_strip_init(&strip);
    make(scenario, &job, CSQ_EXECUTE, sql);
    job.with.steps.whole = true;
    csq_job_stream(&job);
    if (csq_strip_put_head(&job.down) == NULL) {
        csq_error_copy(&job.error, NULL, SQLITE_NOMEM);
    } else if (csq_worker_push(scenario->office.executor, &job)) {
        let_it_fill(&job);
        while (!job.done) {
            office_next(&scenario->office);
            csq_flow_take(&job.flow, &strip);
            rows += strip.rows;
            csq_strip_clear(&strip);
        }
        CHECK(job.error.code != SQLITE_OK || rows + job.up.rows == LARGE);
    } else {
        csq_error_set(&job.error, CSQ_CLOSED, "closed");
    }
    finish(scenario, &job);
}

/* A cursor that is left half-read, and then read to its end. */
static void
fetch(struct scenario *scenario)
{
    struct csq_job job;
    size_t rows;
    bool exhausted;

    make(scenario, &job, CSQ_EXECUTE, "SELECT k, v FROM t ORDER BY k DESC, rowid");
    job.with.steps.rows = 4;
    if (csq_strip_put_head(&job.down) == NULL) {
        csq_error_copy(&job.error, NULL, SQLITE_NOMEM);
    } else {
        office_try(&scenario->office, &job);
    }
    rows = job.up.rows;
    exhausted = job.with.steps.exhausted;
    if (finish(scenario, &job) && !exhausted) {
        make(scenario, &job, CSQ_FETCH, NULL);
        job.with.steps.whole = true;
        office_try(&scenario->office, &job);
        CHECK(job.error.code != SQLITE_OK || rows + job.up.rows > 0);
        finish(scenario, &job);
    }
}

static void
dump(struct scenario *scenario)
{
    struct csq_job job;

    make(scenario, &job, CSQ_DUMP, NULL);
    job.with.steps.whole = true;
    office_try(&scenario->office, &job);
    CHECK(job.error.code != SQLITE_OK || job.up.rows > MANY ||
          (scenario->failed && job.up.rows > 1));
    finish(scenario, &job);
}

/* -- objects beside the connection ------------------------------------------------ */

static bool
blob_task(struct scenario *scenario, enum csq_blob_action action, int rows)
{
    struct csq_job job;
    char bytes[64];

    make(scenario, &job, CSQ_BLOB_TASK, NULL);
    job.cursor = NULL;
    job.with.blob.action = action;
    job.with.blob.blob = &scenario->blob;
    if (action == CSQ_BLOB_OPEN) {
        job.with.blob.with.open.schema = "main";
        job.with.blob.with.open.table = "blobs";
        job.with.blob.with.open.column = "b";
        job.with.blob.with.open.row = 1;
        job.with.blob.with.open.writable = true;
    } else if (action == CSQ_BLOB_READ) {
        job.with.blob.with.length = -1;
        job.with.blob.into = bytes;
        job.with.blob.room = sizeof bytes;
    } else if (action == CSQ_BLOB_WRITE) {
        job.with.blob.data = "csqlite";
        job.with.blob.data_size = 7;
    }
    office_try(&scenario->office, &job);
    CHECK(job.error.code != SQLITE_OK || rows < 0 || job.with.blob.got == rows);
    return finish(scenario, &job);
}

static void
use_blob(struct scenario *scenario)
{
    if (blob_task(scenario, CSQ_BLOB_OPEN, -1)) {
        int left = blob_task(scenario, CSQ_BLOB_WRITE, -1) ? 20000 - 7 : 20000;

        blob_task(scenario, CSQ_BLOB_READ, left);
        blob_task(scenario, CSQ_BLOB_CLOSE, -1);
    }
    CHECK(scenario->blob.handle == NULL || scenario->failed);
}

/* In steps of a few pages, to another file of the same disk. */
static void
back_up(struct scenario *scenario)
{
    const struct csq_open open = office_defaults(scenario->copy);
    struct csq_backup backup = {.name = "main"};
    struct csq_db target;
    struct csq_error error;
    struct csq_job job;
    bool more = true;

    csq_db_init(&target);
    csq_error_init(&error);
    backup.target = &target;
    if (csq_db_open(&target, &open, &error) == SQLITE_OK) {
        while (more) {
            make(scenario, &job, CSQ_BACKUP, NULL);
            job.cursor = NULL;
            job.with.copy.backup = &backup;
            job.with.copy.pages = 20;
            office_try(&scenario->office, &job);
            more = finish(scenario, &job) && backup.status == SQLITE_OK;
        }
        csq_backup_finish(&backup, csq_native_db(scenario->office.executor));
    } else {
        scenario->failed = true;
    }
    csq_db_close(&target, NULL);
    csq_db_destroy(&target);
    csq_error_clear(&error);
}

/* Copies the database into one in memory beside it. Without memory for the new schema,
 * an old SQLite leaves a handle that crashes. */
static int
copy_over(struct csq_job *job, sqlite3 *handle)
{
    struct csq_db *db = job->with.host.argument;
    unsigned char *bytes;
    sqlite3_int64 size;
    int rc = csq_serialize(db, "main", &bytes, &size, &job->error);

    (void)handle;
    if (rc == SQLITE_OK) {
        rc = sqlite3_libversion_number() < 3053000
                 ? SQLITE_OK
                 : csq_deserialize(db, "aside", bytes, (size_t)size, &job->error);
        sqlite3_free(bytes);
    }
    return rc;
}

static bool
apply(struct scenario *scenario, int (*run)(struct csq_job *, sqlite3 *), void *argument)
{
    struct csq_job job;

    make(scenario, &job, CSQ_APPLY, NULL);
    job.cursor = NULL;
    job.with.host.run = run;
    job.with.host.argument = argument;
    office_try(&scenario->office, &job);
    return finish(scenario, &job);
}

static void
serialize(struct scenario *scenario)
{
    if (execute(scenario, "ATTACH ':memory:' AS aside", NULL, -1, 0)) {
        apply(scenario, copy_over, csq_native_db(scenario->office.executor));
        execute(scenario, "DETACH aside", NULL, -1, 0);
    }
}

#ifdef SQLITE_ENABLE_SESSION

static int
begin_session(struct csq_job *job, sqlite3 *handle)
{
    struct scenario *scenario = job->with.host.argument;
    int rc = csq_session_open(&scenario->session, handle,
                              &csq_native_db(scenario->office.executor)->sessions, "main", false,
                              &job->error);

    if (rc == SQLITE_OK) {
        rc = sqlite3session_attach(scenario->session.handle, NULL);
        rc = rc == SQLITE_OK ? rc : csq_error_copy(&job->error, handle, rc);
    }
    return rc;
}

static int
end_session(struct csq_job *job, sqlite3 *handle)
{
    struct scenario *scenario = job->with.host.argument;
    void *changes = NULL;
    int size = 0;
    int rc;

    if (scenario->session.handle == NULL) {
        return SQLITE_OK;
    }
    rc = sqlite3session_changeset(scenario->session.handle, &size, &changes);
    sqlite3_free(changes);
    csq_session_close(&scenario->session);
    return rc == SQLITE_OK ? rc : csq_error_copy(&job->error, handle, rc);
}

static void
record(struct scenario *scenario, int key)
{
    apply(scenario, begin_session, scenario);
    transact(scenario, key);
    apply(scenario, end_session, scenario);
}

#else

static void
record(struct scenario *scenario, int key)
{
    transact(scenario, key);
}

#endif

/* -- the whole -------------------------------------------------------------------- */

static void
open_database(struct scenario *scenario)
{
    struct csq_job job;

    make(scenario, &job, CSQ_OPEN, NULL);
    job.cursor = NULL;
    job.with.open = office_defaults(scenario->path);
    office_try(&scenario->office, &job);
    finish(scenario, &job);
}

static void
set(struct scenario *scenario, const char *format, const char *value)
{
    char sql[64];

    snprintf(sql, sizeof sql, format, value);
    execute(scenario, sql, NULL, -1, -1);
}

static void
act(struct scenario *scenario)
{
    set(scenario, "PRAGMA synchronous = %s", scenario->synchronous);
    set(scenario, "PRAGMA journal_mode = %s", scenario->journal);
    /* A small cache, so that pages are written before the commit, too. */
    set(scenario, "PRAGMA cache_size = %s", "10");
    simple(scenario, CSQ_SCRIPT,
           "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, k INT, v TEXT);"
           "CREATE INDEX IF NOT EXISTS i ON t(k);"
           "CREATE TABLE IF NOT EXISTS blobs(b);"
           "INSERT INTO blobs VALUES(zeroblob(20000));");
    autocommit(scenario, 1);
    transact(scenario, 2);
    execute_many(scenario, 3);
    use_savepoint(scenario, 4, 5);
    think_again(scenario, 6);
    if (!scenario->brief) {
        fetch(scenario);
        stream(scenario);
        dump(scenario);
        use_blob(scenario);
        record(scenario, 7);
        back_up(scenario);
        serialize(scenario);
        execute(scenario, "VACUUM", NULL, -1, 0);
    }
    transact(scenario, 8);
    execute(scenario, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, -1, -1);
    transact(scenario, 9);
    autocommit(scenario, 10);
    execute_many(scenario, 11);
}

void
scenario_init(struct scenario *scenario, struct scenario_paths *paths, const char *journal)
{
    static const char *const kinds[] = {"", "-journal", "-wal", "-shm"};
    char name[700];

    snprintf(paths->main, sizeof paths->main, "%s", harness_path("main.db"));
    snprintf(paths->copy, sizeof paths->copy, "%s", harness_path("copy.db"));
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", paths->main, kinds[i]);
        unlink(name);
        snprintf(name, sizeof name, "%s%s", paths->copy, kinds[i]);
        unlink(name);
    }
    memset(scenario, 0, sizeof *scenario);
    scenario->path = paths->main;
    scenario->copy = paths->copy;
    scenario->journal = journal;
    scenario->synchronous = "FULL";
}

bool
scenario_run(struct scenario *scenario)
{
    struct office *office = &scenario->office;
    int rc;

    office->crew = csq_crew_new();
    office->executor = office->crew == NULL ? NULL : csq_native_new(NULL, NULL);
    if (office->executor == NULL) {
        csq_crew_dismiss(office->crew);
        scenario->failed = true;
        return false;
    }
    csq_cursor_init(&scenario->cursor);
    csq_session_init(&scenario->session);
    csq_blob_init(&scenario->blob);
    CHECK(csq_mailbox_init(&office->mailbox) == 0);
    rc = csq_worker_start(office->executor, office->crew);
    CHECK(rc == 0 || rc == ENOMEM);
    if (rc != 0) {
        scenario->failed = true;
        return true;
    }
    open_database(scenario);
    if (!scenario->failed) {
        act(scenario);
    }
    return true;
}

bool
scenario_answers(struct scenario *scenario)
{
    struct csq_job job;
    bool answers;

    if (!csq_worker_is_running(scenario->office.executor)) {
        return true;
    }
    make(scenario, &job, CSQ_EXECUTE, "select 1");
    csq_strip_put_head(&job.down);
    office_try(&scenario->office, &job);
    answers = job.error.code == CSQ_CLOSED || (job.error.code == SQLITE_OK && job.up.rows == 1);
    csq_job_clear(&job);
    return answers;
}

void
scenario_end(struct scenario *scenario)
{
    struct office *office = &scenario->office;

    csq_worker_stop(office->executor);
    CHECK(csq_worker_join(office->executor, 60));
    CHECK(scenario->cursor.stmt == NULL && scenario->cursor.dump == NULL);
    CHECK(scenario->blob.handle == NULL && scenario->session.handle == NULL);
    CHECK(csq_mailbox_empty(&office->mailbox));
    csq_mailbox_destroy(&office->mailbox);
    csq_executor_put(office->executor);
    csq_crew_dismiss(office->crew);
}

/* -- afterwards ------------------------------------------------------------------- */

/* Gives the integer that `sql` answers with; -1: none, with *rc why. */
static int
ask(sqlite3 *handle, const char *sql, int parameter, int *rc)
{
    sqlite3_stmt *statement = NULL;
    int answer = -1;

    *rc = sqlite3_prepare_v2(handle, sql, -1, &statement, NULL);
    if (*rc == SQLITE_OK) {
        sqlite3_bind_int(statement, 1, parameter);
        *rc = sqlite3_step(statement);
        if (*rc == SQLITE_ROW) {
            answer = sqlite3_column_int(statement, 0);
        }
    }
    sqlite3_finalize(statement);
    return answer;
}

bool
scenario_is_sound(const char *path, bool reported)
{
    sqlite3_stmt *statement = NULL;
    sqlite3 *handle;
    bool sound = false;
    int rc = sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v2(handle, "PRAGMA integrity_check", -1, &statement, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
    }
    if (rc == SQLITE_ROW) {
        const char *answer = (const char *)sqlite3_column_text(statement, 0);

        sound = strcmp(answer, "ok") == 0;
        if (!sound && !reported) {
            fprintf(stderr, "  %s: %s\n", path, answer);
        }
    } else if (!reported) {
        fprintf(stderr, "  %s: %s\n", path, sqlite3_errmsg(handle));
    }
    sqlite3_finalize(statement);
    sqlite3_close(handle);
    return sound || (reported && (rc == SQLITE_ROW || rc == SQLITE_CORRUPT ||
                                  rc == SQLITE_NOTADB || rc == SQLITE_IOERR));
}

/* Whether the database may hold `rows` rows of the transaction `key`. `missing`: one that
 * was acknowledged before it is lost. */
static bool
is_right(const struct scenario *scenario, int key, int rows, bool losses, bool missing)
{
    if (rows == 0) {
        return losses || scenario->outcomes[key] != WHOLE;
    }
    return rows == scenario->rows[key] && scenario->outcomes[key] != ABSENT && !missing;
}

bool
scenario_is_kept(const struct scenario *scenario, bool losses)
{
    sqlite3 *handle;
    bool kept = scenario_is_sound(scenario->path, scenario->quiet);
    bool missing = false;

    if (!kept || sqlite3_open(scenario->path, &handle) != SQLITE_OK) {
        return false;
    }
    for (int key = 1; key < KEYS; key++) {
        int rc;
        int rows = ask(handle, "SELECT count(*) FROM t WHERE k = ?", key, &rc);

        rows = rc == SQLITE_ERROR ? 0 : rows; /* there is no such table */
        if (!is_right(scenario, key, rows, losses, missing)) {
            kept = false;
            if (!scenario->quiet) {
                fprintf(stderr, "  transaction %d: %d rows of %d, outcome %d\n", key, rows,
                        scenario->rows[key], scenario->outcomes[key]);
            }
        }
        missing = missing || (rows == 0 && scenario->outcomes[key] == WHOLE);
    }
    sqlite3_close(handle);
    return kept;
}

int64_t
scenario_memory(void)
{
    while (csq_alloc_live() != 0) {
        sched_yield();
    }
    return sqlite3_memory_used();
}

int
scenario_descriptors(void)
{
    DIR *entries = opendir("/proc/self/fd");
    int count = -1;

    if (entries != NULL) {
        count = 0;
        while (readdir(entries) != NULL) {
            count++;
        }
        closedir(entries);
    }
    return count;
}
