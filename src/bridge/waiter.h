/* What a task waits for: a future of its loop, as far as a task needs one, that
 * wakes the task without a further iteration of the loop.
 *
 * Loop thread, GIL held. */

#ifndef CSQ_WAITER_H
#define CSQ_WAITER_H

#include "bridge/asyncio.h"

/* Gives a waiter that a task of `loop` is about to wait for: its coroutine yields it. NULL
 * with MemoryError. */
PyObject *waiter_new(struct asyncio *asyncio, PyObject *loop);

/* Settles it and runs its callback, which is the task's next step, at once; as host_verbs.wake
 * says. */
enum host_answer waiter_wake(PyObject *waiter, PyObject *held);

/* Gives the task that waits for it, whose step its first callback is; or NULL. */
PyObject *waiter_sleeper(PyObject *waiter);

/* Registers the type. 0, or -1 with an exception. */
int waiter_init(struct asyncio *asyncio, PyObject *module);

#endif
