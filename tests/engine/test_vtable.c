/* engine/vtable: a source of numbers stands for Python's. What it gives is what SQL
 * reads, what it says goes wrong is what SQL hears, and whatever is begun is ended. */

#include "engine/vtable.h"

#include <stdio.h>
#include <string.h>

#include "engine/alloc.h"
#include "engine/harness.h"

enum { ROWS_A_TIME = 3 };

struct source {
    struct csq_module base;
    int fails_at;  /* the row that fails, -1: none */
    int tables;    /* connected and not disconnected */
    int scans;     /* begun and not ended */
    int fills;     /* how often rows were asked for */
    bool released;
    sqlite3_int64 last; /* what was written last */
};

struct scan {
    struct source *source;
    int next;
    int end;
};

static int
connect_table(void *module, const char *const *arguments, int count, struct csq_shape *shape,
              void **table, char **message)
{
    struct source *source = module;

    if (count > 0 && strcmp(arguments[0], "broken") == 0) {
        *message = sqlite3_mprintf("broken on purpose");
        return SQLITE_ERROR;
    }
    shape->sql = sqlite3_mprintf("CREATE TABLE x(n, t%s, first HIDDEN, stop HIDDEN)",
                                 count > 0 ? ", t" : "");
    shape->columns = 2;
    shape->parameters = 2;
    shape->rowid = 0;
    if (shape->sql == NULL) {
        return SQLITE_NOMEM;
    }
    source->tables++;
    *table = source;
    return SQLITE_OK;
}

static void
disconnect_table(void *table)
{
    ((struct source *)table)->tables--;
}

static int
begin_scan(void *table, unsigned given, sqlite3_value **values, void **scan, char **message)
{
    struct scan *fresh = csq_malloc(sizeof *fresh);

    (void)message;
    if (fresh == NULL) {
        return SQLITE_NOMEM;
    }
    fresh->source = table;
    fresh->source->scans++;
    fresh->next = (given & 1) != 0 ? sqlite3_value_int(*values++) : 0;
    fresh->end = (given & 2) != 0 ? sqlite3_value_int(*values++) : 5;
    *scan = fresh;
    return SQLITE_OK;
}

static int
fill_rows(void *argument, struct csq_strip *rows, char **message)
{
    struct scan *scan = argument;

    scan->source->fills++;
    for (int i = 0; i < ROWS_A_TIME && scan->next < scan->end; i++) {
        char text[16];
        int size = snprintf(text, sizeof text, "t%d", scan->next);

        if (scan->next == scan->source->fails_at) {
            *message = sqlite3_mprintf("row %d is missing", scan->next);
            return SQLITE_ERROR;
        }
        if (!csq_strip_put_integer(rows, scan->next) ||
            !csq_strip_put_text(rows, text, (size_t)size)) {
            return SQLITE_NOMEM;
        }
        rows->rows++;
        scan->next++;
    }
    return SQLITE_OK;
}

static void
end_scan(void *argument)
{
    struct scan *scan = argument;

    scan->source->scans--;
    csq_free(scan);
}

static int
change_row(void *table, const struct csq_change *change, sqlite3_int64 *rowid, char **message)
{
    struct source *source = table;

    switch (change->kind) {
    case CSQ_DELETE:
        source->last = -sqlite3_value_int64(change->rowid);
        return SQLITE_OK;
    case CSQ_INSERT:
        source->last = sqlite3_value_int64(change->values[0]);
        *rowid = 100 + source->last;
        return SQLITE_OK;
    default:
        *message = sqlite3_mprintf("row %lld stays as it is", sqlite3_value_int64(change->rowid));
        return SQLITE_READONLY;
    }
}

static void
release_source(void *module)
{
    ((struct source *)module)->released = true;
}

static const struct csq_vtable_hooks hooks = {
    .connect = connect_table,
    .disconnect = disconnect_table,
    .scan = begin_scan,
    .fill = fill_rows,
    .end = end_scan,
    .change = change_row,
    .release = release_source,
};

static sqlite3 *
set_up(struct source *source, enum csq_vtable_kind kind)
{
    sqlite3 *db = NULL;

    memset(source, 0, sizeof *source);
    source->base.hooks = &hooks;
    source->fails_at = -1;
    CHECK(sqlite3_open(":memory:", &db) == SQLITE_OK);
    CHECK(csq_vtable_register(db, "numbers", kind, &source->base) == SQLITE_OK);
    return db;
}

static void
tear_down(struct source *source, sqlite3 *db)
{
    CHECK(sqlite3_close(db) == SQLITE_OK);
    CHECK(source->released && source->tables == 0 && source->scans == 0);
}

/* Runs SQL and gives all values of all rows with commas between them, or what went
 * wrong. Lent until the next call. */
static const char *
ask(sqlite3 *db, const char *sql)
{
    static char answer[512];
    sqlite3_stmt *stmt = NULL;
    size_t size = 0;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    answer[0] = '\0';
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(stmt);
        for (int i = 0; rc == SQLITE_ROW && i < sqlite3_column_count(stmt); i++) {
            const char *text = (const char *)sqlite3_column_text(stmt, i);

            size += (size_t)snprintf(answer + size, sizeof answer - size, "%s%s",
                                     size > 0 ? "," : "", text == NULL ? "-" : text);
        }
    }
    if (rc != SQLITE_DONE) {
        snprintf(answer + size, sizeof answer - size, "!%s", sqlite3_errmsg(db));
    }
    sqlite3_finalize(stmt);
    return answer;
}

