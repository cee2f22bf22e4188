/* Loading extensions. The methods run on the loop thread and give requests. */

#ifndef CSQ_EXTENSIONS_H
#define CSQ_EXTENSIONS_H

#include "binding/connection.h"

/* The connection's methods that stand here. */
extern PyMethodDef extensions_methods[];

#endif
