/* Calling Python on a connection's worker, in its turn. */

#include "binding/calls.h"

#include "binding/errors.h"
#include "engine/alloc.h"

int
calls_run(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    int rc = SQLITE_OK;

    (void)handle;
    gate_enter(request->gate);
    request->result = PyObject_CallNoArgs(REQUEST_PAYLOAD(request, struct call)->callable);
    if (request->result == NULL) {
        request->raised = compat_take_exception();
        rc = csq_error_set(&job->error, CSQ_RAISED, "a callable raised");
    }
    gate_leave(request->gate);
    return rc;
}

static enum request_answer
call_pack(RequestObject *request)
{
    if (connection_use(request, CONNECTION_DEFERRED) < 0) {
        return REQUEST_FAILED;
    }
    request->job.with.host.run = calls_run;
    request->line = &((ConnectionObject *)request->owner)->calls;
    return REQUEST_WAIT;
}

static enum request_answer
call_unpack(RequestObject *request, int64_t slice_end)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;

    (void)slice_end;
    return errors_check(self->state, request) < 0 ? REQUEST_FAILED : REQUEST_READY;
}

/* Gives functools.partial(*args, **kwargs). */
static PyObject *
partial(PyObject *args, PyObject *kwargs)
{
    PyObject *class = module_import("functools", "partial");
    PyObject *bound;

    if (class == NULL) {
        return NULL;
    }
    bound = PyObject_Call(class, args, kwargs);
    Py_DECREF(class);
    return bound;
}

PyObject *
calls_call(ConnectionObject *self, PyObject *args, PyObject *kwargs)
{
    static const struct request_hooks hooks = {.pack = call_pack, .unpack = call_unpack};
    static const struct method call = {.args = ARGS_NONE("Connection._execute"),
                                       .hooks = &hooks,
                                       .op = CSQ_CALL,
                                       .objects = CALL_OBJECTS};
    RequestObject *request = method_request(&call, self, NULL);
    PyObject *callable = request == NULL ? NULL : partial(args, kwargs);

    if (request == NULL || callable == NULL) {
        return request == NULL ? NULL : request_drop(request);
    }
    REQUEST_PAYLOAD(request, struct call)->callable = callable;
    return (PyObject *)request;
}

/* A call that nobody awaits: what came of it is the callable's own business. */
struct detached_call {
    struct csq_job job;
    struct gate *gate;
    PyObject *callable;
};

static int
run_detached(struct csq_job *job, sqlite3 *handle)
{
    struct detached_call *call = csq_item(job, struct detached_call, job);
    PyObject *result;

    (void)handle;
    gate_enter(call->gate);
    result = PyObject_CallNoArgs(call->callable);
    if (result == NULL) {
        PyErr_WriteUnraisable(call->callable);
    }
    Py_XDECREF(result);
    gate_leave(call->gate);
    return SQLITE_OK;
}

/* Worker thread. */
static void
release_detached(struct csq_job *job)
{
    struct detached_call *call = csq_item(job, struct detached_call, job);

    gate_enter(call->gate);
    Py_DECREF(call->callable);
    gate_leave(call->gate);
    gate_put(call->gate);
    csq_job_clear(&call->job);
    csq_free(call);
}

PyObject *
calls_enqueue(ConnectionObject *self, PyObject *callable)
{
    struct detached_call *call;

    if (self->executor == NULL || self->forked) {
        PyErr_SetString(PyExc_ValueError, "no active connection");
        return NULL;
    }
    call = csq_malloc(sizeof *call);
    if (call == NULL) {
        return PyErr_NoMemory();
    }
    csq_job_init(&call->job, CSQ_CALL);
    call->job.with.host.run = run_detached;
    call->job.release = release_detached;
    call->gate = gate_get(self->gate);
    call->callable = Py_NewRef(callable);
    if (!self->executor->verbs->push(self->executor, &call->job)) {
        Py_DECREF(callable);
        gate_put(call->gate);
        csq_free(call);
        PyErr_SetString(PyExc_ValueError, "Connection closed");
        return NULL;
    }
    Py_RETURN_NONE;
}
