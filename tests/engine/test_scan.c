/* engine/scan: SQLite is the judge. Whatever SQL it prepares, the names found are
 * those that sqlite3_bind_parameter_name() gives. */

#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/harness.h"
#include "engine/scan.h"

enum { TEXTS = 20000, SOUPS = 60000, MAX_SQL = 4096 };

/* Whether the scanner, reading a copy with nothing behind it, finds `name`. */
static bool
finds(const char *sql, const char *name)
{
    size_t length = strlen(sql);
    char *copy = malloc(length > 0 ? length : 1); /* exact: ASan sees a read beyond */
    const char *p = copy;
    const char *found;
    size_t size;
    bool ok = false;

    memcpy(copy, sql, length);
    while (csq_scan_parameter(&p, copy + length, &found, &size)) {
        ok = ok || (size == strlen(name) && memcmp(found, name, size) == 0);
    }
    free(copy);
    return ok;
}

static int
count(const char *sql)
{
    const char *p = sql;
    const char *name;
    size_t size;
    int found = 0;

    while (csq_scan_parameter(&p, sql + strlen(sql), &name, &size)) {
        found++;
    }
    return found;
}

/* Whether SQLite says that `statement` has a parameter `name`, of `size` bytes. A
 * "?7" may be the seventh of those that have names, and then goes by that name. */
static bool
has_parameter(sqlite3_stmt *statement, const char *name, size_t size)
{
    if (name[-1] == '?') {
        return atoi(name) <= sqlite3_bind_parameter_count(statement);
    }
    for (int i = 1; i <= sqlite3_bind_parameter_count(statement); i++) {
        const char *known = sqlite3_bind_parameter_name(statement, i);

        if (known != NULL && strlen(known + 1) == size && memcmp(known + 1, name, size) == 0) {
            return true;
        }
    }
    return false;
}

/* Compares both ways. False: SQLite does not prepare it, there is nothing to compare. */
static bool
compare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    const char *p = sql;
    const char *end;
    const char *name;
    size_t size;
    bool same = true;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, &end) != SQLITE_OK || statement == NULL) {
        return false;
    }
    while (csq_scan_parameter(&p, end, &name, &size)) {
        same = same && has_parameter(statement, name, size);
    }
    for (int i = 1; i <= sqlite3_bind_parameter_count(statement); i++) {
        const char *known = sqlite3_bind_parameter_name(statement, i);

        same = same && (known == NULL || finds(sql, known + 1));
    }
    sqlite3_finalize(statement);
    if (!CHECK(same)) {
        fprintf(stderr, "     %s\n", sql);
    }
    return true;
}

static void
test_names(void)
{
    CHECK(finds("SELECT :a", "a"));
    CHECK(finds("SELECT @b1", "b1"));
    CHECK(finds("SELECT $c::d(e)", "c::d(e)"));
    CHECK(finds("SELECT :c::d(e)", "c::d(e)"));
    CHECK(finds("SELECT ?12", "12"));
    CHECK(finds("SELECT :\xc3\xa9_$1", "\xc3\xa9_$1"));
    CHECK(finds("SELECT 1-:a", "a") && finds("SELECT 1/:a", "a"));
    CHECK(finds("SELECT 1,\xef\xbb\xbf$a", "a") && !finds("SELECT b\xef\xbb\xbf$a", "a"));
    CHECK(count("SELECT ?, ?, ?") == 0);
    CHECK(count("SELECT :a, :b, :a") == 3);
    CHECK(count("SELECT a:b") == 1);
    CHECK(count(": @ $ # :: $( :(") == 0);
    CHECK(count("") == 0);
}

static void
test_not_names(void)
{
    CHECK(count("SELECT ':a', ':a'':b'") == 0);
    CHECK(count("SELECT \":a\", \":a\"\":b\"") == 0);
    CHECK(count("SELECT `:a`, [:a]") == 0);
    CHECK(count("SELECT 1 -- :a\n") == 0);
    CHECK(count("SELECT 1 /* :a */") == 0);
    CHECK(count("SELECT /*/ :a */ 1") == 0);
    CHECK(count("SELECT 1 -- :a\n, :b") == 1);
    CHECK(finds("SELECT [a']:b", "b") && finds("SELECT ''''|| :b", "b"));
    CHECK(count("SELECT a$b, a@b") == 1);
}

