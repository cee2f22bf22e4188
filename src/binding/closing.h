/* The end of a connection's life. Loop thread, GIL held. */

#ifndef CSQ_CLOSING_H
#define CSQ_CLOSING_H

#include "binding/connection.h"

/* The connection's methods that stand here. */
extern PyMethodDef closing_methods[];

/* Lets the worker close whatever it has and end. */
void closing_end(ConnectionObject *self);


#endif
