/* The end of a connection's life. */

#include "binding/closing.h"

#include "binding/errors.h"
#include "binding/method.h"
#include "bridge/await.h"

void
closing_end(ConnectionObject *self)
{
    self->stage = CONNECTION_CLOSED;
    if (self->executor != NULL && !self->forked) {
        self->executor->verbs->stop(self->executor);
    }
}

static void
close_abandon(RequestObject *request)
{
    closing_end((ConnectionObject *)request->owner);
}

/* Whether what closed it did not wait for the worker's end. */
static bool
may_still_close(ConnectionObject *self)
{
    return self->executor != NULL && !self->forked &&
           self->executor->verbs->is_running(self->executor);
}

static enum request_answer
close_pack(RequestObject *request)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;

    if (self->stage == CONNECTION_CLOSED && may_still_close(self)) {
        /* Told once by stop(), or by a close() that was cancelled: this one waits for it. */
        request->executor = self->executor;
        request->gate = self->gate;
        return await_check(request) < 0 ? REQUEST_FAILED : REQUEST_WAIT;
    }
    if (self->stage != CONNECTION_OPEN && self->stage != CONNECTION_CLOSING) {
        request->result = Py_NewRef(Py_None);
        return REQUEST_READY;
    }
    if (connection_use(request, CONNECTION_DIRECT) < 0 || await_check(request) < 0) {
        return REQUEST_FAILED;
    }
    request->job.with.close.asked = true;
    self->stage = CONNECTION_CLOSING;
    return REQUEST_WAIT;
}

static enum request_answer
close_unpack(RequestObject *request, int64_t slice_end)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    bool closed_before = request->job.error.code == CSQ_CLOSED;

    (void)slice_end;
    if (request->job.error.code == CSQ_USAGE) {
        /* Refused in a callback of a statement, which goes on. */
        self->lease.closed = false;
        if (self->stage == CONNECTION_CLOSING) {
            self->stage = CONNECTION_OPEN;
        }
        return errors_check(self->state, request) < 0 ? REQUEST_FAILED : REQUEST_READY;
    }
    closing_end(self);
    if (!closed_before && errors_check(self->state, request) < 0) {
        return REQUEST_FAILED;
    }
    Py_XDECREF(request->result);
    request->result = Py_NewRef(Py_None);
    return REQUEST_READY;
}

static const struct request_hooks close_hooks = {
    .pack = close_pack, .unpack = close_unpack, .abandon = close_abandon, .ending = true};

PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\n"
                        "Let everything queued finish, close the database and end the worker.\n\n"
                        "An open transaction is rolled back. Closing again does nothing.");

METHOD(connection_close) = {
    .args = ARGS_NONE("Connection.close"),
    .hooks = &close_hooks,
    .op = CSQ_CLOSE,
    .common = true,
};

PyDoc_STRVAR(stop_doc,
             "stop($self, /)\n--\n\n"
             "As close(), without awaiting: for places that cannot. Gives a Future that tells\n"
             "when it is closed, or None when no event loop runs in this thread.");

static PyObject *
connection_stop(ConnectionObject *self, PyObject *unused)
{
    RequestObject *request;
    PyObject *future;

    (void)unused;
    if (self->stage == CONNECTION_OPENING) {
        closing_end(self);
    }
    request = method_request(&connection_close_row, self, NULL);
    if (request == NULL) {
        return NULL;
    }
    /* Nobody is to await it, also where the interpreter is too far gone to import. */
    request->stage = REQUEST_DONE;
    request->answer = module_import("csqlite.core", "_STOP_RUNNING_SENTINEL");
    future = request->answer == NULL ? NULL : request_start(request);
    Py_DECREF(request);
    if (future == NULL) {
        /* No loop runs here: it closes all the same, and nobody is told. */
        PyErr_Clear();
        closing_end(self);
        Py_RETURN_NONE;
    }
    self->stage = CONNECTION_CLOSED;
    return future;
}

PyMethodDef closing_methods[] = {
    METHOD_ENTRY("close", connection_close, close_doc),
    {"stop", (PyCFunction)connection_stop, METH_NOARGS, stop_doc},
    {NULL, NULL, 0, NULL},
};
