/* What the module tells of the SQLite library as a whole. GIL held. */

#ifndef CSQ_LIBRARY_H
#define CSQ_LIBRARY_H

#include "bridge/compat.h"

/* Adds the module's functions and attributes that stand here. 0, or -1 with an
 * exception. */
int library_init(PyObject *module);

#endif
