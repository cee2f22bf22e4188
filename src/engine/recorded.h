/* The databases of a connection, as files that somebody may watch, and the numbers of their
 * commits.
 *
 * Worker thread. */

#ifndef CSQ_RECORDED_H
#define CSQ_RECORDED_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/watches.h"

struct csq_recorded {
    char *name; /* of the schema */
    struct csq_watched *file;
    bool numbered; /* it is a file, which may have them */
    const void *wal; /* for csq_number_read() */
    bool commits;  /* it was about to, behind … */
    uint64_t from; /* … this number */
};

struct csq_recorded_list {
    struct csq_recorded *items; /* as SQLite numbers them; NULL: they are to be found */
    int count;
    bool commits; /* one of them was about to */
};

/* Finds the databases, unless they are known. False: no memory. */
bool csq_recorded_find(struct csq_recorded_list *list, sqlite3 *handle);

/* The opposite. */
void csq_recorded_forget(struct csq_recorded_list *list);

/* The file of a schema; NULL: there is none of that name. */
struct csq_watched *csq_recorded_file(const struct csq_recorded_list *list, const char *schema);

/* Whether anybody watches one of them. */
bool csq_recorded_any(const struct csq_recorded_list *list);

/* The connection is about to commit, with SQLite's locks in its hand: so another process cannot,
 * before it has. */
void csq_recorded_commit(struct csq_recorded_list *list, sqlite3 *handle);

/* That is over. `committed`: it has. `touched`: it has changed rows, and so made a number. */
void csq_recorded_settle(struct csq_recorded_list *list, sqlite3 *handle, bool committed,
                         bool touched);

/* Looks whether other processes have committed to what is watched. */
void csq_recorded_look(struct csq_recorded_list *list, sqlite3 *handle);

/* Something like VACUUM has written without a commit hook; it is known. */
void csq_recorded_renumber(struct csq_recorded_list *list, sqlite3 *handle);

#endif
