/* Hold: a transaction, or a savepoint in one, as csqlite/transactions.py has it.
 *
 * Loop thread, GIL held. */

#ifndef CSQ_HOLD_OBJECT_H
#define CSQ_HOLD_OBJECT_H

#include "binding/connection.h"

/* Methods of a connection. */
extern PyMethodDef hold_connection_methods[];

/* What stands in hold.c: methods of Hold, and of the module. */
extern PyMethodDef hold_methods[];
extern PyMethodDef hold_module_methods[];

/* Registers the type. 0, or -1 with an exception. */
int hold_init_type(struct module_state *state, PyObject *module);

#endif