static void
test_unterminated(void)
{
    static const char *const texts[] = {
        "'", "\"",  "`",    "[", "/*", "/* *", "--", "':a",  "\":",  "`:a", "[:",  "-",
        "/", "$a(", ":a::", "?", ":",  "$",    "@",  "$a(b", "$a::", "#",   "/*/", ":a:"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        CHECK(!finds(texts[i], "none"));
        CHECK(count(texts[i]) <= 1);
    }
}

static void
append(char *sql, const char *piece)
{
    strncat(sql, piece, MAX_SQL - strlen(sql) - 1);
}

/* Expressions, and what may stand between two of them. */
static const char *const values[] = {"?",
                                     "?7",
                                     "?12",
                                     ":a",
                                     ":B_1",
                                     "@b",
                                     "@b::c",
                                     "$c",
                                     "$c::d",
                                     "$c::d(e)",
                                     "$c(:x)",
                                     ":a::b(c)",
                                     "#n",
                                     "$$",
                                     ":::z",
                                     ":\xc3\xa9",
                                     "'it''s :no'",
                                     "':no'",
                                     "\"id\"",
                                     "\":no\"",
                                     "\"a\"\":no\"",
                                     "[:no]",
                                     "[a'b]",
                                     "`:no`",
                                     "`a``:no`",
                                     "x'00'",
                                     "1",
                                     "1.5e3",
                                     "-1",
                                     "id",
                                     "id.id",
                                     "(:paren)",
                                     "(SELECT @sub)",
                                     "CASE WHEN $w THEN :t END",
                                     "NULL",
                                     "a$b",
                                     "''"};
static const char *const joins[] = {", ",
                                    ",",
                                    "\n,\t",
                                    "+",
                                    " - ",
                                    "||",
                                    "/",
                                    "*",
                                    " -- :no 'no\n,",
                                    "/* :no ' */,",
                                    " , /**/ ",
                                    ",/*/ :no */",
                                    ",-- '\n",
                                    " = ",
                                    "<",
                                    ">=",
                                    "!=",
                                    "%",
                                    "&",
                                    " IN (1), ",
                                    "->'$.no', ",
                                    "- -",
                                    "/ /*:no*/"};

/* Texts of pieces that are well formed on their own. */
static void
test_texts(void)
{
    unsigned state = 20240229;
    sqlite3 *db;
    int prepared = 0;

    sqlite3_open(":memory:", &db);
    sqlite3_exec(db, "CREATE TABLE id(id, \"a\"\":no\", \":no\", [a'b], \"a`:no\", a$b)", NULL,
                 NULL, NULL);
    for (int i = 0; i < TEXTS; i++) {
        char sql[MAX_SQL] = "SELECT ";

        append(sql, values[harness_random(&state, sizeof values / sizeof *values)]);
        for (unsigned more = harness_random(&state, 8); more > 0; more--) {
            append(sql, joins[harness_random(&state, sizeof joins / sizeof *joins)]);
            append(sql, values[harness_random(&state, sizeof values / sizeof *values)]);
        }
        append(sql, " FROM id");
        prepared += compare(db, sql);
    }
    CHECK(prepared > TEXTS / 2);
    sqlite3_close(db);
}

/* Characters at random, most of which SQLite refuses; the rest is what nobody thinks of. */
static void
test_soup(void)
{
    static const char characters[] = "::@$#??aab01(),''\"\"[]`--/**/ \n\v;\xc3\xa9";
    unsigned state = 1729;
    sqlite3 *db;
    int prepared = 0;

    sqlite3_open(":memory:", &db);
    for (int i = 0; i < SOUPS; i++) {
        char sql[64] = "SELECT ";
        size_t length = strlen(sql);

        for (unsigned more = 1 + harness_random(&state, 12); more > 0; more--) {
            sql[length++] = characters[harness_random(&state, sizeof characters - 1)];
        }
        sql[length] = '\0';
        prepared += compare(db, sql);
        finds(sql, "none"); /* no read beyond the end */
    }
    CHECK(prepared > 500);
    sqlite3_close(db);
}

