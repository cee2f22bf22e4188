/* What is known of asyncio's own event loop beyond its interface: the queue of callbacks
 * that it is about to call, `_ready`. Other loops have none. */

#ifndef CSQ_LOOP_H
#define CSQ_LOOP_H

#include "bridge/compat.h"

#include <stdbool.h>

/* Loop thread, GIL held. Whether `handle`, which may be gone already, stands in `ready`,
 * that queue or NULL. Calls nothing of Python's, so no signal handler runs. */
bool loop_has(PyObject *ready, const void *handle);

#endif
