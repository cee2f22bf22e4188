/* The SQL text of a database, line by line, as sqlite3.Connection.iterdump()
 * gives it.
 *
 * Worker thread only. From the first object to the last line a dump holds a read
 * statement open: it shows one moment of what other connections write. Its own
 * connection cannot drop a table meanwhile, and the rows that it writes may be
 * seen. */

#ifndef CSQ_DUMP_H
#define CSQ_DUMP_H

#include <sqlite3.h>

#include "engine/cells.h"
#include "engine/error.h"

struct csq_dump;

/* Gives a dump of `db` (lent; must stay open), or NULL: no memory. `filter` is a
 * expression of SQL over the columns of sqlite_master and is copied; NULL: all. */
struct csq_dump *csq_dump_new(sqlite3 *db, const char *filter);

/* Puts the next line as a row of one text cell. SQLITE_ROW: it was put;
 * SQLITE_DONE: there are no more. Any other is the code in `error`: nothing was
 * put, and the dump is over. */
int csq_dump_step(struct csq_dump *dump, struct csq_strip *strip, struct csq_error *error);

/* Takes a dump, or NULL: finalizes its statements. */
void csq_dump_free(struct csq_dump *dump);

#endif
