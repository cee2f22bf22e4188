/* The executor of csqlite's own connections: a worker with an SQLite handle.
 *
 * What takes a `sqlite3 *`, or looks into the db, is for this executor alone, and gets
 * the db here. */

#ifndef CSQ_NATIVE_H
#define CSQ_NATIVE_H

#include "engine/db.h"
#include "engine/executor.h"

/* Any thread. Gives one that is not started, or NULL: no memory. Its thread calls
 * at_end(argument) before it ends; NULL: nothing. */
struct csq_executor *csq_native_new(void (*at_end)(void *), void *argument);

/* Any thread. Lends the db of a native executor; NULL: it is another kind. */
struct csq_db *csq_native_db(struct csq_executor *executor);

#endif
