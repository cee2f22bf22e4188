/* A whole database as bytes, and back: what its file would hold.
 *
 * Worker thread, holding the db's lock. A library without sqlite3_serialize() fails
 * with CSQ_UNSUPPORTED. */

#ifndef CSQ_SERIALIZE_H
#define CSQ_SERIALIZE_H

#include <sqlite3.h>
#include <stddef.h>

#include "engine/db.h"
#include "engine/error.h"

/* Gives the bytes of the schema `name` (sqlite3_free) and their number. Returns
 * SQLITE_OK or the code in `error`. */
int csq_serialize(struct csq_db *db, const char *name, unsigned char **bytes, sqlite3_int64 *size,
                  struct csq_error *error);

/* Puts a database in memory in place of the schema `name`, with a copy of `bytes`.
 * SQLITE_BUSY while the schema is in use. Returns SQLITE_OK or the code in `error`. */
int csq_deserialize(struct csq_db *db, const char *name, const void *bytes, size_t size,
                    struct csq_error *error);

#endif
