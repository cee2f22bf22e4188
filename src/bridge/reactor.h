/* One per event loop: lets the loop watch the mailbox of its turns (engine/turn.h), in which
 * requests take in what came of their jobs, and wakes the tasks that wait for them.
 *
 * Loop thread, GIL held, unless marked otherwise. The loop holds the reactor
 * through the reader it has added; requests on their way hold it too. */

#ifndef CSQ_REACTOR_H
#define CSQ_REACTOR_H

#include "bridge/compat.h"
#include "bridge/stretch.h"
#include "engine/list.h"
#include "engine/turn.h"

/* What the bridge needs of a module's state: one per interpreter. */
struct bridge {
    void (*raise)(PyObject *request); /* the error of a request's job; set by who makes them */
    struct csq_list reactors; /* all that live, by ReactorObject.all */
    int silent;               /* how many of them have no loop any more */
    struct stretch stretch;   /* of awaits that were answered at once */
    unsigned long exiting;    /* the thread in which the process ends; 0: it does not */
    PyTypeObject *reactor_type;
    PyTypeObject *waker_type;
    PyTypeObject *request_type;
    PyTypeObject *ready_type;
    PyTypeObject *waiter_type;
    PyObject *asyncio_names; /* the dict of the module: others replace what stands there */
    PyObject *get_running_loop; /* what stood there when it had … */
    uint64_t names_version;     /* … this version (compat.h) */
    PyObject *CancelledError;
    PyObject *InvalidStateError;
    PyObject *context_names; /* ("context",) */
    PyTypeObject *await_type;
    PyTypeObject *alarm_type;
    PyObject *deadline; /* context variable: an int, see deadline.h */
    bool deadlines;     /* one was ever set: requests look for theirs */
    int awaits;       /* how many workers wait for a callback */
    PyObject *within; /* context variable: the callback that runs, see await.c */
    PyObject *ensure_future;
    PyObject *ProgrammingError; /* sqlite3's */
    PyObject *str_add_reader;
    PyObject *str_call_soon;
    PyObject *str_create_future;
    PyObject *str_done;
    PyObject *str_get_running_loop;
    PyObject *str_ready; /* "_ready" */
    PyObject *str_set_result;
};

typedef struct {
    PyObject_HEAD
    struct bridge *bridge;
    struct csq_link all;         /* in bridge->reactors */
    PyObject *loop;
    PyObject *create_future;     /* the loop's bound method */
    PyObject *waker;             /* borrowed: the loop owns it; NULL: the loop is closed */
    struct csq_turn turn; /* under_way: requests, by under_way; news: the same, by news */
    struct csq_list timed; /* requests under way with a deadline, by timed */
    PyObject *timer; /* the loop's, for the earliest of them; or NULL */
    int64_t timer_at; /* what it is set for */
    bool silent; /* the loop is closed */
    bool forked; /* this process is a child: the workers are not in it */
    PyObject *ready; /* the loop's queue of callbacks, or NULL: not known */
} ReactorObject;

/* Makes the types. 0, or -1 with an exception. */
int reactor_init(struct bridge *bridge, PyObject *module);

/* Gives the running loop's reactor, made if need be; NULL with RuntimeError when
 * no loop is running. */
ReactorObject *reactor_get(struct bridge *bridge);

/* Gives a new future of the loop. */
PyObject *reactor_future(ReactorObject *reactor);

/* Any thread, GIL held. Lets the request with the link `news` be taken in soon, as if by mail. */
void reactor_deliver(ReactorObject *reactor, struct csq_link *news);

/* Any thread, GIL held. Takes the mail in the loop's place: what has come is noted in the
 * jobs (`done`), and the loop will find it all the same. */
void reactor_collect(ReactorObject *reactor);

/* After csq_turn_attend(): waits for an answer to the request with the link `news`, and lets
 * the request take it in. Whether there is one. */
bool reactor_wait(ReactorObject *reactor, struct csq_link *news);

/* In a forked child: the parent's reactors are forgotten. */
void reactor_after_fork(struct bridge *bridge);

/* Drops the finished jobs of loops that are closed. Any thread, GIL held. */
void reactor_sweep(struct bridge *bridge);

#endif
