/* What the bridge asks of an event loop, whatever kind of loop it is: a table of verbs, which
 * each kind fills in (host_asyncio.c). Nothing else here knows how a loop's methods are called.
 *
 * Loop thread, GIL held, unless marked otherwise. */

#ifndef CSQ_HOST_H
#define CSQ_HOST_H

#include "bridge/compat.h"

#include <stdbool.h>

struct host_verbs;

/* A kind of loop, in one interpreter; its own part stands around it. */
struct host {
    const struct host_verbs *verbs;
    PyObject *cancelled; /* the exception in a task that is cancelled */
};

/* One loop. Whoever has it visits and clears it: host_loop_traverse(), host_loop_clear(). */
struct host_loop {
    struct host *host;       /* lent: it lives as long as the interpreter's state */
    PyObject *object;        /* the loop */
    PyObject *create_future; /* what is looked up once a loop; the host's own */
    PyObject *ready;         /* … ; NULL: not known */
};

enum host_answer {
    HOST_TOLD = 0,
    HOST_RAISED = -1, /* what was not the task's own affair: KeyboardInterrupt, SystemExit */
    HOST_UNTOLD = -2, /* nobody: there was no memory for it, and it is to be tried again */
};

struct host_verbs {
    /* Gives the loop that runs in this thread, or NULL with RuntimeError. */
    PyObject *(*find)(struct host *host);

    /* Fills in what is looked up once a loop; host and object are there. 0, or -1 with an
     * exception. */
    int (*open)(struct host_loop *loop);

    /* Lets the loop call `callable`, in a context of no task's, whenever the descriptor is
     * readable. It owns the callable until it is closed, and no longer. 0, or -1 with an
     * exception. */
    int (*watch)(struct host_loop *loop, int descriptor, PyObject *callable);

    /* How many calls the loop is about to make; below 0: that is not known. Raises nothing. */
    Py_ssize_t (*others)(struct host_loop *loop);

    /* Any thread, GIL held. Whether nobody runs the loop now, as far as it tells. Raises
     * nothing. */
    bool (*is_stopped)(struct host_loop *loop);

    /* Gives a future of the loop's kind, for who does not await; NULL with an exception. */
    PyObject *(*future)(struct host_loop *loop);

    /* Settles it with `result`, unless it was cancelled. 0, or -1 with an exception. */
    int (*settle)(struct host *host, PyObject *future, PyObject *result);

    /* Gives what the running task waits for until wake(), when its coroutine yields it; NULL
     * with MemoryError. */
    PyObject *(*park)(struct host_loop *loop);

    /* Gives the task that runs, or NULL where none does. Raises nothing. */
    PyObject *(*task)(struct host *host);

    /* GIL held. Gives the task that waits for `parked`, or NULL where that is not known. Raises
     * nothing. */
    PyObject *(*sleeper)(PyObject *parked);

    /* Lets the task that waits for `parked` go on, at once where that can be. One that was
     * cancelled is left alone: it hears of that. Takes `held` just before the task's step, but
     * not with HOST_UNTOLD. Below 0 an exception is set. Not to be called while a task runs. */
    enum host_answer (*wake)(PyObject *parked, PyObject *held);

    /* Lets the loop call `callable`, in a context of no task's, at a time of csq_now(), or
     * soon when that has passed. Gives the timer, or NULL with an exception. */
    PyObject *(*at)(struct host_loop *loop, int64_t when, PyObject *callable);

    /* Takes the timer: it does not go off. 0, or -1 with an exception. */
    int (*cancel)(struct host *host, PyObject *timer);

    /* Any thread, GIL held. Lets the loop call `callable` in `context`. 0, or -1 with an
     * exception. */
    int (*soon_from_thread)(struct host_loop *loop, PyObject *callable, PyObject *context);

    /* Begins a task that awaits `awaitable`, in a copy of the current context; its first step
     * may come at once, as the loop decides. When it is done, `callable` is called with it.
     * Gives the task, or NULL with an exception. */
    PyObject *(*spawn)(struct host_loop *loop, PyObject *awaitable, PyObject *callable);

    /* Gives what a task that is done came to, or NULL with its exception. */
    PyObject *(*outcome)(struct host *host, PyObject *task);

    /* Any thread, GIL held. Whether a task is done; -1 with an exception. */
    int (*is_done)(struct host *host, PyObject *task);

    /* Any thread, GIL held. Lets the loop cancel a task, unless somebody has. 0, or -1 with an
     * exception. */
    int (*cancel_task)(struct host_loop *loop, PyObject *task);
};

static inline int
host_loop_traverse(const struct host_loop *loop, visitproc visit, void *arg)
{
    Py_VISIT(loop->object);
    Py_VISIT(loop->create_future);
    Py_VISIT(loop->ready);
    return 0;
}

static inline void
host_loop_clear(struct host_loop *loop)
{
    Py_CLEAR(loop->object);
    Py_CLEAR(loop->create_future);
    Py_CLEAR(loop->ready);
}

#endif
