/* engine/dump: what the lines are, that they load again, and that every failure
 * ends a dump without leaving a statement or a block behind. Line for line, the
 * expectations are those of CPython 3.13's iterdump() but where a test says so. */

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/alloc.h"
#include "engine/cells.h"
#include "engine/dump.h"
#include "engine/error.h"
#include "engine/harness.h"
#include "engine/heap.h"

static void
check(bool ok, const char *what)
{
    harness_check(ok, what, "test_dump.c", 0);
}

static void
check_text(const char *got, const char *expected, const char *what)
{
    bool ok = strcmp(got, expected) == 0;

    check(ok, what);
    if (!ok) {
        fprintf(stderr, "--- expected\n%s--- got\n%s", expected, got);
    }
}

static sqlite3 *
open_db(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;

    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fprintf(stderr, "cannot set up: %s\n", message != NULL ? message : "open");
        exit(2);
    }
    return db;
}

/* A dump that has not come to its end leaves the connection busy. */
static void
close_db(sqlite3 *db)
{
    check(sqlite3_close(db) == SQLITE_OK, "nothing is left open");
}

/* Steps `dump` once and appends the line with a newline to `text`. */
static int
step(struct csq_dump *dump, sqlite3_str *text, struct csq_error *error)
{
    struct csq_strip strip;
    struct csq_reader reader = {NULL, NULL};
    int rc;

    csq_strip_init(&strip);
    rc = csq_dump_step(dump, &strip, error);
    if (rc == SQLITE_ROW) {
        const struct csq_cell *cell = csq_strip_read(&strip, &reader);

        sqlite3_str_append(text, cell->value.bytes, (int)cell->size);
        sqlite3_str_append(text, "\n", 1);
        if (strip.rows != 1 || cell->type != CSQ_TEXT ||
            csq_strip_read(&strip, &reader) != NULL) {
            check(false, "a line is one row of one text");
        }
    } else if (csq_strip_read(&strip, &reader) != NULL || strip.rows != 0) {
        check(false, "without a line nothing is put");
    }
    csq_strip_clear(&strip);
    return rc;
}

/* The whole dump in one text (sqlite3_free); the last result in `result`. */
static char *
dump_db(sqlite3 *db, const char *filter, int *result)
{
    sqlite3_str *text = sqlite3_str_new(NULL);
    struct csq_error error;
    struct csq_dump *dump;
    int rc = SQLITE_NOMEM;

    csq_error_init(&error);
    dump = csq_dump_new(db, filter);
    if (dump != NULL) {
        do {
            rc = step(dump, text, &error);
        } while (rc == SQLITE_ROW);
        if (rc != error.code && rc != SQLITE_DONE) {
            check(false, "a failure is the code in the error");
        }
        if (step(dump, text, &error) != SQLITE_DONE) {
            check(false, "after its end a dump is done");
        }
    }
    csq_dump_free(dump);
    csq_error_clear(&error);
    sqlite3_str_append(text, "", 1);
    *result = rc;
    return sqlite3_str_finish(text);
}

static void
check_dump(const char *sql, const char *filter, const char *expected, const char *what)
{
    sqlite3 *db = open_db(":memory:", sql);
    int rc;
    char *text = dump_db(db, filter, &rc);

    check(rc == SQLITE_DONE, what);
    check_text(text, expected, what);
    sqlite3_free(text);
    close_db(db);
}

