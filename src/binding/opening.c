/* Opening a connection. A connector says how: the one that connect() makes gives the
 * options of a native open, any other callable is called by a foreign executor, and what it gives
 * (a sqlite3.Connection, a SQLCipher one …) is used through csqlite/foreign.py. */

#include "binding/opening.h"

#include "binding/calls.h"
#include "binding/closing.h"
#include "binding/errors.h"
#include "binding/foreign.h"
#include "binding/watchdog.h"
#include "engine/native.h"

/* Gives csqlite's own executor; NULL with MemoryError. */
static struct csq_executor *
make_native(struct gate *gate)
{
    struct csq_executor *executor = csq_native_new(gate_end, gate_get(gate));

    if (executor == NULL) {
        gate_put(gate);
        PyErr_NoMemory();
    }
    return executor;
}

/* Makes the executor, csqlite's own or another module's, and starts it. 0, or -1 with an exception. */
static int
start(ConnectionObject *self, bool native)
{
    int rc;

    self->gate = gate_new();
    if (self->gate == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->gate->lease = &self->lease;
    self->executor = native ? make_native(self->gate) : foreign_new(self->gate);
    if (self->executor == NULL) {
        return -1;
    }
    rc = self->executor->verbs->start(self->executor, self->state->crew);
    if (rc != 0) {
        gate_put(self->gate);
        PyErr_SetString(PyExc_RuntimeError, "can't start new thread");
        return -1;
    }
    csq_list_append(&self->state->connections, &self->all);
    return 0;
}

/* Reads the options of a native open, a tuple made by csqlite/core.py. */
static int
take_options(ConnectionObject *self, struct csq_open *open, PyObject *options)
{
    PyObject *isolation_level;
    PyObject *reader_warning;
    PyObject *row_factory;
    double timeout;
    long long delay;
    int autocommit;
    int check_same_thread;
    int untrusted;

    if (!PyArg_ParseTuple(options, "yidiOpiizpOiLzzO:connect", &open->path, &open->flags,
                          &timeout, &self->detect_types, &isolation_level, &check_same_thread,
                          &open->statements, &autocommit, &open->vfs, &untrusted, &reader_warning,
                          &open->batch, &delay, &open->setup, &open->parting, &row_factory)) {
        return -1;
    }
    Py_XSETREF(self->row_factory, Py_NewRef(row_factory));
    if (connection_read_level(isolation_level, &self->begin) < 0 ||
        watchdog_set(self, reader_warning) < 0) {
        return -1;
    }
    open->timeout = timeout >= INT_MAX / 1000 ? INT_MAX : (int)(timeout * 1000);
    open->delay = delay;
    open->untrusted = untrusted != 0;
    open->autocommit = (enum csq_autocommit)autocommit;
    self->cached_statements = open->statements < 0 ? 0 : open->statements;
    self->check_same_thread = check_same_thread;
    return 0;
}

/* Asks the connector for the options of a native open; None: it opens by being called. NULL with
 * an exception. */
static PyObject *
ask_connector(ConnectionObject *self)
{
    if (!PyObject_HasAttrString(self->connector, "native_options")) {
        return Py_NewRef(Py_None);
    }
    return PyObject_CallMethod(self->connector, "native_options", NULL);
}

/* Makes the executor and fills the job. Takes the options; NULL with an exception. The executor
 * is started first: whoever sees an option refused may still wait for the thread to end. */
static int
begin(ConnectionObject *self, RequestObject *request, PyObject *options)
{
    struct call *call = REQUEST_PAYLOAD(request, struct call);
    PyObject *exception = compat_take_exception();

    call->options = options;
    if (start(self, options != Py_None) < 0) {
        Py_XDECREF(exception);
        return -1;
    }
    if (options == NULL) {
        compat_give_exception(exception);
        return -1;
    }
    if (options == Py_None) {
        call->callable = Py_NewRef(self->connector);
        return 0;
    }
    return take_options(self, &request->job.with.open, options);
}

static enum request_answer
open_pack(RequestObject *request)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;

    if (self->stage != CONNECTION_NEW) {
        PyErr_SetString(PyExc_RuntimeError, "threads can only be started once");
        return REQUEST_FAILED;
    }
    self->stage = CONNECTION_CLOSED;
    if (begin(self, request, ask_connector(self)) < 0) {
        closing_end(self);
        return REQUEST_FAILED;
    }
    self->stage = CONNECTION_OPENING;
    request->executor = self->executor;
    request->gate = self->gate;
    return REQUEST_WAIT;
}

static enum request_answer
open_unpack(RequestObject *request, int64_t slice_end)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;

    (void)slice_end;
    if (errors_check(self->state, request) < 0) {
        closing_end(self);
        return REQUEST_FAILED;
    }
    foreign_take(self, request);
    request->result = Py_NewRef((PyObject *)self);
    /* stop() may have come meanwhile: then the worker is about to close it. */
    if (self->stage == CONNECTION_OPENING) {
        self->stage = CONNECTION_OPEN;
    }
    return REQUEST_READY;
}

static void
open_abandon(RequestObject *request)
{
    closing_end((ConnectionObject *)request->owner);
}

PyObject *
opening_open(ConnectionObject *self)
{
    static const struct request_hooks hooks = {
        .pack = open_pack, .unpack = open_unpack, .abandon = open_abandon};
    static const struct method connect = {.args = ARGS_NONE("Connection._connect"),
                                          .hooks = &hooks,
                                          .op = CSQ_OPEN,
                                          .objects = CALL_OBJECTS};

    if (self->connector == NULL) {
        PyErr_SetString(self->state->ProgrammingError, "Base Connection.__init__ not called.");
        return NULL;
    }
    if (self->stage != CONNECTION_NEW) {
        PyErr_SetString(PyExc_RuntimeError, "threads can only be started once");
        return NULL;
    }
    return (PyObject *)method_request(&connect, self, NULL);
}
