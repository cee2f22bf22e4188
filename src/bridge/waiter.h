/* What a task waits for: a future of its loop, as far as a task needs one, that
 * wakes the task without a further iteration of the loop.
 *
 * Loop thread, GIL held. */

#ifndef CSQ_WAITER_H
#define CSQ_WAITER_H

#include "bridge/compat.h"
#include "bridge/state.h"

typedef struct WaiterObject WaiterObject;

/* Gives a waiter for a task of `loop`; NULL with MemoryError. */
WaiterObject *waiter_new(struct bridge *bridge, PyObject *loop);

/* Gives what a coroutine yields to let its task wait: a new reference to itself. */
PyObject *waiter_yield(WaiterObject *waiter);

enum waiter_answer {
    WAITER_TOLD = 0,
    WAITER_RAISED = -1, /* what was not the task's own affair: KeyboardInterrupt, SystemExit */
    WAITER_UNTOLD = -2, /* nobody: there was no memory for it, and it is to be tried again */
};

/* Settles it and runs its callback, which is the task's next step, at once. One that
 * was cancelled is left alone: its task hears of that. Takes `held` just before that
 * step, but not with WAITER_UNTOLD. Below 0 an exception is set. Not to be called
 * while a task runs. */
int waiter_wake(WaiterObject *waiter, PyObject *held);

/* Registers the type. 0, or -1 with an exception. */
int waiter_init(struct bridge *bridge, PyObject *module);

#endif
