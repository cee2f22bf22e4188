/* engine/stmt: what the cache keeps and for how long, and that what is bound comes
 * back as it went in. */

#include <math.h>
#include <string.h>

#include "engine/harness.h"
#include "engine/stmt.h"

struct bench {
    sqlite3 *db;
    struct csq_cache cache;
    struct csq_error error;
    struct csq_strip down; /* parameters */
    struct csq_strip up;   /* rows */
};

static void
set_up(struct bench *bench, int limit)
{
    sqlite3_open(":memory:", &bench->db);
    csq_cache_init(&bench->cache, limit);
    csq_error_init(&bench->error);
    csq_strip_init(&bench->down);
    csq_strip_init(&bench->up);
}

static void
tear_down(struct bench *bench)
{
    csq_cache_clear(&bench->cache);
    CHECK(bench->cache.count == 0);
    CHECK(sqlite3_close(bench->db) == SQLITE_OK); /* no statement is left */
    csq_error_clear(&bench->error);
    csq_strip_clear(&bench->down);
    csq_strip_clear(&bench->up);
}

static struct csq_stmt *
get(struct bench *bench, const char *sql)
{
    csq_error_clear(&bench->error);
    return csq_stmt_get(&bench->cache, bench->db, sql, strlen(sql), &bench->error);
}

/* Gets a statement and returns it; gives the SQLite handle, to tell whether it is kept. */
static sqlite3_stmt *
visit(struct bench *bench, const char *sql)
{
    struct csq_stmt *stmt = get(bench, sql);
    sqlite3_stmt *handle = stmt->handle;

    csq_stmt_put(&bench->cache, stmt);
    return handle;
}

/* Whether `handle` is still prepared. */
static bool
is_alive(struct bench *bench, const sqlite3_stmt *handle)
{
    sqlite3_stmt *other = sqlite3_next_stmt(bench->db, NULL);

    while (other != NULL && other != handle) {
        other = sqlite3_next_stmt(bench->db, other);
    }
    return other != NULL;
}

static bool
says(const struct bench *bench, int code, const char *message)
{
    return bench->error.code == code && bench->error.message != NULL &&
           strcmp(bench->error.message, message) == 0;
}

static void
test_lru(void)
{
    struct bench bench;
    sqlite3_stmt *a;
    sqlite3_stmt *b;
    sqlite3_stmt *c;

    set_up(&bench, 2);
    a = visit(&bench, "SELECT 'a'");
    b = visit(&bench, "SELECT 'b'");
    CHECK(visit(&bench, "SELECT 'a'") == a); /* b is now the one used longest ago */
    c = visit(&bench, "SELECT 'c'");
    CHECK(bench.cache.count == 2);
    CHECK(is_alive(&bench, a) && !is_alive(&bench, b) && is_alive(&bench, c));
    CHECK(visit(&bench, "SELECT 'a'") == a && visit(&bench, "SELECT 'c'") == c);
    tear_down(&bench);
}

static void
test_counters(void)
{
    struct bench bench;
    sqlite3_stmt *a;
    sqlite3_stmt *b;

    set_up(&bench, 2);
    a = visit(&bench, "SELECT 'a'");
    b = visit(&bench, "SELECT 'b'");
    CHECK(visit(&bench, "SELECT 'a'") == a);
    CHECK(bench.cache.hits == 1 && bench.cache.misses == 2 && bench.cache.evictions == 0);
    visit(&bench, "SELECT 'c'");
    CHECK(bench.cache.misses == 3 && bench.cache.evictions == 1 && !is_alive(&bench, b));
    CHECK(get(&bench, "SELEKT") == NULL && bench.cache.misses == 4);

    csq_cache_resize(&bench.cache, 1);
    CHECK(bench.cache.count == 1 && bench.cache.evictions == 2 && !is_alive(&bench, a));
    csq_cache_resize(&bench.cache, 3);
    visit(&bench, "SELECT 'a'");
    visit(&bench, "SELECT 'b'");
    CHECK(bench.cache.count == 3 && bench.cache.evictions == 2);
    csq_cache_resize(&bench.cache, -5);
    CHECK(bench.cache.count == 0 && bench.cache.limit == 0);
    visit(&bench, "SELECT 'a'");
    CHECK(bench.cache.count == 0);
    tear_down(&bench);
}

/* More statements than buckets, in and out in many orders. */
static void
test_many(void)
{
    struct bench bench;
    unsigned state = 7;
    char sql[64];

    set_up(&bench, 100);
    for (int i = 0; i < 5000; i++) {
        sqlite3_snprintf(sizeof sql, sql, "SELECT %u", harness_random(&state, 150));
        CHECK(strcmp(sqlite3_sql(visit(&bench, sql)), sql) == 0);
    }
    CHECK(bench.cache.count == 100);
    tear_down(&bench);
}

