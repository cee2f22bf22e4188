/* engine/snapshot: queries that wait together share a read transaction, nothing else
 * does, and nothing is left of it when they are done. */

#include <stdio.h>

#include "engine/harness.h"
#include "engine/office.h"

enum { QUERIES = 5, ROUNDS = 100 };

#define COUNT "SELECT count(*) FROM t"

/* A connection whose worker stands before a gate, and another one to the same file. */
struct scene {
    struct office office;
    struct office other;
    struct gate gate;
    struct csq_job hold;
    struct csq_job jobs[QUERIES];
    struct csq_cursor cursors[QUERIES];
};

static void
open_scene(struct scene *scene, const char *name, const char *journal)
{
    char path[256];

    snprintf(path, sizeof path, "%s", harness_path(name));
    office_open(&scene->office, path);
    CHECK(office_run(&scene->office, journal) == SQLITE_OK);
    CHECK(office_run(&scene->office, "CREATE TABLE t(a)") == SQLITE_OK);
    office_open(&scene->other, path);
    CHECK(office_run(&scene->other, "PRAGMA synchronous = OFF") == SQLITE_OK);
    gate_init(&scene->gate);
    office_hold(&scene->office, &scene->hold, &scene->gate);
    for (int i = 0; i < QUERIES; i++) {
        csq_cursor_init(&scene->cursors[i]);
    }
}

static void
close_scene(struct scene *scene)
{
    office_wait(&scene->office, &scene->hold);
    csq_job_clear(&scene->hold);
    gate_destroy(&scene->gate);
    office_close(&scene->other);
    office_close(&scene->office);
}

static void
push(struct scene *scene, int i, enum csq_op op, const char *sql)
{
    office_job(&scene->office, &scene->jobs[i], op, &scene->cursors[i], sql);
    scene->jobs[i].with.steps.whole = true;
    office_push(&scene->office, &scene->jobs[i]);
}

/* The number that the query gave, -1: it failed. */
static int64_t
answer(struct scene *scene, int i)
{
    struct csq_job *job = &scene->jobs[i];
    struct csq_reader reader = {NULL, NULL};
    int64_t number = -1;

    if (CHECK(office_wait(&scene->office, job) == SQLITE_OK) && job->up.rows == 1) {
        number = csq_strip_read(&job->up, &reader)->value.integer;
    }
    csq_job_clear(job);
    return number;
}

/* Between two queries another connection writes: SQL that the first one calls. */
static void
write_elsewhere(sqlite3_context *sql_call, int count, sqlite3_value **values)
{
    struct office *other = sqlite3_user_data(sql_call);

    (void)count;
    (void)values;
    sqlite3_result_int(sql_call, office_run(other, "INSERT INTO t VALUES(1)"));
}

static int
teach(struct csq_job *job, sqlite3 *handle)
{
    return sqlite3_create_function(handle, "write_elsewhere", 0, SQLITE_UTF8,
                                   job->with.host.argument, write_elsewhere, NULL, NULL);
}

static void
teach_writing(struct scene *scene)
{
    struct csq_job *job = &scene->jobs[0];

    office_job(&scene->office, job, CSQ_APPLY, NULL, NULL);
    job->with.host.run = teach;
    job->with.host.argument = &scene->other;
    office_push(&scene->office, job);
    gate_open(&scene->gate);
    CHECK(office_wait(&scene->office, job) == SQLITE_OK);
    csq_job_clear(job);
    office_wait(&scene->office, &scene->hold);
    csq_job_clear(&scene->hold);
    gate_destroy(&scene->gate);
    gate_init(&scene->gate);
    office_hold(&scene->office, &scene->hold, &scene->gate);
}

/* Those that waited together see the same, whatever others write meanwhile, unless that
 * takes longer than a read transaction is held; who comes later sees what was written. */
static void
test_shared(void)
{
    bool shared = false;

    for (int round = 0; round < ROUNDS && !shared; round++) {
        struct scene scene;
        char name[32];

        snprintf(name, sizeof name, "shared%d", round);
        open_scene(&scene, name, "PRAGMA journal_mode = WAL");
        teach_writing(&scene);
        push(&scene, 0, CSQ_EXECUTE, "SELECT write_elsewhere()");
        for (int i = 1; i < QUERIES; i++) {
            push(&scene, i, CSQ_EXECUTE, COUNT);
        }
        gate_open(&scene.gate);
        CHECK(answer(&scene, 0) == SQLITE_OK);
        shared = true;
        for (int i = 1; i < QUERIES; i++) {
            shared = answer(&scene, i) == 0 && shared;
        }
        CHECK(office_number(&scene.office, COUNT) == 1);
        close_scene(&scene);
    }
    CHECK(shared);
}

/* A write ends it, and so is never refused for an old snapshot; queries behind the
 * write see it. */
