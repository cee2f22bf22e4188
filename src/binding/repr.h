/* What repr() says of a connection and of what belongs to one. Nothing that would have to ask
 * the worker. Loop thread, GIL held. */

#ifndef CSQ_REPR_H
#define CSQ_REPR_H

#include "binding/cursor.h"

PyObject *connection_repr(ConnectionObject *self);
PyObject *cursor_repr(CursorObject *self);

/* Gives the name of the object's type: as the package has it, or as a subclass's module has.
 * NULL with an exception. */
PyObject *repr_type(PyObject *self);

/* Gives what a connection is to open, quoted. NULL with an exception. */
PyObject *repr_database(ConnectionObject *self);

#endif
