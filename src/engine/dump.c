/* Dumps. One statement walks the schema in the order of the dump and stands on
 * the object that is being written; a second one reads that object's rows. A
 * state either writes one line or moves on, so a dump can rest after any line.
 *
 * A line is what CPython's iterdump() says, wherever that loads again. Values
 * are written here one by one, not by a long quote(a)||','||quote(b) in SQL:
 * that ends texts at a NUL, gives the infinities of old versions of SQLite as
 * "Inf", and is too deep an expression for a table of 500 columns. */

#include "engine/dump.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "engine/alloc.h"

enum state { START, BEGIN, NEXT, OBJECT, ROWS, FINISH, OVER };

struct csq_dump {
    sqlite3 *db;
    char *filter; /* an expression of SQL; NULL: all */
    enum state state;
    bool writable;        /* PRAGMA writable_schema=ON has been said */
    bool is_virtual;      /* what `schema` stands on is a virtual table */
    bool autoincrement;   /* a table said so far makes SQLite create sqlite_sequence */
    sqlite3_stmt *schema; /* lends the following three until its next step */
    const char *type;
    const char *name;
    const char *sql;
    sqlite3_stmt *rows;  /* of the table `name`; NULL: not begun */
    sqlite3_stmt *quote; /* gives a float as SQLite writes it */
    sqlite3_str *line;   /* keeps its first failure, so it is asked for once, at the end */
};

/* In place of %s stands the filter. sqlite_sequence comes last: creating and filling the
 * tables changes it. What is no table keeps the order of its creation, because a trigger
 * needs its view. */
static const char schema_sql[] =
    "SELECT \"type\", \"name\", \"sql\", \"type\" == 'table' AND ifnull(\"rootpage\", 0) == 0"
    " FROM \"main\".\"sqlite_master\""
    " WHERE \"sql\" NOT NULL AND \"type\" IN ('table', 'index', 'trigger', 'view')"
    " AND (%s)"
    " ORDER BY CASE WHEN \"type\" != 'table' THEN 1"
    " WHEN \"name\" == 'sqlite_sequence' THEN 2 ELSE 0 END,"
    " CASE \"type\" WHEN 'table' THEN \"name\" END, rowid";

/* What a state returns that has written the line. */
static int
said(const struct csq_dump *dump)
{
    int rc = sqlite3_str_errcode(dump->line);

    return rc == SQLITE_OK ? SQLITE_ROW : rc;
}

/* Writes the line, as sqlite3_mprintf() would. */
static int
say(struct csq_dump *dump, const char *format, ...)
{
    va_list args;

    sqlite3_str_reset(dump->line);
    va_start(args, format);
    sqlite3_str_vappendf(dump->line, format, args);
    va_end(args);
    return said(dump);
}

/* Prepares the text of the line. */
static int
prepare(const struct csq_dump *dump, sqlite3_stmt **statement)
{
    int rc = sqlite3_str_errcode(dump->line);

    if (rc != SQLITE_OK) {
        return rc;
    }
    return sqlite3_prepare_v2(dump->db, sqlite3_str_value(dump->line), -1, statement, NULL);
}

