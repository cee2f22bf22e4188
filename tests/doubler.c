/* An extension for tests/test_extensions.py: SQL functions that multiply, one for
 * each entry point, and an entry point that fails. */

#include <stddef.h>

#include "sqlite3ext.h"
SQLITE_EXTENSION_INIT1

static void
multiply(sqlite3_context *context, int count, sqlite3_value **values)
{
    int *factor = sqlite3_user_data(context);

    (void)count;
    sqlite3_result_int64(context, *factor * sqlite3_value_int64(values[0]));
}

static int
add(sqlite3 *handle, const char *name, const int *factor)
{
    return sqlite3_create_function(handle, name, 1, SQLITE_UTF8, (void *)factor, multiply, NULL,
                                   NULL);
}

/* The one that SQLite derives from the name of doubler.so. */
int
sqlite3_doubler_init(sqlite3 *handle, char **message, const sqlite3_api_routines *api)
{
    static const int two = 2;

    (void)message;
    SQLITE_EXTENSION_INIT2(api);
    return add(handle, "twice", &two);
}

int
tripler(sqlite3 *handle, char **message, const sqlite3_api_routines *api)
{
    static const int three = 3;

    (void)message;
    SQLITE_EXTENSION_INIT2(api);
    return add(handle, "thrice", &three);
}

int
failing(sqlite3 *handle, char **message, const sqlite3_api_routines *api)
{
    (void)handle;
    SQLITE_EXTENSION_INIT2(api);
    *message = sqlite3_mprintf("out of %s", "luck");
    return SQLITE_ERROR;
}
