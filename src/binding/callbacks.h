/* The handlers that a connection has one of. The methods run on the loop thread and give
 * requests. */

#ifndef CSQ_CALLBACKS_H
#define CSQ_CALLBACKS_H

#include "binding/connection.h"

/* The connection's methods that stand here. */
extern PyMethodDef callbacks_methods[];

#endif
