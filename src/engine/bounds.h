/* What a callback may do with the connection that calls it, while SQLite is in the middle
 * of something that it would not survive otherwise: csq_db.bound.
 *
 * Worker thread. With CSQ_SHAPES, which is the usual, there is no bound, and nobody has
 * to come here. */

#ifndef CSQ_BOUNDS_H
#define CSQ_BOUNDS_H

#include <stdbool.h>

#include "engine/db.h"
#include "engine/job.h"
#include "engine/stmt.h"

/* Whether a job may run that a callback asks for. Of a script each statement is asked for
 * by itself. */
bool csq_bounds_allow(const struct csq_db *db, const struct csq_job *job);

/* Whether the first statement of `sql` may be prepared. */
bool csq_bounds_allow_text(const struct csq_db *db, const char *sql);

/* Whether a statement that may be prepared may be run, too. */
bool csq_bounds_allow_statement(const struct csq_db *db, sqlite3_stmt *statement);

/* Tells that it may not. Returns the code in `error`. */
int csq_bounds_refuse(struct csq_error *error);

/* A statement is about to be stepped: bounds what its callbacks may do, until the bound
 * is put back. `dml`: it is known to begin as such. */
void csq_bounds_narrow(struct csq_db *db, sqlite3_stmt *statement, bool dml);

/* How the transaction stands before something is run in a callback, */
struct csq_standing {
    int state; /* SQLITE_TXN_… of all schemas together */
    bool inside;
};

struct csq_standing csq_bounds_look(const struct csq_db *db);

/* … and after: was it rolled back, the statement that calls back must not go on
 * (csq_db.undone). ROLLBACK is refused, but a constraint or a full disk may do the same. */
void csq_bounds_compare(struct csq_db *db, struct csq_standing before);

#endif
