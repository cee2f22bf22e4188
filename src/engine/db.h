/* One database handle: open, close, transactions, waiting for locks, stopping.
 *
 * Worker thread, but for what is marked otherwise. `lock` is held while a job
 * runs, so that another worker (a backup into this database) or another thread
 * (the synchronous view) can use the handle between two jobs. */

#ifndef CSQ_DB_H
#define CSQ_DB_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/effect.h"
#include "engine/error.h"
#include "engine/extension.h"
#include "engine/hooks.h"
#include "engine/list.h"
#include "engine/places.h"
#include "engine/record.h"
#include "engine/session.h"
#include "engine/stmt.h"

/* PEP 249 control as sqlite3.connect(autocommit=) names it. */
enum csq_autocommit { CSQ_LEGACY = -1, CSQ_MANUAL = 0, CSQ_AUTO = 1 };

/* How many statements are remembered that must stay out of batches. */
enum { CSQ_BATCH_SHUNNED = 64 };

/* The statements that begin and end a batch. */
enum csq_hidden { CSQ_HIDDEN_BEGIN, CSQ_HIDDEN_COMMIT, CSQ_HIDDEN_ROLLBACK, CSQ_HIDDEN };

/* engine/batch.h */
struct csq_batch {
    int most;      /* how many writes are committed at once; less than 2: one */
    int64_t delay; /* nanoseconds that one waits for others; 0: none */
    bool open;
    bool stepped;  /* a statement of the job that runs in it has begun */
    bool nested;   /* … and in a callback of it something was run, or was to be */
    bool late;     /* … and was stopped because others have waited long enough */
    int64_t end;   /* when others have, by csq_now(); 0: there are none */
    int64_t total;  /* what total_changes() was when it was begun */
    int64_t last;   /* the same of last_insert_rowid() */
    int64_t undone; /* what was counted of what was undone with it, to be run once more */
    uint64_t shunned[CSQ_BATCH_SHUNNED];
    int next; /* of these the one that is overwritten next */
    sqlite3_stmt *hidden[CSQ_HIDDEN]; /* prepared before the first batch: undoing one must not
                                         need memory */
};

/* What any thread may read at any time: as of the last job done, but for `autocommit`. */
struct csq_published {
    atomic_int autocommit; /* enum csq_autocommit */
    atomic_bool in_transaction;
    atomic_llong total_changes;
    atomic_llong group_commits; /* how many commits were for several writes */
};

struct csq_open {
    const char *path; /* lent, UTF-8 */
    int flags;        /* SQLITE_OPEN_… */
    const char *vfs;  /* lent, NULL: the default */
    int timeout;      /* milliseconds to wait for a lock */
    int statements;   /* how many the cache keeps */
    enum csq_autocommit autocommit;
    bool untrusted;    /* the file is a stranger's: engine/harden.h */
    int batch;         /* how many writes are committed at once; less than 2: one */
    int64_t delay;     /* nanoseconds that one waits for others */
    const char *setup; /* lent, SQL that is run first; NULL: none */
    const char *parting; /* lent, SQL that is tried before it is closed; NULL: none */
};

/* Why a job is to end soon: what its `cancelled` holds. */
enum csq_over {
    CSQ_WANTED,   /* it is not */
    CSQ_GIVEN_UP, /* nobody waits for the answer any more */
    CSQ_EXPIRED,  /* its deadline has come; somebody waits to hear so */
};

/* Whether a statement that runs may be stopped. */
enum csq_stopping {
    CSQ_RUNS_ON,     /* it would undo what others were told is done */
    CSQ_STOPS,       /* it undoes nothing but itself */
    CSQ_STOPS_ALONE, /* the same by way of engine/journal.h */
};

/* Handlers whose argument SQLite does not own. */
enum csq_handler { CSQ_AUTHORIZER, CSQ_PROGRESS, CSQ_TRACE, CSQ_HANDLERS };

