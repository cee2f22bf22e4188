/* The base of csqlite/pool/'s Pool: what fetches rows has a quick way (pool_call.h).
 *
 * Confined to the pool's loop. GIL held. */

#ifndef CSQ_POOL_OBJECT_H
#define CSQ_POOL_OBJECT_H

#include "binding/module.h"

/* Registers the type. 0, or -1 with an exception. */
int pool_object_init_type(struct module_state *state, PyObject *module);

#endif