static void
test_twice(void)
{
    struct bench bench;
    struct csq_stmt *one;
    struct csq_stmt *two;

    set_up(&bench, 1);
    one = get(&bench, "SELECT 1 UNION SELECT 2");
    two = get(&bench, "SELECT 1 UNION SELECT 2");
    CHECK(one != two && one->handle != two->handle);
    CHECK(sqlite3_step(one->handle) == SQLITE_ROW);
    CHECK(sqlite3_step(two->handle) == SQLITE_ROW && sqlite3_step(two->handle) == SQLITE_ROW);
    CHECK(sqlite3_column_int(one->handle, 0) == 1 && sqlite3_column_int(two->handle, 0) == 2);
    csq_stmt_put(&bench.cache, one);
    CHECK(!sqlite3_stmt_busy(one->handle)); /* reset when it comes back */
    csq_stmt_put(&bench.cache, two);
    CHECK(bench.cache.count == 1);
    tear_down(&bench);
}

static void
test_no_cache(void)
{
    struct bench bench;

    for (int limit = 0; limit >= -1; limit--) {
        set_up(&bench, limit);
        visit(&bench, "SELECT 1");
        CHECK(sqlite3_next_stmt(bench.db, NULL) == NULL);
        CHECK(bench.cache.count == 0);
        tear_down(&bench);
    }
}

/* What was prepared before is prepared anew, also what was in use meanwhile. */
static void
test_renew(void)
{
    struct bench bench;
    struct csq_stmt *used;

    set_up(&bench, 8);
    used = get(&bench, "SELECT 1");
    visit(&bench, "SELECT 2");
    CHECK(bench.cache.count == 1);
    csq_cache_renew(&bench.cache);
    CHECK(bench.cache.count == 0);
    CHECK(sqlite3_step(used->handle) == SQLITE_ROW);
    csq_stmt_put(&bench.cache, used);
    CHECK(bench.cache.count == 0 && sqlite3_next_stmt(bench.db, NULL) == NULL);
    visit(&bench, "SELECT 1");
    CHECK(bench.cache.count == 1);
    tear_down(&bench);
}

static void
test_kinds(void)
{
    struct bench bench;
    struct csq_stmt *stmt;

    set_up(&bench, 8);
    sqlite3_exec(bench.db, "CREATE TABLE t(a)", NULL, NULL, NULL);
    stmt = get(&bench, "-- nothing\n");
    CHECK(stmt->handle == NULL && stmt->columns == NULL && stmt->readonly && !stmt->dml);
    csq_stmt_put(&bench.cache, stmt);
    CHECK(get(&bench, "-- nothing\n") == stmt);
    csq_stmt_put(&bench.cache, stmt);
    stmt = get(&bench, " insert into t values(?) returning a");
    CHECK(stmt->dml && !stmt->readonly && stmt->parameters == 1 && stmt->columns->count == 1);
    csq_stmt_put(&bench.cache, stmt);
    stmt = get(&bench, "CREATE TABLE u(a)");
    CHECK(!stmt->dml && !stmt->readonly && stmt->columns == NULL);
    csq_stmt_put(&bench.cache, stmt);
    stmt = get(&bench, "SELECT ?1, ?5, :a, @b");
    CHECK(stmt->readonly && stmt->parameters == 7 && csq_stmt_first_name(stmt) == 6);
    csq_stmt_put(&bench.cache, stmt);
    stmt = get(&bench, "SELECT ?, ?2");
    CHECK(csq_stmt_first_name(stmt) == 0);
    csq_stmt_put(&bench.cache, stmt);
    tear_down(&bench);
}

static void
test_refused(void)
{
    static const char two[] = "You can only execute one statement at a time.";
    static const char *const good[] = {"SELECT 1;", "SELECT 1; -- x", "SELECT 1 ;\n/* x */ ",
                                       "SELECT 1; /*"};
    struct bench bench;

    set_up(&bench, 8);
    CHECK(get(&bench, "SELECT 1; SELECT 2") == NULL && says(&bench, CSQ_USAGE, two));
    CHECK(get(&bench, "SELECT 1;;") == NULL && says(&bench, CSQ_USAGE, two));
    CHECK(get(&bench, "SELECT 1; x") == NULL && says(&bench, CSQ_USAGE, two));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CHECK(visit(&bench, good[i]) != NULL);
    }
    CHECK(get(&bench, "SELECT x") == NULL && says(&bench, SQLITE_ERROR, "no such column: x"));
    CHECK(bench.error.extended == SQLITE_ERROR);
