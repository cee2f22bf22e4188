/* Preparing is all that happens: a statement of a script does not see what those
 * before it would have created. */

#include "engine/describe.h"

#include <limits.h>
#include <string.h>

static bool
put_text(struct csq_strip *strip, const char *text)
{
    return text == NULL ? csq_strip_put_null(strip)
                        : csq_strip_put_text(strip, text, strlen(text));
}

static bool
put_parameters(struct csq_strip *strip, sqlite3_stmt *statement)
{
    int count = sqlite3_bind_parameter_count(statement);

    if (!csq_strip_put_integer(strip, count)) {
        return false;
    }
    for (int number = 1; number <= count; number++) {
        if (!put_text(strip, sqlite3_bind_parameter_name(statement, number))) {
            return false;
        }
    }
    return true;
}

/* The functions for this are there only in an SQLite that was built with them. */
static bool
put_origin(struct csq_strip *strip, sqlite3_stmt *statement, int column)
{
#ifdef SQLITE_ENABLE_COLUMN_METADATA
    return put_text(strip, sqlite3_column_database_name(statement, column)) &&
           put_text(strip, sqlite3_column_table_name(statement, column)) &&
           put_text(strip, sqlite3_column_origin_name(statement, column));
#else
    return csq_strip_put_null(strip) && csq_strip_put_null(strip) && csq_strip_put_null(strip);
#endif
}

bool
csq_describe_origins(void)
{
#ifdef SQLITE_ENABLE_COLUMN_METADATA
    return true;
#else
    return false;
#endif
}

static bool
put_columns(struct csq_strip *strip, sqlite3_stmt *statement)
{
    int count = sqlite3_column_count(statement);

    if (!csq_strip_put_integer(strip, count)) {
        return false;
    }
    for (int column = 0; column < count; column++) {
        const char *name = sqlite3_column_name(statement, column);

        if (name == NULL || !put_text(strip, name) ||
            !put_text(strip, sqlite3_column_decltype(statement, column)) ||
            !put_origin(strip, statement, column)) {
            return false;
        }
    }
    return true;
}

static bool
put_normalized(struct csq_strip *strip, sqlite3_stmt *statement)
{
#ifdef SQLITE_ENABLE_NORMALIZE
    return put_text(strip, sqlite3_normalized_sql(statement));
#else
    (void)statement;
    return csq_strip_put_null(strip);
#endif
}

static bool
put_statement(struct csq_strip *strip, sqlite3_stmt *statement, size_t begin, size_t end)
{
    return csq_strip_put_integer(strip, (int64_t)begin) &&
           csq_strip_put_integer(strip, (int64_t)end) &&
           csq_strip_put_integer(strip, sqlite3_stmt_readonly(statement) != 0) &&
           csq_strip_put_integer(strip, sqlite3_stmt_isexplain(statement)) &&
           put_normalized(strip, statement) && put_parameters(strip, statement) &&
           put_columns(strip, statement);
}

int
csq_describe(sqlite3 *handle, const char *sql, size_t size, bool all, struct csq_strip *strip,
             struct csq_error *error)
{
    const char *from = sql;
    bool more = true;

    if (size >= INT_MAX || (int)size > sqlite3_limit(handle, SQLITE_LIMIT_SQL_LENGTH, -1)) {
        return csq_error_set(error, SQLITE_TOOBIG, "query string is too large");
    }
    while (more && *from != '\0') {
        sqlite3_stmt *statement = NULL;
        const char *tail = from;
        int rc = sqlite3_prepare_v2(handle, from, -1, &statement, &tail);

        if (rc != SQLITE_OK) {
            csq_error_copy(error, handle, rc);
        } else if (statement != NULL) {
            if (!put_statement(strip, statement, (size_t)(from - sql), (size_t)(tail - sql))) {
                csq_error_copy(error, NULL, SQLITE_NOMEM);
            }
            more = all;
        }
        sqlite3_finalize(statement);
        more = more && error->code == SQLITE_OK;
        from = tail;
    }
    return error->code;
}
