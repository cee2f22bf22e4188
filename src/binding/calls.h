/* Calling Python on a connection's worker, in its turn. Loop thread, GIL held, unless marked
 * otherwise. */

#ifndef CSQ_CALLS_H
#define CSQ_CALLS_H

#include "binding/method.h"

/* How the payload begins of a request that calls something. */
struct call {
    PyObject *callable;
    PyObject *options; /* of a native open, which the job has pointers into; else NULL */
};

enum { CALL_OBJECTS = 2 };

/* Worker thread. What a job does: calls the callable; the request gets the result or the
 * exception. */
int calls_run(struct csq_job *job, sqlite3 *handle);

/* Connection._execute(fn, *args, **kwargs): gives a request. */
PyObject *calls_call(ConnectionObject *self, PyObject *args, PyObject *kwargs);

/* Connection._enqueue(callable): lets the worker call it; nobody is told. Gives None, or NULL
 * with ValueError or MemoryError. */
PyObject *calls_enqueue(ConnectionObject *self, PyObject *callable);

#endif