#if SQLITE_VERSION_NUMBER >= 3038000
    CHECK(bench.error.offset == 7);
#endif
    CHECK(get(&bench, "SELECT 1 FROM") == NULL && says(&bench, SQLITE_ERROR, "incomplete input"));
    sqlite3_limit(bench.db, SQLITE_LIMIT_SQL_LENGTH, 12);
    CHECK(visit(&bench, "SELECT 1    ") != NULL);
    CHECK(get(&bench, "SELECT 1     ") == NULL &&
          says(&bench, SQLITE_TOOBIG, "query string is too large"));
    tear_down(&bench);
}

static struct csq_cell *
put_head(struct bench *bench, int width, bool named)
{
    struct csq_cell *head;

    csq_strip_clear(&bench->down);
    csq_error_clear(&bench->error);
    head = csq_strip_put_head(&bench->down);
    csq_head_set(head, width, named);
    return head;
}

static int
bind(struct bench *bench, struct csq_stmt *stmt)
{
    struct csq_reader reader = {NULL, NULL};

    return csq_stmt_bind(stmt, &bench->down, &reader, &bench->error);
}

static void
test_schema(void)
{
    struct bench bench;
    struct csq_stmt *stmt;
    struct csq_columns *before;

    set_up(&bench, 8);
    sqlite3_exec(bench.db, "CREATE TABLE t(a INT); INSERT INTO t VALUES(1)", NULL, NULL, NULL);
    stmt = get(&bench, "SELECT * FROM t");
    before = csq_columns_get(stmt->columns);
    csq_stmt_put(&bench.cache, stmt);
    sqlite3_exec(bench.db, "ALTER TABLE t ADD COLUMN b TEXT DEFAULT 'x'", NULL, NULL, NULL);
    CHECK(get(&bench, "SELECT * FROM t") == stmt);
    CHECK(stmt->columns->count == 1);
    CHECK(sqlite3_step(stmt->handle) == SQLITE_ROW);
    CHECK(csq_stmt_refresh(stmt));
    CHECK(stmt->columns->count == 2 && strcmp(stmt->columns->column[1].name, "b") == 0);
    CHECK(strcmp(stmt->columns->column[1].decltype, "TEXT") == 0);
    CHECK(csq_stmt_row(stmt, &bench.up, false));
    CHECK(before->count == 1 && strcmp(before->column[0].name, "a") == 0); /* still ours */
    csq_columns_put(before);
    before = stmt->columns;
    CHECK(csq_stmt_refresh(stmt) && stmt->columns == before); /* nothing new */
    csq_stmt_put(&bench.cache, stmt);
    sqlite3_exec(bench.db, "DROP TABLE t", NULL, NULL, NULL);
    CHECK(get(&bench, "SELECT * FROM t") == stmt);
    CHECK(sqlite3_step(stmt->handle) == SQLITE_ERROR);
    csq_stmt_put(&bench.cache, stmt);
    tear_down(&bench);
}

static void
test_values(void)
{
    struct bench bench;
    struct csq_stmt *stmt;
    struct csq_reader reader = {NULL, NULL};
    const struct csq_cell *cell;

    set_up(&bench, 8);
    stmt = get(&bench, "SELECT ?, ?, ?, ?, ?, ?, ?, ?");
    put_head(&bench, 8, false);
    csq_strip_put_integer(&bench.down, INT64_MIN);
    csq_strip_put_float(&bench.down, 0.1);
    csq_strip_put_text(&bench.down, "a\0\xc3\xa9", 4);
    csq_strip_put_text(&bench.down, "", 0);
    csq_strip_put_blob(&bench.down, "\0", 1);
    csq_strip_put_blob(&bench.down, "", 0);
    csq_strip_put_null(&bench.down);
    csq_strip_put_float(&bench.down, NAN);
    CHECK(bind(&bench, stmt) == SQLITE_OK);
    CHECK(sqlite3_step(stmt->handle) == SQLITE_ROW);
    CHECK(csq_stmt_row(stmt, &bench.up, false) && bench.up.rows == 1);
    CHECK(csq_strip_read(&bench.up, &reader)->value.integer == INT64_MIN);
    CHECK(csq_strip_read(&bench.up, &reader)->value.real == 0.1);
    cell = csq_strip_read(&bench.up, &reader);
    CHECK(cell->type == CSQ_TEXT && cell->size == 4 && !cell->ascii &&
          memcmp(cell->value.bytes, "a\0\xc3\xa9", 4) == 0);
    cell = csq_strip_read(&bench.up, &reader);
    CHECK(cell->type == CSQ_TEXT && cell->size == 0);
    cell = csq_strip_read(&bench.up, &reader);
    CHECK(cell->type == CSQ_BLOB && cell->size == 1 && *cell->value.bytes == 0);
    cell = csq_strip_read(&bench.up, &reader);
    CHECK(cell->type == CSQ_BLOB && cell->size == 0);
    CHECK(csq_strip_read(&bench.up, &reader)->type == CSQ_NULL);
    CHECK(csq_strip_read(&bench.up, &reader)->type == CSQ_NULL); /* SQLite has no NaN */
    csq_stmt_put(&bench.cache, stmt);

    CHECK(get(&bench, "SELECT ?, ?, ?, ?, ?, ?, ?, ?") == stmt);
    CHECK(sqlite3_step(stmt->handle) == SQLITE_ROW);
    CHECK(sqlite3_column_type(stmt->handle, 0) == SQLITE_NULL); /* bindings are forgotten */
    csq_stmt_put(&bench.cache, stmt);
    tear_down(&bench);
}

