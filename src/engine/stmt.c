/* Statements. The cache is a hash of buckets with a list by time of return; it
 * is never larger than the user's cached_statements, a few hundred, so nothing
 * is rehashed. Values are bound without a copy, because the strip they lie in
 * is kept beside the statement until that is reset. */

#include "engine/stmt.h"

#include <limits.h>
#include <string.h>

#include "engine/alloc.h"

/* FNV-1a over eight bytes at a time: only its spread over 64 buckets counts. The last eight
 * may be some that were read before. */
static uint64_t
hash_sql(const char *sql, size_t size)
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ size;
    const char *end = sql + size;
    uint64_t word = 0;

    for (; end - sql > (ptrdiff_t)sizeof word; sql += sizeof word) {
        memcpy(&word, sql, sizeof word);
        hash = (hash ^ word) * UINT64_C(1099511628211);
        hash ^= hash >> 29;
    }
    if (size >= sizeof word) {
        memcpy(&word, end - sizeof word, sizeof word);
    } else {
        memcpy(&word, sql, size);
    }
    hash = (hash ^ word) * UINT64_C(1099511628211);
    return hash ^ hash >> 32;
}

static void
stmt_free(struct csq_stmt *stmt)
{
    sqlite3_finalize(stmt->handle);
    csq_columns_put(stmt->columns);
    csq_free(stmt->sql);
    csq_free(stmt);
}

void
csq_cache_init(struct csq_cache *cache, int limit)
{
    memset(cache, 0, sizeof *cache);
    csq_list_init(&cache->recent);
    cache->limit = limit;
}

static void
cache_remove(struct csq_cache *cache, struct csq_stmt *stmt)
{
    struct csq_stmt **place = &cache->buckets[stmt->hash % CSQ_CACHE_BUCKETS];

    while (*place != stmt) {
        place = &(*place)->bucket;
    }
    *place = stmt->bucket;
    csq_link_remove(&stmt->recent);
    cache->count--;
}

static struct csq_stmt *
cache_find(const struct csq_cache *cache, const char *sql, size_t size, uint64_t hash)
{
    struct csq_stmt *stmt = cache->buckets[hash % CSQ_CACHE_BUCKETS];

    while (stmt != NULL &&
           !(stmt->hash == hash && stmt->size == size && memcmp(stmt->sql, sql, size) == 0)) {
        stmt = stmt->bucket;
    }
    return stmt;
}

void
csq_cache_clear(struct csq_cache *cache)
{
    while (!csq_list_empty(&cache->recent)) {
        struct csq_stmt *stmt = csq_item(cache->recent.head.next, struct csq_stmt, recent);

        cache_remove(cache, stmt);
        stmt_free(stmt);
    }
}

void
csq_cache_renew(struct csq_cache *cache)
{
    csq_cache_clear(cache);
    cache->generation++;
}

/* Finalizes the least recently used ones until there are no more than `count`. */
static void
evict(struct csq_cache *cache, int count)
{
    while (cache->count > count) {
        struct csq_stmt *oldest = csq_item(cache->recent.head.next, struct csq_stmt, recent);

        cache_remove(cache, oldest);
        stmt_free(oldest);
        cache->evictions++;
    }
}

void
csq_cache_resize(struct csq_cache *cache, int limit)
{
    cache->limit = limit < 0 ? 0 : limit;
    evict(cache, cache->limit);
}

/* sqlite3_prepare_v3(), and what the SQL may need for it. */
static int
prepare_lending(struct csq_cache *cache, sqlite3 *db, struct csq_stmt *stmt, const char **tail)
{
    unsigned flags = cache->limit > 0 ? SQLITE_PREPARE_PERSISTENT : 0;
    bool lent;
    int rc;

    stmt->lending = csq_scan_lending(stmt->sql, stmt->size);
    lent = stmt->lending == CSQ_LENT_PREPARING && cache->lend != NULL;
    if (lent) {
        cache->lend(cache->lender, true);
    }
    rc = sqlite3_prepare_v3(db, stmt->sql, (int)stmt->size + 1, flags, &stmt->handle, tail);
    if (lent) {
        cache->lend(cache->lender, false);
    }
    return rc;
}

