/* engine/describe: what is said of statements, and that none is run. */

#include <string.h>

#include "engine/alloc.h"
#include "engine/describe.h"
#include "engine/harness.h"

struct bench {
    sqlite3 *db;
    struct csq_strip strip;
    struct csq_reader reader;
    struct csq_error error;
};

static void
set_up(struct bench *bench)
{
    memset(bench, 0, sizeof *bench);
    sqlite3_open(":memory:", &bench->db);
    csq_strip_init(&bench->strip);
    csq_error_init(&bench->error);
    sqlite3_exec(bench->db, "CREATE TABLE t(a INTEGER, b)", NULL, NULL, NULL);
}

static void
tear_down(struct bench *bench)
{
    csq_strip_clear(&bench->strip);
    csq_error_clear(&bench->error);
    CHECK(sqlite3_close(bench->db) == SQLITE_OK); /* no statement is left */
}

static int
describe(struct bench *bench, const char *sql, bool all)
{
    csq_strip_clear(&bench->strip);
    csq_error_clear(&bench->error);
    bench->reader = (struct csq_reader){NULL, NULL};
    return csq_describe(bench->db, sql, strlen(sql), all, &bench->strip, &bench->error);
}

static int64_t
integer(struct bench *bench)
{
    const struct csq_cell *cell = csq_strip_read(&bench->strip, &bench->reader);

    return CHECK(cell != NULL && cell->type == CSQ_INTEGER) ? cell->value.integer : -1;
}

/* Whether the next cell is that text; NULL: whether it is null. */
static bool
text(struct bench *bench, const char *expected)
{
    const struct csq_cell *cell = csq_strip_read(&bench->strip, &bench->reader);

    if (expected == NULL || cell == NULL) {
        return cell != NULL && cell->type == CSQ_NULL;
    }
    return cell->type == CSQ_TEXT && cell->size == strlen(expected) &&
           memcmp(cell->value.bytes, expected, cell->size) == 0;
}

static void
skip(struct bench *bench, int cells)
{
    for (int i = 0; i < cells; i++) {
        csq_strip_read(&bench->strip, &bench->reader);
    }
}

static void
test_one(void)
{
    const char *sql = "  SELECT a, 1 AS one FROM t WHERE b = :b AND a = ?; SELECT 2";
    struct bench bench;

    set_up(&bench);
    CHECK(describe(&bench, sql, false) == SQLITE_OK);
    CHECK(integer(&bench) == 0);
    CHECK(integer(&bench) == (int64_t)(strchr(sql, ';') + 1 - sql));
    CHECK(integer(&bench) == 1 && integer(&bench) == 0); /* it reads; it explains nothing */
    skip(&bench, 1);
    CHECK(integer(&bench) == 2 && text(&bench, ":b") && text(&bench, NULL));
    CHECK(integer(&bench) == 2);
    CHECK(text(&bench, "a") && text(&bench, "INTEGER"));
    if (csq_describe_origins()) {
        CHECK(text(&bench, "main") && text(&bench, "t") && text(&bench, "a"));
    } else {
        skip(&bench, 3);
    }
    CHECK(text(&bench, "one") && text(&bench, NULL));
    CHECK(text(&bench, NULL) && text(&bench, NULL) && text(&bench, NULL));
    CHECK(csq_strip_read(&bench.strip, &bench.reader) == NULL);
    tear_down(&bench);
}

static void
test_script(void)
{
    const char *sql = "INSERT INTO t VALUES(1, 2);; -- nothing\nEXPLAIN QUERY PLAN SELECT 1; ";
    struct bench bench;

    set_up(&bench);
    CHECK(describe(&bench, sql, true) == SQLITE_OK);
    CHECK(integer(&bench) == 0);
    CHECK(integer(&bench) == (int64_t)(strchr(sql, ';') + 1 - sql));
    CHECK(integer(&bench) == 0 && integer(&bench) == 0);
    skip(&bench, 1);
    CHECK(integer(&bench) == 0 && integer(&bench) == 0);
    CHECK(integer(&bench) > 0 && integer(&bench) == (int64_t)strlen(sql) - 1);
    CHECK(integer(&bench) == 1 && integer(&bench) == 2);
    tear_down(&bench);
}

static void
test_nothing_and_errors(void)
{
    struct bench bench;

    set_up(&bench);
    CHECK(describe(&bench, "", true) == SQLITE_OK && bench.strip.first == NULL);
    CHECK(describe(&bench, " ; /* c */ ;", false) == SQLITE_OK && bench.strip.first == NULL);
    CHECK(describe(&bench, "SELECT 1; SELEKT 2", true) == SQLITE_ERROR);
    CHECK(strstr(bench.error.message, "syntax error") != NULL);
    CHECK(describe(&bench, "SELECT 1; SELEKT 2", false) == SQLITE_OK);
    sqlite3_limit(bench.db, SQLITE_LIMIT_SQL_LENGTH, 10);
    CHECK(describe(&bench, "SELECT 1234567", false) == SQLITE_TOOBIG);
    tear_down(&bench);
}

static void
test_no_memory(void)
{
    struct bench bench;

    set_up(&bench);
    for (long nth = 1;; nth++) {
        int rc;
        bool over;

        csq_strip_clear(&bench.strip);
        csq_error_clear(&bench.error);
        csq_alloc_fail_at(nth);
        rc = csq_describe(bench.db, "SELECT a FROM t", 15, false, &bench.strip, &bench.error);
        over = csq_alloc_fail_at(0) > 0;
        CHECK(over ? rc == SQLITE_OK : rc == SQLITE_NOMEM);
        if (over) {
            CHECK(nth > 1);
            break;
        }
    }
    tear_down(&bench);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"one", test_one},
        {"script", test_script},
        {"nothing_and_errors", test_nothing_and_errors},
        {"no_memory", test_no_memory},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
