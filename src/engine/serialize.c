/* Serializing. Not every version of SQLite refuses to replace a database that is
 * being read or copied, or the temporary one: some crash. So these are refused here.
 *
 * Cached statements are let go first: the new database may have the schema cookie
 * of the old one, by which alone SQLite would know that they are stale.
 *
 * The tables that modules have by their own names (json_each, pragma_...) keep the schema of
 * "main", which SQLite frees with the database that is replaced. A bundled SQLite is asked to
 * forget them. Any other cannot be: there a database in memory is overwritten instead, by a
 * backup, and one in a file, which that must not do, is not replaced at all. */

#include "engine/serialize.h"

#include <stdio.h>
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

/* Lets `bytes`, which it takes, be the database `name` of `handle`. Returns SQLite's code. */
static int
put(sqlite3 *handle, const char *name, unsigned char *bytes, size_t size)
{
    return sqlite3_deserialize(handle, name, bytes, (sqlite3_int64)size, (sqlite3_int64)size,
                               SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE);
}

#ifdef CSQLITE_BUNDLED

/* Replaces the database. It takes `bytes`. */
static int
replace(struct csq_db *db, const char *name, unsigned char *bytes, size_t size,
        struct csq_error *error)
{
    int rc;

    csq_sqlite_forget_eponymous(db->handle);
    rc = put(db->handle, name, bytes, size);
    return rc == SQLITE_OK ? rc : csq_error_copy(error, db->handle, rc);
}

#else

/* Gives "main" the schema version that stands in the header of `bytes`: a backup makes one up.
 * No statement is there to go by the old one, so where an authorizer denies it that is no
 * harm. */
static void
put_version(sqlite3 *handle, const unsigned char *bytes, size_t size)
{
    char sql[64];

    if (size < 44) {
        return;
    }
    snprintf(sql, sizeof sql, "PRAGMA main.schema_version = %u",
             (unsigned)bytes[40] << 24 | (unsigned)bytes[41] << 16 | (unsigned)bytes[42] << 8 |
                 (unsigned)bytes[43]);
    sqlite3_exec(handle, sql, NULL, NULL, NULL);
}

/* Copies the whole database "main" of `from` into that of `db`. */
static int
overwrite(struct csq_db *db, sqlite3 *from, struct csq_error *error)
{
    sqlite3_backup *backup = sqlite3_backup_init(db->handle, "main", from, "main");
    int rc;

    if (backup == NULL) {
        return csq_error_copy(error, db->handle, sqlite3_errcode(db->handle));
    }
    sqlite3_backup_step(backup, -1);
    rc = sqlite3_backup_finish(backup);
    if (rc == SQLITE_READONLY) {
        return csq_error_set(error, CSQ_UNSUPPORTED,
                             "with this SQLite, deserialize() cannot change the page size of a "
                             "database in memory that is not empty");
    }
    return rc == SQLITE_OK ? rc : csq_error_copy(error, db->handle, rc);
}

/* The same by way of another handle. It takes `bytes`. */
static int
replace(struct csq_db *db, const char *name, unsigned char *bytes, size_t size,
        struct csq_error *error)
{
    unsigned char header[44];
    sqlite3 *other = NULL;
    int rc;

    if (sqlite3_stricmp(name, "main") != 0) {
        rc = put(db->handle, name, bytes, size);
        return rc == SQLITE_OK ? rc : csq_error_copy(error, db->handle, rc);
    }
    if (db->shared || sqlite3_db_filename(db->handle, "main")[0] != '\0') {
        sqlite3_free(bytes);
        return csq_error_set(error, CSQ_UNSUPPORTED,
                             "with this SQLite, deserialize() cannot replace a database that is "
                             "in a file or shared; connect to ':memory:' for that");
    }
    rc = sqlite3_open_v2(":memory:", &other,
                         SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        memcpy(header, bytes, size < sizeof header ? size : sizeof header);
        rc = put(other, "main", bytes, size);
    } else {
        sqlite3_free(bytes);
    }
    rc = rc == SQLITE_OK ? overwrite(db, other, error) : csq_error_copy(error, other, rc);
    if (rc == SQLITE_OK) {
        put_version(db->handle, header, size);
    }
    sqlite3_close(other);
    return rc;
}

#endif

int
csq_deserialize(struct csq_db *db, const char *name, const void *bytes, size_t size,
                struct csq_error *error)
{
    unsigned char *copy;

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
    csq_cache_clear(&db->cache);
    if (replace(db, name, copy, size, error) == SQLITE_OK) {
        csq_record_replaced(&db->recorder, db->handle);
    }
    return error->code;
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