/* The bytes of the character at `bytes`, which is not ASCII; 0: it is not UTF-8. */
static size_t
measure(const unsigned char *bytes, size_t size)
{
    unsigned char lead = bytes[0];
    unsigned char lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

    if (lead < 0xC2 || lead > 0xF4 || size < length || bytes[1] < lowest || bytes[1] > highest) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((bytes[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return length;
}

/* Whether a literal in a Python str can hold it: strict UTF-8 without a NUL. */
static bool
is_plain(const unsigned char *bytes, size_t size)
{
    while (size > 0) {
        size_t length = bytes[0] >= 0x01 && bytes[0] < 0x80 ? 1 : measure(bytes, size);

        if (length == 0) {
            return false;
        }
        bytes += length;
        size -= length;
    }
    return true;
}

static void
put_hex(sqlite3_str *line, const unsigned char *bytes, int size)
{
    static const char digits[] = "0123456789ABCDEF";

    sqlite3_str_appendall(line, "X'");
    for (int i = 0; i < size; i++) {
        char pair[2] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};

        sqlite3_str_append(line, pair, 2);
    }
    sqlite3_str_appendall(line, "'");
}

/* A text that no literal holds goes by its bytes. 'a'||char(0)||'b' would load
 * into a UTF-16 database too, but not with a thousand NULs. */
static int
put_bytes(sqlite3_str *line, int type, const unsigned char *bytes, int size)
{
    if (bytes == NULL && (type == SQLITE_TEXT || size > 0)) {
        return SQLITE_NOMEM;
    }
    if (type == SQLITE_BLOB) {
        put_hex(line, bytes, size);
    } else if (is_plain(bytes, (size_t)size)) {
        sqlite3_str_appendf(line, "%Q", bytes);
    } else {
        sqlite3_str_appendall(line, "CAST(");
        put_hex(line, bytes, size);
        sqlite3_str_appendall(line, " AS TEXT)");
    }
    return SQLITE_OK;
}

/* SQLite writes them: its digits differ from version to version. */
static int
put_float(struct csq_dump *dump, double real)
{
    const char *text;
    int rc;

    if (isinf(real)) {
        sqlite3_str_appendall(dump->line, real < 0 ? "-9.0e+999" : "9.0e+999");
        return SQLITE_OK;
    }
    if (real == 0 && signbit(real)) {
        sqlite3_str_appendall(dump->line, "-0.0");
        return SQLITE_OK;
    }
    rc = sqlite3_bind_double(dump->quote, 1, real);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(dump->quote);
    }
    if (rc != SQLITE_ROW) {
        return rc;
    }
    text = (const char *)sqlite3_column_text(dump->quote, 0);
    if (text == NULL) {
        return SQLITE_NOMEM;
    }
    sqlite3_str_appendall(dump->line, text);
    return sqlite3_reset(dump->quote);
}

static int
put_value(struct csq_dump *dump, int column)
{
    sqlite3_stmt *row = dump->rows;
    int type = sqlite3_column_type(row, column);
    const unsigned char *bytes;

    switch (type) {
    case SQLITE_INTEGER:
        sqlite3_str_appendf(dump->line, "%lld", sqlite3_column_int64(row, column));
        return SQLITE_OK;
    case SQLITE_FLOAT:
        return put_float(dump, sqlite3_column_double(row, column));
    case SQLITE_TEXT:
        bytes = sqlite3_column_text(row, column);
        return put_bytes(dump->line, type, bytes, sqlite3_column_bytes(row, column));
    case SQLITE_BLOB:
        bytes = sqlite3_column_blob(row, column);
        return put_bytes(dump->line, type, bytes, sqlite3_column_bytes(row, column));
    default:
        sqlite3_str_appendall(dump->line, "NULL");
        return SQLITE_OK;
    }
}

/* The stored text of a view may end in a comment, which would swallow the
 * semicolon: the first end that makes a whole statement of it is taken. */
static int
say_sql(struct csq_dump *dump)
{
    static const char *const ends[] = {";", "\n;", "*/;"};

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        int rc = say(dump, "%s%s", dump->sql, ends[i]);

        if (rc != SQLITE_ROW || sqlite3_complete(sqlite3_str_value(dump->line))) {
            return rc;
        }
    }
    return say(dump, "%s;", dump->sql);
}

