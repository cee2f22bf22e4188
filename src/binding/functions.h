/* SQL functions, aggregates, window functions and collations that are Python callables.
 * The methods run on the loop thread and give requests. */

#ifndef CSQ_FUNCTIONS_H
#define CSQ_FUNCTIONS_H

#include "binding/connection.h"

/* The connection's methods that stand here. */
extern PyMethodDef functions_methods[];

#endif
