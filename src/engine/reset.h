/* A connection as it was when it was opened, but for what was set up.
 *
 * Worker thread, holding the db's lock. */

#ifndef CSQ_RESET_H
#define CSQ_RESET_H

#include "engine/db.h"

/* Ends what is under way and forgets what belongs to no database file: statements that
 * stand open, the transaction, everything in the schema "temp", last_insert_rowid().
 * What was set up (functions, hooks, attached databases, pragmas) stays. Not within a
 * statement. Returns SQLITE_OK or the code in `error`. */
int csq_reset(struct csq_db *db, struct csq_error *error);

#endif
