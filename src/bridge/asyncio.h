/* What an interpreter knows of asyncio: looked up once, by host_asyncio.c. */

#ifndef CSQ_ASYNCIO_H
#define CSQ_ASYNCIO_H

#include "bridge/host.h"

struct asyncio {
    struct host host;
    PyObject *names; /* the dict of the module: others replace what stands there */
    PyObject *get_running_loop; /* what stood there when it had … */
    uint64_t names_version;     /* … this version (compat.h) */
    PyObject *InvalidStateError;
    PyObject *current_task;
    PyObject *ensure_future;
    PyTypeObject *waiter_type;
    PyObject *str_add_reader;
    PyObject *str_call_later;
    PyObject *str_call_soon;
    PyObject *str_create_future;
    PyObject *str_done;
    PyObject *str_get_running_loop;
    PyObject *str_ready; /* "_ready" */
    PyObject *str_set_result;
    PyObject *str_tell; /* "_tell", the waiter's own */
};

#endif
