/* By SQLite's own file, whose methods are its interface for this. To open it once more would drop
 * the locks of this process on it when it is closed. */

#include "engine/number.h"

#include <string.h>
#include <unistd.h>

/* Where the header of a file says how it is written, and counts changes. */
enum { HEADER_AT = 16, HEADER_SIZE = 12, VERSION = 18 - HEADER_AT, COUNTER = 24 - HEADER_AT };

/* The index of a WAL: its size at least, and where its header counts changes. */
enum { INDEX_SIZE = 32 * 1024, INDEX_COUNTER = 8 };

static sqlite3_file *
file_of(sqlite3 *handle, const char *schema, int op)
{
    sqlite3_file *file = NULL;

    if (sqlite3_file_control(handle, schema, op, &file) != SQLITE_OK || file == NULL ||
        file->pMethods == NULL) {
        return NULL;
    }
    return file;
}

/* Whether other processes see the index: one of a connection that has the file for itself is in
 * memory. */
static bool
is_shared(sqlite3 *handle, const char *schema)
{
    char *path = sqlite3_mprintf("%s-shm", sqlite3_db_filename(handle, schema));
    bool shared = path != NULL && access(path, F_OK) == 0;

    sqlite3_free(path);
    return shared;
}

/* A connection opens the WAL when it first reads. */
static bool
is_open(sqlite3 *handle, const char *schema)
{
    char *sql;

    if (file_of(handle, schema, SQLITE_FCNTL_JOURNAL_POINTER) != NULL) {
        return true;
    }
    sql = sqlite3_mprintf("SELECT 1 FROM \"%w\".sqlite_master LIMIT 1", schema);
    if (sql != NULL) {
        sqlite3_exec(handle, sql, NULL, NULL, NULL);
    }
    sqlite3_free(sql);
    return file_of(handle, schema, SQLITE_FCNTL_JOURNAL_POINTER) != NULL;
}

/* The counter in the index, where that is mapped. */
static bool
read_index(sqlite3_file *file, uint64_t *number)
{
    void volatile *index = NULL;
    uint32_t counter;

    if (file->pMethods->xShmMap(file, 0, INDEX_SIZE, 0, &index) != SQLITE_OK || index == NULL) {
        return false;
    }
    counter = *(const volatile uint32_t *)((const volatile char *)index + INDEX_COUNTER);
    *number = UINT64_C(1) << 32 | counter;
    return true;
}

/* The counter in the file; or, where its header says that there is a WAL, that of the index. */
static bool
read_file(sqlite3 *handle, const char *schema, sqlite3_file *file, const void **wal,
          uint64_t *number)
{
    unsigned char header[HEADER_SIZE] = {0};
    int rc = file->pMethods->xRead(file, header, HEADER_SIZE, HEADER_AT);

    *wal = NULL;
    if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ) {
        return false;
    }
    if (header[VERSION] == 2) {
        if (file->pMethods->iVersion < 2 || !is_open(handle, schema) ||
            !is_shared(handle, schema) || !read_index(file, number)) {
            return false;
        }
        *wal = file_of(handle, schema, SQLITE_FCNTL_JOURNAL_POINTER);
        return true;
    }
    *number = (uint64_t)header[COUNTER] << 24 | (uint64_t)header[COUNTER + 1] << 16 |
              (uint64_t)header[COUNTER + 2] << 8 | header[COUNTER + 3];
    return true;
}

/* A journal and a WAL are never the same file of SQLite's, so that while it is the WAL seen
 * before, the header need not be read. */
bool
csq_number_read(sqlite3 *handle, const char *schema, const void **wal, uint64_t *number)
{
    sqlite3_file *file = file_of(handle, schema, SQLITE_FCNTL_FILE_POINTER);

    if (file == NULL) {
        return false;
    }
    if (*wal != NULL && file_of(handle, schema, SQLITE_FCNTL_JOURNAL_POINTER) == *wal) {
        return read_index(file, number);
    }
    return read_file(handle, schema, file, wal, number);
}
