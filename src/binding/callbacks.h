/* A user's Python callables inside SQLite: functions, aggregates, collations, and
 * the handlers that a connection can have. And loading extensions, the same kind
 * of job.
 *
 * The methods run on the loop thread and give requests; the callables are called
 * on the worker, which takes the GIL for just that call. */

#ifndef CSQ_CALLBACKS_H
#define CSQ_CALLBACKS_H

#include "binding/connection.h"

#define CALLBACKS_METHOD(name)                                                                  \
    PyObject *callbacks_##name(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs, \
                               PyObject *kwnames);                                              \
    extern const char callbacks_##name##_doc[]

CALLBACKS_METHOD(create_function);
CALLBACKS_METHOD(create_aggregate);
CALLBACKS_METHOD(create_collation);
CALLBACKS_METHOD(set_authorizer);
CALLBACKS_METHOD(set_progress_handler);
CALLBACKS_METHOD(set_trace_callback);
CALLBACKS_METHOD(enable_load_extension);
CALLBACKS_METHOD(load_extension);

#endif
