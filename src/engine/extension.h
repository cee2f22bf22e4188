/* Loading extensions, and the list of what may be loaded.
 *
 * Worker thread, holding the db's lock. Paths are compared after realpath(), so
 * that neither a symbolic link nor ".." leads out of what is allowed. */

#ifndef CSQ_EXTENSION_H
#define CSQ_EXTENSION_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine/error.h"

/* Files, and directories with all that is in them. */
struct csq_allowed;

/* Resolves paths that stand one behind the other in `size` bytes, each ended by a
 * 0. A path that is not there may lack the suffix of a shared library. Gives the
 * list, to be freed; NULL: the reason is in `error`. */
struct csq_allowed *csq_allowed_new(const char *paths, size_t size, struct csq_error *error);

/* Takes a list, or NULL. */
void csq_allowed_free(struct csq_allowed *allowed);

/* Allows or forbids loading. `in_sql` allows the SQL function load_extension()
 * too, which asks no list. Returns SQLITE_OK or the code in `error`. */
int csq_extension_enable(sqlite3 *handle, bool on, bool in_sql, struct csq_error *error);

/* Loads a shared library and calls its `entrypoint` (NULL: as SQLite finds it).
 * `allowed` (NULL: whatever dlopen() finds) is what may be loaded. Returns
 * SQLITE_OK or the code in `error`, which is always SQLITE_ERROR or SQLITE_NOMEM. */
int csq_extension_load(sqlite3 *handle, const struct csq_allowed *allowed, const char *path,
                       const char *entrypoint, struct csq_error *error);

#endif