struct csq_db {
    sqlite3 *handle;         /* NULL: not open */
    int backups;             /* under way into it; guarded by `lock` */
    int copies;              /* under way out of it; guarded by `lock` */
    sqlite3 *orphan;         /* the handle after close, while `backups` still use it */
    pthread_mutex_t lock;    /* held while a job runs */
    pthread_mutex_t closing; /* guards `handle` for csq_db_interrupt() */
    struct csq_cache cache;
    bool queued;             /* behind the running job waits another statement */
    struct {
        sqlite3_stmt *handle;
        bool held;     /* the statement keeps a read transaction open */
        int64_t since; /* when it was begun, csq_now() */
    } snapshot;        /* engine/snapshot.h */
    struct csq_list cursors;   /* open ones, by csq_cursor.open */
    struct csq_list blobs;     /* open ones, by csq_blob.open */
    struct csq_list sessions;  /* open ones, by csq_session.open */
    atomic_int *stop;          /* `cancelled` of the running job */
    int64_t deadline;          /* of the running job, by csq_now(); 0: none */
    enum csq_stopping stopping; /* what stopping the running statement costs */
    sqlite3_stmt *journaled;   /* lent: that statement, where it is stopped alone */
    bool failed;               /* it was made to fail for that */
    bool breakable;            /* the job's deadline may cost the transaction */
    bool reading;              /* the running statement only reads */
    void *client;              /* for whom the running job runs, for callbacks; or NULL */
    int running;               /* jobs that run, each in a callback of the one before */
    int64_t begins;            /* transactions that jobs have begun for themselves */
    int64_t held; /* the number of the transaction that is held (engine/hold.h); 0: none */
    bool held_lost;       /* SQLite has ended it, with the error … */
    struct csq_error lost; /* … that this is */
    bool query_only;       /* set for it */
    int64_t lone;              /* the number of the last one of them, as long as it holds
                                  nothing but what the job that began it has written; or 0 */
    int sealed; /* callbacks that run in which SQLite forbids to use the handle */
    enum csq_effect bound; /* in a callback no job may do more: engine/bounds.h */
    enum csq_effect around; /* the bound of the running job, without what its statement adds */
    bool undone; /* a callback has rolled back what calls it, which must not go on */
    bool raised; /* a callback failed where SQLite knows no failure */
    const atomic_bool *quitting; /* lent: the process ends, so what only reads ends too; NULL:
                                    it is never told */
    atomic_int timeout; /* for locks, in milliseconds; any thread may read it */
    bool patient; /* locks are waited for */
    int64_t waiting; /* since when a lock is waited for, by csq_now() */
    bool waited;  /* the job has waited since then for its turn to write */
    bool claimed; /* somebody has asked for a turn: engine/claim.h */
    const char *lines_up; /* lent: the statement that stands in the line when SQLite refuses the
                             lock; NULL: none */
    bool nameless; /* the turn has begun with BEGIN, and nothing else was run */
    struct csq_writer
        *lines_in; /* … in this line, unless it has its turn; NULL: it is not known in which */
    const char *
        prepares; /* lent: SQL that is being prepared, which may need to read the schema; or NULL */
    bool again; /* that is also run once more when SQLite refuses it at once */
    bool circle; /* who has the turn waits for this connection: to wait would be in vain */
    int64_t searched; /* when all processes were last looked at for who has a lock … */
    int64_t known; /* … and which one it was */
    struct csq_places places; /* in the lines of its files */
    char *parting; /* what is tried before it is closed; NULL: nothing */
    struct csq_batch batch;
    struct csq_hooks hooks;
    struct csq_recorder recorder; /* of what is committed, for who watches */
    int (*progress)(void *); /* the user's handler, NULL: none */
    void *progress_argument;
    int progress_steps; /* between two calls of it */
    int progress_passed; /* since the last one */
    int look_steps; /* between two looks whether to stop */
    struct {
        void *argument;
        void (*release)(void *argument);
    } handlers[CSQ_HANDLERS];
    /* For whoever registers functions and collations; the db does not look at them. */
    struct csq_list registered;
    bool unsettled; /* handlers were set while it was sealed */
    void (*tidy)(struct csq_db *db); /* called before a job, to do what statements that ran
                                        did not allow; NULL: nothing is left to do */
    bool shared; /* it may have been opened with a shared cache */
    bool untrusted; /* opened so: nothing may be loaded, no guard lowered */
    struct csq_allowed *allowed; /* extensions that may be loaded, NULL: any */
    struct csq_error owed; /* what a job has failed with that nobody waits for */
    struct csq_published published;
};

