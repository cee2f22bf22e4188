/* What is attached is seen by comparing names and paths, because a statement may attach and detach in
 * many ways; but not whether a name was detached and attached again, which is told. */

#include "engine/places.h"

#include <string.h>

#include "engine/alloc.h"

enum { FIRST_ATTACHED = 2 }; /* behind "main" and "temp" */

void
csq_places_init(struct csq_places *places)
{
    csq_writer_init(&places->main, NULL);
    places->attached = NULL;
    places->count = 0;
    places->stale = false;
}

void
csq_places_destroy(struct csq_places *places)
{
    csq_writer_destroy(&places->main);
}

/* -- files --------------------------------------------------------------------- */

/* Lends the path of a schema's file; NULL: it has none, or its cache is shared. */
static const char *
path_of(sqlite3 *handle, const char *schema)
{
    const char *path = sqlite3_db_filename(handle, schema);
    const char *cache = path == NULL ? NULL : sqlite3_uri_parameter(path, "cache");

    if (path == NULL || path[0] == '\0' || (cache != NULL && strcmp(cache, "shared") == 0)) {
        return NULL;
    }
    return path;
}

void
csq_places_open(struct csq_places *places, sqlite3 *handle, bool shared)
{
    csq_writers_join(&places->main, shared ? NULL : path_of(handle, "main"));
}

static void
free_place(struct csq_place *place)
{
    if (place != NULL) {
        csq_writers_leave(&place->writer);
        csq_writer_destroy(&place->writer);
        csq_free(place->schema);
        csq_free(place->path);
        csq_free(place);
    }
}

static void
free_attached(struct csq_places *places)
{
    for (size_t i = 0; i < places->count; i++) {
        free_place(places->attached[i]);
    }
    csq_free(places->attached);
    places->attached = NULL;
    places->count = 0;
    places->stale = false;
}

void
csq_places_close(struct csq_places *places)
{
    free_attached(places);
    csq_writers_leave(&places->main);
}

void
csq_places_forget(struct csq_places *places)
{
    places->stale = true;
}

static struct csq_place *
find(const struct csq_places *places, const char *schema)
{
    for (size_t i = 0; i < places->count; i++) {
        if (sqlite3_stricmp(places->attached[i]->schema, schema) == 0) {
            return places->attached[i];
        }
    }
    return NULL;
}

/* -- what is attached ------------------------------------------------------------ */

#if SQLITE_VERSION_NUMBER >= 3039000

static char *
copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = csq_malloc(size);

    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

/* The same file may be attached twice: then the connection stands in its line once. */
static void
join(struct csq_places *places, struct csq_place *place)
{
    struct csq_writer *other = NULL;

    csq_writers_join(&place->writer, place->path);
    while ((other = csq_places_next(places, other)) != NULL) {
        if (place->writer.line == other->line) {
            csq_writers_leave(&place->writer);
            place->stands = other;
            return;
        }
    }
}

/* Gives one of a file, in no line; NULL: no memory. */
static struct csq_place *
make(struct csq_places *places, const char *schema, const char *path)
{
    struct csq_place *place = csq_calloc(sizeof *place);

    if (place == NULL) {
        return NULL;
    }
    csq_writer_init(&place->writer, &places->main);
    place->stands = &place->writer;
    place->schema = copy_text(schema);
    place->path = copy_text(path);
    if (place->schema == NULL || place->path == NULL) {
        free_place(place);
        return NULL;
    }
    return place;
}

static void
add(struct csq_places *places, const char *schema, const char *path)
{
    struct csq_place **more = csq_malloc((places->count + 1) * sizeof(struct csq_place *));
    struct csq_place *place = more == NULL ? NULL : make(places, schema, path);

    if (place == NULL) {
        csq_free(more);
        return;
    }
    for (size_t i = 0; i < places->count; i++) {
        more[i] = places->attached[i];
    }
    more[places->count] = place;
    csq_free(places->attached);
    places->attached = more;
    join(places, place);
    places->count++;
}

/* Whether there is a place for each database that is attached, and no other. */
static bool
is_complete(const struct csq_places *places, sqlite3 *handle)
{
    const char *schema = sqlite3_db_name(handle, FIRST_ATTACHED);
    size_t files = 0;

    for (int i = FIRST_ATTACHED; schema != NULL; schema = sqlite3_db_name(handle, ++i)) {
        const char *path = path_of(handle, schema);
        const struct csq_place *place = find(places, schema);

        if (path != NULL) {
            if (place == NULL || strcmp(place->path, path) != 0) {
                return false;
            }
            files++;
        }
    }
    return files == places->count;
}

