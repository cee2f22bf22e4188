/* Sessions, as Python sees them, and applying what they have recorded.
 *
 * Loop thread, GIL held. */

#ifndef CSQ_SESSION_OBJECT_H
#define CSQ_SESSION_OBJECT_H

#include "binding/connection.h"

/* Methods of Connection. */
extern PyMethodDef session_methods[];

/* Raises NotSupportedError, and gives -1, where `method` cannot work: in a build without
 * sessions, or on a foreign connection. */
int session_check(ConnectionObject *self, const char *method);

/* Connection.apply_changeset(). */
PyObject *session_apply(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *kwnames);

/* Registers the type. 0, or -1 with an exception. */
int session_init_type(struct module_state *state, PyObject *module);

#endif