/* Copies what SQLite says of the statement it has just prepared. */
static bool
describe(struct csq_stmt *stmt)
{
    stmt->dml = csq_scan_is_dml(stmt->sql);
    stmt->readonly = stmt->handle == NULL || sqlite3_stmt_readonly(stmt->handle);
    stmt->writes = !stmt->readonly && !csq_scan_is_upkeep(stmt->sql);
    stmt->perhaps = !stmt->readonly && !stmt->writes && csq_scan_may_write(stmt->sql);
    stmt->attaches = stmt->readonly && csq_scan_shaping(stmt->sql) == CSQ_SHAPES_ATTACHED;
    stmt->query = stmt->readonly && csq_scan_is_query(stmt->sql);
    stmt->parameters = sqlite3_bind_parameter_count(stmt->handle);
    if (sqlite3_column_count(stmt->handle) > 0) {
        stmt->columns = csq_columns_copy(stmt->handle);
        return stmt->columns != NULL;
    }
    return true;
}

static struct csq_stmt *
prepare(struct csq_cache *cache, sqlite3 *db, const char *sql, size_t size,
        struct csq_error *error)
{
    const char *tail = NULL;
    struct csq_stmt *stmt = csq_calloc(sizeof *stmt);
    int rc = SQLITE_NOMEM;

    if (stmt == NULL) {
        goto fail;
    }
    csq_link_init(&stmt->recent);
    stmt->size = size;
    stmt->sql = csq_memdup(sql, size);
    if (stmt->sql == NULL) {
        goto fail;
    }
    if (size >= INT_MAX || (int)size > sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, -1)) {
        rc = SQLITE_TOOBIG;
        csq_error_set(error, rc, "query string is too large");
        goto fail;
    }
    rc = prepare_lending(cache, db, stmt, &tail);
    if (rc != SQLITE_OK) {
        csq_error_copy(error, db, rc);
        goto fail;
    }
    if (csq_scan_start(tail) != NULL) {
        csq_error_set(error, CSQ_USAGE, "You can only execute one statement at a time.");
        goto fail;
    }
    if (!describe(stmt)) {
        rc = SQLITE_NOMEM;
        goto fail;
    }
    return stmt;

fail:
    if (rc == SQLITE_NOMEM) {
        csq_error_copy(error, NULL, rc);
    }
    if (stmt != NULL) {
        stmt_free(stmt);
    }
    return NULL;
}

struct csq_stmt *
csq_stmt_get(struct csq_cache *cache, sqlite3 *db, const char *sql, size_t size,
             struct csq_error *error)
{
    uint64_t hash = hash_sql(sql, size);
    struct csq_stmt *stmt = cache_find(cache, sql, size, hash);

    if (stmt != NULL) {
        cache_remove(cache, stmt);
        cache->hits++;
        return stmt;
    }
    cache->misses++;
    stmt = prepare(cache, db, sql, size, error);
    if (stmt != NULL) {
        stmt->hash = hash;
        /* What has its effect while it is prepared is prepared each time. */
        stmt->generation = cache->generation - (stmt->lending == CSQ_LENT_PREPARING ? 1 : 0);
    }
    return stmt;
}

void
csq_stmt_put(struct csq_cache *cache, struct csq_stmt *stmt)
{
    struct csq_stmt **place;

    sqlite3_reset(stmt->handle);
    if (cache->limit <= 0 || stmt->generation != cache->generation) {
        stmt_free(stmt);
        return;
    }
    if (stmt->parameters > 0) {
        sqlite3_clear_bindings(stmt->handle);
    }
    evict(cache, cache->limit - 1);
    place = &cache->buckets[stmt->hash % CSQ_CACHE_BUCKETS];
    stmt->bucket = *place;
    *place = stmt;
    csq_list_append(&cache->recent, &stmt->recent);
    cache->count++;
}

