/* An awaitable whose answer is there already: awaiting it never suspends.
 *
 * Loop thread, GIL held. */

#ifndef CSQ_READY_H
#define CSQ_READY_H

#include "bridge/compat.h"
#include "bridge/state.h"

/* Gives an awaitable with `result`, which it takes; when that is NULL, one that
 * raises the current exception, which it takes too. NULL with MemoryError. */
PyObject *ready_new(struct bridge *bridge, PyObject *result);

/* Registers the type. 0, or -1 with an exception. */
int ready_init(struct bridge *bridge, PyObject *module);

#endif
