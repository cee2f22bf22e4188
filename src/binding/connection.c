/* What the methods of all files need of a connection. */

#include "binding/connection.h"

static int
check_process(ConnectionObject *self)
{
    if (self->forked) {
        PyErr_SetString(self->state->ProgrammingError,
                        "The connection was opened before the process forked and belongs to "
                        "the parent; open one of its own in the child.");
        return -1;
    }
    return 0;
}

int
connection_use(RequestObject *request, enum connection_access access)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;

    if (check_process(self) < 0) {
        return -1;
    }
    if (self->stage != CONNECTION_OPEN && self->stage != CONNECTION_CLOSING) {
        PyErr_SetString(PyExc_ValueError, access == CONNECTION_DIRECT ? "no active connection"
                                                                      : "Connection closed");
        return -1;
    }
    request->executor = self->executor;
    request->gate = self->gate;
    return 0;
}

int
connection_check(ConnectionObject *self)
{
    if (self->stage != CONNECTION_OPEN && self->stage != CONNECTION_CLOSING) {
        PyErr_SetString(PyExc_ValueError, "no active connection");
        return -1;
    }
    return check_process(self);
}

/* Where the isolation level stands in the statement that begins a transaction. */
enum { LEVEL_AT = sizeof CONNECTION_BEGIN - 1 };

const char *
connection_level(const ConnectionObject *self)
{
    return self->begin == NULL ? NULL : self->begin + LEVEL_AT;
}

int
connection_read_level(PyObject *value, const char **begin)
{
    static const char *const statements[] = {CONNECTION_BEGIN, "BEGIN DEFERRED",
                                             "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"};
    const char *text;
    Py_ssize_t size;

    *begin = NULL;
    if (value == Py_None) {
        return 0;
    }
    if (!PyUnicode_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "isolation_level must be str or None");
        return -1;
    }
    text = PyUnicode_AsUTF8AndSize(value, &size);
    if (text == NULL) {
        return -1;
    }
    if (strlen(text) != (size_t)size) {
        PyErr_SetString(PyExc_ValueError, "embedded null character");
        return -1;
    }
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        if (sqlite3_stricmp(statements[i] + LEVEL_AT, text) == 0) {
            *begin = statements[i];
            return 0;
        }
    }
    PyErr_SetString(PyExc_ValueError, "isolation_level string must be '', 'DEFERRED', "
                                      "'IMMEDIATE', or 'EXCLUSIVE'");
    return -1;
}
