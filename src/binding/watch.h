/* Watch: what csqlite/live/ watches the databases of a connection with. */

#ifndef CSQ_BINDING_WATCH_H
#define CSQ_BINDING_WATCH_H

#include "binding/module.h"

/* The methods of Connection that stand here. */
extern PyMethodDef watch_methods[];

/* Registers the type. 0, or -1 with an exception. */
int watch_init_type(struct module_state *state, PyObject *module);

#endif