static int
bind_array(sqlite3_stmt *handle, int number, struct csq_array *array)
{
#ifdef SQLITE_ENABLE_CARRAY
    _Static_assert(CSQ_ARRAY_INT32 == SQLITE_CARRAY_INT32, "the numbers are SQLite's");
    _Static_assert(CSQ_ARRAY_BLOB == SQLITE_CARRAY_BLOB, "the numbers are SQLite's");
    return sqlite3_carray_bind(handle, number, array->values, array->count, (int)array->type,
                               SQLITE_STATIC);
#else
    (void)array;
    return sqlite3_bind_null(handle, number);
#endif
}

static int
bind_cell(sqlite3_stmt *handle, int number, const struct csq_cell *cell)
{
    switch (cell->type) {
    case CSQ_INTEGER:
        return sqlite3_bind_int64(handle, number, cell->value.integer);
    case CSQ_FLOAT:
        return sqlite3_bind_double(handle, number, cell->value.real);
    case CSQ_TEXT:
        return sqlite3_bind_text(handle, number, cell->value.bytes, (int)cell->size,
                                 SQLITE_STATIC);
    case CSQ_BLOB:
        return sqlite3_bind_blob(handle, number, cell->value.bytes, (int)cell->size,
                                 SQLITE_STATIC);
    case CSQ_ARRAY:
        return bind_array(handle, number, cell->value.array);
    case CSQ_POISON:
        return CSQ_PACKED;
    default:
        return sqlite3_bind_null(handle, number);
    }
}

static int
bind_positions(struct csq_stmt *stmt, const struct csq_strip *strip, struct csq_reader *reader,
               int64_t width, struct csq_error *error)
{
    if (width != stmt->parameters) {
        return csq_error_set(error, CSQ_USAGE,
                             "Incorrect number of bindings supplied. The current statement "
                             "uses %d, and there are %lld supplied.",
                             stmt->parameters, (long long)width);
    }
    for (int number = 1; number <= width; number++) {
        int rc = bind_cell(stmt->handle, number, csq_strip_read(strip, reader));

        if (rc == CSQ_PACKED) {
            return csq_error_set(error, rc, "a parameter could not be packed");
        }
        if (rc != SQLITE_OK) {
            return csq_error_copy(error, sqlite3_db_handle(stmt->handle), rc);
        }
    }
    return SQLITE_OK;
}

/* The value that follows the name `name` in the pairs from `*start`; NULL: none. */
static const struct csq_cell *
find_pair(const struct csq_strip *strip, const struct csq_reader *start, int width,
          const char *name)
{
    struct csq_reader reader = *start;
    size_t size = strlen(name);

    for (int i = 0; i < width; i++) {
        const struct csq_cell *key = csq_strip_read(strip, &reader);
        const struct csq_cell *value = csq_strip_read(strip, &reader);

        if (key->size == size && memcmp(key->value.bytes, name, size) == 0) {
            return value->type == CSQ_MISSING ? NULL : value;
        }
    }
    return NULL;
}

static int
bind_names(struct csq_stmt *stmt, const struct csq_strip *strip, struct csq_reader *reader,
           int width, struct csq_error *error)
{
    struct csq_reader start = *reader;

    for (int number = 1; number <= stmt->parameters; number++) {
        const char *name = sqlite3_bind_parameter_name(stmt->handle, number);
        const struct csq_cell *cell;
        int rc;

        if (name == NULL) {
            return csq_error_set(error, CSQ_USAGE,
                                 "Binding %d has no name, but you supplied a dictionary "
                                 "(which has only names).",
                                 number);
        }
        cell = find_pair(strip, &start, width, name + 1);
        if (cell == NULL) {
            return csq_error_set(error, CSQ_USAGE,
                                 "You did not supply a value for binding parameter :%s.",
                                 name + 1);
        }
        rc = bind_cell(stmt->handle, number, cell);
        if (rc == CSQ_PACKED) {
            return csq_error_set(error, rc, "a parameter could not be packed");
        }
        if (rc != SQLITE_OK) {
            return csq_error_copy(error, sqlite3_db_handle(stmt->handle), rc);
        }
    }
    for (int i = 0; i < 2 * width; i++) {
        csq_strip_read(strip, reader);
    }
    return SQLITE_OK;
}

