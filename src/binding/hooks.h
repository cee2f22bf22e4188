/* Setting hooks. The methods run on the loop thread and give requests. */

#ifndef CSQ_HOOK_METHODS_H
#define CSQ_HOOK_METHODS_H

#include "binding/connection.h"

/* The connection's methods that stand here. */
extern PyMethodDef hooks_methods[];

/* Gives a request that sets (None: removes) one of several progress handlers, the one
 * that `id` names. */
PyObject *hooks_set_progress(ConnectionObject *self, PyObject *callable, int steps, PyObject *id);

#endif
