/* A user's Python callables inside SQLite: functions, aggregates, collations, and
 * the handlers that a connection can have.
 *
 * The methods run on the loop thread and give requests; the callables are called
 * on the worker, which takes the GIL for just that call. */

#ifndef CSQ_CALLBACKS_H
#define CSQ_CALLBACKS_H

#include "binding/connection.h"

/* The connection's methods that stand here. */
extern PyMethodDef callbacks_methods[];

#endif