/* Whether the connection has its turn in the file of something attached. */
static bool
has_turn(const struct csq_places *places)
{
    for (size_t i = 0; i < places->count; i++) {
        if (places->attached[i]->writer.writes) {
            return true;
        }
    }
    return false;
}

/* Makes those that are missing, and lets go of the others. Where there is a turn among them, a
 * transaction is open; then that is left for later. */
static void
complete(struct csq_places *places, sqlite3 *handle)
{
    const char *schema = sqlite3_db_name(handle, FIRST_ATTACHED);

    if (!has_turn(places)) {
        free_attached(places);
    }
    for (int i = FIRST_ATTACHED; schema != NULL; schema = sqlite3_db_name(handle, ++i)) {
        const char *path = path_of(handle, schema);

        if (path != NULL && find(places, schema) == NULL) {
            add(places, schema, path);
        }
    }
}

bool
csq_places_look(struct csq_places *places, sqlite3 *handle)
{
    if (sqlite3_db_name(handle, FIRST_ATTACHED) == NULL && places->count == 0) {
        return false;
    }
    if (places->stale || !is_complete(places, handle)) {
        complete(places, handle);
    }
    return sqlite3_db_name(handle, FIRST_ATTACHED) != NULL;
}

#else

/* Before SQLite 3.39 it does not tell what is attached. */
bool
csq_places_look(struct csq_places *places, sqlite3 *handle)
{
    (void)places;
    (void)handle;
    return false;
}

#endif

/* -- one of them ------------------------------------------------------------------- */

struct csq_writer *
csq_places_of(struct csq_places *places, const char *schema)
{
    struct csq_writer *writer = &places->main;

    if (sqlite3_stricmp(schema, "main") != 0) {
        struct csq_place *place = find(places, schema);

        writer = place == NULL ? NULL : place->stands;
    }
    return writer == NULL || writer->line == NULL ? NULL : writer;
}

struct csq_writer *
csq_places_next(struct csq_places *places, const struct csq_writer *writer)
{
    size_t i = 0;

    if (writer == NULL && places->main.line != NULL) {
        return &places->main;
    }
    while (writer != NULL && writer != &places->main && &places->attached[i]->writer != writer) {
        i++;
    }
    i += writer != NULL && writer != &places->main ? 1 : 0;
    while (i < places->count && places->attached[i]->writer.line == NULL) {
        i++;
    }
    return i < places->count ? &places->attached[i]->writer : NULL;
}

struct csq_writer *
csq_places_next_in_order(struct csq_places *places, const struct csq_writer *writer)
{
    struct csq_writer *next = NULL;
    struct csq_writer *other = NULL;

    while ((other = csq_places_next(places, other)) != NULL) {
        if ((writer == NULL || csq_writers_precede(writer, other)) &&
            (next == NULL || csq_writers_precede(other, next))) {
            next = other;
        }
    }
    return next;
}

int
csq_places_state(const struct csq_places *places, sqlite3 *handle,
                 const struct csq_writer *writer)
{
    int state = SQLITE_TXN_NONE;

    if (writer == &places->main) {
        state = sqlite3_txn_state(handle, "main");
    }
    for (size_t i = 0; i < places->count; i++) {
        if (places->attached[i]->stands == writer) {
            int other = sqlite3_txn_state(handle, places->attached[i]->schema);

            state = other > state ? other : state;
        }
    }
    return state;
}

static const char *
schema_of(const struct csq_places *places, const struct csq_writer *writer)
{
    for (size_t i = 0; i < places->count; i++) {
        if (&places->attached[i]->writer == writer) {
            return places->attached[i]->schema;
        }
    }
    return "main";
}

bool
csq_places_may_write(const struct csq_places *places, sqlite3 *handle,
                     const struct csq_writer *writer)
{
    return sqlite3_db_readonly(handle, schema_of(places, writer)) != 1;
}

const char *
csq_places_path(const struct csq_places *places, sqlite3 *handle, const struct csq_writer *writer)
{
    return sqlite3_db_filename(handle, schema_of(places, writer));
}
