/* The unit of work: the only thing that crosses threads.
 *
 * A job has one owner at every instant: who submits it, then the queue, then
 * the worker, then the mailbox, then who submitted it again. `cancelled`, `begun`,
 * `began`, `result` and `flow` alone may be touched by both sides while it is under way. It carries
 * all it needs both ways; nobody goes back to ask. */

#ifndef CSQ_JOB_H
#define CSQ_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/backup.h"
#include "engine/blob.h"
#include "engine/cells.h"
#include "engine/columns.h"
#include "engine/cursor.h"
#include "engine/db.h"
#include "engine/error.h"
#include "engine/flow.h"
#include "engine/list.h"

struct csq_mailbox;

enum csq_op {
    CSQ_OPEN,
    CSQ_CLOSE,
    CSQ_EXECUTE,
    CSQ_EXECUTEMANY,
    CSQ_SCRIPT,
    CSQ_FETCH,
    CSQ_RESET,
    CSQ_DUMP,
    CSQ_COMMIT,
    CSQ_ROLLBACK,
    CSQ_AUTOCOMMIT,
    CSQ_BACKUP,
    CSQ_BLOB_TASK,
    CSQ_APPLY,
    CSQ_CALL,
    CSQ_UNDO,
    CSQ_HOLD,
    CSQ_OPS, /* how many there are */
};

/* What CSQ_HOLD does to a transaction that is held, or to a savepoint in it. */
enum csq_hold_action {
    CSQ_HOLD_BEGIN,
    CSQ_HOLD_COMMIT,
    CSQ_HOLD_ROLLBACK,
    CSQ_HOLD_SAVE,
    CSQ_HOLD_RELEASE,
    CSQ_HOLD_BACK, /* to the savepoint, which is released */
};

/* The payload of what executes, or goes on with a cursor. */
struct csq_steps {
    const char *begin; /* lent: what to run before DML outside a transaction; NULL: nothing */
    size_t rows; /* step at most so many rows; SIZE_MAX: all */
    size_t keep; /* before it ends its cursor's result set, step at most so many rows of it */
    bool whole; /* … however long it takes; else no more than a chunk */
    bool first; /* nothing behind the first row is wanted: what writes is done all the same */
    bool refuse_names; /* values in order for named placeholders are an error */
    bool texts; /* typed columns also as the bytes that converters take */

    /* What came of it. */
    bool joined; /* it has begun a transaction of which others' writes have become part */
    bool exhausted; /* there are no more rows */
    bool empty; /* CSQ_EXECUTE: the SQL has no statement in it */
    int first_name; /* values in order were bound, and this is the number of the
                                    first named placeholder; 0: there is none */
    struct csq_strip kept; /* the rows of `keep` */
    int64_t changes; /* rows changed by DML, -1 for anything else */
    int64_t last_rowid; /* sqlite3_last_insert_rowid() */
    int64_t row; /* CSQ_EXECUTEMANY: the row that was taken up last, from 1; 0: none */
    size_t at; /* CSQ_SCRIPT: where in the SQL the statement stands that was last */
};

/* A head, what any op may carry, and a payload of its op. */
struct csq_job {
    struct csq_link link; /* in a queue or a mailbox; also while it runs, when it has news */
    enum csq_op op;
    atomic_int cancelled; /* enum csq_over: why it is to end soon */
    int64_t deadline;     /* when it is to end, by csq_now(); 0: whenever it does */
    atomic_llong began;   /* the transaction that it has begun, csq_db.lone; 0: none */
    atomic_llong result;  /* the result set that it has begun or read from, csq_cursor.result */

    /* Where to: a mailbox, or `release` by the worker when nobody is to be told. */
    struct csq_mailbox *mailbox;
    void (*release)(struct csq_job *job);
    /* Worker thread, before the job runs: whether there is what its callbacks need. False:
     * no memory, and it fails with that; but what cleans up runs all the same. */
    bool (*ready)(struct csq_job *job);
    /* Worker thread, when it has waited long for the mailbox's loop: whether that does not run.
     * NULL: that cannot be told. */
    bool (*stopped)(struct csq_job *job);
    bool posted;   /* stands in the mailbox; guarded by its lock */
    bool finished; /* the worker is done with it; guarded by the mailbox's lock */
    atomic_bool begun; /* the worker has taken it up; kept only with a deadline */
    bool refused;  /* it was not run: what is open in its cursor is as it was */
    bool done;     /* it was finished when it was last taken from the mailbox */