/* What is loaded from a dump dumps to the same text, and holds the same values. */
static void
check_reload(const char *sql, const char *query, const char *what)
{
    sqlite3 *db = open_db(":memory:", sql);
    sqlite3_stmt *both[2] = {NULL, NULL};
    int rc;
    char *text = dump_db(db, NULL, &rc);
    sqlite3 *copy = open_db(":memory:", text);
    char *again = dump_db(copy, NULL, &rc);

    check_text(again, text, what);
    sqlite3_prepare_v2(db, query, -1, &both[0], NULL);
    sqlite3_prepare_v2(copy, query, -1, &both[1], NULL);
    do {
        rc = sqlite3_step(both[0]);
        check(sqlite3_step(both[1]) == rc, what);
        for (int i = 0; rc == SQLITE_ROW && i < sqlite3_column_count(both[0]); i++) {
            int size = sqlite3_column_bytes(both[0], i);

            check(sqlite3_column_type(both[0], i) == sqlite3_column_type(both[1], i), what);
            check(sqlite3_column_bytes(both[1], i) == size, what);
            check(size == 0 || memcmp(sqlite3_column_blob(both[0], i),
                                      sqlite3_column_blob(both[1], i), (size_t)size) == 0,
                  what);
        }
    } while (rc == SQLITE_ROW);
    check(rc == SQLITE_DONE, what);
    sqlite3_finalize(both[0]);
    sqlite3_finalize(both[1]);
    sqlite3_free(again);
    sqlite3_free(text);
    close_db(copy);
    close_db(db);
}

static const char everything[] =
    "CREATE TABLE zz(a INTEGER PRIMARY KEY AUTOINCREMENT, b TEXT, c BLOB, d REAL, e);"
    "INSERT INTO zz VALUES(1,'it''s',x'00ff',1.5,NULL),(5,'\xc3\xa9 \"q\"\nline',x'',-2.0,"
    " 9223372036854775807),(6,'',zeroblob(3),1e300,-9223372036854775807-1),"
    " (7,'a'||char(0)||'b''',NULL,9e999,-9e999),(8,CAST(x'41ff' AS TEXT),char(0),0.1,0.1);"
    "CREATE TABLE \"q\"\"u'o\"(\"c\"\"o'l\" TEXT, \"sp ace\", \"select\");"
    "INSERT INTO \"q\"\"u'o\" VALUES('a\"b','c''d',3);"
    "CREATE TABLE wr(k TEXT PRIMARY KEY, v) WITHOUT ROWID;"
    "INSERT INTO wr VALUES('b',1),('a',2);"
    "CREATE TABLE gen(a, b AS (a*2), c AS (a+1) STORED, d);"
    "INSERT INTO gen(a,d) VALUES(1,2),(3,4);"
    "CREATE INDEX zz_b ON zz(b);"
    "CREATE VIEW v AS SELECT * FROM zz;"
    "CREATE TRIGGER t AFTER INSERT ON zz BEGIN INSERT INTO wr VALUES(new.a, 'x;y'); END;"
    "CREATE TRIGGER tv INSTEAD OF INSERT ON v BEGIN SELECT 1; END;";

static void
test_lines(void)
{
    static const char sql[] =
        "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a);"
        "CREATE TABLE A(x); CREATE INDEX i ON t(a); CREATE VIEW b AS SELECT 1;"
        "INSERT INTO t VALUES(3,'x'),(9,x'ff'); INSERT INTO A VALUES(1.5),(NULL); ANALYZE t;";

    check_dump("", NULL, "BEGIN TRANSACTION;\nCOMMIT;\n", "empty");
    check_dump(sql, NULL,
               "BEGIN TRANSACTION;\n"
               "CREATE TABLE A(x);\n"
               "INSERT INTO \"A\" VALUES(1.5);\n"
               "INSERT INTO \"A\" VALUES(NULL);\n"
               "ANALYZE \"sqlite_master\";\n"
               "INSERT INTO \"sqlite_stat1\" VALUES('t','i','2 1');\n"
               "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a);\n"
               "INSERT INTO \"t\" VALUES(3,'x');\n"
               "INSERT INTO \"t\" VALUES(9,X'FF');\n"
               "CREATE INDEX i ON t(a);\n"
               "CREATE VIEW b AS SELECT 1;\n"
               "DELETE FROM \"sqlite_sequence\";\n"
               "INSERT INTO \"sqlite_sequence\" VALUES('t',9);\n"
               "COMMIT;\n",
               "all kinds");
    check_dump(sql, "name LIKE 'a%'",
               "BEGIN TRANSACTION;\nCREATE TABLE A(x);\nINSERT INTO \"A\" VALUES(1.5);\n"
               "INSERT INTO \"A\" VALUES(NULL);\nCOMMIT;\n",
               "filter");
    check_dump(sql, "name = 'A' OR name LIKE 'a%'",
               "BEGIN TRANSACTION;\nCREATE TABLE A(x);\nINSERT INTO \"A\" VALUES(1.5);\n"
               "INSERT INTO \"A\" VALUES(NULL);\nCOMMIT;\n",
               "filter that names a table twice");
    check_dump("CREATE TABLE p(id INTEGER PRIMARY KEY);"
               "CREATE TABLE c(x REFERENCES p(id)); INSERT INTO c VALUES(4);",
               "name = 'p'",
               "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n"
               "CREATE TABLE p(id INTEGER PRIMARY KEY);\nCOMMIT;\n",
               "broken foreign key");
}

