#include "engine/recorded.h"

#include <string.h>

#include "engine/alloc.h"
#include "engine/number.h"

/* -- finding them --------------------------------------------------------------- */

/* The name of a schema by its number; NULL: there are not so many. */
static const char *
schema_of(sqlite3 *handle, int number)
{
#if SQLITE_VERSION_NUMBER >= 3039000
    return sqlite3_db_name(handle, number);
#else
    (void)handle;
    return number == 0 ? "main" : number == 1 ? "temp" : NULL;
#endif
}

static bool
add(struct csq_recorded_list *list, sqlite3 *handle, const char *name)
{
    struct csq_recorded *database = &list->items[list->count];
    const char *path = sqlite3_db_filename(handle, name);

    database->name = csq_memdup(name, strlen(name));
    database->file = csq_watched_get(path);
    database->numbered = path != NULL && path[0] != '\0';
    if (database->name == NULL || database->file == NULL) {
        csq_free(database->name);
        if (database->file != NULL) {
            csq_watched_put(database->file);
        }
        return false;
    }
    list->count++;
    return true;
}

bool
csq_recorded_find(struct csq_recorded_list *list, sqlite3 *handle)
{
    int count = 0;

    if (list->items != NULL) {
        return true;
    }
    while (schema_of(handle, count) != NULL) {
        count++;
    }
    list->items = csq_calloc((size_t)count * sizeof *list->items);
    if (list->items == NULL) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        if (!add(list, handle, schema_of(handle, i))) {
            csq_recorded_forget(list);
            return false;
        }
    }
    return true;
}

void
csq_recorded_forget(struct csq_recorded_list *list)
{
    for (int i = 0; i < list->count; i++) {
        csq_watched_put(list->items[i].file);
        csq_free(list->items[i].name);
    }
    csq_free(list->items);
    memset(list, 0, sizeof *list);
}

struct csq_watched *
csq_recorded_file(const struct csq_recorded_list *list, const char *schema)
{
    for (int i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].name, schema) == 0) {
            return list->items[i].file;
        }
    }
    return NULL;
}

bool
csq_recorded_any(const struct csq_recorded_list *list)
{
    for (int i = 0; i < list->count; i++) {
        if (csq_watched_any(list->items[i].file)) {
            return true;
        }
    }
    return false;
}

/* -- numbers: what other processes do -------------------------------------------- */

void
csq_recorded_commit(struct csq_recorded_list *list, sqlite3 *handle)
{
    for (int i = 0; i < list->count; i++) {
        struct csq_recorded *database = &list->items[i];

        if (database->numbered && sqlite3_txn_state(handle, database->name) == SQLITE_TXN_WRITE &&
            csq_number_read(handle, database->name, &database->wal, &database->from)) {
            database->commits = list->commits = true;
            csq_watched_commits(database->file, database->from);
        }
    }
}

void
csq_recorded_settle(struct csq_recorded_list *list, sqlite3 *handle, bool committed, bool touched)
{
    for (int i = 0; i < list->count && list->commits; i++) {
        struct csq_recorded *database = &list->items[i];
        uint64_t number = 0;

        if (database->commits && !(committed && touched) &&
            (!committed || !csq_number_read(handle, database->name, &database->wal, &number) ||
             number == database->from)) {
            csq_watched_stays(database->file, database->from);
        }
        database->commits = false;
    }
    list->commits = false;
}

void
csq_recorded_look(struct csq_recorded_list *list, sqlite3 *handle)
{
    uint64_t number;

    for (int i = 0; i < list->count; i++) {
        struct csq_recorded *database = &list->items[i];

        if (csq_watched_any(database->file) &&
            csq_number_read(handle, database->name, &database->wal, &number)) {
            csq_watched_looks(database->file, number);
        }
    }
}

void
csq_recorded_renumber(struct csq_recorded_list *list, sqlite3 *handle)
{
    uint64_t number;

    for (int i = 0; i < list->count; i++) {
        struct csq_recorded *database = &list->items[i];

        if (database->numbered &&
            csq_number_read(handle, database->name, &database->wal, &number)) {
            csq_watched_renumber(database->file, number);
        }
    }
}
