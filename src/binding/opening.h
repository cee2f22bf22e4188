/* Opening a connection. Loop thread, GIL held. */

#ifndef CSQ_OPENING_H
#define CSQ_OPENING_H

#include "binding/connection.h"

/* Gives a request that opens it; NULL with RuntimeError or ProgrammingError. */
PyObject *opening_open(ConnectionObject *self);

#endif
