/* SQL that is tried just before a connection is closed: nobody hears of it, and it waits for
 * nobody.
 *
 * Worker thread. */

#ifndef CSQ_PARTING_H
#define CSQ_PARTING_H

#include <sqlite3.h>

#include "engine/error.h"

/* Keeps a copy of `sql`, NULL: of none, in `*parting`. SQLITE_OK or the code in `error`. */
int csq_parting_keep(char **parting, const char *sql, struct csq_error *error);

/* Runs it, NULL: nothing, on a handle that nothing else runs on any more; what is open in it is
 * rolled back first. */
void csq_parting_run(const char *parting, sqlite3 *handle);

/* Frees it. */
void csq_parting_drop(char **parting);

#endif