/* Where CPython's lines are an error, or lose or mix up something. */
static void
test_better(void)
{
    check_dump("CREATE TABLE \"a'b\"(\"c'd\"); INSERT INTO \"a'b\" VALUES('\"')", NULL,
               "BEGIN TRANSACTION;\nCREATE TABLE \"a'b\"(\"c'd\");\n"
               "INSERT INTO \"a'b\" VALUES('\"');\nCOMMIT;\n",
               "a quote in a name");
    check_dump("CREATE TABLE t(a,b,c);"
               "INSERT INTO t VALUES('a'||char(0), CAST(x'eda080' AS TEXT), 9e999)",
               NULL,
               "BEGIN TRANSACTION;\nCREATE TABLE t(a,b,c);\nINSERT INTO \"t\" VALUES("
               "CAST(X'6100' AS TEXT),CAST(X'EDA080' AS TEXT),9.0e+999);\nCOMMIT;\n",
               "values");
    check_dump("CREATE TABLE t(a); CREATE TEMP TABLE t(b); INSERT INTO temp.t VALUES(1);", NULL,
               "BEGIN TRANSACTION;\nCREATE TABLE t(a);\nCOMMIT;\n", "a temporary table");
    check_dump("CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT); DROP TABLE t;", NULL,
               "BEGIN TRANSACTION;\nCOMMIT;\n", "sqlite_sequence without AUTOINCREMENT");
    check_dump("CREATE VIEW v AS SELECT 1 -- one", NULL,
               "BEGIN TRANSACTION;\nCREATE VIEW v AS SELECT 1 -- one\n;\nCOMMIT;\n",
               "a comment at the end");
    check_dump("CREATE TABLE p(id); CREATE TABLE c(x REFERENCES p(id)); INSERT INTO c VALUES(4);",
               "name = 'p'",
               "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE p(id);\nCOMMIT;\n",
               "a foreign key without a target");
}

static void
test_reload(void)
{
    sqlite3_str *wide = sqlite3_str_new(NULL);
    char *sql;

    check_reload(everything, "SELECT * FROM zz, wr, gen, \"q\"\"u'o\"", "everything");
    check_reload(everything, "SELECT * FROM sqlite_sequence", "the sequence");
    check_reload("PRAGMA encoding='UTF-16';"
                 "CREATE TABLE t(a); INSERT INTO t VALUES('\xc3\xa9'''),('a'||char(0)),(x'00')",
                 "SELECT count(*) FROM t", "UTF-16");
    sqlite3_str_appendall(wide, "CREATE TABLE t(c0");
    for (int i = 1; i < 2000; i++) {
        sqlite3_str_appendf(wide, ",c%d", i);
    }
    sqlite3_str_appendall(wide, "); INSERT INTO t(c1,c1999) VALUES(1,'x')");
    sql = sqlite3_str_finish(wide);
    check_reload(sql, "SELECT * FROM t", "2000 columns");
    sqlite3_free(sql);
}

