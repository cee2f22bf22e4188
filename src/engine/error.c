/* Copying errors. A failure to copy the text is not a failure of its own: the
 * code always arrives, and the binding has a text for every code. */

#include "engine/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
csq_error_copy(struct csq_error *error, sqlite3 *db, int rc)
{
    const char *text = sqlite3_errstr(rc);

    csq_error_clear(error);
    error->code = rc & 0xff;
    error->extended = rc;
    if (db != NULL && (sqlite3_errcode(db) & 0xff) == error->code) {
        text = sqlite3_errmsg(db);
        error->extended = sqlite3_extended_errcode(db);
#if SQLITE_VERSION_NUMBER >= 3038000
        error->offset = sqlite3_error_offset(db);
#endif
    }
    error->message = csq_memdup(text, strlen(text));
    return error->code;
}

int
csq_error_set(struct csq_error *error, int code, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);

    csq_error_clear(error);
    error->code = code;
    error->extended = code;
    error->message = csq_memdup(text, strlen(text));
    return code;
}
