/* What every async method returns: a lazy awaitable that is also an async context
 * manager, with the job embedded.
 *
 * Nothing runs before it is awaited. The first send() packs the parameters and
 * pushes the job; the reactor unpacks what comes back and wakes the task;
 * the last send() gives the result. Loop thread, GIL held. */

#ifndef CSQ_REQUEST_H
#define CSQ_REQUEST_H

#include "bridge/compat.h"
#include "bridge/gate.h"
#include "bridge/line.h"
#include "bridge/reactor.h"
#include "engine/job.h"
#include "engine/ops.h"
#include "engine/worker.h"

/* What a hook answers; below 0 an exception is set. */
enum request_answer {
    REQUEST_FAILED = -1,
    REQUEST_READY, /* `result` is there */
    REQUEST_WAIT,  /* more will come from the worker */
    REQUEST_AGAIN, /* more is there than fitted before the deadline */
    REQUEST_LATER, /* it is not its turn (line.h); never answered by a hook */
};

struct request_hooks {
    /* Checks, packs, and decides: REQUEST_WAIT pushes the job, REQUEST_READY
     * ends without one. */
    enum request_answer (*pack)(RequestObject *request);

    /* Takes in what the worker has posted, until `deadline`, when it is its turn. */
    enum request_answer (*unpack)(RequestObject *request, int64_t deadline);

    /* Gives the worker more of what it asks for while the job runs, whoever's turn it is to
     * take in answers. 0, or -1 with an exception. NULL: it asks for nothing. */
    int (*feed)(RequestObject *request, int64_t deadline);

    /* The awaiting task was cancelled, or the job was refused; in its turn. NULL: nothing to
     * clean up. */
    void (*abandon)(RequestObject *request);

    /* Gives what `async with` awaits at its end, when `result` is what it was
     * entered with. NULL: nothing to do. */
    PyObject *(*leave)(PyObject *result);

    /* Lends the SQL that it runs, for what its exceptions tell. NULL: it runs none. */
    PyObject *(*sql)(RequestObject *request);

    /* It ends something: a deadline ends the waiting for it, but not what it does. */
    bool ending;
};

enum request_stage {
    REQUEST_NEW,
    REQUEST_PENDING, /* it is awaited */
    REQUEST_SETTLED, /* the result or the exception is there, not yet fetched */
    REQUEST_DONE,
};

/* What a method was called with: a struct of whoever made the request, which begins with
 * its references; that of a method which executes begins with the SQL. REQUEST_PAYLOAD()
 * gives it its type. */
union request_payload {
    PyObject *objects[4];
    int64_t numbers[5];
};

struct RequestObject {
    PyObject_HEAD
    struct csq_job job;
    struct bridge *bridge;
    const char *name; /* as in "coroutine 'Connection.execute' was never awaited" */
    const struct request_hooks *hooks;
    enum request_stage stage;
    bool pushed;               /* the job is with the worker; one reference is held for it */
    bool gated;                /* its job may need the GIL, for a callback */
    bool inline_run;           /* runs in the calling thread, no loop takes part */
    bool unawaited;            /* nobody awaits it, but perhaps the future it gave */
    bool entered;              /* by `async with` */
    bool gave_way;             /* its task has, before it asked (stretch.h) */
    bool running;              /* a hook of it runs, which may run any Python code */
    bool elsewhere;            /* … in another thread than its loop's (line.h) */
    bool delayed;              /* it has news, and it was not its turn */
    bool given_up;             /* nobody waits for it any more, and its turn is to come */
    struct line *line;         /* lent by target; NULL: the order does not matter */
    struct csq_link place;     /* in the line */
    struct csq_link asked;     /* in the list of … */
    PyObject *asker;           /* … the callback in which it is awaited (await.h); or NULL */
    struct csq_worker *worker; /* lent by owner */
    struct gate *gate;         /* lent by owner */
    PyObject *owner;           /* the connection */
    PyObject *target;          /* the cursor, or what else the method works on */
    union request_payload payload;
    int objects;               /* how many references the payload begins with */
    struct csq_strip strip;    /* rows that are being decoded */
    struct csq_reader reader;  /* where decoding stands in it */
    bool decoding;             /* they are the target's rows, taken from it */
    PyObject *rows;            /* the list that is being filled */
    PyObject *result;
    PyObject *exception;
    PyObject *held; /* an exception met while packing, raised if nothing else fails */
    PyObject *raised; /* the first exception of a callback that SQLite was told of, or NULL */
    PyObject *home; /* the context in which it was awaited; NULL: an empty one, or it is done */
    PyObject *variables; /* a copy of it, for callbacks; or NULL */
    PyObject *awaiting; /* the coroutine that the worker waits for (await.h), or NULL */
    RequestObject *outer; /* lent: in whose callback this one runs inline; or NULL */
    PyObject *context; /* what `async with` was entered with */
    PyObject *waiter; /* what the awaiting task waits for */
    PyObject *future; /* of request_start(): an asyncio future; or NULL */
    PyObject *answer; /* what the future is settled with; NULL: None */
    ReactorObject *reactor;
    struct csq_link under_way; /* in reactor->turn.under_way */
    int64_t limit; /* what the call may take, in nanoseconds, plus 1; 0: as long as it takes */
    int64_t deadline; /* when it has to end; 0: whenever it does */
    int64_t awaited; /* since when; kept only with a deadline */
    struct csq_link timed; /* in reactor->timed; made only with a deadline */
    struct csq_link news; /* in reactor->turn, while there are some */
};

