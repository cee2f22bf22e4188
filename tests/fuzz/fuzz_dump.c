/* A table with any names and values is dumped, and the dump makes the same table again.
 *
 * The input is a name of a table, one of a column and the text of a comment in a view,
 * each ended by a 0, and values. */

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "engine/alloc.h"
#include "engine/cells.h"
#include "engine/dump.h"
#include "fuzz/fuzz.h"

enum { MAX_ROWS = 30 };

static int
run(sqlite3 *db, char *sql)
{
    int rc = sql == NULL ? SQLITE_NOMEM : sqlite3_exec(db, sql, NULL, NULL, NULL);

    sqlite3_free(sql);
    return rc;
}

/* Inserts what the input says, in the order of the rowids. */
static void
fill(sqlite3 *db, const char *table, struct fuzz_input *input)
{
    char *sql = sqlite3_mprintf("INSERT INTO \"%w\" VALUES(?)", table);
    sqlite3_stmt *insert = NULL;

    MUST(sqlite3_prepare_v2(db, sql, -1, &insert, NULL) == SQLITE_OK);
    for (int rows = 0; input->next < input->end && rows < MAX_ROWS; rows++) {
        uint8_t code = fuzz_byte(input);
        size_t left = (size_t)(input->end - input->next);
        int size = (int)(code / 4 < left ? code / 4 : left);
        uint64_t bits;
        double real;

        if (code % 4 == 0) {
            sqlite3_bind_text(insert, 1, (const char *)input->next, size, SQLITE_TRANSIENT);
            input->next += size;
        } else if (code % 4 == 1) {
            sqlite3_bind_blob(insert, 1, input->next, size, SQLITE_TRANSIENT);
            input->next += size;
        } else if (code % 4 == 2) {
            sqlite3_bind_int64(insert, 1, (int64_t)fuzz_number(input, 8));
        } else {
            bits = fuzz_number(input, 8);
            memcpy(&real, &bits, sizeof bits);
            sqlite3_bind_double(insert, 1, real);
        }
        MUST(sqlite3_step(insert) == SQLITE_DONE);
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    sqlite3_free(sql);
}

/* Runs every line of a dump of `from` in `to`. */
static void
copy(sqlite3 *from, sqlite3 *to)
{
    struct csq_strip strip;
    struct csq_error error;
    struct csq_dump *dump = csq_dump_new(from, NULL);
    int rc;

    csq_strip_init(&strip);
    csq_error_init(&error);
    MUST(dump != NULL);
    while ((rc = csq_dump_step(dump, &strip, &error)) == SQLITE_ROW) {
        struct csq_reader reader = {NULL, NULL};
        const struct csq_cell *line = csq_strip_read(&strip, &reader);

        MUST(line != NULL && line->type == CSQ_TEXT);
        MUST(memchr(line->value.bytes, 0, line->size) == NULL);
        MUST(run(to, sqlite3_mprintf("%.*s", (int)line->size, line->value.bytes)) == SQLITE_OK);
        csq_strip_clear(&strip);
    }
    MUST(rc == SQLITE_DONE);
    csq_dump_free(dump);
    csq_strip_clear(&strip);
    csq_error_clear(&error);
}

static bool
same_values(sqlite3_value *one, sqlite3_value *other)
{
    int type = sqlite3_value_type(one);
    double first = sqlite3_value_double(one);
    double second = sqlite3_value_double(other);

    if (type != sqlite3_value_type(other)) {
        return false;
    }
    if (type == SQLITE_TEXT || type == SQLITE_BLOB) {
        int size = sqlite3_value_bytes(one);

        return size == sqlite3_value_bytes(other) &&
               (size == 0 ||
                memcmp(sqlite3_value_blob(one), sqlite3_value_blob(other), (size_t)size) == 0);
    }
    return type == SQLITE_FLOAT ? memcmp(&first, &second, sizeof first) == 0
                                : sqlite3_value_int64(one) == sqlite3_value_int64(other);
}

/* Whether `sql` gives the same rows in both. */
static void
compare(sqlite3 *one, sqlite3 *other, const char *sql)
{
    sqlite3_stmt *first = NULL;
    sqlite3_stmt *second = NULL;
    int rc;

    MUST(sqlite3_prepare_v2(one, sql, -1, &first, NULL) == SQLITE_OK);
    MUST(sqlite3_prepare_v2(other, sql, -1, &second, NULL) == SQLITE_OK);
    do {
        rc = sqlite3_step(first);
        MUST(rc == sqlite3_step(second));
        for (int i = 0; rc == SQLITE_ROW && i < sqlite3_column_count(first); i++) {
            MUST(same_values(sqlite3_column_value(first, i), sqlite3_column_value(second, i)));
        }
    } while (rc == SQLITE_ROW);
    MUST(rc == SQLITE_DONE);
    sqlite3_finalize(first);
    sqlite3_finalize(second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, data + size};
    long live = csq_alloc_live();
    char *table = fuzz_text(&input);
    char *column = fuzz_text(&input);
    char *comment = fuzz_text(&input);
    sqlite3 *one;
    sqlite3 *other;

    MUST(sqlite3_open(":memory:", &one) == SQLITE_OK);
    MUST(sqlite3_open(":memory:", &other) == SQLITE_OK);
    if (run(one, sqlite3_mprintf("CREATE TABLE \"%w\"(\"%w\")", table, column)) == SQLITE_OK) {
        char *rows = sqlite3_mprintf("SELECT * FROM \"%w\"", table);

        /* A comment may hold what ends it, and then be no view. */
        run(one, sqlite3_mprintf("CREATE VIEW v AS SELECT 1 -- %s", comment));
        fill(one, table, &input);
        copy(one, other);
        compare(one, other, rows);
        compare(one, other, "SELECT type, name, sql FROM sqlite_schema WHERE type = 'table'");
        compare(one, other, "SELECT count(*) FROM sqlite_schema");
        sqlite3_free(rows);
    }
    sqlite3_close(one);
    sqlite3_close(other);
    free(table);
    free(column);
    free(comment);
    MUST(csq_alloc_live() == live);
    return 0;
}

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("t\0a\0\0\x14hello\x02\0\0\0\0\0\0\0\x2a\x03\x40\x09\x21\xfb\x54\x44\x2d\x18"),
    FUZZ_SEED("a \"b\" 'c'\0\xc3\xa9\0end; ;\x15\0\x01\x02\xff\xfe\x14\xc3\xa9\0\xff'"),
    FUZZ_SEED("sqlit\0select\0*/\n\x03\x7f\xf0\0\0\0\0\0\0\x03\x80\0\0\0\0\0\0\0\x00\x01"),
    FUZZ_SEED("[t]\0`a`\0 ;'\x02\x7f\xff\xff\xff\xff\xff\xff\xff\x02\x80\0\0\0\0\0\0\0"),
};
const size_t fuzz_seed_count = sizeof fuzz_seeds / sizeof *fuzz_seeds;
const int fuzz_dose = 2000;
