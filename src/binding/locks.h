/* Who writes to a database file, and who waits to: what csqlite/locking.py asks. */

#ifndef BINDING_LOCKS_H
#define BINDING_LOCKS_H

#include "bridge/compat.h"

/* GIL held. Adds `_locks` to the module. 0, or -1 with an exception. */
int locks_init(PyObject *module);

#endif
