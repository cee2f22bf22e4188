/* Sessions, as Python sees them, and applying what they have recorded.
 *
 * Loop thread, GIL held. */

#ifndef CSQ_SESSION_OBJECT_H
#define CSQ_SESSION_OBJECT_H

#include "binding/connection.h"

/* Methods of Connection. */
extern PyMethodDef session_methods[];
extern PyMethodDef apply_methods[];

/* Registers the type. 0, or -1 with an exception. */
int session_init_type(struct module_state *state, PyObject *module);

#endif
