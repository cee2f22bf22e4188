/* StopIteration and StopAsyncIteration say that rows, or an await, have come to their end. From
 * what users give they mean nothing here: as in a generator, they become RuntimeError. */

#ifndef CSQ_STOP_H
#define CSQ_STOP_H

#include "bridge/compat.h"

/* GIL held. Raises RuntimeError, "`who` raised StopIteration", in place of the current
 * exception, which becomes its cause; any other exception, or none, stays. */
void stop_refuse(const char *who);

#endif
