/* The dispatcher. The three receivers differ in where the connection stands and in what
 * the request works on; nothing else of a call depends on them. */

#include "binding/method.h"

#include "binding/cursor.h"
#include "bridge/deadline.h"

/* Gives the request of a row, not yet filled. NULL with an exception. */
static RequestObject *
make(const struct method *method, ConnectionObject *connection, PyObject *target)
{
    RequestObject *request;

    request = connection_request(connection, method->hooks, method->op, target);
    if (request != NULL) {
        request->name = method->args.method;
        request->objects = method->objects;
        request->job.anytime = method->anytime;
        if (method->op == CSQ_APPLY) {
            request->job.with.host.run = method->run;
            request->job.with.host.argument = (void *)method->argument;
        }
        if (method->gated && connection->gate != NULL) {
            connection->gate->used = true;
        }
    }
    return request;
}

/* The same, on a cursor of its own. */
static RequestObject *
make_with_cursor(const struct method *method, ConnectionObject *connection)
{
    PyObject *cursor = (PyObject *)cursor_new(connection);
    RequestObject *request = cursor == NULL ? NULL : make(method, connection, cursor);

    Py_XDECREF(cursor);
    return request;
}

/* What another module's connection answers. */
static PyObject *
call_foreign(const struct method *method, ConnectionObject *connection, PyObject *self,
             PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (method->foreign != NULL) {
        return args_forward(method->foreign, self, args, nargs, kwnames);
    }
    return PyErr_Format(connection->state->NotSupportedError,
                        "%s() needs csqlite's own connection, not %.100s",
                        args_method(&method->args), Py_TYPE(connection->foreign)->tp_name);
}

PyObject *
method_call(const struct method *method, PyObject *self, PyObject *const *args, Py_ssize_t nargs,
            PyObject *kwnames)
{
    bool part = method->on == ON_PART;
    ConnectionObject *connection =
        part ? ((struct part *)self)->connection : (ConnectionObject *)self;
    PyObject *values[ARGS_MAX];
    RequestObject *request;

    if (connection == NULL) {
        (void)cursor_check((CursorObject *)self);
        return NULL;
    }
    if (connection->foreign != NULL) {
        return call_foreign(method, connection, self, args, nargs, kwnames);
    }
    if (args_parse(&method->args, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    request = method->on == ON_NEW_CURSOR ? make_with_cursor(method, connection)
                                          : make(method, connection, part ? self : NULL);
    if (request != NULL && method->fill != NULL && method->fill(request, values) < 0) {
        return request_drop(request);
    }
    return method->deadline ? deadline_limit((PyObject *)request, values[method->args.count - 1])
                            : (PyObject *)request;
}
