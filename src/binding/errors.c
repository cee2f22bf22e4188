/* Raising. Which class a code is stands in one switch, after the one that the
 * sqlite3 module has since Python 3.11, whatever the running Python. */

#include "binding/errors.h"

#include "binding/codes.h"
#include "binding/connection.h"
#include "binding/notes.h"
#include "bridge/deadline.h"
#include "bridge/stop.h"
#include "engine/clock.h"

static PyObject *
class_of(const struct module_state *state, int code)
{
    switch (code) {
    case SQLITE_INTERNAL:
    case SQLITE_NOTFOUND:
        return state->InternalError;
    case SQLITE_NOMEM:
        return PyExc_MemoryError;
    case SQLITE_ERROR:
    case SQLITE_PERM:
    case SQLITE_ABORT:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_READONLY:
    case SQLITE_INTERRUPT:
    case SQLITE_IOERR:
    case SQLITE_FULL:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
    case SQLITE_EMPTY:
    case SQLITE_SCHEMA:
    case CSQ_CANCELLED:
    case CSQ_DEADLINE:
    case CSQ_OVER:
        return state->OperationalError;
    case SQLITE_TOOBIG:
        return state->DataError;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
        return state->IntegrityError;
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
        return state->InterfaceError;
    case CSQ_CLOSED:
    case CSQ_USAGE:
    case CSQ_OPENED:
        return state->ProgrammingError;
    case CSQ_UNSUPPORTED:
        return state->NotSupportedError;
    default:
        return state->DatabaseError;
    }
}

/* Sets an attribute to a new reference, which it takes; NULL passes its exception on. */
static int
set_attribute(PyObject *exception, const char *name, PyObject *value)
{
    int rc = value == NULL ? -1 : PyObject_SetAttrString(exception, name, value);

    Py_XDECREF(value);
    return rc;
}

/* Sets what SQLite says beside the message, for codes that are SQLite's. */
static int
set_code(PyObject *exception, const struct csq_error *error)
{
    const char *name = codes_name(error->extended);

    if (set_attribute(exception, "sqlite_errorcode", PyLong_FromLong(error->extended)) < 0 ||
        set_attribute(exception, "sqlite_errorname",
                      PyUnicode_FromString(name == NULL ? "unknown" : name)) < 0) {
        return -1;
    }
    return set_attribute(exception, "sqlite_error_offset", PyLong_FromLong(error->offset));
}

/* Raises the exception for `error`, as yet without a cause. */
static void
raise_plain(struct module_state *state, const struct csq_error *error)
{
    const char *message = error->message == NULL ? sqlite3_errstr(error->code) : error->message;
    PyObject *class = class_of(state, error->code);
    PyObject *text;
    PyObject *exception;

    if (class == PyExc_MemoryError) {
        PyErr_NoMemory();
        return;
    }
    text = PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace");
    if (text == NULL) {
        return;
    }
    exception = PyObject_CallOneArg(class, text);
    Py_DECREF(text);
    if (exception == NULL) {
        return;
    }
    if (error->code >= CSQ_CLOSED || set_code(exception, error) == 0) {
        PyErr_SetObject(class, exception);
    }
    Py_DECREF(exception);
}

/* Raises what a callable has raised, which it takes. */
static void
raise_as_is(PyObject *exception)
{
    compat_give_exception(exception);
    stop_refuse("callable");
}

void
errors_raise(struct module_state *state, const struct csq_error *error, PyObject *cause)
{
    PyObject *exception;

    if (cause != NULL && error->code == CSQ_RAISED) {
        raise_as_is(cause);
        return;
    }
    raise_plain(state, error);
    if (cause != NULL) {
        exception = compat_take_exception();
        PyException_SetCause(exception, cause);
        compat_give_exception(exception);
    }
}

/* Whether a callback failed because the deadline came: it was cancelled for that, or what it
 * ran itself was stopped. */
static bool
is_late(const RequestObject *request)
{
    PyObject *raised = request->raised;
    int64_t deadline = request->job.deadline;

    /* The callback may have noticed before the statement did. */
    return raised != NULL &&
           (atomic_load(&request->job.cancelled) == CSQ_EXPIRED ||
            (deadline != 0 && csq_now() >= deadline)) &&
           (PyErr_GivenExceptionMatches(raised, request->bridge->host->cancelled) ||
            PyErr_GivenExceptionMatches(raised, PyExc_TimeoutError));
}

/* Raises DeadlineExceeded. Takes the exception of a callback, which becomes its cause. */
static void
raise_late(RequestObject *request)
{
    const struct csq_error *error = &request->job.error;
    PyObject *cause = request->raised;
    PyObject *exception;

    request->raised = NULL;
    deadline_raise(request, error->code == CSQ_DEADLINE ? error->message : NULL);
    if (cause != NULL) {
        exception = compat_take_exception();
        PyException_SetCause(exception, cause);
        compat_give_exception(exception);
    }
}

/* Raises what the job of the request failed with. -1. */
static int
fail(struct module_state *state, RequestObject *request)
{
    struct csq_error *error = &request->job.error;
    PyObject *held = request->held;
    PyObject *raised;

    request_forget_raised(request);
    raised = request->raised;
    if (error->code == CSQ_PACKED && held != NULL) {
        request->held = NULL;
        compat_give_exception(held);
    } else if (error->code == CSQ_DEADLINE || is_late(request)) {
        raise_late(request);
    } else if (raised != NULL && error->code == CSQ_RAISED) {
        request->raised = NULL;
        raise_as_is(raised);
        return -1; /* it is the callable's own, which knows nothing of SQL */
    } else {
        request->raised = NULL;
        errors_raise(state, error, raised);
    }
    notes_of_request(request);
    return -1;
}

void
errors_raise_request(PyObject *request)
{
    ConnectionObject *owner = (ConnectionObject *)((RequestObject *)request)->owner;

    fail(owner->state, (RequestObject *)request);
}

int
errors_check(struct module_state *state, RequestObject *request)
{
    return request->job.error.code == SQLITE_OK ? 0 : fail(state, request);
}
