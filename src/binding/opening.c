/* Opening a connection. A connector says how: the one that connect() makes gives the
 * options of a native open, any other callable is called on the worker and what it gives
 * (a sqlite3.Connection, a SQLCipher one …) is used through csqlite/foreign.py. */

#include "binding/opening.h"

#include "binding/calls.h"
#include "binding/closing.h"
#include "binding/errors.h"
#include "binding/watchdog.h"
#include "engine/native.h"

/* Makes the executor and starts it. */
static int
start(ConnectionObject *self)
{
    int rc;

    self->gate = gate_new();
    if (self->gate == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->executor = csq_native_new(gate_end, gate_get(self->gate));
    if (self->executor == NULL) {
        gate_put(self->gate);
        PyErr_NoMemory();
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
    int autocommit;
    int check_same_thread;
    int untrusted;

    if (!PyArg_ParseTuple(options, "yidiOpiizpOzO:connect", &open->path, &open->flags, &timeout,
                          &self->detect_types, &isolation_level, &check_same_thread,
                          &open->statements, &autocommit, &open->vfs, &untrusted, &reader_warning,
                          &open->setup, &row_factory)) {
        return -1;
    }
    Py_XSETREF(self->row_factory, Py_NewRef(row_factory));
    if (connection_level(isolation_level, &self->isolation_level) < 0 ||
        watchdog_set(self, reader_warning) < 0) {
        return -1;
    }
    open->timeout = timeout >= INT_MAX / 1000 ? INT_MAX : (int)(timeout * 1000);
    open->untrusted = untrusted != 0;
    open->autocommit = (enum csq_autocommit)autocommit;
    self->cached_statements = open->statements < 0 ? 0 : open->statements;
    self->check_same_thread = check_same_thread;
    return 0;
}

/* Closes what a foreign connector has opened when nobody waits for it any more. */
static void
close_unwanted(PyObject *foreign)
{
    PyObject *closed = PyObject_CallMethod(foreign, "close", NULL);

    if (closed == NULL) {
        PyErr_WriteUnraisable(foreign);
    }
    Py_XDECREF(closed);
}

/* Worker thread. Calls the connector. */
static int
run_connector(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    int rc = calls_run(job, handle);

    gate_enter(request->gate);
    if (request->result != NULL && atomic_load(&job->cancelled)) {
        close_unwanted(request->result);
        Py_CLEAR(request->result);
    }
    gate_leave(request->gate);
    return rc;
}

/* Decides how to open, and fills the job. */
static int
prepare_open(ConnectionObject *self, RequestObject *request)
{
    struct call *call = REQUEST_PAYLOAD(request, struct call);
    PyObject *options = NULL;

    if (PyObject_HasAttrString(self->connector, "native_options")) {
        options = PyObject_CallMethod(self->connector, "native_options", NULL);
        if (options == NULL) {
            return -1;
        }
    }
    if (options == NULL || options == Py_None) {
        Py_XDECREF(options);
        call->callable = Py_NewRef(self->connector);
        request->job.op = CSQ_CALL;
        request->job.with.host.run = run_connector;
        return 0;
    }
    call->options = options;
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
    /* The worker is started first: whoever sees an option refused may still wait
     * for the thread to end. */
    self->stage = CONNECTION_CLOSED;
    if (start(self) < 0) {
        return REQUEST_FAILED;
    }
    if (prepare_open(self, request) < 0) {
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
    if (request->job.op == CSQ_CALL) {
        self->foreign = request->result;
    }
    Py_INCREF(self);
    request->result = (PyObject *)self;
    /* stop() may have come meanwhile: then the worker is about to close it. */
    if (self->stage == CONNECTION_OPENING) {
        self->stage = CONNECTION_OPEN;
    }
    return REQUEST_READY;
}

/* What has been opened by now is closed in its turn; what has not, by the worker. */
static void
open_abandon(RequestObject *request)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    PyObject *foreign = self->foreign != NULL ? self->foreign : request->result;

    if (request->job.op == CSQ_CALL && foreign != NULL && foreign != request->owner) {
        closing_close_foreign(self, foreign);
    }
    closing_end(self);
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
