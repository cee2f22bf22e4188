/* Putting a connection in order. The methods run on the loop thread and give requests. */

#ifndef CSQ_UPKEEP_H
#define CSQ_UPKEEP_H

#include "binding/connection.h"

/* The connection's methods that stand here. */
extern PyMethodDef upkeep_methods[];

#endif
