/* What a statement says of its columns, copied once and then shared.
 *
 * Immutable after csq_columns_copy(), counted by reference with atomics: the
 * worker's statement, jobs on their way and cursors on any loop hold it. */

#ifndef CSQ_COLUMNS_H
#define CSQ_COLUMNS_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>

struct csq_column {
    const char *name;     /* as SQLite gives it, UTF-8 */
    const char *decltype; /* declared type, NULL for an expression */
    bool typed;           /* has a declared type or a "[type]" in its name */
};

struct csq_columns {
    atomic_int references;
    int count; /* at least 1 */
    struct csq_column column[];
};

/* Worker thread. Gives the columns of `statement`, or NULL: no memory. */
struct csq_columns *csq_columns_copy(sqlite3_stmt *statement);

/* Any thread. Gives one column of that name, for rows that no statement
 * describes, or NULL: no memory. */
struct csq_columns *csq_columns_named(const char *name);

/* Any thread. Gives another reference; NULL stays NULL. */
struct csq_columns *csq_columns_get(struct csq_columns *columns);

/* Any thread. Takes a reference, or NULL. */
void csq_columns_put(struct csq_columns *columns);

#endif
