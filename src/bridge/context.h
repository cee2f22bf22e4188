/* Contexts of contextvars: which one code of the user's runs in.
 *
 * Any thread, GIL held. */

#ifndef CSQ_CONTEXT_H
#define CSQ_CONTEXT_H

#include "bridge/compat.h"

/* Enters `context`; where that is under way elsewhere already, as the context of a task in
 * whose step another loop is run, a copy of it; and an empty one for NULL. *entered is for
 * context_leave(): NULL, when this is the current context. 0, or -1 with an exception. */
int context_enter(PyObject *context, PyObject **entered);

/* Enters a copy of `context`, or an empty one for NULL: for a thread that is not the task's, whose
 * loop may want to enter the context itself meanwhile. The same otherwise. */
int context_enter_copy(PyObject *context, PyObject **entered);

/* Leaves what context_enter() has entered, and takes it. An exception that is set stays. */
void context_leave(PyObject *entered);

/* Leaves the current context until context_step_in(), so that others can enter it. Gives it,
 * or NULL: there is none to leave. */
PyObject *context_step_out(void);

/* Enters it again, and takes it. */
void context_step_in(PyObject *context);

/* Gives a context for what `loop` is to call for all tasks, and not for one: empty, so that no
 * task's variables live as long as the loop; but for those that hold the loop itself, by which
 * trio_asyncio finds it. NULL with an exception. */
PyObject *context_of_loop(PyObject *loop);

#endif