static void
put_pair(struct bench *bench, const char *name, int value)
{
    csq_strip_put_text(&bench->down, name, strlen(name));
    csq_strip_put_integer(&bench->down, value);
}

static void
test_named(void)
{
    struct bench bench;
    struct csq_stmt *stmt;

    set_up(&bench, 8);
    stmt = get(&bench, "SELECT :a || '-' || @b || '-' || $c::d(e) || '-' || :a");
    put_head(&bench, 4, true);
    put_pair(&bench, "b", 2);
    put_pair(&bench, "more", 0);
    put_pair(&bench, "a", 1);
    put_pair(&bench, "c::d(e)", 3);
    CHECK(bind(&bench, stmt) == SQLITE_OK);
    CHECK(sqlite3_step(stmt->handle) == SQLITE_ROW);
    CHECK(strcmp((const char *)sqlite3_column_text(stmt->handle, 0), "1-2-3-1") == 0);
    sqlite3_reset(stmt->handle);

    put_head(&bench, 2, true);
    put_pair(&bench, "a", 1);
    csq_strip_put_text(&bench.down, "b", 1);
    csq_strip_put_mark(&bench.down, CSQ_MISSING);
    CHECK(bind(&bench, stmt) == CSQ_USAGE);
    CHECK(says(&bench, CSQ_USAGE, "You did not supply a value for binding parameter :b."));
    csq_stmt_put(&bench.cache, stmt);

    stmt = get(&bench, "SELECT :a, ?");
    put_head(&bench, 1, true);
    put_pair(&bench, "a", 1);
    CHECK(bind(&bench, stmt) == CSQ_USAGE);
    CHECK(says(&bench, CSQ_USAGE,
               "Binding 2 has no name, but you supplied a dictionary (which has only names)."));
    csq_stmt_put(&bench.cache, stmt);
    tear_down(&bench);
}

static void
test_positions(void)
{
    struct bench bench;
    struct csq_stmt *stmt;

    set_up(&bench, 8);
    stmt = get(&bench, "SELECT ?, ?");
    for (int width = 0; width < 4; width++) {
        put_head(&bench, width, false);
        for (int i = 0; i < width; i++) {
            csq_strip_put_integer(&bench.down, i);
        }
        CHECK(bind(&bench, stmt) == (width == 2 ? SQLITE_OK : CSQ_USAGE));
    }
    CHECK(says(&bench, CSQ_USAGE,
               "Incorrect number of bindings supplied. The current statement uses 2, and there "
               "are 3 supplied."));
    sqlite3_limit(bench.db, SQLITE_LIMIT_LENGTH, 100);
    put_head(&bench, 2, false);
    csq_strip_put_integer(&bench.down, 1);
    CHECK(csq_strip_put_blob(&bench.down, (char[200]){0}, 200));
    CHECK(bind(&bench, stmt) == SQLITE_TOOBIG);
    csq_stmt_put(&bench.cache, stmt);
    tear_down(&bench);
}