static void
test_virtual(void)
{
    static const char on_lines[] =
        "PRAGMA writable_schema=ON;\n"
        "INSERT INTO sqlite_master(type,name,tbl_name,rootpage,sql)"
        "VALUES('table','r','r',0,'CREATE VIRTUAL TABLE r USING rtree(id,a,b)');\n";
    static const char off_lines[] =
        "PRAGMA writable_schema=RESET;\nDELETE FROM \"sqlite_sequence\";\nCOMMIT;\n";
    sqlite3 *db = open_db(":memory:", "CREATE TABLE x(a INTEGER PRIMARY KEY AUTOINCREMENT);");
    const char *on;
    const char *off;
    char *text;
    int rc;

    if (sqlite3_exec(db, "CREATE VIRTUAL TABLE r USING rtree(id,a,b)", NULL, NULL, NULL) !=
        SQLITE_OK) {
        close_db(db);
        return;
    }
    sqlite3_exec(db, "INSERT INTO r VALUES(1,2,3)", NULL, NULL, NULL);
    text = dump_db(db, NULL, &rc);
    on = strstr(text, on_lines);
    off = strstr(text, off_lines);
    check(rc == SQLITE_DONE && on != NULL && off != NULL && on < off, "a virtual table");
    check(strstr(text, "INSERT INTO \"r\" ") == NULL, "its rows are not its own");
    check(strstr(text, "INSERT INTO \"r_node\" ") != NULL, "its shadow has them");
    sqlite3_free(text);
    close_db(db);
}

/* Between two lines, the connection and others are used. */
static void
test_between(void)
{
    const char *path = harness_path("between.db");
    sqlite3 *db = open_db(path, "PRAGMA journal_mode=WAL; CREATE TABLE a(x); CREATE TABLE b(x);"
                                "INSERT INTO a VALUES(1),(2),(3); INSERT INTO b VALUES(4);");
    sqlite3 *other = open_db(path, "");
    sqlite3_str *text = sqlite3_str_new(NULL);
    struct csq_error error;
    struct csq_dump *dump = csq_dump_new(db, NULL);
    char *whole;
    int lines = 0;

    csq_error_init(&error);
    while (step(dump, text, &error) == SQLITE_ROW) {
        lines++;
        check(sqlite3_exec(db, "SELECT name FROM sqlite_master; PRAGMA table_info(b)", NULL, NULL,
                           NULL) == SQLITE_OK,
              "the connection can be read");
        if (lines == 3) {
            check(sqlite3_exec(other, "DELETE FROM a; DROP TABLE b; CREATE TABLE c(x)", NULL,
                               NULL, NULL) == SQLITE_OK,
                  "others can write");
        }
    }
    sqlite3_str_append(text, "", 1);
    whole = sqlite3_str_finish(text);
    check_text(whole,
               "BEGIN TRANSACTION;\nCREATE TABLE a(x);\nINSERT INTO \"a\" VALUES(1);\n"
               "INSERT INTO \"a\" VALUES(2);\nINSERT INTO \"a\" VALUES(3);\n"
               "CREATE TABLE b(x);\nINSERT INTO \"b\" VALUES(4);\nCOMMIT;\n",
               "a dump is of one moment");
    check(sqlite3_exec(db, "DROP TABLE a", NULL, NULL, NULL) == SQLITE_OK,
          "after the last line nothing is held");
    sqlite3_free(whole);
    csq_dump_free(dump);
    close_db(other);
    close_db(db);
}

static int
refuse(void *argument)
{
    (void)argument;
    return 1;
}

static void
test_errors(void)
{
    const char *path = harness_path("errors.db");
    FILE *file = fopen(path, "wb");
    sqlite3 *db;
    char *text;
    int rc;

    for (int i = 0; i < 4096; i++) {
        fputc('x', file);
    }
    fclose(file);
    db = open_db(path, "");
    text = dump_db(db, NULL, &rc);
    check(rc == SQLITE_NOTADB && *text == '\0', "no database");
    sqlite3_free(text);
    close_db(db);

    db = open_db(":memory:", everything);
    sqlite3_progress_handler(db, 1, refuse, NULL);
    text = dump_db(db, NULL, &rc);
    check(rc == SQLITE_INTERRUPT, "interrupted");
    sqlite3_free(text);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 600);
    sqlite3_exec(db, "INSERT INTO wr VALUES('big', zeroblob(400))", NULL, NULL, NULL);
    text = dump_db(db, "name = 'wr'", &rc);
    check(rc == SQLITE_TOOBIG, "a line that is too long");
    sqlite3_free(text);
    close_db(db);
}