static void
test_start(void)
{
    CHECK(csq_scan_start("") == NULL);
    CHECK(csq_scan_start(" \t\r\n\f") == NULL);
    CHECK(csq_scan_start("-- a") == NULL);
    CHECK(csq_scan_start("/* a") == NULL);
    CHECK(csq_scan_start("/* a */ -- b\n /**/") == NULL);
    CHECK(*csq_scan_start("/* a */ -- b\n /**/x") == 'x');
    CHECK(*csq_scan_start("-a") == '-' && *csq_scan_start("/a") == '/');
    CHECK(*csq_scan_start(" ;") == ';');

    CHECK(csq_scan_is_dml("INSERT INTO t VALUES(1)"));
    CHECK(csq_scan_is_dml(" -- a\n/* b */ update t SET a = 1"));
    CHECK(csq_scan_is_dml("Delete FROM t") && csq_scan_is_dml("rEPLACE INTO t VALUES(1)"));
    CHECK(!csq_scan_is_dml("SELECT 1") && !csq_scan_is_dml("") && !csq_scan_is_dml("ins"));
    CHECK(!csq_scan_is_dml("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a"));
    CHECK(!csq_scan_is_dml("'insert'") && !csq_scan_is_dml("-- insert"));
    CHECK(csq_scan_may_write("PRAGMA user_version = 1") && csq_scan_may_write(" vacuum main"));
    CHECK(!csq_scan_may_write("ATTACH 'a' AS b") && !csq_scan_may_write("EXPLAIN VACUUM"));
    CHECK(csq_scan_begins_to_write("BEGIN IMMEDIATE") &&
          csq_scan_begins_to_write(" begin/**/exclusive transaction"));
    CHECK(!csq_scan_begins_to_write("BEGIN") && !csq_scan_begins_to_write("BEGIN DEFERRED") &&
          !csq_scan_begins_to_write("SELECT immediate") && !csq_scan_begins_to_write(""));
    CHECK(csq_scan_is_query("SELECT 1") &&
          csq_scan_is_query(" /* a */ with a as (select 1) ..."));
    CHECK(csq_scan_is_query("Values(1)") && !csq_scan_is_query("PRAGMA user_version"));
    CHECK(csq_scan_is_control("savepoint a") && csq_scan_is_control(" -- a\n RELEASE a") &&
          csq_scan_is_control("BEGIN") && csq_scan_is_control("end"));
    CHECK(!csq_scan_is_control("SELECT 1") && !csq_scan_is_control("PRAGMA user_version = 1") &&
          !csq_scan_is_control(""));
    CHECK(csq_scan_lending("pragma main.Busy_Timeout=1", 26) == CSQ_LENT_PREPARING);
    CHECK(csq_scan_lending("pragma busy_timeou", 18) == CSQ_LENT_NEVER &&
          csq_scan_lending("_timeout pragma_", 16) == CSQ_LENT_NEVER &&
          csq_scan_lending("", 0) == CSQ_LENT_NEVER);
    CHECK(csq_scan_lending("SELECT * FROM pragma_busy_timeout", 33) == CSQ_LENT_STEPPING &&
          csq_scan_lending("INSERT INTO t(busy_timeout)", 27) == CSQ_LENT_NEVER);
    CHECK(!csq_scan_is_query("EXPLAIN SELECT 1") && !csq_scan_is_query("") &&
          !csq_scan_is_query("INSERT INTO t SELECT 1"));
}

/* How many parameters there may be at most, by the text alone. */
static int64_t
most(const char *sql)
{
    return csq_scan_most(sql, sql + strlen(sql));
}

static void
test_most(void)
{
    static const char *const statements[] = {
        "SELECT 1",       "SELECT ?",     "SELECT ?,?, :a, @b, $c::d(e)",
        "SELECT :a, :a",  "SELECT ?7, ?", "SELECT ?, ?2, ?2, :x, ?9, :y",
        "SELECT '?', ?3", "SELECT ?007",  "SELECT a -- ?\n FROM (SELECT ?2 AS a) /* ?5 */",
    };
    sqlite3 *db;

    CHECK(sqlite3_open(":memory:", &db) == SQLITE_OK);
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        sqlite3_stmt *statement = NULL;

        CHECK(sqlite3_prepare_v2(db, statements[i], -1, &statement, NULL) == SQLITE_OK);
        CHECK(most(statements[i]) >= sqlite3_bind_parameter_count(statement));
        sqlite3_finalize(statement);
    }
    sqlite3_close(db);
    CHECK(most("") == 0 && most("SELECT 1") == 0 && most("SELECT ?") == 1 && most("?,?") == 2);
    CHECK(most("?12") == 13 && most("?12,?3,?") == 15);
    CHECK(most("?99999999999999999999999999") > INT_MAX);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"names", test_names}, {"not_names", test_not_names}, {"unterminated", test_unterminated},
        {"texts", test_texts}, {"soup", test_soup},           {"start", test_start},
        {"most", test_most},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