/* Any thread. Makes it "not open". */
void csq_db_init(struct csq_db *db);

/* Any thread, when nobody else uses it. Destroys the locks of a closed db. */
void csq_db_destroy(struct csq_db *db);

/* Opens. Returns SQLITE_OK or the code in `error`, nothing being open then. */
int csq_db_open(struct csq_db *db, const struct csq_open *open, struct csq_error *error);

/* Closes, whatever is left open in it; an open transaction is rolled back.
 * Harmless when it is not open. Returns SQLITE_OK or the code in `error`. */
int csq_db_close(struct csq_db *db, struct csq_error *error);

/* Lets SQLite wait for locks by its own handler, as long as ours would: PRAGMA busy_timeout
 * tells and sets how long that is. Nothing ends such a wait; so not `lent`, ours is back. */
void csq_db_lend(struct csq_db *db, bool lent);

/* Waits in a line of writers, as long as locks are waited for by one job. False: that was in vain, or nobody
 * waits for the job any more; or it would be (csq_db.circle). */
bool csq_db_line_up(struct csq_db *db, struct csq_writer *writer, const char *sql);

/* Whether the job has waited as long as locks are waited for. */
bool csq_db_has_waited(const struct csq_db *db);

/* Steps a statement. Gives SQLITE_ROW, SQLITE_DONE, or the code in `error`: CSQ_RAISED
 * when a callback has set `raised` meanwhile. */
int csq_db_step(struct csq_db *db, sqlite3_stmt *statement, struct csq_error *error);

/* Runs SQL that returns nothing, through the cache. */
int csq_db_run(struct csq_db *db, const char *sql, struct csq_error *error);

/* Source's worker thread, holding `lock`. One of `backups` has let go of the handle. */
void csq_db_backup_ended(struct csq_db *db);

/* Sets the user's progress handler, called about every `steps` virtual machine steps;
 * NULL, or less than one step: none. Cancellation goes on being looked for. */
void csq_db_set_progress(struct csq_db *db, int (*progress)(void *), void *argument, int steps);

/* As csq_hooks_set(). */
bool csq_db_set_hook(struct csq_db *db, enum csq_hook hook, struct csq_listener *old,
                     const struct csq_listener *fresh);

/* Resets all cursors and closes all blobs. `ended`: the cursors have rows that nobody
 * will get, and say so. */
void csq_db_end_work(struct csq_db *db, bool ended);

/* Keeps the argument of a handler, NULL: none, and releases the one before. */
void csq_db_keep(struct csq_db *db, enum csq_handler handler, void *argument,
                 void (*release)(void *));

/* Worker thread. Whether nobody waits any more for the job that runs. */
bool csq_db_is_stopped(struct csq_db *db);

/* Whether the running job is a callback's, made while SQLite runs a statement. */
bool csq_db_is_within(const struct csq_db *db);

/* Notes in the running job when its deadline has come. */
void csq_db_look_at_clock(struct csq_db *db);

/* Whether the running job is to end: it is cancelled, or its deadline has come. */
static inline bool
csq_db_is_over(struct csq_db *db)
{
    if (db->deadline != 0) {
        csq_db_look_at_clock(db);
    }
    return db->stop != NULL && atomic_load_explicit(db->stop, memory_order_relaxed) != CSQ_WANTED;
}

/* sqlite3_total_changes64(), where there is one. */
static inline int64_t
csq_db_total_changes(const struct csq_db *db)
{
#if SQLITE_VERSION_NUMBER >= 3037000
    return sqlite3_total_changes64(db->handle);
#else
    return sqlite3_total_changes(db->handle);
#endif
}

/* Whether no transaction is open, but for one that nobody has asked for (engine/batch.h). */
static inline bool
csq_db_is_outside(const struct csq_db *db)
{
    return sqlite3_get_autocommit(db->handle) != 0 || db->batch.open;
}

/* Copies what other threads may read. Called after each job. */
void csq_db_publish(struct csq_db *db);

/* Any thread. sqlite3_interrupt(), unless the handle is closed. */
void csq_db_interrupt(struct csq_db *db);

#endif
