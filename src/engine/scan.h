/* Reading SQL without preparing it: which parameters a text names, and with
 * what word it begins. Any thread; nothing is allocated.
 *
 * SQLite remains the judge: a name found here only decides for which keys a
 * mapping is asked; what is bound is what sqlite3_bind_parameter_name() says. */

#ifndef CSQ_SCAN_H
#define CSQ_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Moves *sql (to `end`) behind the next named parameter and lends its name
 * without the prefix (":", "@", "$", "#"; of "?12" the digits). Texts, quoted names
 * and comments are skipped. False: there is none. */
bool csq_scan_parameter(const char **sql, const char *end, const char **name, size_t *size);

/* How many parameters `sql` (to `end`) has at most: what is quoted or in a comment is
 * counted as well, and what is named twice, twice. */
int64_t csq_scan_most(const char *sql, const char *end);

/* Lends the first character of `sql` that is neither blank nor in a comment;
 * NULL: there is none before the terminating 0. */
const char *csq_scan_start(const char *sql);

/* Whether `sql` begins with INSERT, UPDATE, DELETE or REPLACE: what the
 * sqlite3 module calls DML and opens a transaction for. */
bool csq_scan_is_dml(const char *sql);

/* Whether `sql` begins with SELECT, VALUES or WITH: a query, if it reads only. */
bool csq_scan_is_query(const char *sql);

/* Whether `sql` begins with BEGIN, COMMIT, END, ROLLBACK, SAVEPOINT or RELEASE. */
bool csq_scan_is_control(const char *sql);

/* Whether it ends the transaction: COMMIT, END, ROLLBACK, but not ROLLBACK TO. Statements with
 * nothing in them are passed over, as SQLite does. */
bool csq_scan_ends(const char *sql);

/* Whether it is BEGIN IMMEDIATE or BEGIN EXCLUSIVE, which take the lock to write at once. */
bool csq_scan_begins_to_write(const char *sql);

/* Whether the `size` bytes of `sql` have `word`, which has a "_" in it, anywhere, in
 * whatever case. */
bool csq_scan_mentions(const char *sql, size_t size, const char *word);

/* Whether `sql` begins with PRAGMA or EXPLAIN. */
bool csq_scan_is_pragma(const char *sql);

/* Whether `sql` begins with what need not want to write to the database although SQLite does not
 * call it read-only: PRAGMA, EXPLAIN, VACUUM, ATTACH or DETACH. */
bool csq_scan_is_upkeep(const char *sql);

/* What else than rows a statement changes. */
enum csq_shaping {
    CSQ_SHAPES_NOTHING,
    CSQ_SHAPES_SCHEMA,   /* CREATE, DROP, ALTER */
    CSQ_SHAPES_FILE,     /* VACUUM, which may give rows other rowids */
    CSQ_SHAPES_ATTACHED, /* ATTACH, DETACH */
};

/* Reads that from the first word of `sql`. */
enum csq_shaping csq_scan_shaping(const char *sql);

/* Whether `sql` begins with that of it which may write all the same: PRAGMA or VACUUM. */
bool csq_scan_may_write(const char *sql);

/* When SQLite itself has to know how long locks are waited for. */
enum csq_lending {
    CSQ_LENT_NEVER,
    CSQ_LENT_PREPARING, /* PRAGMA busy_timeout does all it does while it is prepared */
    CSQ_LENT_STEPPING,  /* the table pragma_busy_timeout, while it is read */
};

/* Reads that from `sql`. */
enum csq_lending csq_scan_lending(const char *sql, size_t size);

#endif
