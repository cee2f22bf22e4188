/* Limits and switches. `number` of a request holds which one, and the job's argument
 * what to set it to; what SQLite answers comes back in `number`. */

#include "binding/settings.h"

#include "binding/args.h"
#include "binding/errors.h"
#include "engine/harden.h"

/* SQLITE_DBCONFIG_ENABLE_FKEY and SQLITE_DBCONFIG_ENABLE_COMMENTS: what lies between
 * them, both included, is on or off. What the library does not know, it refuses. */
enum { FIRST_SWITCH = 1002, LAST_SWITCH = 1022 };

static RequestObject *
settings_request(ConnectionObject *self, const struct request_hooks *hooks,
                 int (*run)(struct csq_job *, sqlite3 *), int which, int value)
{
    RequestObject *request = connection_request(self, hooks, CSQ_APPLY, NULL);

    if (request != NULL) {
        request->job.with.host.run = run;
        request->job.with.host.argument = (void *)(intptr_t)value;
        request->number = which;
    }
    return request;
}

/* -- limits ------------------------------------------------------------------- */

/* Worker thread. */
static int
run_limit(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    int value = (int)(intptr_t)job->with.host.argument;
    int before = sqlite3_limit(handle, (int)request->number, value);

    if (before < 0) {
        return csq_error_set(&job->error, CSQ_USAGE, "'category' is out of bounds");
    }
    request->number = before;
    return SQLITE_OK;
}

static enum request_answer
limit_unpack(RequestObject *request, int64_t deadline)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;

    (void)deadline;
    if (errors_check(self->state, request) < 0) {
        return REQUEST_FAILED;
    }
    request->result = PyLong_FromSsize_t(request->number);
    return request->result == NULL ? REQUEST_FAILED : REQUEST_READY;
}

static const char setlimit_doc[] =
    "setlimit($self, category, limit, /)\n--\n\n"
    "Set a limit of the connection and give the one before.\n\n"
    "category: one of SQLITE_LIMIT_*. limit: an int; a negative one changes nothing, and one\n"
    "above what SQLite was compiled with counts as that. As sqlite3's\n"
    "Connection.setlimit(); sqlite3_limit(). Raises ProgrammingError for an unknown category.";

static PyObject *
connection_setlimit(ConnectionObject *self, PyObject *args)
{
    static const struct request_hooks hooks = {
        .name = "Connection.setlimit", .pack = connection_simple_pack, .unpack = limit_unpack};
    PyObject *values[2];
    int category;
    int limit;

    if (!PyArg_UnpackTuple(args, "setlimit", 2, 2, &values[0], &values[1])) {
        return NULL;
    }
    if (self->foreign != NULL) {
        return args_forward("setlimit", (PyObject *)self, values, 2, NULL);
    }
    if (args_int(values[0], &category) < 0 || args_int(values[1], &limit) < 0) {
        return NULL;
    }
    return (PyObject *)settings_request(self, &hooks, run_limit, category, limit);
}

static const char getlimit_doc[] =
    "getlimit($self, category, /)\n--\n\n"
    "Give a limit of the connection.\n\n"
    "category: one of SQLITE_LIMIT_*. As sqlite3's Connection.getlimit(); sqlite3_limit().";

static PyObject *
connection_getlimit(ConnectionObject *self, PyObject *value)
{
    static const struct request_hooks hooks = {
        .name = "Connection.getlimit", .pack = connection_simple_pack, .unpack = limit_unpack};
    int category;

    if (self->foreign != NULL) {
        return args_forward("getlimit", (PyObject *)self, &value, 1, NULL);
    }
    if (args_int(value, &category) < 0) {
        return NULL;
    }
    return (PyObject *)settings_request(self, &hooks, run_limit, category, -1);
}

/* -- switches ----------------------------------------------------------------- */

