/* What a connection is told before its first statement when its file is a stranger's.
 *
 * Worker thread, holding the db's lock. Everything that connect(untrusted=True) does
 * stands here. */

#ifndef CSQ_HARDEN_H
#define CSQ_HARDEN_H

#include <sqlite3.h>
#include <stdbool.h>

#include "engine/error.h"

/* Sets the switches, limits and pragmas that protect from a hostile file, without reading
 * it. Returns SQLITE_OK or the code in `error`. */
int csq_harden(sqlite3 *handle, struct csq_error *error);

/* Any thread. Whether setting the switch `op`, an SQLITE_DBCONFIG_*, to `value` would take
 * some of the protection away. A negative value only asks. */
bool csq_harden_forbids(int op, int value);

#endif
