/* Serializing. Not every version of SQLite refuses to replace a database that is
 * being read or copied, or the temporary one: some crash. So these are refused here.
 *
 * Cached statements are let go first: the new database may have the schema cookie
 * of the old one, by which alone SQLite would know that they are stale. */

#include "engine/serialize.h"

#include <string.h>

#ifdef CSQLITE_BUNDLED
/* tools/sqlite_bundled.c: lets go of the tables that modules have by their own names. */
void csq_sqlite_forget_eponymous(sqlite3 *db);
#endif

#if defined(SQLITE_ENABLE_DESERIALIZE) || \
    (SQLITE_VERSION_NUMBER >= 3036000 && !defined(SQLITE_OMIT_DESERIALIZE))

int
csq_serialize(struct csq_db *db, const char *name, unsigned char **bytes, sqlite3_int64 *size,
              struct csq_error *error)
{
    *bytes = sqlite3_serialize(db->handle, name, size, 0);
    if (*bytes == NULL) {
        return csq_error_set(error, SQLITE_ERROR, "unable to serialize '%s'", name);
    }
    return SQLITE_OK;
}

static bool
is_in_use(const struct csq_db *db, const char *name)
{
    return db->running > 1 || db->backups > 0 || db->copies > 0 ||
           sqlite3_txn_state(db->handle, name) > SQLITE_TXN_NONE;
}

/* A database in memory cannot have a write-ahead log, and SQLite refuses one whose
 * header says that it has: it says so of the file from which it was taken. */
static void
leave_wal(unsigned char *bytes, size_t size)
{
    if (size >= 20 && memcmp(bytes, "SQLite format 3", 16) == 0 && bytes[18] == 2 &&
        bytes[19] == 2) {
        bytes[18] = 1;
        bytes[19] = 1;
    }
}

/* Lets go of what would keep the schema that is about to be freed: cached statements,
 * and the tables that modules have by their own names, which SQLite forgets. */
static void
forget_schema(struct csq_db *db)
{
    csq_cache_clear(&db->cache);
#ifdef CSQLITE_BUNDLED
    csq_sqlite_forget_eponymous(db->handle);
#endif
}

int
csq_deserialize(struct csq_db *db, const char *name, const void *bytes, size_t size,
                struct csq_error *error)
{
    unsigned char *copy;
    int rc;

    if (sqlite3_txn_state(db->handle, name) < 0) {
        return csq_error_set(error, SQLITE_ERROR, "unknown database %s", name);
    }
    if (sqlite3_stricmp(name, "temp") == 0) {
        return csq_error_set(error, SQLITE_ERROR, "unable to deserialize '%s'", name);
    }
    if (is_in_use(db, name)) {
        return csq_error_copy(error, NULL, SQLITE_BUSY);
    }
    copy = sqlite3_malloc64(size == 0 ? 1 : size);
    if (copy == NULL) {
        return csq_error_copy(error, NULL, SQLITE_NOMEM);
    }
    memcpy(copy, bytes, size);
    leave_wal(copy, size);
    forget_schema(db);
    rc = sqlite3_deserialize(db->handle, name, copy, (sqlite3_int64)size, (sqlite3_int64)size,
                             SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE);
    return rc == SQLITE_OK ? rc : csq_error_copy(error, db->handle, rc);
}

#else

static int
unsupported(struct csq_error *error)
{
    return csq_error_set(error, CSQ_UNSUPPORTED,
                         "serialize() and deserialize() need SQLite 3.36 or later");
}

int
csq_serialize(struct csq_db *db, const char *name, unsigned char **bytes, sqlite3_int64 *size,
              struct csq_error *error)
{
    return unsupported(error);
}

int
csq_deserialize(struct csq_db *db, const char *name, const void *bytes, size_t size,
                struct csq_error *error)
{
    return unsupported(error);
}

#endif
