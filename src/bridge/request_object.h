/* A request: what every async method returns, with the job embedded. Here is what it is made
 * of; how it goes to the worker and back is in request.h, what Python sees of it in
 * coroutine.c.
 *
 * Loop thread, GIL held. */

#ifndef CSQ_REQUEST_OBJECT_H
#define CSQ_REQUEST_OBJECT_H

#include "bridge/callback_task.h"
#include "bridge/compat.h"
#include "bridge/gate.h"
#include "bridge/reactor.h"
#include "engine/executor.h"
#include "engine/job.h"

typedef struct RequestObject RequestObject;

/* What a hook answers; below 0 an exception is set. */
enum request_answer {
    REQUEST_FAILED = -1,
    REQUEST_READY, /* `result` is there */
    REQUEST_WAIT,  /* more will come from the worker */
    REQUEST_AGAIN, /* more is there than fitted in the slice */
    REQUEST_LATER, /* it is not its turn (line.h); never answered by a hook */
};

struct request_hooks {
    /* Checks, packs, and decides: REQUEST_WAIT pushes the job, REQUEST_READY
     * ends without one. */
    enum request_answer (*pack)(RequestObject *request);

    /* Takes in what the worker has posted, until `slice_end`, when it is its turn. */
    enum request_answer (*unpack)(RequestObject *request, int64_t slice_end);

    /* Gives the worker more of what it asks for while the job runs, whoever's turn it is to
     * take in answers. 0, or -1 with an exception. NULL: it asks for nothing. */
    int (*feed)(RequestObject *request, int64_t slice_end);

    /* The awaiting task was cancelled, or the job was refused; in its turn. NULL: nothing to
     * clean up. */
    void (*abandon)(RequestObject *request);

    /* Gives what `async with` awaits at its end, when `result` is what it was
     * entered with. NULL: nothing to do. */
    PyObject *(*leave)(PyObject *result);

    /* The awaiting task was cancelled: takes the exception, and the request is waited for all
     * the same; it has no deadline. NULL: it is given up. */
    void (*keep)(RequestObject *request, PyObject *exception);

    /* Lends the SQL that it runs, for what its exceptions tell. NULL: it runs none. */
    PyObject *(*sql)(RequestObject *request);

    /* StopAsyncIteration is how it says that there is no row. */
    bool iterates;

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

struct lease;                         /* lease.h */
typedef struct HoldObject HoldObject; /* … */

/* The requests of one cursor or blob, in order; see line.h. */
struct line {
    struct csq_list requests; /* by RequestObject.place; a reference is held for each */
    int under_way;            /* jobs of the target that the worker may not be done with */
    int held;                 /* so many are taking rows out of the target right now */
};

struct RequestObject {
    PyObject_HEAD
    struct csq_job job;
    struct bridge *bridge;
    const char *name; /* as in "coroutine 'Connection.execute' was never awaited" */
    const struct request_hooks *hooks;
    enum request_stage stage : 8;
    unsigned char objects;     /* how many references the payload begins with */
    bool pushed;               /* the job is with the worker; one reference is held for it */
    bool gated;                /* its job may need the GIL, for a callback */
    bool inline_run;           /* runs in the calling thread, no loop takes part */
    bool detached;             /* nobody awaits it, but perhaps the future it gave */
    bool entered;              /* by `async with` */
    bool gave_way;             /* its task has, before it asked (stretch.h) */
    bool running;              /* a hook of it runs, which may run any Python code */
    bool elsewhere;            /* … in another thread than its loop's (line.h) */
    bool delayed;              /* it has news, and it was not its turn */
    bool given_up;             /* nobody waits for it any more, and its turn is to come */
    bool waits;                /* for the end of a hold (lease.h) */
    bool decoding;             /* the rows in `strip` are the target's, taken from it */
    struct line *line;         /* lent by target; NULL: the order does not matter */
    struct csq_link place;     /* in the line */
    struct csq_link asked;     /* made only with `asker`: in the list of … */
    CallbackTask *asker;       /* … the callback in which it is awaited; or NULL */
    struct csq_executor *executor; /* lent by owner */
    struct gate *gate;         /* lent by owner */
    HoldObject *hold; /* what it belongs to, or begins or ends; NULL: its caller tells */
    PyObject *caller; /* the task that made it; NULL: not noted */
    PyObject *owner; /* the connection */
    PyObject *target; /* the cursor, or what else the method works on */
    union request_payload payload;
    struct csq_strip strip; /* rows that are being decoded */
    union {
        struct csq_reader reader; /* where decoding stands in it */
        struct csq_link queued;   /* in the list of the hold that it waits for: before that */
    };
    PyObject *rows; /* the list that is being filled */
    PyObject *result;
    PyObject *exception;
    PyObject *held; /* an exception met while packing, raised if nothing else fails */
    PyObject *raised; /* the first exception of a callback that SQLite was told of, or NULL */
    PyObject *task_context; /* in which it was awaited; NULL: an empty one, or it is done */
    PyObject *callback_context; /* a copy of it, for callbacks; or NULL */
    CallbackTask *callback_task; /* what the worker waits for, or NULL */
    RequestObject *outer; /* lent: in whose callback this one runs inline; or NULL */
    PyObject *entered_result; /* what `async with` was entered with */
    PyObject *waiter; /* what the awaiting task waits for */
    PyObject *future; /* of request_start(): an asyncio future; or NULL */
    PyObject *answer; /* what the future is settled with; NULL: None */
    ReactorObject *reactor;
    struct csq_link under_way; /* in reactor->turn.under_way */
    int64_t limit; /* what the call may take, in nanoseconds, plus 1; 0: as long as it takes */
    int64_t deadline; /* when it has to end; 0: whenever it does */
    int64_t awaited_since; /* when; kept only with a deadline */
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

/* The request within whose callbacks, directly or not, this one runs; or itself. */
static inline RequestObject *
request_root(RequestObject *request)
{
    while (request->outer != NULL) {
        request = request->outer;
    }
    return request;
}

/* It was made for a callback, and is under way no more. */
static inline void
request_forget_asker(RequestObject *request)
{
    if (request->asker != NULL) {
        csq_link_remove(&request->asked);
        Py_CLEAR(request->asker);
    }
}

/* GIL held. Forgets what callbacks have raised before its job was undone, to be run once more. */
static inline void
request_forget_raised(RequestObject *request)
{
    if (request->job.renewed) {
        request->job.renewed = false;
        Py_CLEAR(request->raised);
    }
}

/* Keeps the current exception as what the request ends with. */
void request_fail(RequestObject *request);

/* Whether its job was not run, and so left its cursor alone: there is nothing to unpack. */
static inline bool
request_is_refused(const RequestObject *request)
{
    return request->job.refused && request->job.cursor != NULL;
}

/* The job is done, and what it brought is taken in or not wanted: what was held for the
 * worker's sake is let go, the request itself with it. */
void request_arrive(RequestObject *request);

#endif
