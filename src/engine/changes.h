/* The rows that an update hook has seen change, remembered without Python until the
 * transaction has ended.
 *
 * Worker thread. Changes of the open transaction are unsettled: a commit settles
 * them, a rollback takes them back. Memory is bounded: beyond `limit` changes only
 * the tables and operations are remembered. */

#ifndef CSQ_CHANGES_H
#define CSQ_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct csq_row_change {
    int64_t rowid;
    uint32_t table;    /* index into csq_changes.tables */
    uint8_t operation; /* SQLITE_INSERT, SQLITE_UPDATE or SQLITE_DELETE */
    bool any;          /* nothing tells which row it was, or how many: rowid is 0 */
};

/* A table of which something has changed, with what is known of it alone: bits that
 * csq_changes_bit() gives. */
struct csq_changed_table {
    char *database;
    char *name;
    unsigned beyond;  /* operations beyond the limit */
    unsigned settled; /* those of them that are settled */
    unsigned seen;    /* set by csq_changes_look(): all operations that are remembered of it */
};

struct csq_changes {
    struct csq_row_change *items;
    size_t count;
    size_t settled; /* the first so many are */
    size_t capacity;
    size_t limit; /* how many are remembered one by one */
    struct csq_changed_table *tables;
    uint32_t tables_count;
    uint32_t tables_capacity;
    uint32_t latest; /* the table of the last change: mostly that of the next one, too */
    bool overflowed; /* something stands in a table's `beyond` */
    bool unsettled;  /* there is something that a rollback would take back */
};

/* What is remembered one by one: 16 MiB. */
enum { CSQ_CHANGES_LIMIT = 1024 * 1024 };

void csq_changes_init(struct csq_changes *changes, size_t limit);

/* Frees what is remembered; it is empty again, with the same limit. */
void csq_changes_clear(struct csq_changes *changes);

/* Remembers one change. False: no memory, it is not remembered. */
bool csq_changes_add(struct csq_changes *changes, int operation, const char *database,
                     const char *table, int64_t rowid);

/* Remembers that rows of a table have changed, without their rowids. Where the last change of
 * at least `from` says so already, nothing is added. */
bool csq_changes_add_any(struct csq_changes *changes, size_t from, int operation,
                         const char *database, const char *table);

/* Forgets what was remembered behind the first `count`; with `beyond`, also what the tables
 * have beyond the limit. */
void csq_changes_cut(struct csq_changes *changes, size_t count, bool beyond);

/* The same of rowids alone: of what stands behind the first `count` the tables stay. */
void csq_changes_blur(struct csq_changes *changes, size_t count);

/* Notes with each table what is remembered of it. */
void csq_changes_look(struct csq_changes *changes);

/* Whether anything is remembered, be it settled or not. */
bool csq_changes_any(const struct csq_changes *changes);

/* The transaction is committed, or rolled back. */
void csq_changes_settle(struct csq_changes *changes);
void csq_changes_undo(struct csq_changes *changes);

/* Moves everything to `to`, which is not initialized before. */
void csq_changes_take(struct csq_changes *changes, struct csq_changes *to);

/* The bit that an operation has in `beyond`. */
unsigned csq_changes_bit(int operation);

#endif
