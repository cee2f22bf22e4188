/* A worker's handle: it tells whether the thread runs, also when the connection is
 * gone. Any thread, GIL held. */

#ifndef CSQ_HANDLE_H
#define CSQ_HANDLE_H

#include "binding/module.h"
#include "engine/executor.h"

/* Gives a handle of `worker`, of which it gets a reference; NULL with an exception. */
PyObject *handle_new(struct module_state *state, struct csq_executor *executor);

/* Registers the type. 0, or -1 with an exception. */
int handle_init_type(struct module_state *state, PyObject *module);

#endif
