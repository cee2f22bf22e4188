/* Limits and switches of a connection: setlimit(), getlimit(), setconfig(),
 * getconfig(). Loop thread, GIL held. */

#ifndef CSQ_SETTINGS_H
#define CSQ_SETTINGS_H

#include "binding/connection.h"

extern PyMethodDef settings_methods[];

#endif