/* Appends the columns that `info`, a table_info, tells of. */
static int
put_columns(struct csq_dump *dump, sqlite3_stmt *info)
{
    const char *format = "\"%w\""; /* %w doubles the quotes within */
    int rc;

    while ((rc = sqlite3_step(info)) == SQLITE_ROW) {
        const char *column = (const char *)sqlite3_column_text(info, 1);
        int autoincrement = 0;

        if (column == NULL) {
            return SQLITE_NOMEM;
        }
        rc = sqlite3_table_column_metadata(dump->db, "main", dump->name, column, NULL, NULL, NULL,
                                           NULL, &autoincrement);
        if (rc != SQLITE_OK) {
            return rc;
        }
        dump->autoincrement = dump->autoincrement || autoincrement != 0;
        sqlite3_str_appendf(dump->line, format, column);
        format = ",\"%w\"";
    }
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Begins to read the rows. table_info leaves generated columns out, which cannot
 * be inserted; "main" keeps a temporary table of the same name out. */
static int
select_rows(struct csq_dump *dump)
{
    sqlite3_stmt *info = NULL;
    int rc;

    say(dump, "PRAGMA \"main\".table_info(\"%w\")", dump->name);
    rc = prepare(dump, &info);
    if (rc != SQLITE_OK) {
        return rc;
    }
    say(dump, "SELECT ");
    rc = put_columns(dump, info);
    sqlite3_finalize(info);
    if (rc != SQLITE_OK) {
        return rc;
    }
    sqlite3_str_appendf(dump->line, " FROM \"main\".\"%w\"", dump->name);
    return prepare(dump, &dump->rows);
}

/* A foreign key that refers to nothing unique is an error of the check, as it
 * would be one of every INSERT that loads the dump. */
static int
start(struct csq_dump *dump)
{
    sqlite3_stmt *check = NULL;
    int rc;

    rc = sqlite3_prepare_v2(dump->db, "PRAGMA foreign_key_check", -1, &check, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(check);
    }
    sqlite3_finalize(check);
    if (rc != SQLITE_ROW && rc != SQLITE_ERROR && rc != SQLITE_DONE) {
        return rc;
    }
    dump->state = BEGIN;
    return rc == SQLITE_DONE ? SQLITE_OK : say(dump, "PRAGMA foreign_keys=OFF;");
}

static int
begin(struct csq_dump *dump)
{
    char *sql = sqlite3_mprintf(schema_sql, dump->filter == NULL ? "1" : dump->filter);
    int rc;

    if (sql == NULL) {
        return SQLITE_NOMEM;
    }
    rc = sqlite3_prepare_v2(dump->db, sql, -1, &dump->schema, NULL);
    sqlite3_free(sql);
    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v2(dump->db, "SELECT quote(?1)", -1, &dump->quote, NULL);
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    dump->state = NEXT;
    return say(dump, "BEGIN TRANSACTION;");
}

static int
next(struct csq_dump *dump)
{
    int rc = sqlite3_step(dump->schema);

    if (rc == SQLITE_DONE) {
        dump->state = FINISH;
        return SQLITE_OK;
    }
    if (rc != SQLITE_ROW) {
        return rc;
    }
    dump->type = (const char *)sqlite3_column_text(dump->schema, 0);
    dump->name = (const char *)sqlite3_column_text(dump->schema, 1);
    dump->sql = (const char *)sqlite3_column_text(dump->schema, 2);
    dump->is_virtual = sqlite3_column_int(dump->schema, 3) != 0;
    if (dump->type == NULL || dump->name == NULL || dump->sql == NULL) {
        return SQLITE_NOMEM;
    }
    dump->state = OBJECT;
    return SQLITE_OK;
}

/* RESET is OFF, and lets the connection that loads the dump read the schema again:
 * it knows the virtual tables from then on. An old SQLite takes it for OFF. */
static int
switch_writable(struct csq_dump *dump, bool on)
{
    dump->writable = on;
    return say(dump, "PRAGMA writable_schema=%s;", on ? "ON" : "RESET");
}

/* The rows of a virtual table are left out: they live in its shadow tables, and
 * the connection that loads the dump does not know the table yet. */
static int
say_virtual(struct csq_dump *dump)
{
    if (!dump->writable) {
        return switch_writable(dump, true);
    }
    dump->state = NEXT;
    return say(dump,
               "INSERT INTO sqlite_master(type,name,tbl_name,rootpage,sql)"
               "VALUES('table',%Q,%Q,0,%Q);",
               dump->name, dump->name, dump->sql);
}

/* A whole dump without AUTOINCREMENT makes no sqlite_sequence to delete from. */
static int
say_sequence(struct csq_dump *dump)
{
    if (dump->filter == NULL && !dump->autoincrement) {
        dump->state = NEXT;
        return SQLITE_OK;
    }
    if (dump->writable) {
        return switch_writable(dump, false);
    }
    dump->state = ROWS;
    return say(dump, "DELETE FROM \"sqlite_sequence\";");
}

static int
object(struct csq_dump *dump)
{
    bool is_table = strcmp(dump->type, "table") == 0;

    if (is_table && strcmp(dump->name, "sqlite_sequence") == 0) {
        return say_sequence(dump);
    }
    if (dump->is_virtual) {
        return say_virtual(dump);
    }
    dump->state = is_table ? ROWS : NEXT;
    if (is_table && strcmp(dump->name, "sqlite_stat1") == 0) {
        return say(dump, "ANALYZE \"sqlite_master\";");
    }
    if (is_table && strncmp(dump->name, "sqlite_", 7) == 0) {
        dump->state = NEXT;
        return SQLITE_OK;
    }
    return say_sql(dump);
}

static int
rows(struct csq_dump *dump)
{
    int rc = dump->rows == NULL ? select_rows(dump) : SQLITE_OK;

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(dump->rows);
    }
    if (rc == SQLITE_DONE) {
        rc = sqlite3_finalize(dump->rows);
        dump->rows = NULL;
        dump->state = NEXT;
        return rc;
    }
    if (rc != SQLITE_ROW) {
        return rc;
    }
    say(dump, "INSERT INTO \"%w\" VALUES(", dump->name);
    for (int i = 0; i < sqlite3_column_count(dump->rows); i++) {
        sqlite3_str_appendall(dump->line, i > 0 ? "," : "");
        rc = put_value(dump, i);
        if (rc != SQLITE_OK) {
            return rc;
        }
    }
    sqlite3_str_appendall(dump->line, ");");
    return said(dump);
}

