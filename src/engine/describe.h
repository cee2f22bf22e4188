/* What SQLite knows of a statement that it has prepared and not run.
 *
 * Worker thread. */

#ifndef CSQ_DESCRIBE_H
#define CSQ_DESCRIBE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine/cells.h"
#include "engine/error.h"

/* Puts cells that describe the first statement of `sql`, or, with `all`, each of its
 * statements, one after the other. Nothing is put for blanks and comments. For each:
 *
 *     integers: the byte at which it begins, the byte behind its end, whether it only
 *         reads, 1 for EXPLAIN, 2 for EXPLAIN QUERY PLAN; 0 for neither
 *     a text: the SQL with literals replaced by "?"; null where SQLite cannot tell
 *     an integer: how many parameters; for each its name with its prefix, or null
 *     an integer: how many columns; for each five texts or nulls: its name, declared
 *         type, and the database, the table and the column that it comes from
 *
 * Returns SQLITE_OK or the code in `error`. */
int csq_describe(sqlite3 *handle, const char *sql, size_t size, bool all, struct csq_strip *strip,
                 struct csq_error *error);

/* Whether this build can tell where columns come from. */
bool csq_describe_origins(void);

#endif
