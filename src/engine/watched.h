/* The database files that are open in this process, as far as somebody may watch them, and a
 * lock for all that watches them: engine/watches.h.
 *
 * Any thread. */

#ifndef CSQ_WATCHED_H
#define CSQ_WATCHED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/interest.h"
#include "engine/list.h"

/* A file, or the database of one connection alone. */
struct csq_watched {
    struct csq_link same; /* in the table of files, chained by same.next */
    bool shared;          /* it stands there */
    dev_t device;
    ino_t number;
    size_t references;
    struct csq_list joins;      /* by csq_join.of_file */
    struct csq_list all;        /* of them those that watch all tables */
    struct csq_interests names; /* of tables that others watch */
    /* What other processes do: engine/number.h. */
    bool numbered;
    bool ahead;      /* a commit of this process may have made, or make, the next one */
    uint64_t last;   /* number of this process, or that was told */
};

/* Grows whenever somebody begins to watch something, or ceases to: whoever has looked before has
 * to look again. 0: nobody has ever watched anything. Whether somebody has begun is in the bits
 * of CSQ_WATCH_BEGINS. */
extern atomic_uint csq_watch_turns;

enum { CSQ_WATCH_CEASES = 1, CSQ_WATCH_BEGINS = 1 << 12 };

/* Whether somebody has begun to watch between two values of that. */
static inline bool
csq_watch_has_begun(unsigned before, unsigned now)
{
    return before / CSQ_WATCH_BEGINS != now / CSQ_WATCH_BEGINS;
}

/* Around looking at anything of a file or a watch that others may change. */
void csq_watched_lock(void);
void csq_watched_unlock(void);

/* Gives a number that is one more each time. */
long csq_watched_number(void);

/* Gives the file at `path`, which is open; NULL or empty: one that nobody else knows. NULL: no
 * memory. Each is put once. */
struct csq_watched *csq_watched_get(const char *path);
void csq_watched_put(struct csq_watched *file);

/* The same, with the lock held. */
void csq_watched_put_locked(struct csq_watched *file);

/* Whether anybody watches it. */
bool csq_watched_any(const struct csq_watched *file);

/* For fork.c: around fork(). In the child nobody watches anything that was open before. */
void csq_watched_before_fork(void);
void csq_watched_in_parent(void);
void csq_watched_in_child(void);

#endif
