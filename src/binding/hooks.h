/* Setting hooks. The methods run on the loop thread and give requests. */

#ifndef CSQ_HOOK_METHODS_H
#define CSQ_HOOK_METHODS_H

#include "binding/connection.h"

/* The connection's methods that stand here. */
extern PyMethodDef hooks_methods[];

/* Makes the request, which has a struct callable_call, one that sets (removes) one of several
 * progress handlers, the one of that id. 0, or -1 with TypeError. */
int hooks_fill_progress(RequestObject *request);

#endif
