/* Connection.file_control(): what the VFS below a database can be asked and told. It
 * gives a request. */

#ifndef CSQ_FILE_CONTROL_H
#define CSQ_FILE_CONTROL_H

#include "binding/connection.h"

/* The connection's methods that stand here. */
extern PyMethodDef file_control_methods[];

#endif
