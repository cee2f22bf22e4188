/* The tables in which virtual tables keep what they have: shadow tables.
 *
 * Worker thread. */

#ifndef CSQ_SHADOW_H
#define CSQ_SHADOW_H

#include <sqlite3.h>

#include "engine/cells.h"
#include "engine/error.h"

/* Puts three texts for each: the name of the schema, of the shadow table, and of the virtual
 * table. Returns SQLITE_OK or the code in `error`. */
int csq_shadow_list(sqlite3 *handle, const char *schema, struct csq_strip *strip,
                    struct csq_error *error);

#endif