static void
test_write_between(void)
{
    struct scene scene;

    open_scene(&scene, "between", "PRAGMA journal_mode = WAL");
    teach_writing(&scene);
    push(&scene, 0, CSQ_EXECUTE, "SELECT write_elsewhere()");
    push(&scene, 1, CSQ_EXECUTE, COUNT);
    push(&scene, 2, CSQ_EXECUTE, "INSERT INTO t VALUES(2)");
    push(&scene, 3, CSQ_EXECUTE, COUNT);
    push(&scene, 4, CSQ_EXECUTE, COUNT);
    gate_open(&scene.gate);
    CHECK(answer(&scene, 0) == SQLITE_OK);
    CHECK(answer(&scene, 1) <= 1);
    answer(&scene, 2);
    CHECK(answer(&scene, 3) == 2 && answer(&scene, 4) == 2);
    close_scene(&scene);
}

/* Statements that do more than read tables run on their own. */
static void
test_pragma(void)
{
    struct scene scene;

    open_scene(&scene, "pragma", "PRAGMA journal_mode = WAL");
    push(&scene, 0, CSQ_EXECUTE, COUNT);
    push(&scene, 1, CSQ_EXECUTE, "PRAGMA journal_mode = DELETE");
    push(&scene, 2, CSQ_EXECUTE, COUNT);
    push(&scene, 3, CSQ_EXECUTE, "VACUUM");
    push(&scene, 4, CSQ_EXECUTE, "ATTACH ':memory:' AS extra");
    office_close(&scene.other);
    gate_open(&scene.gate);
    for (int i = 0; i < QUERIES; i++) {
        CHECK(office_wait(&scene.office, &scene.jobs[i]) == SQLITE_OK);
        csq_job_clear(&scene.jobs[i]);
    }
    office_open(&scene.other, NULL);
    close_scene(&scene);
}

/* When the last one is answered, no lock is left: not even if nobody wanted it. */
static void
test_released(void)
{
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        struct scene scene;

        open_scene(&scene, cancelled ? "cancelled" : "released", "PRAGMA journal_mode = DELETE");
        for (int i = 0; i < QUERIES; i++) {
            push(&scene, i, CSQ_EXECUTE, COUNT);
        }
        if (cancelled) {
            csq_job_cancel(&scene.jobs[QUERIES - 1]);
        }
        gate_open(&scene.gate);
        for (int i = 0; i < QUERIES; i++) {
            bool unwanted = cancelled && i == QUERIES - 1;

            CHECK(office_wait(&scene.office, &scene.jobs[i]) ==
                  (unwanted ? CSQ_CANCELLED : SQLITE_OK));
            csq_job_clear(&scene.jobs[i]);
        }
        CHECK(office_run(&scene.other, "PRAGMA busy_timeout = 0") == SQLITE_OK);
        CHECK(office_run(&scene.other, "INSERT INTO t VALUES(1)") == SQLITE_OK);
        close_scene(&scene);
    }
}

static int
count_statements(unsigned event, void *context, void *statement, void *sql)
{
    (void)event;
    (void)statement;
    (void)sql;
    ++*(int *)context;
    return 0;
}

static int
watch(struct csq_job *job, sqlite3 *handle)
{
    return sqlite3_trace_v2(handle, SQLITE_TRACE_STMT, count_statements, job->with.host.argument);
}

static void
release_nothing(void *argument)
{
    (void)argument;
}

/* Who watches a connection hears of the user's statements and no others. */
static void
test_watched(void)
{
    struct scene scene;
    struct csq_job *job = &scene.jobs[0];
    int statements = 0;

    open_scene(&scene, "watched", "PRAGMA journal_mode = WAL");
    office_job(&scene.office, job, CSQ_APPLY, NULL, NULL);
    job->with.host.run = watch;
    job->with.host.argument = &statements;
    office_push(&scene.office, job);
    gate_open(&scene.gate);
    CHECK(office_wait(&scene.office, job) == SQLITE_OK);
    csq_job_clear(job);
    office_wait(&scene.office, &scene.hold);
    csq_job_clear(&scene.hold);
    csq_db_keep(csq_native_db(scene.office.executor), CSQ_TRACE, &statements, release_nothing);
    gate_destroy(&scene.gate);
    gate_init(&scene.gate);
    office_hold(&scene.office, &scene.hold, &scene.gate);
    for (int i = 0; i < QUERIES; i++) {
        push(&scene, i, CSQ_EXECUTE, COUNT);
    }
    gate_open(&scene.gate);
    for (int i = 0; i < QUERIES; i++) {
        CHECK(answer(&scene, i) == 0);
    }
    CHECK(statements == QUERIES);
    close_scene(&scene);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"shared", test_shared},   {"write_between", test_write_between},
        {"pragma", test_pragma},   {"released", test_released},
        {"watched", test_watched},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