/* Worker thread. A negative argument only asks. */
static int
run_config(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    int value = (int)(intptr_t)job->with.host.argument;
    int actual = -1;
    int rc;

    if (request->worker->db.untrusted && csq_harden_forbids((int)request->number, value)) {
        return csq_error_set(&job->error, CSQ_UNSUPPORTED,
                             "untrusted=True does not let this switch be changed");
    }
    rc = sqlite3_db_config(handle, (int)request->number, value, &actual);
    if (rc != SQLITE_OK) {
        return csq_error_copy(&job->error, NULL, rc);
    }
    if (value >= 0 && actual != value) {
        return csq_error_set(&job->error, SQLITE_ERROR, "Unable to set config");
    }
    request->number = actual;
    return SQLITE_OK;
}

static enum request_answer
config_unpack(RequestObject *request, int64_t deadline)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;

    (void)deadline;
    if (errors_check(self->state, request) < 0) {
        return REQUEST_FAILED;
    }
    request->result = PyBool_FromLong(request->number != 0);
    return REQUEST_READY;
}

static int
take_switch(PyObject *value, int *op)
{
    if (args_int(value, op) < 0) {
        return -1;
    }
    if (*op < FIRST_SWITCH || *op > LAST_SWITCH) {
        PyErr_Format(PyExc_ValueError, "unknown config 'op': %d", *op);
        return -1;
    }
    return 0;
}

static const char setconfig_doc[] =
    "setconfig($self, op, enable=True, /)\n--\n\n"
    "Turn a switch of the connection on or off.\n\n"
    "op: one of SQLITE_DBCONFIG_*. As sqlite3's Connection.setconfig() since Python 3.12;\n"
    "sqlite3_db_config(). Raises ValueError for an unknown op, OperationalError when\n"
    "SQLite does not know it or it cannot be set, NotSupportedError when it would undo what\n"
    "connect(untrusted=True) has set.";

static PyObject *
connection_setconfig(ConnectionObject *self, PyObject *args)
{
    static const struct request_hooks hooks = {.name = "Connection.setconfig",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    PyObject *values[2] = {NULL, NULL};
    int enable = 1;
    int op;

    if (!PyArg_UnpackTuple(args, "setconfig", 1, 2, &values[0], &values[1])) {
        return NULL;
    }
    if (self->foreign != NULL) {
        return args_forward("setconfig", (PyObject *)self, values, PyTuple_GET_SIZE(args), NULL);
    }
    if (values[1] != NULL) {
        enable = PyObject_IsTrue(values[1]);
    }
    if (enable < 0 || take_switch(values[0], &op) < 0) {
        return NULL;
    }
    return (PyObject *)settings_request(self, &hooks, run_config, op, enable);
}

static const char getconfig_doc[] =
    "getconfig($self, op, /)\n--\n\n"
    "Give whether a switch of the connection is on.\n\n"
    "op: one of SQLITE_DBCONFIG_*. As sqlite3's Connection.getconfig() since Python 3.12;\n"
    "sqlite3_db_config().";

static PyObject *
connection_getconfig(ConnectionObject *self, PyObject *value)
{
    static const struct request_hooks hooks = {
        .name = "Connection.getconfig", .pack = connection_simple_pack, .unpack = config_unpack};
    int op;

    if (self->foreign != NULL) {
        return args_forward("getconfig", (PyObject *)self, &value, 1, NULL);
    }
    if (take_switch(value, &op) < 0) {
        return NULL;
    }
    return (PyObject *)settings_request(self, &hooks, run_config, op, -1);
}

PyMethodDef settings_methods[] = {
    {"setlimit", (PyCFunction)connection_setlimit, METH_VARARGS, setlimit_doc},
    {"getlimit", (PyCFunction)connection_getlimit, METH_O, getlimit_doc},
    {"setconfig", (PyCFunction)connection_setconfig, METH_VARARGS, setconfig_doc},
    {"getconfig", (PyCFunction)connection_getconfig, METH_O, getconfig_doc},
    {NULL, NULL, 0, NULL},
};
