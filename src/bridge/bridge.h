/* The life of `struct bridge`: its types, and what it knows of event loops.
 *
 * GIL held. */

#ifndef CSQ_BRIDGE_H
#define CSQ_BRIDGE_H

#include "bridge/state.h"

/* Makes the types and strings. 0, or -1 with an exception. */
int bridge_init(struct bridge *bridge, PyObject *module);
int bridge_traverse(struct bridge *bridge, visitproc visit, void *arg);
void bridge_clear(struct bridge *bridge);

#endif