    struct csq_error error; /* what came of it */
    void *client; /* lent: for whom it runs, which callbacks find in csq_db.client; or NULL */
    bool owes; /* nobody waits for it: what it fails with, the next job fails with */
    bool anytime; /* harms nothing in a callback that seals the db */
    bool alone; /* it has to run outside batches: engine/group.h … */
    bool renewed; /* … it was undone, to be run once more … */
    struct csq_link along; /* … which is where this is used */

    /* What it carries both ways. Pointers are lent until the job is finished. */
    struct csq_cursor *cursor; /* NULL: it has none */
    const char *sql; /* sql_size bytes, then a 0 */
    size_t sql_size;
    bool streaming; /* `flow` is in use */
    int64_t within; /* the number of the transaction that it belongs to, csq_db.held; 0: none */
    struct csq_flow flow; /* CSQ_EXECUTEMANY: parameters; with all rows wanted: rows */
    struct csq_strip down; /* parameters */
    struct csq_strip up; /* rows (with `flow`: the last ones) */
    struct csq_columns *columns; /* gives; NULL: no result set */

    /* The payload: what an op alone knows. */
    union {
        struct csq_open open;
        struct {
            bool asked; /* somebody calls for it, and may hear what it does */
        } close;
        struct csq_steps steps; /* where csq_op_steps() */
        struct {
            struct csq_backup *backup; /* lent */
            int pages; /* not in the backup: a step before may still be running */
        } copy;
        struct csq_blob_task blob;
        enum csq_autocommit autocommit;
        struct {
            struct csq_cursor *cursor; /* lent */
            int64_t result;
            int64_t began;
        } undo; /* what a job that was cancelled has left behind */
        struct {
            /* CSQ_APPLY: with the handle. CSQ_CALL: `handle` is NULL. */
            int (*run)(struct csq_job *job, sqlite3 *handle);
            void *argument;
        } host;
        struct {
            enum csq_hold_action action;
            bool read_only; /* CSQ_HOLD_BEGIN: nothing can be written meanwhile */
            bool open;      /* CSQ_HOLD_COMMIT: gives whether it is open still */
        } hold;
    } with;
};

/* Whether the payload of an op is a csq_steps. */
static inline bool
csq_op_steps(enum csq_op op)
{
    return op >= CSQ_EXECUTE && op <= CSQ_DUMP;
}

/* Any thread. Makes an empty job: no mailbox, nothing lent. */
void csq_job_init(struct csq_job *job, enum csq_op op);

/* The same, of memory that is zero already. */
static inline void
csq_job_init_zeroed(struct csq_job *job, enum csq_op op)
{
    csq_link_init(&job->link);
    job->op = op;
    job->error.offset = -1;
    if (csq_op_steps(op)) {
        job->with.steps.changes = -1;
    }
}

/* Any thread. Makes `flow` usable. Before the job is pushed. */
void csq_job_stream(struct csq_job *job);

/* Any thread. Frees what the job still owns. It must be finished, or never pushed. */
void csq_job_clear(struct csq_job *job);

/* Any thread, while the job is not cleared. Asks that it end soon. */
void csq_job_cancel(struct csq_job *job);

/* Worker thread. Says in the job's error that it ends because it is cancelled. Gives the code. */
int csq_job_over(struct csq_job *job);

/* Worker thread, in place of running it: says in its error why it is not run, unless that says so
 * already. Whether it was cancelled. */
bool csq_job_refuse(struct csq_job *job);

/* Any thread, while the job is not cleared. The same because its deadline has come, unless
 * it is cancelled. False: the worker has begun it, so the answer is the worker's to give.
 * True: it has not, and never will. */
bool csq_job_expire(struct csq_job *job);

#endif
