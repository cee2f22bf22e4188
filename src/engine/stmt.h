/* Prepared statements and the cache that keeps them.
 *
 * Worker thread only. A statement leaves the cache while it is in use, so the
 * same SQL can run twice at once; it comes back when it is done with. */

#ifndef CSQ_STMT_H
#define CSQ_STMT_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/cells.h"
#include "engine/columns.h"
#include "engine/error.h"
#include "engine/list.h"
#include "engine/scan.h"

enum { CSQ_CACHE_BUCKETS = 64 };

struct csq_stmt {
    struct csq_link recent;  /* in the cache: by time of return */
    struct csq_stmt *bucket; /* in the cache: next of the same bucket */
    sqlite3_stmt *handle;    /* NULL for SQL that holds no statement */
    char *sql;
    size_t size;
    uint64_t hash;
    struct csq_columns *columns; /* NULL: it returns no rows */
    int reprepared;              /* SQLITE_STMTSTATUS_REPREPARE when columns were copied */
    int parameters;              /* sqlite3_bind_parameter_count() */
    bool dml;                    /* INSERT, UPDATE, DELETE or REPLACE */
    bool readonly;               /* sqlite3_stmt_readonly() */
    bool writes;                 /* it wants to write to a database: no PRAGMA, no VACUUM … */
    bool perhaps;                /* … which may want that, too */
    bool attaches;               /* ATTACH or DETACH */
    bool query;                  /* it only reads tables: no PRAGMA, no EXPLAIN */
    enum csq_lending lending;    /* of the wait for locks, to SQLite */
    unsigned generation;         /* of the cache, when it was prepared */
};

struct csq_cache {
    struct csq_list recent; /* least recently used first */
    struct csq_stmt *buckets[CSQ_CACHE_BUCKETS];
    int count;
    int limit; /* 0: keeps nothing */
    unsigned generation;
    void (*lend)(void *lender, bool lent); /* see csq_db_lend(); NULL: nobody to ask */
    void *lender;
    /* What csq_stmt_get() and csq_stmt_put() have done. */
    int64_t hits;      /* the statement was there */
    int64_t misses;    /* it had to be prepared */
    int64_t evictions; /* one was finalized to make room */
};

void csq_cache_init(struct csq_cache *cache, int limit);

/* Changes how many it keeps; the least recently used ones go. */
void csq_cache_resize(struct csq_cache *cache, int limit);

/* Finalizes what the cache holds. */
void csq_cache_clear(struct csq_cache *cache);

/* Finalizes what the cache holds, and later what is in use now, once that is put back:
 * something has changed that prepared statements go on without. */
void csq_cache_renew(struct csq_cache *cache);

/* Gives the statement for `sql` (`size` bytes, then a 0), prepared if need be;
 * NULL with `error` set. Statements are prepared for keeping
 * (SQLITE_PREPARE_PERSISTENT) when the cache keeps any. */
struct csq_stmt *csq_stmt_get(struct csq_cache *cache, sqlite3 *db, const char *sql, size_t size,
                              struct csq_error *error);

/* Takes a statement: resets it, forgets its bindings and keeps it for later. */
void csq_stmt_put(struct csq_cache *cache, struct csq_stmt *stmt);

/* Binds one row of parameters from `reader`: a head, then values or pairs. The
 * bytes stay in the strip, which must live until the statement is reset.
 * Returns SQLITE_OK or the code in `error`. */
int csq_stmt_bind(struct csq_stmt *stmt, const struct csq_strip *strip, struct csq_reader *reader,
                  struct csq_error *error);

/* The number of the first named placeholder, 0 if there is none. */
int csq_stmt_first_name(const struct csq_stmt *stmt);

/* After the first step: copies the columns anew if SQLite has prepared the
 * statement again meanwhile. False: no memory. */
bool csq_stmt_refresh(struct csq_stmt *stmt);

/* Puts the current row. With `texts`, a cell of a typed column is followed by
 * the same value as the bytes that converters take. False: no memory. */
bool csq_stmt_row(const struct csq_stmt *stmt, struct csq_strip *strip, bool texts);

#endif
