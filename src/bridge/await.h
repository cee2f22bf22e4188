/* Awaiting on the worker: what a user's callable gives there, when it is a coroutine
 * or anything else that can be awaited.
 *
 * It is awaited in a task on the loop of the task that awaits the statement, while
 * the worker waits, the GIL released. That task's cancellation, the end of its loop
 * and the end of the process let the worker go on. */

#ifndef CSQ_AWAIT_H
#define CSQ_AWAIT_H

#include "bridge/request.h"

/* GIL held. Whether `object` can be awaited. Asked of the result of every callback. */
static inline bool
await_is_for(PyObject *object)
{
    const PyAsyncMethods *methods = Py_TYPE(object)->tp_as_async;

    /* A generator may be what types.coroutine() makes of one. */
    return (methods != NULL && methods->am_await != NULL) || PyGen_CheckExact(object);
}

/* Worker thread, GIL held, in a callback of the statement that `request` (NULL: a job
 * without one) runs. Takes the awaitable and gives what it comes to, or NULL with its
 * exception; ProgrammingError when no task awaits the statement on a loop. */
PyObject *await_on_loop(struct bridge *bridge, RequestObject *request, PyObject *awaitable);

/* Loop thread, GIL held. 0, or -1 with ProgrammingError when the worker behind `gate`, the
 * request's own or another one that it needs, waits for a callback in which, or in a task of
 * which, this runs, or for one that awaits such a connection: neither would ever end. */
int await_check_gate(RequestObject *request, const struct gate *gate);

static inline int
await_check(RequestObject *request)
{
    return await_check_gate(request, request->gate);
}

#endif
