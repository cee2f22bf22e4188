/* engine/serialize: that what is serialized comes back, and when it does not. */

#include <string.h>

#include "engine/harness.h"
#include "engine/office.h"
#include "engine/ops.h"
#include "engine/serialize.h"

/* What a job of the office is to do, and with what. */
struct work {
    struct csq_db *db;
    const char *name;
    const void *bytes; /* NULL: serialize */
    size_t size;
    unsigned char *image;
    sqlite3_int64 image_size;
};

static int
apply(struct csq_job *job, sqlite3 *handle)
{
    struct work *work = job->with.host.argument;

    (void)handle;
    if (work->bytes != NULL) {
        return csq_deserialize(work->db, work->name, work->bytes, work->size, &job->error);
    }
    return csq_serialize(work->db, work->name, &work->image, &work->image_size, &job->error);
}

static int
run(struct office *office, struct work *work)
{
    struct csq_job job;
    int rc;

    work->db = csq_native_db(office->executor);
    office_job(office, &job, CSQ_APPLY, NULL, NULL);
    job.with.host.run = apply;
    job.with.host.argument = work;
    rc = office_do(office, &job);
    csq_job_clear(&job);
    return rc;
}

static void
serialize(struct office *office, struct work *work)
{
    *work = (struct work){.name = "main"};
    CHECK(run(office, work) == SQLITE_OK && work->image != NULL);
}

static int
deserialize(struct office *office, const void *bytes, size_t size, const char *name)
{
    struct work work = {.name = name, .bytes = bytes, .size = size};

    return run(office, &work);
}

static void
test_round_trip(void)
{
    struct office office;
    struct work work;
    struct work again;

    office_open(&office, NULL);
    CHECK(office_run(&office, "CREATE TABLE t(a)") == SQLITE_OK);
    CHECK(office_run(&office, "INSERT INTO t VALUES(7)") == SQLITE_OK);
    serialize(&office, &work);
    CHECK(office_run(&office, "DROP TABLE t") == SQLITE_OK);
    CHECK(deserialize(&office, work.image, (size_t)work.image_size, "main") == SQLITE_OK);
    CHECK(office_number(&office, "SELECT a FROM t") == 7);
    serialize(&office, &again);
    CHECK(again.image_size == work.image_size &&
          memcmp(again.image, work.image, (size_t)work.image_size) == 0);
    sqlite3_free(again.image);
    CHECK(office_run(&office, "INSERT INTO t SELECT zeroblob(100000)") == SQLITE_OK);
    CHECK(deserialize(&office, "", 0, "main") == SQLITE_OK);
    CHECK(office_number(&office, "SELECT count(*) FROM sqlite_master") == 0);

    /* A header that tells of a write-ahead log. */
    work.image[18] = work.image[19] = 2;
    CHECK(deserialize(&office, work.image, (size_t)work.image_size, "main") == SQLITE_OK);
    CHECK(office_number(&office, "SELECT a FROM t") == 7);
    sqlite3_free(work.image);
    office_close(&office);
}

static void
test_refusals(void)
{
    struct office office;
    struct work work = {.name = "none"};
    struct csq_job job;

    office_open(&office, NULL);
    CHECK(run(&office, &work) == SQLITE_ERROR && work.image == NULL);
    CHECK(deserialize(&office, "x", 1, "none") == SQLITE_ERROR);
    CHECK(deserialize(&office, "x", 1, "temp") == SQLITE_ERROR);
    CHECK(office_run(&office, "CREATE TABLE t(a)") == SQLITE_OK);
    CHECK(office_run(&office, "INSERT INTO t VALUES(1),(2)") == SQLITE_OK);
    serialize(&office, &work);

    CHECK(office_run(&office, "BEGIN IMMEDIATE") == SQLITE_OK);
    CHECK(deserialize(&office, work.image, (size_t)work.image_size, "main") == SQLITE_BUSY);
    CHECK(office_run(&office, "ROLLBACK") == SQLITE_OK);

    office_job(&office, &job, CSQ_EXECUTE, &office.cursor, "SELECT a FROM t");
    job.with.steps.rows = 1;
    CHECK(office_do(&office, &job) == SQLITE_OK && office.cursor.stmt != NULL);
    csq_job_clear(&job);
    CHECK(deserialize(&office, work.image, (size_t)work.image_size, "main") == SQLITE_BUSY);
    office_job(&office, &job, CSQ_RESET, &office.cursor, NULL);
    CHECK(office_do(&office, &job) == SQLITE_OK);
    csq_job_clear(&job);
    CHECK(deserialize(&office, work.image, (size_t)work.image_size, "main") == SQLITE_OK);
    sqlite3_free(work.image);
    office_close(&office);
}

/* Neither end of a backup can be replaced before it is done. */
static void
test_backups(void)
{
    struct office offices[2];
    struct csq_backup backup = {.name = "main"};
    struct work work;
    struct csq_job job;

    office_open(&offices[0], NULL);
    office_open(&offices[1], NULL);
    CHECK(office_run(&offices[0], "CREATE TABLE t(a)") == SQLITE_OK);
    CHECK(office_run(&offices[0], "INSERT INTO t SELECT zeroblob(20000)") == SQLITE_OK);
    serialize(&offices[0], &work);
    backup.target = csq_native_db(offices[1].executor);
    for (int round = 0; round < 2; round++) {
        office_job(&offices[0], &job, CSQ_BACKUP, NULL, NULL);
        job.with.copy.backup = &backup;
        job.with.copy.pages = round == 0 ? 1 : -1;
        CHECK(office_do(&offices[0], &job) == SQLITE_OK);
        csq_job_clear(&job);
        for (int i = 0; i < 2; i++) {
            CHECK(deserialize(&offices[i], work.image, (size_t)work.image_size, "main") ==
                  (round == 0 ? SQLITE_BUSY : SQLITE_OK));
        }
    }
    CHECK(office_number(&offices[1], "SELECT length(a) FROM t") == 20000);
    sqlite3_free(work.image);
    office_close(&offices[0]);
    office_close(&offices[1]);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"round_trip", test_round_trip},
        {"refusals", test_refusals},
        {"backups", test_backups},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