static bool
says(sqlite3 *db, const char *sql, const char *expected)
{
    const char *answer = ask(db, sql);

    return strcmp(answer, expected) == 0;
}

static void
test_reading(void)
{
    struct source source;
    sqlite3 *db = set_up(&source, CSQ_EPONYMOUS);

    CHECK(says(db, "SELECT n, t FROM numbers", "0,t0,1,t1,2,t2,3,t3,4,t4"));
    CHECK(source.fills == 3 && source.scans == 0);
    CHECK(says(db, "SELECT n, first, stop FROM numbers(2)", "2,2,-,3,2,-,4,2,-"));
    CHECK(says(db, "SELECT n, stop FROM numbers WHERE stop = 2", "0,2,1,2"));
    CHECK(says(db, "SELECT n FROM numbers(7, 9) WHERE first = 7 AND first = 7", "7,8"));
    CHECK(says(db, "SELECT n FROM numbers(7, 9) WHERE first = 8", ""));
    CHECK(says(db, "SELECT rowid, t FROM numbers ORDER BY n DESC LIMIT 1", "4,t4"));
    CHECK(says(db, "SELECT b.n FROM numbers(1, 3) a, numbers(0, a.n) b", "0,0,1"));
    CHECK(says(db, "SELECT max(t), min(t) FROM numbers(0, 100)", "t99,t0"));
    source.fills = 0;
    CHECK(says(db, "SELECT n FROM numbers LIMIT 1", "0"));
    CHECK(source.fills == 1 && source.scans == 0);
    CHECK(says(db, "CREATE VIRTUAL TABLE x USING numbers", "!no such module: numbers"));
    CHECK(says(db, "DELETE FROM numbers", "!table numbers may not be modified"));
    tear_down(&source, db);
}

static void
test_errors(void)
{
    struct source source;
    sqlite3 *db = set_up(&source, CSQ_CREATABLE);

    for (int at = 0; at < 5; at++) {
        source.fails_at = at;
        ask(db, "SELECT n FROM numbers");
        CHECK(source.scans == 0);
    }
    CHECK(says(db, "SELECT n FROM numbers", "0,1,2,3!row 4 is missing"));
    CHECK(says(db, "SELECT n FROM numbers LIMIT 4", "0,1,2,3"));
    source.fails_at = 0;
    CHECK(says(db, "SELECT n FROM numbers", "!row 0 is missing"));
    CHECK(says(db, "CREATE VIRTUAL TABLE x USING numbers(broken)", "!broken on purpose"));
    CHECK(says(db, "CREATE VIRTUAL TABLE x USING numbers(twice)", "!duplicate column name: t"));
    CHECK(source.tables == 1);
    CHECK(says(db, "CREATE VIRTUAL TABLE x USING numbers", "") && source.tables == 2);
    CHECK(says(db, "DROP TABLE x", "") && source.tables == 1);
    tear_down(&source, db);
}

static void
test_writing(void)
{
    struct source source;
    sqlite3 *db = set_up(&source, CSQ_WRITABLE);

    CHECK(says(db, "INSERT INTO numbers(n) VALUES (7)", "") && source.last == 7);
    CHECK(sqlite3_last_insert_rowid(db) == 107);
    CHECK(says(db, "DELETE FROM numbers WHERE n = 3", "") && source.last == -3);
    CHECK(says(db, "UPDATE numbers SET t = 1 WHERE n = 2", "!row 2 stays as it is"));
    tear_down(&source, db);
}

static void
test_replacing(void)
{
    struct source first;
    struct source second = {.base.hooks = &hooks, .fails_at = -1};
    sqlite3 *db = set_up(&first, CSQ_EPONYMOUS);
    sqlite3_stmt *stmt = NULL;

    CHECK(sqlite3_prepare_v2(db, "SELECT n FROM numbers", -1, &stmt, NULL) == SQLITE_OK);
    CHECK(sqlite3_step(stmt) == SQLITE_ROW);
    CHECK(csq_vtable_register(db, "numbers", CSQ_EPONYMOUS, &second.base) == SQLITE_OK);
    CHECK(!first.released);
    CHECK(sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_int(stmt, 0) == 1);
    sqlite3_finalize(stmt);
    CHECK(says(db, "SELECT n FROM numbers(8, 9)", "8"));
    CHECK(first.released && first.tables == 0 && second.tables == 1);
    CHECK(csq_vtable_register(db, "numbers", CSQ_EPONYMOUS, NULL) == SQLITE_OK);
    CHECK(says(db, "SELECT n FROM numbers", "!no such table: numbers"));
    tear_down(&second, db);
}

static void
test_no_memory(void)
{
    struct source source;
    sqlite3 *db = set_up(&source, CSQ_EPONYMOUS);
    long live = csq_alloc_live();
    bool whole = false;

    for (long nth = 1; !whole && nth < 50; nth++) {
        csq_alloc_fail_at(nth);
        whole = says(db, "SELECT count(*) FROM numbers(0, 30)", "30");
        CHECK(whole == (csq_alloc_fail_at(0) > 0));
        CHECK(csq_alloc_live() == live && source.scans == 0);
    }
    CHECK(whole);
    tear_down(&source, db);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"reading", test_reading},     {"errors", test_errors},       {"writing", test_writing},
        {"replacing", test_replacing}, {"no_memory", test_no_memory},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
