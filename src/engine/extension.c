/* Extensions. Without a list SQLite finds and opens the library itself. With one,
 * what is checked has to be what is opened: the path is resolved here, and the
 * library opened here first. SQLite, which would otherwise go on to another name
 * where the first cannot be opened, then finds it open. */

#include "engine/extension.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/alloc.h"

/* What SQLite appends to a name that cannot be opened. */
#ifdef __APPLE__
#define SUFFIX ".dylib"
#else
#define SUFFIX ".so"
#endif

struct csq_allowed {
    int count;
    char *paths[]; /* absolute, without links; each realpath()'s own */
};

/* -- paths -------------------------------------------------------------------- */

static bool
is_directory(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Gives the resolved path with the suffix of a shared library, for free(); NULL
 * with errno. */
static char *
resolve_with_suffix(const char *path)
{
    size_t size = strlen(path);
    char *longer = csq_malloc(size + sizeof SUFFIX);
    char *resolved;
    int reason;

    if (longer == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    memcpy(longer, path, size);
    memcpy(longer + size, SUFFIX, sizeof SUFFIX);
    resolved = realpath(longer, NULL);
    reason = errno;
    csq_free(longer);
    errno = reason;
    return resolved;
}

/* Gives the resolved path, for free(); NULL with errno. A directory is one only
 * where `directories` are wanted: there may be a library of that name beside it. */
static char *
resolve(const char *path, bool directories)
{
    char *resolved;

    if (path[0] == '\0') {
        errno = ENOENT;
        return NULL;
    }
    resolved = realpath(path, NULL);
    if (resolved != NULL && !directories && is_directory(resolved)) {
        free(resolved);
        resolved = NULL;
        errno = ENOENT;
    }
    return resolved == NULL && errno == ENOENT ? resolve_with_suffix(path) : resolved;
}

/* Whether a resolved path is on the list, or in a directory that is. */
static bool
is_allowed(const struct csq_allowed *allowed, const char *path)
{
    for (int i = 0; i < allowed->count; i++) {
        size_t size = strlen(allowed->paths[i]);

        if (strncmp(path, allowed->paths[i], size) != 0) {
            continue;
        }
        /* The root is the one directory whose path ends in a slash. */
        if (path[size] == '\0' || path[size] == '/' || allowed->paths[i][size - 1] == '/') {
            return true;
        }
    }
    return false;
}

/* Whether a path that does not exist would be allowed: its directory decides. */
static bool
would_be_allowed(const struct csq_allowed *allowed, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *parent =
        csq_memdup(slash == NULL ? "." : path, slash == NULL ? 1 : (size_t)(slash - path) + 1);
    char *resolved = parent == NULL ? NULL : realpath(parent, NULL);
    bool answer = resolved != NULL && is_allowed(allowed, resolved);

    free(resolved);
    csq_free(parent);
    return answer;
}

/* -- the list ----------------------------------------------------------------- */

struct csq_allowed *
csq_allowed_new(const char *paths, size_t size, struct csq_error *error)
{
    struct csq_allowed *allowed;
    int count = 0;

    for (size_t i = 0; i < size; i++) {
        count += paths[i] == '\0';
    }
    allowed = csq_calloc(sizeof *allowed + (size_t)count * sizeof *allowed->paths);
    if (allowed == NULL) {
        csq_error_copy(error, NULL, SQLITE_NOMEM);
        return NULL;
    }
    while (allowed->count < count) {
        char *resolved = resolve(paths, true);

        if (resolved == NULL) {
            csq_error_set(error, errno == ENOMEM ? SQLITE_NOMEM : SQLITE_ERROR, "%s: %s", paths,
                          strerror(errno));
            csq_allowed_free(allowed);
            return NULL;
        }
        allowed->paths[allowed->count] = resolved;
        allowed->count++;
        paths += strlen(paths) + 1;
    }
    return allowed;
}

void
csq_allowed_free(struct csq_allowed *allowed)
{
    if (allowed != NULL) {
        for (int i = 0; i < allowed->count; i++) {
            free(allowed->paths[i]);
        }
        csq_free(allowed);
    }
}

/* -- loading ------------------------------------------------------------------ */

int
csq_extension_enable(sqlite3 *handle, bool on, bool in_sql, struct csq_error *error)
{
    int rc = sqlite3_enable_load_extension(handle, on && in_sql);

    if (rc == SQLITE_OK && on && !in_sql) {
        rc = sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
    }
    return rc == SQLITE_OK ? rc : csq_error_copy(error, handle, rc);
}

static int
load(sqlite3 *handle, const char *path, const char *entrypoint, struct csq_error *error)
{
    char *message = NULL;
    int rc = sqlite3_load_extension(handle, path, entrypoint, &message);

    if (rc == SQLITE_NOMEM) {
        csq_error_copy(error, NULL, rc);
    } else if (rc != SQLITE_OK) {
        csq_error_set(error, SQLITE_ERROR, "%s",
                      message == NULL ? sqlite3_errmsg(handle) : message);
    }
    sqlite3_free(message);
    return rc == SQLITE_OK ? rc : error->code;
}

int
csq_extension_load(sqlite3 *handle, const struct csq_allowed *allowed, const char *path,
                   const char *entrypoint, struct csq_error *error)
{
    char *resolved;
    void *library;
    int reason;
    int rc;

    if (allowed == NULL) {
        return load(handle, path, entrypoint, error);
    }
    resolved = resolve(path, false);
    reason = errno;
    if (resolved == NULL && (reason == ENOMEM || would_be_allowed(allowed, path))) {
        return csq_error_set(error, reason == ENOMEM ? SQLITE_NOMEM : SQLITE_ERROR, "%s: %s",
                             path, strerror(reason));
    }
    if (resolved == NULL || !is_allowed(allowed, resolved)) {
        free(resolved);
        return csq_error_set(error, SQLITE_ERROR, "not authorized");
    }
    library = dlopen(resolved, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        rc = csq_error_set(error, SQLITE_ERROR, "%s", dlerror());
    } else {
        rc = load(handle, resolved, entrypoint, error);
        dlclose(library);
    }
    free(resolved);
    return rc;
}
