/* Binding a row of parameters, against SQLite's own functions for that.
 *
 * The input is SQL, a 0, and a program that says what is bound: values by position, or
 * pairs of names and values. When SQLite's names and numbers say that they fit, the
 * statement must be bound, and SQLite must then show the same SQL as for values that
 * are bound one by one; otherwise it must be refused. */

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "engine/alloc.h"
#include "engine/cells.h"
#include "engine/scan.h"
#include "engine/stmt.h"
#include "fuzz/fuzz.h"

enum { MAX_VALUES = 40 };

struct value {
    enum csq_type type;
    int64_t integer;
    double real;
    char *text; /* owned */
    char *name; /* owned; NULL: bound by position */
};

struct row {
    int width;
    bool named;
    struct value values[MAX_VALUES];
};

static sqlite3 *
database(void)
{
    static sqlite3 *db;

    if (db == NULL) {
        MUST(sqlite3_open(":memory:", &db) == SQLITE_OK);
        sqlite3_limit(db, SQLITE_LIMIT_EXPR_DEPTH, 100);
        sqlite3_limit(db, SQLITE_LIMIT_VARIABLE_NUMBER, 200);
    }
    return db;
}

static void
read_value(struct value *value, struct fuzz_input *input)
{
    static const enum csq_type types[] = {CSQ_NULL, CSQ_INTEGER, CSQ_FLOAT,  CSQ_TEXT,
                                          CSQ_BLOB, CSQ_TEXT,    CSQ_POISON, CSQ_MISSING};
    uint64_t bits;

    memset(value, 0, sizeof *value);
    value->type = types[fuzz_byte(input) % 8];
    if (value->type == CSQ_INTEGER) {
        value->integer = (int64_t)fuzz_number(input, 8);
    } else if (value->type == CSQ_FLOAT) {
        bits = fuzz_number(input, 8);
        memcpy(&value->real, &bits, sizeof bits);
    } else if (value->type == CSQ_TEXT || value->type == CSQ_BLOB) {
        value->text = fuzz_text(input);
    }
}

/* The names of the statement, as the binding asks a mapping for them, and others. */
static void
read_row(struct row *row, const char *sql, struct fuzz_input *input)
{
    const char *p = sql;
    const char *name;
    size_t size;
    uint8_t code = fuzz_byte(input);

    row->named = code & 1;
    row->width = 0;
    if (!row->named) {
        for (int left = code >> 1; left > 0 && row->width < MAX_VALUES; left--) {
            read_value(&row->values[row->width++], input);
        }
        return;
    }
    while (row->width < MAX_VALUES && csq_scan_parameter(&p, sql + strlen(sql), &name, &size)) {
        struct value *value = &row->values[row->width++];

        read_value(value, input);
        if (code & 2) { /* a name of the input's own instead */
            value->name = fuzz_text(input);
            continue;
        }
        value->name = malloc(size + 1);
        if (value->name == NULL) {
            abort();
        }
        memcpy(value->name, name, size);
        value->name[size] = '\0';
    }
}

static void
pack(const struct row *row, struct csq_strip *strip)
{
    csq_head_set(csq_strip_put_head(strip), row->width, row->named);
    for (int i = 0; i < row->width; i++) {
        const struct value *value = &row->values[i];

        if (row->named) {
            MUST(csq_strip_put_text(strip, value->name, strlen(value->name)));
        }
        if (value->type == CSQ_INTEGER) {
            MUST(csq_strip_put_integer(strip, value->integer));
        } else if (value->type == CSQ_FLOAT) {
            MUST(csq_strip_put_float(strip, value->real));
        } else if (value->type == CSQ_TEXT) {
            MUST(csq_strip_put_text(strip, value->text, strlen(value->text)));
        } else if (value->type == CSQ_BLOB) {
            MUST(csq_strip_put_blob(strip, value->text, strlen(value->text)));
        } else {
            MUST(csq_strip_put_mark(strip, value->type));
        }
    }
}

/* Binds one by one. False: it cannot be bound. */
static bool
bind_value(sqlite3_stmt *statement, int number, const struct value *value)
{
    switch (value->type) {
    case CSQ_INTEGER:
        return sqlite3_bind_int64(statement, number, value->integer) == SQLITE_OK;
    case CSQ_FLOAT:
        return sqlite3_bind_double(statement, number, value->real) == SQLITE_OK;
    case CSQ_TEXT:
        return sqlite3_bind_text(statement, number, value->text, -1, SQLITE_STATIC) == SQLITE_OK;
    case CSQ_BLOB:
        return sqlite3_bind_blob(statement, number, value->text, (int)strlen(value->text),
                                 SQLITE_STATIC) == SQLITE_OK;
    case CSQ_POISON:
        return false;
    default:
        return sqlite3_bind_null(statement, number) == SQLITE_OK;
    }
}

