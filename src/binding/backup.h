/* One online backup between two csqlite connections, driven step by step from
 * csqlite/backup.py. Loop thread, GIL held. */

#ifndef CSQ_BACKUP_OBJECT_H
#define CSQ_BACKUP_OBJECT_H

#include "binding/connection.h"

/* Gives a Backup from `self` into (target, name); NULL with an exception. */
PyObject *backup_make(ConnectionObject *self, PyObject *args);

/* Gives a request that copies a schema into a file: (path: bytes, name). */
PyObject *backup_save(ConnectionObject *self, PyObject *args);

/* Registers the type. 0, or -1 with an exception. */
int backup_init_type(struct module_state *state, PyObject *module);

#endif
