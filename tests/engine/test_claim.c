/* engine/claim and engine/places: turns of connections with several files. */

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "engine/alloc.h"
#include "engine/backup.h"
#include "engine/claim.h"
#include "engine/clock.h"
#include "engine/harness.h"

enum { LONG = 60 * 1000, ROUNDS = 40 };

struct files {
    char first[512];
    char second[512];
};

static void
run(struct csq_db *db, const char *sql)
{
    struct csq_error error;

    csq_error_init(&error);
    CHECK(csq_db_run(db, sql, &error) == SQLITE_OK);
    csq_error_clear(&error);
}

/* As a job does it. Gives what comes of it. */
static int
write_as_job(struct csq_db *db, const char *sql, struct csq_error *error)
{
    int rc = csq_claim(db, sql, error);

    if (rc == SQLITE_OK) {
        rc = csq_db_run(db, sql, error);
    }
    if (rc == SQLITE_BUSY) {
        csq_claim_explain(db, error);
    }
    csq_claim_end(db);
    return rc;
}

static void
job(struct csq_db *db, const char *sql)
{
    struct csq_error error;

    csq_error_init(&error);
    CHECK(write_as_job(db, sql, &error) == SQLITE_OK);
    csq_error_clear(&error);
}

static void
attach(struct csq_db *db, const char *path)
{
    char sql[600];

    snprintf(sql, sizeof sql, "ATTACH '%s' AS other", path);
    run(db, sql);
}

/* Opens `path`; `attached`: what is attached as "other", or NULL. */
static void
open_db(struct csq_db *db, const char *path, const char *attached)
{
    const struct csq_open open = {
        .path = path,
        .flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
        .timeout = LONG,
        .statements = 8,
        .autocommit = CSQ_LEGACY,
    };
    struct csq_error error;

    csq_db_init(db);
    csq_error_init(&error);
    CHECK(csq_db_open(db, &open, &error) == SQLITE_OK);
    csq_error_clear(&error);
    if (attached != NULL) {
        attach(db, attached);
    }
}

static void
close_db(struct csq_db *db)
{
    CHECK(csq_db_close(db, NULL) == SQLITE_OK);
    csq_db_destroy(db);
}

static void
make_files(struct files *files, const char *mode)
{
    struct csq_db db;
    char sql[64];

    for (int i = 0; i < 2; i++) {
        snprintf(sql, sizeof sql, "%s %d", mode, i);
        snprintf(i == 0 ? files->first : files->second, sizeof files->first, "%s",
                 harness_path(sql));
    }
    snprintf(sql, sizeof sql, "PRAGMA journal_mode = %s", mode);
    for (int i = 0; i < 2; i++) {
        open_db(&db, i == 0 ? files->first : files->second, NULL);
        run(&db, sql);
        run(&db, "CREATE TABLE t(a)");
        close_db(&db);
    }
}

static void
await_waiting(const char *path, size_t count)
{
    struct csq_writer_seen seen[2];

    while (csq_writers_list(path, seen, 2) != 1 + count) {
        sched_yield();
    }
}

/* -- BEGIN IMMEDIATE --------------------------------------------------------------- */

struct writer {
    struct csq_db db;
    pthread_t thread;
    int refused;
};

static void *
write_both(void *argument)
{
    static const char *const statements[] = {"BEGIN IMMEDIATE", "INSERT INTO main.t VALUES(1)",
                                             "INSERT INTO other.t VALUES(1)", "COMMIT"};
    struct writer *writer = argument;
    struct csq_error error;

    for (int i = 0; i < harness_dose(ROUNDS, 20 * ROUNDS); i++) {
        for (size_t j = 0; j < sizeof statements / sizeof *statements; j++) {
            csq_error_init(&error);
            writer->refused += write_as_job(&writer->db, statements[j], &error) != SQLITE_OK;
            csq_error_clear(&error);
        }
    }
    return NULL;
}

static void
other_way_round(const char *mode)
{
    struct files files;
    struct writer writers[4];

    make_files(&files, mode);
    for (int i = 0; i < 4; i++) {
        writers[i].refused = 0;
        open_db(&writers[i].db, i % 2 == 0 ? files.first : files.second,
                i % 2 == 0 ? files.second : files.first);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&writers[i].thread, NULL, write_both, &writers[i]) == 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(writers[i].thread, NULL);
        CHECK(writers[i].refused == 0);
    }
    for (int i = 0; i < 4; i++) {
        close_db(&writers[i].db);
    }
}

static void
test_other_way_round(void)
{
    other_way_round("wal");
    other_way_round("delete");
}

/* -- deferred transactions ----------------------------------------------------------- */

static void *
write_other(void *argument)
{
    struct writer *writer = argument;
    struct csq_error error;

    csq_error_init(&error);
    writer->refused = write_as_job(&writer->db, "INSERT INTO other.t VALUES(1)", &error);
    csq_error_clear(&error);
    return NULL;
}

/* Each has written to its own file and wants to write to the other's: the second is told. */
static void
test_circle(void)
{
    struct files files;
    struct writer first;
    struct writer second;
    struct csq_error error;

    make_files(&files, "wal");
    open_db(&first.db, files.first, files.second);
    open_db(&second.db, files.second, files.first);
    run(&first.db, "BEGIN");
    run(&second.db, "BEGIN");
    job(&first.db, "INSERT INTO t VALUES(1)");
    job(&second.db, "INSERT INTO t VALUES(1)");
    CHECK(pthread_create(&first.thread, NULL, write_other, &first) == 0);
    await_waiting(files.second, 1);
    csq_error_init(&error);
    CHECK(write_as_job(&second.db, "INSERT INTO other.t VALUES(1)", &error) == SQLITE_BUSY);
    CHECK(error.blocker != NULL && error.blocker->circle && error.blocker->ours);
    csq_error_clear(&error);
    job(&second.db, "ROLLBACK");
    pthread_join(first.thread, NULL);
    CHECK(first.refused == SQLITE_OK);
    job(&first.db, "COMMIT");
    close_db(&first.db);
    close_db(&second.db);
}

