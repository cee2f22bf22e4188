/* What csqlite reads of SQL without preparing it, against SQLite: where a statement
 * begins and ends, of what kind it is, and which parameters it names.
 *
 * The input is SQL. What SQLite refuses to prepare is read all the same, but there is
 * nothing to compare it with. */

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cells.h"
#include "engine/describe.h"
#include "engine/scan.h"
#include "engine/stmt.h"
#include "fuzz/fuzz.h"

static sqlite3 *
database(void)
{
    static sqlite3 *db;

    if (db == NULL) {
        MUST(sqlite3_open(":memory:", &db) == SQLITE_OK);
        MUST(sqlite3_exec(db,
                          "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);"
                          "CREATE VIEW v AS SELECT a, b FROM t",
                          NULL, NULL, NULL) == SQLITE_OK);
        sqlite3_limit(db, SQLITE_LIMIT_EXPR_DEPTH, 100);
        sqlite3_limit(db, SQLITE_LIMIT_COMPOUND_SELECT, 20);
    }
    return db;
}

/* A comment that the text ends right behind the beginning of: to SQLite it is a slash and
 * a star, and to the sqlite3 module and csqlite a comment. */
static bool
ends_in_opening(const char *sql)
{
    size_t size = strlen(sql);

    return size >= 2 && strcmp(sql + size - 2, "/*") == 0;
}

/* Nothing in `sql` but blanks and comments is what SQLite makes no statement of. To
 * SQLite alone a byte order mark is a blank, too, and a vertical tab behind a blank. */
static void
check_start(const char *sql)
{
    const char *start = csq_scan_start(sql);
    sqlite3_stmt *statement = NULL;
    const char *tail = sql;
    int rc = sqlite3_prepare_v2(database(), sql, -1, &statement, &tail);

    MUST(start == NULL || (start >= sql && start < sql + strlen(sql)));
    if (start == NULL && !ends_in_opening(sql)) {
        MUST(rc == SQLITE_OK && statement == NULL && *tail == '\0');
    }
    if (start != NULL && rc == SQLITE_OK && statement == NULL) {
        MUST(*start == ';' || *start == '\v' || strncmp(start, "\xef\xbb\xbf", 3) == 0);
    }
    if (rc == SQLITE_OK && statement != NULL) {
        MUST(start != NULL);
        MUST(!csq_scan_is_dml(sql) || !sqlite3_stmt_readonly(statement));
        MUST(!csq_scan_is_dml(sql) || !csq_scan_is_query(sql));
        MUST(!csq_scan_is_query(sql) || sqlite3_stmt_isexplain(statement) == 0);
    }
    sqlite3_finalize(statement);
}