/* Lets go of the snapshot; every step from now on is SQLITE_DONE. */
static void
end(struct csq_dump *dump)
{
    sqlite3_finalize(dump->schema);
    sqlite3_finalize(dump->rows);
    sqlite3_finalize(dump->quote);
    dump->schema = NULL;
    dump->rows = NULL;
    dump->quote = NULL;
    dump->state = OVER;
}

static int
finish(struct csq_dump *dump)
{
    if (dump->writable) {
        return switch_writable(dump, false);
    }
    end(dump);
    return say(dump, "COMMIT;");
}

struct csq_dump *
csq_dump_new(sqlite3 *db, const char *filter)
{
    struct csq_dump *dump = csq_calloc(sizeof *dump);

    if (dump == NULL) {
        return NULL;
    }
    dump->db = db;
    dump->state = START;
    dump->line = sqlite3_str_new(db);
    dump->filter = filter == NULL ? NULL : csq_memdup(filter, strlen(filter));
    if (sqlite3_str_errcode(dump->line) != SQLITE_OK ||
        (filter != NULL && dump->filter == NULL)) {
        csq_dump_free(dump);
        return NULL;
    }
    return dump;
}

int
csq_dump_step(struct csq_dump *dump, struct csq_strip *strip, struct csq_error *error)
{
    static int (*const states[])(struct csq_dump *) = {
        [START] = start,   [BEGIN] = begin, [NEXT] = next,
        [OBJECT] = object, [ROWS] = rows,   [FINISH] = finish,
    };
    int rc;

    do {
        rc = dump->state == OVER ? SQLITE_DONE : states[dump->state](dump);
    } while (rc == SQLITE_OK);
    if (rc == SQLITE_ROW && !csq_strip_put_text(strip, sqlite3_str_value(dump->line),
                                                (size_t)sqlite3_str_length(dump->line))) {
        rc = SQLITE_NOMEM;
    }
    if (rc == SQLITE_ROW) {
        strip->rows++;
    } else if (rc != SQLITE_DONE) {
        rc = csq_error_copy(error, dump->db, rc);
        end(dump);
    }
    return rc;
}

void
csq_dump_free(struct csq_dump *dump)
{
    if (dump == NULL) {
        return;
    }
    end(dump);
    sqlite3_free(sqlite3_str_finish(dump->line));
    csq_free(dump->filter);
    csq_free(dump);
}
