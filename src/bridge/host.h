/* What the bridge asks of an event loop, whatever kind of loop it is: a table of calls, which
 * each kind fills in (host_asyncio.c). Nothing else here knows how a loop's methods are called.
 *
 * Loop thread, GIL held, unless marked otherwise. */

#ifndef CSQ_HOST_H
#define CSQ_HOST_H

#include "bridge/compat.h"

#include <stdbool.h>

struct host_calls;

/* A kind of loop, in one interpreter; its own part stands around it. */
struct host {
    const struct host_calls *calls;
};

/* One loop. Whoever has it visits and clears it: host_loop_traverse(), host_loop_clear(). */
struct host_loop {
    struct host *host;       /* lent: it lives as long as the interpreter's state */
    PyObject *object;        /* the loop */
    PyObject *create_future; /* what is looked up once a loop; the host's own */
    PyObject *ready;         /* … ; NULL: not known */
};

struct host_calls {
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