static bool
is_known(sqlite3_stmt *statement, const char *name, size_t size)
{
    long number = 0;

    if (name[-1] == '?') {
        for (size_t i = 0; i < size && number < 1000000; i++) {
            number = 10 * number + (name[i] - '0');
        }
        return number <= sqlite3_bind_parameter_count(statement);
    }
    for (int i = 1; i <= sqlite3_bind_parameter_count(statement); i++) {
        const char *known = sqlite3_bind_parameter_name(statement, i);

        if (known != NULL && strlen(known) == size + 1 &&
            memcmp(known, name - 1, size + 1) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether the names in a text of exactly `size` bytes contain `known`. */
static bool
finds(const char *sql, size_t size, const char *known)
{
    const char *p = sql;
    const char *name;
    size_t length;

    while (csq_scan_parameter(&p, sql + size, &name, &length)) {
        MUST(name > sql && length > 0 && name + length == p && p <= sql + size);
        if (length + 1 == strlen(known) && memcmp(name - 1, known, length + 1) == 0) {
            return true;
        }
    }
    MUST(p == sql + size);
    return false;
}

/* Compares both ways. A "?7" may be the seventh of those that have names, and then goes
 * by that name. */
static void
check_names(const char *sql, sqlite3_stmt *statement, size_t size)
{
    char *exact = malloc(size);
    const char *p = exact;
    const char *name;
    size_t length;

    if (exact == NULL) {
        abort();
    }
    memcpy(exact, sql, size);
    while (csq_scan_parameter(&p, exact + size, &name, &length)) {
        MUST(is_known(statement, name, length));
    }
    for (int i = 1; i <= sqlite3_bind_parameter_count(statement); i++) {
        const char *known = sqlite3_bind_parameter_name(statement, i);

        MUST(known == NULL || finds(exact, size, known));
    }
    free(exact);
}

/* The next number of what csq_describe() puts. */
static int64_t
integer(const struct csq_strip *strip, struct csq_reader *reader)
{
    const struct csq_cell *cell = csq_strip_read(strip, reader);

    MUST(cell != NULL && cell->type == CSQ_INTEGER);
    return cell->value.integer;
}

/* Every statement of the text, one after the other, is where SQLite's tails say. */
static void
check_statements(const char *sql)
{
    struct csq_strip strip;
    struct csq_reader reader = {NULL, NULL};
    struct csq_error error;
    const char *from = sql;
    int rc;

    csq_strip_init(&strip);
    csq_error_init(&error);
    rc = csq_describe(database(), sql, strlen(sql), true, &strip, &error);
    while (*from != '\0') {
        sqlite3_stmt *statement = NULL;
        const char *tail = from;
        int parameters;

        if (sqlite3_prepare_v2(database(), from, -1, &statement, &tail) != SQLITE_OK) {
            MUST(rc != SQLITE_OK);
            break;
        }
        if (statement == NULL) {
            from = tail;
            continue;
        }
        check_names(from, statement, (size_t)(tail - from));
        MUST(integer(&strip, &reader) == from - sql);
        MUST(integer(&strip, &reader) == tail - sql);
        MUST(integer(&strip, &reader) == (sqlite3_stmt_readonly(statement) != 0));
        MUST(integer(&strip, &reader) == sqlite3_stmt_isexplain(statement));
        csq_strip_read(&strip, &reader);
        parameters = sqlite3_bind_parameter_count(statement);
        MUST(integer(&strip, &reader) == parameters);
        for (int left = parameters; left > 0; left--) {
            csq_strip_read(&strip, &reader);
        }
        parameters = (int)integer(&strip, &reader);
        for (int left = 5 * parameters; left > 0; left--) {
            csq_strip_read(&strip, &reader);
        }
        sqlite3_finalize(statement);
        from = tail;
    }
    MUST((rc == SQLITE_OK) == (*from == '\0'));
    MUST(csq_strip_read(&strip, &reader) == NULL);
    csq_strip_clear(&strip);
    csq_error_clear(&error);
}

/* One statement is taken, and two are refused. */
static void
check_one(const char *sql)
{
    struct csq_cache cache;
    struct csq_error error;
    struct csq_stmt *stmt;
    sqlite3_stmt *statement = NULL;
    const char *tail = sql;
    int rc;

    csq_cache_init(&cache, 0);
    csq_error_init(&error);
    stmt = csq_stmt_get(&cache, database(), sql, strlen(sql), &error);
    rc = sqlite3_prepare_v2(database(), sql, -1, &statement, &tail);
    if (stmt != NULL) {
        MUST(rc == SQLITE_OK && (stmt->handle == NULL) == (statement == NULL));
        MUST(stmt->parameters == sqlite3_bind_parameter_count(statement));
        sqlite3_finalize(statement);
        statement = NULL;
        if (!ends_in_opening(sql)) {
            MUST(sqlite3_prepare_v2(database(), tail, -1, &statement, NULL) == SQLITE_OK);
            MUST(statement == NULL);
        }
        csq_stmt_put(&cache, stmt);
    } else if (error.code == CSQ_USAGE) {
        MUST(rc == SQLITE_OK && *tail != '\0');
    } else {
        MUST(rc != SQLITE_OK);
    }
    sqlite3_finalize(statement);
    csq_cache_clear(&cache);
    csq_error_clear(&error);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, data + size};
    char *sql = fuzz_text(&input);

    check_start(sql);
    check_statements(sql);
    check_one(sql);
    finds((const char *)data, size, "");
    free(sql);
    return 0;
}

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("SELECT a, b FROM t WHERE a = ?1 AND b = :name OR b IN (@x, $y, #z, ?)"),
    FUZZ_SEED("SELECT ':no', \":a\", [:b], `:c`, x'00' || $d::e(f) -- :g\n, :h /* :i */;"),
    FUZZ_SEED("INSERT INTO t(b) VALUES('it''s'); UPDATE t SET b = NULL; -- done"),
    FUZZ_SEED("CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; DELETE FROM t; END; SELECT 2"),
    FUZZ_SEED("WITH c(x) AS (VALUES(1) UNION ALL SELECT x + 1 FROM c LIMIT 9) SELECT x FROM c"),
    FUZZ_SEED("EXPLAIN QUERY PLAN SELECT 1.5e-3, 0x1F, .5 FROM v ORDER BY a->>'$.b'"),
    FUZZ_SEED(" /* a */ ; -- b\n\r\t\f;;\xef\xbb\xbfSELECT 1,\xef\xbb\xbf$a"),
    FUZZ_SEED("REPLACE INTO t VALUES(:a, :\xc3\xa9 || :a); BEGIN; COMMIT; PRAGMA user_version"),
    FUZZ_SEED("DELETE FROM t RETURNING a, CASE WHEN b THEN 1 ELSE :x END; SELECT 1 /*"),
};
const size_t fuzz_seed_count = sizeof fuzz_seeds / sizeof *fuzz_seeds;
const int fuzz_dose = 60000;