static void
test_poison(void)
{
    struct bench bench;
    struct csq_stmt *stmt;

    set_up(&bench, 8);
    stmt = get(&bench, "SELECT ?, ?");
    put_head(&bench, 2, false);
    csq_strip_put_integer(&bench.down, 1);
    csq_strip_put_mark(&bench.down, CSQ_POISON);
    CHECK(bind(&bench, stmt) == CSQ_PACKED && bench.error.code == CSQ_PACKED);
    csq_stmt_put(&bench.cache, stmt);
    stmt = get(&bench, "SELECT :a");
    put_head(&bench, 1, true);
    csq_strip_put_text(&bench.down, "a", 1);
    csq_strip_put_mark(&bench.down, CSQ_POISON);
    CHECK(bind(&bench, stmt) == CSQ_PACKED);
    put_head(&bench, 0, false)->type = CSQ_POISON;
    CHECK(bind(&bench, stmt) == CSQ_PACKED);
    csq_stmt_put(&bench.cache, stmt);
    tear_down(&bench);
}

/* Rows one behind the other: binding one leaves the reader before the next. */
static void
test_rows(void)
{
    struct bench bench;
    struct csq_stmt *stmt;
    struct csq_reader reader = {NULL, NULL};

    set_up(&bench, 8);
    stmt = get(&bench, "SELECT :a");
    for (int i = 0; i < 200; i++) {
        struct csq_cell *head = csq_strip_put_head(&bench.down);

        csq_head_set(head, i % 2 ? 1 : 2, i % 2 == 0);
        if (i % 2) {
            csq_strip_put_integer(&bench.down, i);
        } else {
            put_pair(&bench, "a", i);
            put_pair(&bench, "unused", 0);
        }
    }
    for (int i = 0; i < 200; i++) {
        CHECK(csq_stmt_bind(stmt, &bench.down, &reader, &bench.error) == SQLITE_OK);
        CHECK(sqlite3_step(stmt->handle) == SQLITE_ROW);
        CHECK(sqlite3_column_int(stmt->handle, 0) == i);
        sqlite3_reset(stmt->handle);
    }
    CHECK(csq_strip_read(&bench.down, &reader) == NULL);
    csq_stmt_put(&bench.cache, stmt);
    tear_down(&bench);
}

/* With `texts`, typed columns come twice: as they are and as a converter takes them. */
static void
test_texts(void)
{
    static const enum csq_type types[] = {CSQ_INTEGER, CSQ_BLOB, CSQ_INTEGER, CSQ_TEXT, CSQ_NULL,
                                          CSQ_NULL,    CSQ_NULL, CSQ_FLOAT,   CSQ_BLOB};
    struct bench bench;
    struct csq_stmt *stmt;
    struct csq_reader reader = {NULL, NULL};

    set_up(&bench, 8);
    sqlite3_exec(bench.db,
                 "CREATE TABLE t(a INT, b, c TEXT, d TEXT);"
                 "INSERT INTO t VALUES(12, 3, '', NULL)",
                 NULL, NULL, NULL);
    stmt = get(&bench, "SELECT a, b, c, d, 1.5 AS \"e [x]\" FROM t");
    CHECK(sqlite3_step(stmt->handle) == SQLITE_ROW);
    CHECK(csq_stmt_row(stmt, &bench.up, true));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const struct csq_cell *cell = csq_strip_read(&bench.up, &reader);

        CHECK(cell->type == types[i]);
        CHECK(i != 1 || (cell->size == 2 && memcmp(cell->value.bytes, "12", 2) == 0));
    }
    CHECK(csq_strip_read(&bench.up, &reader) == NULL);
    csq_stmt_put(&bench.cache, stmt);
    tear_down(&bench);
}

/* A blob that SQLite promises and then has no memory for is an error, not a value. */
static void
test_zeroblob(void)
{
    struct bench bench;
    struct csq_stmt *stmt;

    set_up(&bench, 8);
    sqlite3_exec(bench.db, "CREATE TABLE t(a); INSERT INTO t VALUES(50000000)", NULL, NULL, NULL);
    stmt = get(&bench, "SELECT zeroblob(a) FROM t");
    CHECK(sqlite3_step(stmt->handle) == SQLITE_ROW);
    sqlite3_hard_heap_limit64(sqlite3_memory_used() + 1000000);
    CHECK(!csq_stmt_row(stmt, &bench.up, false));
    CHECK(bench.up.rows == 0);
    sqlite3_hard_heap_limit64(0);
    csq_stmt_put(&bench.cache, stmt);
    tear_down(&bench);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"lru", test_lru},           {"counters", test_counters}, {"many", test_many},
        {"twice", test_twice},       {"no_cache", test_no_cache}, {"renew", test_renew},
        {"kinds", test_kinds},       {"refused", test_refused},   {"schema", test_schema},
        {"values", test_values},     {"named", test_named},       {"positions", test_positions},
        {"poison", test_poison},     {"rows", test_rows},         {"texts", test_texts},
        {"zeroblob", test_zeroblob},
    };

    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 1); /* for the limit of test_zeroblob() */
    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