/* The first value of that name, as a mapping has one; NULL: none. */
static const struct value *
named(const struct row *row, const char *name)
{
    for (int i = 0; i < row->width; i++) {
        if (strcmp(row->values[i].name, name) == 0) {
            return row->values[i].type == CSQ_MISSING ? NULL : &row->values[i];
        }
    }
    return NULL;
}

static bool
bind_all(sqlite3_stmt *statement, const struct row *row)
{
    int count = sqlite3_bind_parameter_count(statement);

    if (!row->named && count != row->width) {
        return false;
    }
    for (int number = 1; number <= count; number++) {
        const char *name = sqlite3_bind_parameter_name(statement, number);
        const struct value *value;

        if (!row->named) {
            value = &row->values[number - 1];
        } else {
            value = name == NULL ? NULL : named(row, name + 1);
        }
        if (value == NULL || !bind_value(statement, number, value)) {
            return false;
        }
    }
    return true;
}

static void
compare(struct csq_stmt *stmt, const struct row *row)
{
    struct csq_strip strip;
    struct csq_reader reader = {NULL, NULL};
    struct csq_error error;
    sqlite3_stmt *statement = NULL;
    bool fits;
    int rc;

    csq_strip_init(&strip);
    csq_error_init(&error);
    pack(row, &strip);
    MUST(sqlite3_prepare_v2(database(), stmt->sql, -1, &statement, NULL) == SQLITE_OK);
    rc = csq_stmt_bind(stmt, &strip, &reader, &error);
    fits = bind_all(statement, row);
    MUST(fits == (rc == SQLITE_OK));
    MUST(rc == error.code && (rc == SQLITE_OK) == (error.message == NULL));
    if (fits) {
        char *ours = sqlite3_expanded_sql(stmt->handle);
        char *theirs = sqlite3_expanded_sql(statement);

        MUST(csq_strip_read(&strip, &reader) == NULL);
        MUST((ours == NULL) == (theirs == NULL));
        MUST(ours == NULL || strcmp(ours, theirs) == 0);
        sqlite3_free(ours);
        sqlite3_free(theirs);
    }
    sqlite3_finalize(statement);
    sqlite3_clear_bindings(stmt->handle);
    csq_strip_clear(&strip);
    csq_error_clear(&error);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, data + size};
    long live = csq_alloc_live();
    char *sql = fuzz_text(&input);
    struct csq_cache cache;
    struct csq_error error;
    struct csq_stmt *stmt;

    csq_cache_init(&cache, 2);
    csq_error_init(&error);
    stmt = csq_stmt_get(&cache, database(), sql, strlen(sql), &error);
    if (stmt != NULL && stmt->handle != NULL) {
        static struct row row;

        read_row(&row, sql, &input);
        compare(stmt, &row);
        for (int i = 0; i < row.width; i++) {
            free(row.values[i].text);
            free(row.values[i].name);
            row.values[i].name = NULL;
        }
    }
    if (stmt != NULL) {
        csq_stmt_put(&cache, stmt);
    }
    csq_cache_clear(&cache);
    csq_error_clear(&error);
    free(sql);
    MUST(csq_alloc_live() == live);
    return 0;
}

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED(
        "SELECT ?, ?2, :c\0\x06\x01\0\0\0\0\0\0\0\x2a\x03text\0\x02\x40\x09\x21\xfb\x54\x44"),
    FUZZ_SEED("SELECT :a, @b, $c, :a\0\x01\x03one\0\x04two\0\0\x01\0\0\0\0\0\0\0\x07"),
    FUZZ_SEED("SELECT $c::d(e), #n, :\xc3\xa9\0\x01\x03x\0\x03y\0\x03z\0"),
    FUZZ_SEED("SELECT :a, :b\0\x03\x03one\0a\0\x03two\0b\0"),
    FUZZ_SEED("SELECT ?5, ?\0\x0c\0\0\0\0\0\0"),
    FUZZ_SEED("SELECT :a, ?1\0\x01\x03x\0\x07"),
    FUZZ_SEED("VALUES(?, ?)\0\x04\x06\x03x\0"),
    FUZZ_SEED("SELECT '?', \":a\", ?1 -- :b\n, @c /* $d */\0\x04\x04\xff\xfe\0\x03\xc3\xa9\0"),
};
const size_t fuzz_seed_count = sizeof fuzz_seeds / sizeof *fuzz_seeds;
const int fuzz_dose = 60000;
