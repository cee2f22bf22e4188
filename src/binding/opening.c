/* The ends of a connection's life, and calling Python on its worker.
 *
 * A connector says how to open: the one that connect() makes gives the options
 * of a native open, any other callable is called on the worker and what it gives
 * (a sqlite3.Connection, a SQLCipher one …) is used through csqlite/foreign.py. */

#include "binding/connection.h"
#include "binding/errors.h"
#include "binding/watchdog.h"
#include "bridge/await.h"
#include "engine/alloc.h"

/* -- Python on the worker ----------------------------------------------------- */

/* Worker thread. Calls arguments[0]; the request gets the result or the exception. */
static int
run_callable(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    int rc = SQLITE_OK;

    (void)handle;
    gate_enter(request->gate);
    request->result = PyObject_CallNoArgs(request->arguments[0]);
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
    request->job.with.host.run = run_callable;
    request->line = &((ConnectionObject *)request->owner)->calls;
    return REQUEST_WAIT;
}

static enum request_answer
call_unpack(RequestObject *request, int64_t deadline)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;

    (void)deadline;
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
connection_call(ConnectionObject *self, PyObject *args, PyObject *kwargs)
{
    static const struct request_hooks hooks = {
        .name = "Connection._execute", .pack = call_pack, .unpack = call_unpack};
    RequestObject *request = connection_request(self, &hooks, CSQ_CALL, NULL);

    if (request != NULL) {
        request->arguments[0] = partial(args, kwargs);
        if (request->arguments[0] == NULL) {
            request->stage = REQUEST_DONE;
            Py_CLEAR(request);
        }
    }
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
connection_enqueue(ConnectionObject *self, PyObject *callable)
{
    struct detached_call *call;

    if (self->worker == NULL || self->forked) {
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
    if (!csq_worker_push(self->worker, &call->job)) {
        Py_DECREF(callable);
        gate_put(call->gate);
        csq_free(call);
        PyErr_SetString(PyExc_ValueError, "Connection closed");
        return NULL;
    }
    Py_RETURN_NONE;
}

/* -- opening ------------------------------------------------------------------ */

/* Makes the worker and starts its thread. */
static int
start_worker(ConnectionObject *self)
{
    int rc;

    self->worker = csq_worker_new();
    self->gate = gate_new();
    if (self->worker == NULL || self->gate == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->worker->at_end = gate_end;
    self->worker->at_end_argument = gate_get(self->gate);
    rc = csq_worker_start(self->worker, self->state->crew);
    if (rc != 0) {
        gate_put(self->gate);
        PyErr_SetString(PyExc_RuntimeError, "can't start new thread");
        return -1;
    }
    csq_list_append(&self->state->connections, &self->all);
    return 0;
}

/* Lets the worker close whatever it has and end. */
static void
stop_worker(ConnectionObject *self)
{
    self->stage = CONNECTION_CLOSED;
    if (self->worker != NULL && !self->forked) {
        csq_worker_stop(self->worker);
    }
}

/* Reads the options of a native open, a tuple made by csqlite/core.py. */
static int
take_options(ConnectionObject *self, struct csq_open *open, PyObject *options)
{
    PyObject *isolation_level;
    PyObject *reader_warning;
    double timeout;
    int autocommit;
    int check_same_thread;
    int untrusted;

    if (!PyArg_ParseTuple(options, "yidiOpiizpO:connect", &open->path, &open->flags, &timeout,
                          &self->detect_types, &isolation_level, &check_same_thread,
                          &open->statements, &autocommit, &open->vfs, &untrusted,
                          &reader_warning)) {
        return -1;
    }
    if (connection_level(isolation_level, &self->isolation_level) < 0 ||
        watchdog_set(self, reader_warning) < 0) {
        return -1;
    }
    open->timeout = timeout >= INT_MAX / 1000 ? INT_MAX : (int)(timeout * 1000);
    open->untrusted = untrusted != 0;
    open->autocommit = (enum csq_autocommit)autocommit;
    self->autocommit = open->autocommit;
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
    int rc = run_callable(job, handle);

    gate_enter(request->gate);
    if (request->result != NULL && atomic_load(&job->cancelled)) {
        close_unwanted(request->result);
        Py_CLEAR(request->result);
    }
    gate_leave(request->gate);
    return rc;
}

/* Decides how to open, and fills the job. arguments[1] keeps the options alive. */
static int
prepare_open(ConnectionObject *self, RequestObject *request)
{
    PyObject *options = NULL;

    if (PyObject_HasAttrString(self->connector, "native_options")) {
        options = PyObject_CallMethod(self->connector, "native_options", NULL);
        if (options == NULL) {
            return -1;
        }
    }
    if (options == NULL || options == Py_None) {
        Py_XDECREF(options);
        request->arguments[0] = Py_NewRef(self->connector);
        request->job.op = CSQ_CALL;
        request->job.with.host.run = run_connector;
        return 0;
    }
    request->arguments[1] = options;
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
    if (start_worker(self) < 0) {
        return REQUEST_FAILED;
    }
    if (prepare_open(self, request) < 0) {
        stop_worker(self);
        return REQUEST_FAILED;
    }
    self->stage = CONNECTION_OPENING;
    request->worker = self->worker;
    request->gate = self->gate;
    return REQUEST_WAIT;
}

static enum request_answer
open_unpack(RequestObject *request, int64_t deadline)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;

    (void)deadline;
    if (errors_check(self->state, request) < 0) {
        stop_worker(self);
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

void
connection_close_foreign(ConnectionObject *self, PyObject *foreign)
{
    PyObject *close = PyObject_GetAttrString(foreign, "close");
    PyObject *queued = close == NULL ? NULL : connection_enqueue(self, close);

    PyErr_Clear();
    Py_XDECREF(close);
    Py_XDECREF(queued);
}

/* What has been opened by now is closed in its turn; what has not, by the worker. */
static void
open_abandon(RequestObject *request)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    PyObject *foreign = self->foreign != NULL ? self->foreign : request->result;

    if (request->job.op == CSQ_CALL && foreign != NULL && foreign != request->owner) {
        connection_close_foreign(self, foreign);
    }
    stop_worker(self);
}

static void
close_abandon(RequestObject *request)
{
    stop_worker((ConnectionObject *)request->owner);
}

PyObject *
connection_open(ConnectionObject *self)
{
    static const struct request_hooks hooks = {.name = "Connection._connect",
                                               .pack = open_pack,
                                               .unpack = open_unpack,
                                               .abandon = open_abandon};

    if (self->connector == NULL) {
        PyErr_SetString(self->state->ProgrammingError, "Base Connection.__init__ not called.");
        return NULL;
    }
    if (self->stage != CONNECTION_NEW) {
        PyErr_SetString(PyExc_RuntimeError, "threads can only be started once");
        return NULL;
    }
    return (PyObject *)connection_request(self, &hooks, CSQ_OPEN, NULL);
}

/* -- closing ------------------------------------------------------------------ */

static enum request_answer
close_pack(RequestObject *request)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;

    if (self->stage != CONNECTION_OPEN && self->stage != CONNECTION_CLOSING) {
        request->result = Py_NewRef(Py_None);
        return REQUEST_READY;
    }
    if (connection_use(request, CONNECTION_DIRECT) < 0 || await_check(request) < 0) {
        return REQUEST_FAILED;
    }
    if (self->foreign != NULL) {
        request->arguments[0] = PyObject_GetAttrString(self->foreign, "close");
        if (request->arguments[0] == NULL) {
            return REQUEST_FAILED;
        }
        request->job.op = CSQ_CALL;
        request->job.with.host.run = run_callable;
    }
    request->job.asked = true;
    self->stage = CONNECTION_CLOSING;
    return REQUEST_WAIT;
}

static enum request_answer
close_unpack(RequestObject *request, int64_t deadline)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    bool closed_before = request->job.error.code == CSQ_CLOSED;

    (void)deadline;
    if (request->job.error.code == CSQ_USAGE) {
        /* Refused in a callback of a statement, which goes on. */
        self->stage = CONNECTION_OPEN;
        return errors_check(self->state, request) < 0 ? REQUEST_FAILED : REQUEST_READY;
    }
    stop_worker(self);
    if (!closed_before && errors_check(self->state, request) < 0) {
        return REQUEST_FAILED;
    }
    Py_XDECREF(request->result);
    request->result = Py_NewRef(Py_None);
    return REQUEST_READY;
}

static const struct request_hooks close_hooks = {.name = "Connection.close",
                                                 .pack = close_pack,
                                                 .unpack = close_unpack,
                                                 .abandon = close_abandon,
                                                 .ending = true};

PyObject *
connection_close(ConnectionObject *self, PyObject *unused)
{
    (void)unused;
    return (PyObject *)connection_request(self, &close_hooks, CSQ_CLOSE, NULL);
}

PyObject *
connection_stop(ConnectionObject *self, PyObject *unused)
{
    RequestObject *request;
    PyObject *future;

    (void)unused;
    if (self->stage == CONNECTION_OPENING) {
        stop_worker(self);
    }
    request = connection_request(self, &close_hooks, CSQ_CLOSE, NULL);
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
        stop_worker(self);
        Py_RETURN_NONE;
    }
    self->stage = CONNECTION_CLOSED;
    return future;
}
