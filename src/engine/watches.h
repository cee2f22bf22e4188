/* Who watches a database file in this process, and what is told to them.
 *
 * A file is known by its device and inode, so that all connections of the process to it tell
 * the same watches what they commit (engine/record.h). A database in memory, and what is
 * temporary, is known to its connection alone. Who watches names tables; a commit that has
 * touched none of them wakes nobody, and is compared here without asking Python.
 *
 * Any thread; what is shared is guarded by one lock, which is held for a few instructions. */

#ifndef CSQ_WATCHES_H
#define CSQ_WATCHES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine/changes.h"
#include "engine/commit.h"
#include "engine/list.h"
#include "engine/watched.h"

/* What is to be remembered of a table's rows until they are committed. */
enum csq_heed {
    CSQ_HEED_NOTHING, /* nobody watches it */
    CSQ_HEED_TABLE,   /* that there were any */
    CSQ_HEED_ROWS,
};

/* A database as a watch knows it. */
struct csq_join {
    struct csq_link of_watch;
    struct csq_link of_file;
    struct csq_watch *watch;
    struct csq_watched *file; /* a reference */
    char *name;               /* of the schema, in the connection that watches */
    struct csq_list wants;    /* tables, by csq_want.of_join */
    bool all;                 /* all tables */
    struct csq_link of_all;   /* in the file's list of these */
    long told;                /* the number of the commit that it was told of last */
    unsigned turn;            /* csq_watch_turns as of when it began to want what it wants */
};

/* News that wait to be taken. */
struct csq_news {
    struct csq_link link;
    struct csq_join *join;
    struct csq_commit *commit; /* a reference */
    char *database;            /* of the schema where it was written; the commit's */
};

struct csq_watch {
    struct csq_link own;   /* among those of its connection: csq_watch_belong() */
    struct csq_list joins; /* by csq_join.of_watch */
    struct csq_list news;
    size_t count; /* of these */
    size_t most;  /* so many may wait; what is more becomes a sum */
    bool rows;    /* wants to know them; else only that there were any */
    unsigned sum_what;       /* of what did not fit; 0 and no changes: all did */
    struct csq_changes sum;  /* … tables alone */
    long told;  /* as of its joins */
    bool waits; /* somebody does, and is to be woken */
    bool over;  /* there will be nothing new */
    /* Called with the lock held, once for each time it waits. */
    void (*wake)(struct csq_watch *watch);
};

/* What a watch wants to hear of. */
struct csq_table {
    const char *database; /* lent; NULL: whichever has such a table */
    const char *name;     /* lent; NULL: all tables */
};

/* -- for the connections that write ---------------------------------------------- */

/* What of the rows of a table. */
enum csq_heed csq_watched_heeds(const struct csq_watched *file, const char *table);

/* Tells what was committed to it. `database`: the schema's name among the changes. */
void csq_watched_tell(struct csq_watched *file, const char *database, struct csq_commit *commit);

/* A number of the file was read: in a connection that is about to commit, with SQLite's lock in
 * its hand; or by who only looks. Others have committed where it is not the one that this
 * process has made: that is told. The first one that is read is taken as it is. */
void csq_watched_commits(struct csq_watched *file, uint64_t number);
void csq_watched_looks(struct csq_watched *file, uint64_t number);

/* The commit behind `number` has written nothing. */
void csq_watched_stays(struct csq_watched *file, uint64_t number);

/* Whatever the number is, it is known what has made it. */
void csq_watched_renumber(struct csq_watched *file, uint64_t number);

/* Tells those who have begun to watch behind a value of csq_watch_turns that any table may have
 * changed; `all`: everybody. */
void csq_watched_tell_unknown(struct csq_watched *file, bool all, unsigned turns);

/* -- watches ------------------------------------------------------------------------ */

/* Makes one that watches nothing. */
void csq_watch_init(struct csq_watch *watch, bool rows, size_t most,
                    void (*wake)(struct csq_watch *));

/* Leaves everything and frees what was not taken. */
void csq_watch_destroy(struct csq_watch *watch);

/* Lets it watch a database, of whose tables it does not want anything yet. False: no memory. */
bool csq_watch_join(struct csq_watch *watch, struct csq_watched *file, const char *name);

/* Whether it watches any. */
bool csq_watch_has_joined(const struct csq_watch *watch);

/* Lets it leave the databases that it watches. */
void csq_watch_leave(struct csq_watch *watch);

/* Lets it watch these tables and no others. Without memory it watches all of them. */
void csq_watch_want(struct csq_watch *watch, const struct csq_table *tables, size_t count);

/* Whether it wants to hear of a table; of what its thread has taken. */
bool csq_join_wants(const struct csq_join *join, const char *table);

/* Tells one watch alone. */
void csq_watch_tell(struct csq_watch *watch, unsigned what);

/* There will be nothing new: for one, and for all that belong to a list. */
void csq_watch_end(struct csq_watch *watch);
void csq_watch_end_all(struct csq_list *own);

/* Lets it belong to a list, which is read and changed here alone. */
void csq_watch_belong(struct csq_watch *watch, struct csq_list *own);

/* Gives, oldest first, what it was told: news, for the caller to free with csq_news_free(); or,
 * behind them, the sum of what did not fit. Whether there was anything. */
bool csq_watch_take(struct csq_watch *watch, struct csq_news **news, struct csq_changes *sum,
                    unsigned *what);
void csq_news_free(struct csq_news *news);

/* Begins to wait, unless there is something to take, or it is over. Whether it does. */
bool csq_watch_wait(struct csq_watch *watch);

/* Whoever waits does so no longer. Whether somebody did. */
bool csq_watch_wait_no_more(struct csq_watch *watch);

/* Whether there will be nothing new. */
bool csq_watch_is_over(const struct csq_watch *watch);

#endif