int
csq_stmt_bind(struct csq_stmt *stmt, const struct csq_strip *strip, struct csq_reader *reader,
              struct csq_error *error)
{
    const struct csq_cell *head = csq_strip_read(strip, reader);
    int64_t width = csq_head_width(head);

    if (head->type == CSQ_POISON) {
        return csq_error_set(error, CSQ_PACKED, "the parameters could not be packed");
    }
    if (csq_head_named(head)) {
        return bind_names(stmt, strip, reader, (int)width, error);
    }
    return bind_positions(stmt, strip, reader, width, error);
}

int
csq_stmt_first_name(const struct csq_stmt *stmt)
{
    for (int number = 1; number <= stmt->parameters; number++) {
        const char *name = sqlite3_bind_parameter_name(stmt->handle, number);

        if (name != NULL && name[0] != '?') {
            return number;
        }
    }
    return 0;
}

bool
csq_stmt_refresh(struct csq_stmt *stmt)
{
    int reprepared;
    struct csq_columns *columns;

    if (stmt->columns == NULL) {
        return true;
    }
    reprepared = sqlite3_stmt_status(stmt->handle, SQLITE_STMTSTATUS_REPREPARE, 0);
    if (reprepared == stmt->reprepared) {
        return true;
    }
    columns = csq_columns_copy(stmt->handle);
    if (columns == NULL) {
        return false;
    }
    csq_columns_put(stmt->columns);
    stmt->columns = columns;
    stmt->reprepared = reprepared;
    return true;
}

/* Whether a blob is empty for which SQLite has just given NULL. It gives NULL also for
 * one that it has no memory to write out: a zeroblob is a number until somebody asks
 * for its bytes. */
static bool
is_empty(sqlite3_stmt *handle)
{
    return sqlite3_errcode(sqlite3_db_handle(handle)) != SQLITE_NOMEM;
}

static bool
put_blob(sqlite3_stmt *handle, int column, struct csq_strip *strip)
{
    const void *blob = sqlite3_column_blob(handle, column);

    return (blob != NULL || is_empty(handle)) &&
           csq_strip_put_blob(strip, blob, (size_t)sqlite3_column_bytes(handle, column));
}

/* Through sqlite3_value: the functions of that name do the same as those of a column,
 * but look for neither the column nor a mutex each time. That such a value may be
 * looked at is documented for a handle without a mutex. */
static bool
put_column(sqlite3_stmt *handle, int column, struct csq_strip *strip)
{
    sqlite3_value *value = sqlite3_column_value(handle, column);

    switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
        return csq_strip_put_integer(strip, sqlite3_value_int64(value));
    case SQLITE_FLOAT:
        return csq_strip_put_float(strip, sqlite3_value_double(value));
    case SQLITE_TEXT: {
        const char *text = (const char *)sqlite3_value_text(value);

        return text != NULL &&
               csq_strip_put_text(strip, text, (size_t)sqlite3_value_bytes(value));
    }
    case SQLITE_BLOB:
        return put_blob(handle, column, strip);
    default:
        return csq_strip_put_null(strip);
    }
}

/* The bytes a converter takes: those of sqlite3_column_blob(), whatever the type.
 * Where there are none, as for an empty text, the sqlite3 module asks no converter. */
static bool
put_bytes_of(sqlite3_stmt *handle, int column, struct csq_strip *strip)
{
    const void *bytes = sqlite3_column_blob(handle, column);

    if (bytes == NULL) {
        return is_empty(handle) && csq_strip_put_null(strip);
    }
    return csq_strip_put_blob(strip, bytes, (size_t)sqlite3_column_bytes(handle, column));
}

bool
csq_stmt_row(const struct csq_stmt *stmt, struct csq_strip *strip, bool texts)
{
    const struct csq_columns *columns = stmt->columns;

    for (int i = 0; i < columns->count; i++) {
        if (!put_column(stmt->handle, i, strip)) {
            return false;
        }
        if (texts && columns->column[i].typed && !put_bytes_of(stmt->handle, i, strip)) {
            return false;
        }
    }
    strip->rows++;
    return true;
}
