/* What SQLite calls on the worker: several listeners of a kind, each with an argument
 * of its own.
 *
 * Worker thread, holding the db's lock. A listener may set and remove listeners, itself
 * included: one that is removed while listeners are being called is freed when the
 * outermost call is over. */

#ifndef CSQ_HOOKS_H
#define CSQ_HOOKS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/changes.h"
#include "engine/list.h"

enum csq_hook {
    CSQ_ON_UPDATE,
    CSQ_ON_PREUPDATE,
    CSQ_ON_COMMIT,
    CSQ_ON_ROLLBACK,
    CSQ_ON_WAL,
    CSQ_ON_TRACE,
    CSQ_ON_PROGRESS,
    CSQ_HOOKS, /* how many there are */
};

/* What is about to happen to a row. */
struct csq_preupdate {
    sqlite3 *handle; /* for sqlite3_preupdate_old() and the like */
    int operation;
    const char *database;
    const char *table;
    int64_t rowid;     /* before */
    int64_t new_rowid; /* after */
};

/* What is called, by kind. The first argument is the listener's own. */
union csq_hook_call {
    void (*update)(void *argument, int operation, const char *database, const char *table,
                   int64_t rowid);
    /* In its place: what has been changed, once it is committed. Lent; whoever wants
     * to keep it takes it with csq_changes_take(). */
    void (*changes)(void *argument, struct csq_changes *changes);
    void (*preupdate)(void *argument, const struct csq_preupdate *change);
    bool (*commit)(void *argument); /* whether to roll back instead */
    void (*rollback)(void *argument);
    int (*wal)(void *argument, const char *database, int pages); /* a result code */
    void (*trace)(void *argument, unsigned event, void *p, void *x);
    bool (*progress)(void *argument); /* whether to stop */
};

struct csq_listener {
    struct csq_link link; /* in csq_hooks.listeners */
    union csq_hook_call call;
    bool batched; /* CSQ_ON_UPDATE: `call.changes` is what is called */
    int number;   /* CSQ_ON_TRACE: mask of events; CSQ_ON_PROGRESS: steps between calls */
    int64_t passed; /* CSQ_ON_PROGRESS: steps since the last call */
    bool gone;    /* is not called any more, and freed as soon as may be */
    void *argument;
    void (*release)(void *argument);
};

/* Whoever sees rows and the ends of transactions before the listeners do, and uses neither the
 * handle nor them: engine/record.h. */
struct csq_hooks_watch {
    void (*row)(void *argument, const struct csq_preupdate *change);
    void (*commit)(void *argument); /* about to, with the lock in hand */
    void (*rollback)(void *argument);
    void *argument;
};

struct csq_hooks {
    sqlite3 *handle; /* lent; NULL: not open */
    const struct csq_hooks_watch *watch; /* lent; NULL: nobody */
    bool watch_rows;                     /* its `row` is called */
    struct csq_list listeners[CSQ_HOOKS];
    int walks;   /* under way: nothing is freed */
    int *sealed; /* lent: calls under way, from which the handle must not be used */
    bool stale;  /* something is gone and not freed */
    bool hidden; /* what runs is nobody's, and not traced */
    bool logged; /* a commit has reached the write-ahead log, and somebody has heard of it */
    bool paused; /* changes are being told, and none are recorded */
    bool lost;   /* there was no memory for a change: the transaction must not commit */
    struct csq_changes changes;
    int autocheckpoint; /* pages; while a listener stands in the place of SQLite's hook */
    /* The one that stands in no list: of set_trace_callback(). */
    int (*trace)(unsigned event, void *argument, void *p, void *x);
    void *trace_argument;
};

/* Any thread. Nobody listens. `sealed` is lent. */
void csq_hooks_init(struct csq_hooks *hooks, int *sealed);

/* Before the handle is closed: tells of what is committed, although a transaction is
 * open behind it that will be rolled back. */
void csq_hooks_finish(struct csq_hooks *hooks);

/* Before the handle is closed: it calls nobody any more, but for telling who traces
 * that it closes. `later`: not that either, because it will close on another thread. */
void csq_hooks_detach(struct csq_hooks *hooks, bool later);

/* Frees all listeners and changes. */
void csq_hooks_clear(struct csq_hooks *hooks);

/* Around looking for a listener, when that may let somebody remove it meanwhile. */
void csq_hooks_hold(struct csq_hooks *hooks);
void csq_hooks_release(struct csq_hooks *hooks);

/* Puts a listener (copied; NULL: none) in the place of `old` (NULL: of none). False:
 * no memory, nothing is changed, and the argument of `fresh` remains the caller's. */
bool csq_hooks_set(struct csq_hooks *hooks, enum csq_hook hook, struct csq_listener *old,
                   const struct csq_listener *fresh);

/* Sets what set_trace_callback() asks for, called for each statement; NULL: nothing.
 * While SQLite vacuums it keeps events from everybody, and then sends again what it
 * sent before: who sets something while the handle is sealed, sets it again after. */
void csq_hooks_set_trace(struct csq_hooks *hooks,
                         int (*trace)(unsigned event, void *argument, void *p, void *x),
                         void *argument);

/* Sets who sees everything first, NULL: nobody. Not `rows`: no rows, so that a session can have
 * SQLite's one place for that. */
void csq_hooks_set_watch(struct csq_hooks *hooks, const struct csq_hooks_watch *watch, bool rows);

/* Whether anybody listens. */
bool csq_hooks_any(const struct csq_hooks *hooks, enum csq_hook hook);

/* Lets every commit that leaves so many pages in the log make a checkpoint; 0 or less:
 * none does. Returns a result code. */
int csq_hooks_set_autocheckpoint(struct csq_hooks *hooks, int pages);

/* The least number of steps that a CSQ_ON_PROGRESS listener asks for, at most `most`. */
int csq_hooks_steps(struct csq_hooks *hooks, int most);

/* So many steps have been made. Whether to stop. */
bool csq_hooks_progress(struct csq_hooks *hooks, int steps);

/* After a statement that went well: what it has committed is settled. */
void csq_hooks_settle(struct csq_hooks *hooks);

/* After a job: tells of what is settled, unless a transaction is open. */
void csq_hooks_tell(struct csq_hooks *hooks);

#endif