static void
test_abandoned(void)
{
    sqlite3_str *text = sqlite3_str_new(NULL);
    struct csq_error error;

    csq_error_init(&error);
    csq_dump_free(NULL);
    for (int lines = 0; lines < 20; lines++) {
        sqlite3 *db = open_db(":memory:", everything);
        struct csq_dump *dump = csq_dump_new(db, "name LIKE '%'");

        for (int i = 0; i < lines; i++) {
            step(dump, text, &error);
        }
        csq_dump_free(dump);
        close_db(db);
    }
    sqlite3_free(sqlite3_str_finish(text));
}

/* Whether the lines in `strip` are those of `text`. */
static bool
is_text(const struct csq_strip *strip, const char *text)
{
    struct csq_reader reader = {NULL, NULL};
    const struct csq_cell *cell;

    while ((cell = csq_strip_read(strip, &reader)) != NULL) {
        if (strncmp(text, cell->value.bytes, cell->size) != 0 || text[cell->size] != '\n') {
            return false;
        }
        text += cell->size + 1;
    }
    return *text == '\0';
}

/* Dumps with the nth allocation, of SQLite or ours, failing. */
static int
dump_failing(sqlite3 *db, bool of_sqlite, long nth, struct csq_strip *strip)
{
    struct csq_error error;
    struct csq_dump *dump;
    int rc;

    csq_error_init(&error);
    heap_fail_at(of_sqlite ? nth : 0);
#ifdef CSQ_FAULTS
    csq_alloc_fail_at(of_sqlite ? 0 : nth);
#endif
    dump = csq_dump_new(db, "name LIKE '%'");
    do {
        rc = dump == NULL ? SQLITE_NOMEM : csq_dump_step(dump, strip, &error);
    } while (rc == SQLITE_ROW);
    csq_dump_free(dump);
    csq_error_clear(&error);
    return rc;
}

/* Fails every allocation in turn. SQLite can do without some of its own: then
 * the dump is whole nevertheless. */
static void
walk_failures(sqlite3 *db, bool of_sqlite, const char *what)
{
    bool over = false;
    int rc;
    char *text = dump_db(db, "name LIKE '%'", &rc);

    for (long nth = 1; !over && nth < 10000; nth++) {
        struct csq_strip strip;
        long left;

        csq_strip_init(&strip);
        rc = dump_failing(db, of_sqlite, nth, &strip);
        left = heap_fail_at(0);
        over = rc == SQLITE_DONE && (!of_sqlite || left > 0);
        if (rc != SQLITE_NOMEM && !(rc == SQLITE_DONE && is_text(&strip, text))) {
            check(false, what);
        }
        csq_strip_clear(&strip);
    }
    check(over, what);
    check(sqlite3_next_stmt(db, NULL) == NULL, what);
    sqlite3_free(text);
}

static void
test_memory(void)
{
    sqlite3 *db = open_db(":memory:", everything);

    walk_failures(db, true, "SQLite has no memory");
#ifdef CSQ_FAULTS
    long live = csq_alloc_live();

    walk_failures(db, false, "no memory");
    csq_alloc_fail_at(0);
    check(csq_alloc_live() == live, "no block is left");
#endif
    close_db(db);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"lines", test_lines},     {"better", test_better},       {"reload", test_reload},
        {"virtual", test_virtual}, {"between", test_between},     {"errors", test_errors},
        {"memory", test_memory},   {"abandoned", test_abandoned},
    };

    heap_install();
    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
