/* asyncio as a host, and whatever has its loops: uvloop's are the same to it.
 *
 * GIL held. */

#ifndef CSQ_HOST_ASYNCIO_H
#define CSQ_HOST_ASYNCIO_H

#include "bridge/asyncio.h"

/* Registers the types. 0, or -1 with an exception; host_asyncio_clear() is called in either case. */
int host_asyncio_init(struct asyncio *asyncio, PyObject *module);
int host_asyncio_traverse(struct asyncio *asyncio, visitproc visit, void *arg);
void host_asyncio_clear(struct asyncio *asyncio);

#endif
