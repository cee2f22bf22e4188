/* The handlers that users have set are taken off: who closes is not asked, and the process may be
 * about to end. */

#include "engine/parting.h"

#include <string.h>

#include "engine/alloc.h"

int
csq_parting_keep(char **parting, const char *sql, struct csq_error *error)
{
    size_t size = sql == NULL ? 0 : strlen(sql) + 1;

    if (size == 0) {
        return SQLITE_OK;
    }
    *parting = csq_malloc(size);
    if (*parting == NULL) {
        return csq_error_copy(error, NULL, SQLITE_NOMEM);
    }
    memcpy(*parting, sql, size);
    return SQLITE_OK;
}

void
csq_parting_run(const char *parting, sqlite3 *handle)
{
    if (parting == NULL) {
        return;
    }
    sqlite3_set_authorizer(handle, NULL, NULL);
    sqlite3_trace_v2(handle, 0, NULL, NULL);
    sqlite3_progress_handler(handle, 0, NULL, NULL);
    sqlite3_busy_timeout(handle, 0);
    if (!sqlite3_get_autocommit(handle)) {
        sqlite3_exec(handle, "ROLLBACK", NULL, NULL, NULL);
    }
    sqlite3_exec(handle, parting, NULL, NULL, NULL);
}

void
csq_parting_drop(char **parting)
{
    csq_free(*parting);
    *parting = NULL;
}
