/* Virtual tables whose rows Python gives: Connection.create_module().
 *
 * csqlite/tables.py says what a table looks like; here it is handed to SQLite. */

#ifndef CSQ_VTABLE_OBJECT_H
#define CSQ_VTABLE_OBJECT_H

#include "binding/connection.h"

/* Methods of Connection. */
extern PyMethodDef vtable_methods[];

#endif