/* Gives a request for `op`. `owner` and `target` (or NULL) get new references. */
RequestObject *request_new(struct bridge *bridge, const char *name,
                           const struct request_hooks *hooks, enum csq_op op, PyObject *owner,
                           PyObject *target);

/* Lends the payload as a `type`. */
#define REQUEST_PAYLOAD(request, type)                                           \
    ((void)sizeof(char[sizeof(type) <= sizeof(union request_payload) ? 1 : -1]), \
     (type *)&(request)->payload)

/* Takes a request that nobody is to await. NULL, and the exception stays. */
static inline PyObject *
request_drop(RequestObject *request)
{
    request->stage = REQUEST_DONE;
    Py_DECREF(request);
    return NULL;
}

/* Starts it without an awaiting task. Gives the future that tells when it is
 * done, or NULL with an exception. */
PyObject *request_start(RequestObject *request);

/* Ends it with what came of it: PYGEN_RETURN with the result, or PYGEN_ERROR. */
PySendResult request_finish(RequestObject *request, PyObject **result);

/* The request within whose callbacks, directly or not, this one runs; or itself. */
static inline RequestObject *
request_root(RequestObject *request)
{
    while (request->outer != NULL) {
        request = request->outer;
    }
    return request;
}

/* Keeps the current exception as what the request ends with. */
void request_fail(RequestObject *request);

/* Whether its job was not run, and so left its cursor alone: there is nothing to unpack. */
static inline bool
request_is_refused(const RequestObject *request)
{
    return request->job.refused && request->job.cursor != NULL;
}

/* What the first send() is made of. Finds the running loop's reactor: 0, or -1 with an
 * exception. */
int request_find_reactor(RequestObject *request);

/* Whether the job may need the GIL. */
bool request_is_gated(const RequestObject *request);

/* Hands the job to the worker. 0, or -1 with an exception. */
int request_push(RequestObject *request);

/* It cannot be waited for: what packing began is undone. The exception stays. */
void request_give_up(RequestObject *request);

/* The awaiting task goes away: so does what the worker does for it. */
void request_leave(RequestObject *request);

/* Nobody waits for its answer any more: what it leaves behind is cleaned up when it is its
 * turn. Its stage says so already. */
void request_abandon(RequestObject *request);

/* The job is done, and what it brought is taken in or not wanted: what was held for the
 * worker's sake is let go, the request itself with it. */
void request_arrive(RequestObject *request);

/* Packs; a hook of the request runs meanwhile. */
enum request_answer request_pack(RequestObject *request);

/* Whether the process ends while its loop, of another thread, goes on: nobody there is to
 * hear that the database is closed. What is awaited then stays awaited. */
bool request_is_left(const RequestObject *request);

/* The job was not run: raises why. REQUEST_FAILED. */
enum request_answer request_refuse(RequestObject *request);

/* For the reactor: takes in news until `deadline`. */
enum request_answer request_advance(RequestObject *request, int64_t deadline);

/* For the reactor, after that: wakes who waits, if it is settled. That runs a task's
 * next step, which may be to forget all that the request holds: so it takes the
 * request. 0, or -1 with an exception as wake() of host.h. */
int request_wake(RequestObject *request);

/* For the reactor: the loop is closed, so nobody will hear of it. */
void request_forsake(RequestObject *request);

/* Registers the type (coroutine.c). 0, or -1 with an exception. */
int request_init(struct bridge *bridge, PyObject *module);

#endif