static void *
begin_both(void *argument)
{
    struct writer *writer = argument;
    struct csq_error error;

    csq_error_init(&error);
    writer->refused = write_as_job(&writer->db, "BEGIN IMMEDIATE", &error);
    csq_error_clear(&error);
    return NULL;
}

/* Who has only its turn in one file, and waits for that in another one, gives way to who has the lock there. */
static void
test_giving_way(void)
{
    struct files files;
    struct csq_db holder;
    struct writer both;
    bool ordered;

    make_files(&files, "wal");
    open_db(&both.db, files.first, files.second);
    CHECK(csq_places_look(&both.db.places, both.db.handle));
    ordered = csq_places_next_in_order(&both.db.places, NULL) == &both.db.places.main;
    open_db(&holder, ordered ? files.second : files.first, ordered ? files.first : files.second);
    run(&holder, "BEGIN");
    job(&holder, "INSERT INTO main.t VALUES(1)"); /* the last of the two in order */
    CHECK(pthread_create(&both.thread, NULL, begin_both, &both) == 0);
    await_waiting(ordered ? files.second : files.first, 1);
    job(&holder, "INSERT INTO other.t VALUES(1)");
    job(&holder, "COMMIT");
    pthread_join(both.thread, NULL);
    CHECK(both.refused == SQLITE_OK);
    job(&both.db, "COMMIT");
    close_db(&holder);
    close_db(&both.db);
}

/* -- what is attached ------------------------------------------------------------------ */

static void
test_places(void)
{
    struct files files;
    struct csq_places *places;
    struct csq_db db;
    char sql[600];

    make_files(&files, "wal");
    open_db(&db, files.first, NULL);
    places = &db.places;
    CHECK(!csq_places_look(places, db.handle));
    CHECK(csq_places_of(places, "MAIN") == &places->main);
    CHECK(csq_places_of(places, "other") == NULL && csq_places_of(places, "temp") == NULL);
    attach(&db, files.second);
    run(&db, "ATTACH ':memory:' AS memory");
    snprintf(sql, sizeof sql, "ATTACH '%s' AS again", files.first);
    run(&db, sql);
    CHECK(csq_places_look(places, db.handle) && places->count == 2);
    CHECK(csq_places_of(places, "other") != NULL && csq_places_of(places, "memory") == NULL);
    CHECK(csq_places_of(places, "again") == &places->main); /* one file, one place */
    CHECK(csq_places_next(places, &places->main) == csq_places_of(places, "other"));
    CHECK(csq_places_next(places, csq_places_of(places, "other")) == NULL);
    run(&db, "BEGIN");
    job(&db, "INSERT INTO other.t VALUES(1)");
    CHECK(csq_places_of(places, "other")->writes && !places->main.writes);
    run(&db, "DETACH again");
    csq_claim_attaches(&db);
    CHECK(csq_places_look(places, db.handle) && csq_places_of(places, "other")->writes);
    job(&db, "COMMIT");
    CHECK(!csq_places_of(places, "other")->writes);
    CHECK(csq_places_look(places, db.handle) && places->count == 1);
    run(&db, "DETACH other");
    csq_claim_attaches(&db);
    CHECK(csq_places_look(places, db.handle) && places->count == 0);
    run(&db, "DETACH memory");
    CHECK(!csq_places_look(places, db.handle));
    for (int i = 1; i <= 5; i++) {
        attach(&db, files.second);
        csq_alloc_fail_at(i);
        csq_places_look(places, db.handle);
        csq_alloc_fail_at(0);
        csq_places_forget(places);
        CHECK(csq_places_look(places, db.handle) && csq_places_of(places, "other") != NULL);
        run(&db, "DETACH other");
        csq_places_forget(places);
    }
    close_db(&db);
    CHECK(csq_alloc_live() == 0);
}

/* -- backups ----------------------------------------------------------------------------- */

/* From the first step to the last nobody else's turn comes. */
static void
test_backup(void)
{
    struct files files;
    struct csq_db source;
    struct csq_db target;
    struct csq_writer_seen seen[2];
    struct csq_error error;
    struct csq_backup backup = {.target = &target, .name = "main"};

    make_files(&files, "delete");
    open_db(&source, files.first, NULL);
    open_db(&target, files.second, NULL);
    csq_error_init(&error);
    CHECK(csq_backup_step(&backup, 1, &source, &error) == SQLITE_OK);
    CHECK(backup.status == SQLITE_OK);
    CHECK(csq_writers_list(files.second, seen, 2) == 1);
    CHECK(seen[0].writes && strcmp(seen[0].sql, "backup()") == 0);
    CHECK(csq_backup_step(&backup, -1, &source, &error) == SQLITE_OK);
    CHECK(backup.status == SQLITE_DONE);
    CHECK(csq_writers_list(files.second, seen, 2) == 0);
    csq_backup_finish(&backup, &source);
    csq_error_clear(&error);
    close_db(&target);
    close_db(&source);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"other way round", test_other_way_round},
        {"circle", test_circle},
        {"giving way", test_giving_way},
        {"places", test_places},
        {"backup", test_backup},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
