/* One online backup between two csqlite connections, driven step by step from
 * csqlite/backup.py. Loop thread, GIL held. */

#ifndef CSQ_BACKUP_OBJECT_H
#define CSQ_BACKUP_OBJECT_H

#include "binding/connection.h"

/* Methods of Connection. */
extern PyMethodDef backup_methods[];

/* Registers the type. 0, or -1 with an exception. */
int backup_init_type(struct module_state *state, PyObject *module);

#endif
