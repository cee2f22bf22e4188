/* The advice of SQLite's page "Defense Against The Dark Arts" on files from strangers, and of
 * its advice on SQL from strangers what a file can make use of: its schema is SQL as well.
 *
 * Limits that a schema cannot reach are left alone: it has no parameters, it cannot attach
 * (but VACUUM does so). Those that it shares with the program's own statements are between what
 * the page suggests, which few programs could live with, and what SQLite has by itself. The
 * page of the documentation, docs/security.md, gives the reason for each. */

#include "engine/harden.h"

#include <stddef.h>

/* Must be so: there is no protection without these. */
static const struct {
    int op;
    int value;
} switches[] = {
    {SQLITE_DBCONFIG_DEFENSIVE, 1},
    {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
    {SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0},
    {SQLITE_DBCONFIG_RESET_DATABASE, 0},
    {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
    {SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0},
};

static const struct {
    int category;
    int most;
} limits[] = {
    {SQLITE_LIMIT_LENGTH, 1000000},     {SQLITE_LIMIT_SQL_LENGTH, 100000},
    {SQLITE_LIMIT_COLUMN, 100},         {SQLITE_LIMIT_EXPR_DEPTH, 100},
    {SQLITE_LIMIT_COMPOUND_SELECT, 50}, {SQLITE_LIMIT_VDBE_OP, 100000},
    {SQLITE_LIMIT_FUNCTION_ARG, 100},   {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 500},
    {SQLITE_LIMIT_TRIGGER_DEPTH, 10},   {SQLITE_LIMIT_WORKER_THREADS, 0},
#ifdef SQLITE_LIMIT_PARSER_DEPTH
    {SQLITE_LIMIT_PARSER_DEPTH, 100},
#endif
};

int
csq_harden(sqlite3 *handle, struct csq_error *error)
{
    int rc;

    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        int actual = -1;

        rc = sqlite3_db_config(handle, switches[i].op, switches[i].value, &actual);
        /* A library that was compiled without a feature does not know its switch: nothing
         * is there that had to be turned off. */
        if (actual != switches[i].value && (rc == SQLITE_OK || switches[i].value != 0)) {
            return csq_error_set(error, CSQ_UNSUPPORTED,
                                 "this SQLite cannot be made safe for untrusted files");
        }
    }
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        /* Some builds have lower ones. */
        if (sqlite3_limit(handle, limits[i].category, -1) > limits[i].most) {
            sqlite3_limit(handle, limits[i].category, limits[i].most);
        }
    }
    rc = sqlite3_exec(handle, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0", NULL, NULL,
                      NULL);
    return rc == SQLITE_OK ? rc : csq_error_copy(error, handle, rc);
}

bool
csq_harden_forbids(int op, int value)
{
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        if (switches[i].op == op) {
            return value >= 0 && (value != 0) != (switches[i].value != 0);
        }
    }
    return false;
}
