/* What a connection changes, remembered until it is committed and then told to who watches:
 * engine/watches.h.
 *
 * Worker thread, holding the db's lock. Nothing is remembered, and SQLite has no hook, as long
 * as nobody in the process watches a file that the connection has open. What goes by is seen by
 * the pre-update hook; what a failed statement or ROLLBACK TO has undone is forgotten. Where
 * rows cannot be seen (a session has the hook, or SQLite was built without it), it is told that
 * any may have changed. */

#ifndef CSQ_RECORD_H
#define CSQ_RECORD_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine/hooks.h"
#include "engine/list.h"
#include "engine/reads.h"
#include "engine/recorded.h"
#include "engine/watches.h"

enum { CSQ_RECORD_NAME = 64 };

/* How far it has come. */
struct csq_record_mark {
    unsigned transaction; /* csq_recorder.transaction */
    size_t count;
    unsigned what;
    bool overflowed;
};

/* A savepoint that is open. */
struct csq_record_savepoint {
    struct csq_record_savepoint *outer;
    struct csq_record_mark mark;
    char name[];
};

struct csq_recorder {
    unsigned turns;  /* csq_watch_turns as of the last look */
    bool attentive;  /* somebody has watched something: what attaches is looked for */
    bool on;         /* a database of the connection is watched */
    bool blind;      /* nothing sees the rows */
    unsigned transaction; /* its number */
    bool touched;    /* rows were changed, of whatever table */
    bool pending;    /* something was written that is not settled */
    unsigned what;   /* CSQ_TOLD_…, of the open transaction */
    bool missed;           /* what it has begun with was not seen for those … */
    unsigned missed_since; /* … who have begun to watch behind this value of csq_watch_turns */
    struct csq_changes changes;
    struct csq_recorded_list databases;
    struct csq_record_savepoint *savepoints; /* the innermost first */
    bool unnamed; /* one of them is missing, for want of memory */
    sqlite3_stmt *open;           /* lent: the last one that has written and gives rows … */
    struct csq_record_mark begun; /* … and from where */
    struct {
        char database[CSQ_RECORD_NAME];
        char table[CSQ_RECORD_NAME];
        enum csq_heed heed;
        bool known;
    } latest; /* whose row it was last, and what becomes of it */
    sqlite3 *handle; /* lent; while it is on */
    struct csq_hooks_watch hooks;
    struct csq_list reads;   /* who wants to know what is read, by csq_reads.link */
    struct csq_list watches; /* those that belong to the connection, by csq_watch.own */
};

void csq_recorder_init(struct csq_recorder *recorder);

/* Whether somebody has begun to watch, or has ceased to, since the last look. */
static inline bool
csq_record_is_late(const struct csq_recorder *recorder)
{
    return atomic_load_explicit(&csq_watch_turns, memory_order_relaxed) != recorder->turns;
}

/* Not within a statement. Looks who watches, and sets or removes the hooks. `blind`: nothing can
 * see rows. Whether statements that were prepared before have to be prepared anew. */
bool csq_record_look(struct csq_recorder *recorder, sqlite3 *handle, struct csq_hooks *hooks,
                     bool blind);

/* Lets a watch watch the databases of the connection, whose it is from now on. False: no memory. */
bool csq_record_admit(struct csq_recorder *recorder, sqlite3 *handle, struct csq_watch *watch);

/* In place of sqlite3_step(), where recorder->attentive. */
int csq_record_step(struct csq_recorder *recorder, sqlite3 *handle, sqlite3_stmt *statement);

/* Where it stands, and the way back: what was done since is undone. */
struct csq_record_mark csq_record_mark(const struct csq_recorder *recorder);
void csq_record_go_back(struct csq_recorder *recorder, const struct csq_record_mark *mark);

/* Something was written before it was seen who watches: those who have begun to behind `turns`
 * have missed it. */
void csq_record_missed(struct csq_recorder *recorder, unsigned turns);

/* Something was done of which nothing can be seen. */
void csq_record_unknown(struct csq_recorder *recorder);

/* A database was replaced as a whole, and that is committed. */
void csq_record_replaced(struct csq_recorder *recorder, sqlite3 *handle);

/* Tells what is committed, if anything is. */
void csq_record_settle(struct csq_recorder *recorder, sqlite3 *handle);

/* The connection's databases may be others. */
void csq_record_forget_databases(struct csq_recorder *recorder);

/* Before the handle is closed. */
void csq_record_close(struct csq_recorder *recorder, sqlite3 *handle, struct csq_hooks *hooks);

#endif
