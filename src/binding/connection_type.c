/* The Connection type. Methods check their arguments and make a request; what is
 * opened, run or fetched stands in files of their own. */

#include "binding/connection.h"

#include <structmember.h>

#include "binding/args.h"
#include "binding/backup.h"
#include "binding/blob.h"
#include "binding/callbacks.h"
#include "binding/calls.h"
#include "binding/closing.h"
#include "binding/cursor.h"
#include "binding/errors.h"
#include "binding/extensions.h"
#include "binding/fetching.h"
#include "binding/file_control.h"
#include "binding/foreign.h"
#include "binding/functions.h"
#include "binding/handle.h"
#include "binding/hold.h"
#include "binding/hooks.h"
#include "binding/method.h"
#include "binding/opening.h"
#include "binding/repr.h"
#include "binding/serialize.h"
#include "binding/session.h"
#include "binding/settings.h"
#include "binding/statement.h"
#include "binding/status.h"
#include "binding/upkeep.h"
#include "binding/vtable.h"
#include "binding/watch.h"
#include "bridge/deadline.h"
#include "bridge/direct.h"

/* -- methods -------------------------------------------------------------------- */

PyDoc_STRVAR(
    commit_doc,
    "commit($self, *, deadline=None)\n--\n\n"
    "Commit the open transaction; do nothing when there is none.\n\n"
    "With autocommit=False a new transaction is opened at once. As sqlite3's\n"
    "Connection.commit(); raises ValueError when the connection is not open.\n\n"
    "deadline: as of execute(). The transaction is open when DeadlineExceeded is raised.");

METHOD(connection_commit) = {
    .args = ARGS_DEADLINE("Connection.commit"),
    .hooks = &method_simple,
    .op = CSQ_COMMIT,
    .deadline = true,
};

PyDoc_STRVAR(rollback_doc,
             "rollback($self, /)\n--\n\n"
             "Roll the open transaction back; do nothing when there is none.\n\n"
             "With autocommit=False a new transaction is opened at once. As sqlite3's\n"
             "Connection.rollback(); raises ValueError when the connection is not open.");

static const struct request_hooks rollback_hooks = {
    .pack = method_simple_pack, .unpack = method_simple_unpack, .ending = true};

METHOD(connection_rollback) = {
    .args = ARGS_NONE("Connection.rollback"),
    .hooks = &rollback_hooks,
    .op = CSQ_ROLLBACK,
};

static enum request_answer
interrupt_pack(RequestObject *request)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;

    if (connection_use(request, CONNECTION_DIRECT) < 0) {
        return REQUEST_FAILED;
    }
    self->executor->verbs->interrupt(self->executor);
    if (PyErr_Occurred()) {
        return REQUEST_FAILED;
    }
    request->result = Py_NewRef(Py_None);
    return REQUEST_READY;
}

PyDoc_STRVAR(interrupt_doc,
             "interrupt($self, /)\n--\n\n"
             "Stop what runs on the connection: it raises OperationalError (\"interrupted\").\n\n"
             "sqlite3_interrupt(). A write that it stops takes with it all that is not\n"
             "committed, also of other tasks. To stop one query only, cancel the task that\n"
             "awaits it.");

static const struct request_hooks interrupt_hooks = {.pack = interrupt_pack, .ending = true};

METHOD(connection_interrupt) = {
    .args = ARGS_NONE("Connection.interrupt"),
    .hooks = &interrupt_hooks,
    .op = CSQ_CALL,
    .common = true,
};

/* Gives what a cursor's factory makes, which has the connection's row factory then. */
static PyObject *
call_factory(ConnectionObject *self, PyObject *factory)
{
    PyObject *cursor = PyObject_CallOneArg(factory, (PyObject *)self);

    if (cursor != NULL && !PyObject_TypeCheck(cursor, self->state->cursor_type)) {
        PyErr_Format(PyExc_TypeError, "factory must return a cursor, not %.100s",
                     Py_TYPE(cursor)->tp_name);
        Py_CLEAR(cursor);
    }
    if (cursor != NULL && self->row_factory != Py_None &&
        PyObject_SetAttrString(cursor, "row_factory", self->row_factory) < 0) {
        Py_CLEAR(cursor);
    }
    return cursor;
}

struct cursor_call {
    PyObject *factory;     /* NULL: none */
    PyObject *row_factory; /* NULL: the connection's */
};

static enum request_answer
cursor_pack(RequestObject *request)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    const struct cursor_call *call = REQUEST_PAYLOAD(request, struct cursor_call);

    if (connection_use(request, CONNECTION_DIRECT) < 0) {
        return REQUEST_FAILED;
    }
    request->result =
        call->factory == NULL ? (PyObject *)cursor_new(self) : call_factory(self, call->factory);
    if (request->result == NULL) {
        return REQUEST_FAILED;
    }
    if (request->hold != NULL) {
        Py_XSETREF(((CursorObject *)request->result)->hold, Py_NewRef((PyObject *)request->hold));
    }
    if (call->row_factory != NULL && call->row_factory != Py_Ellipsis &&
        PyObject_SetAttrString(request->result, "row_factory", call->row_factory) < 0) {
        Py_CLEAR(request->result);
        return REQUEST_FAILED;
    }
    return REQUEST_READY;
}

PyDoc_STRVAR(
    cursor_doc,
    "cursor($self, /, factory=None, *, row_factory=...)\n--\n\n"
    "Give a new Cursor; `async with` closes it at the end.\n\n"
    "factory: called with the connection, gives a Cursor or one of a subclass; None: Cursor.\n"
    "row_factory: its row factory, None: tuples; by default the connection's.\n"
    "It never suspends: unlike aiosqlite's, nothing has to cross to the worker. As\n"
    "sqlite3's Connection.cursor(). Raises ValueError when the connection is not open,\n"
    "TypeError when the factory gives no cursor.");

static const struct request_hooks cursor_hooks = {.pack = cursor_pack, .leave = cursor_leave};

METHOD(connection_cursor) = {
    .args = ARGS("Connection.cursor", 0, 1, 0, "factory", "row_factory"),
    .hooks = &cursor_hooks,
    .op = CSQ_CALL,
    .objects = 2,
    .takes = {TAKE(OPTIONAL, struct cursor_call, factory),
              TAKE(OBJECT, struct cursor_call, row_factory)},
};

/* -- awaiting ----------------------------------------------------------------- */

/* Through _connect(), which a subclass may have replaced. */
static PyObject *
connection_await(ConnectionObject *self)
{
    PyObject *awaitable;
    PyObject *iterator;

    if (self->stage != CONNECTION_NEW) {
        PyErr_SetString(PyExc_RuntimeError, "threads can only be started once");
        return NULL;
    }
    awaitable = PyObject_CallMethod((PyObject *)self, "_connect", NULL);
    if (awaitable == NULL || PyObject_TypeCheck(awaitable, self->state->bridge.request_type)) {
        return awaitable;
    }
    iterator = PyObject_CallMethod(awaitable, "__await__", NULL);
    Py_DECREF(awaitable);
    return iterator;
}

PyDoc_STRVAR(aenter_doc, "__aenter__($self, /)\n--\n\nOpen the connection; gives itself.");

/* What is awaited then is _connect(), or the connection where a subclass has its own
 * way of awaiting it. */
static PyObject *
connection_aenter(ConnectionObject *self, PyObject *unused)
{
    (void)unused;
    if (Py_TYPE(self)->tp_as_async->am_await != (unaryfunc)connection_await) {
        return Py_NewRef((PyObject *)self);
    }
    return PyObject_CallMethod((PyObject *)self, "_connect", NULL);
}

PyDoc_STRVAR(aexit_doc, "__aexit__($self, exc_type, exc, tb, /)\n--\n\n"
                        "Close the connection; an open transaction is rolled back.");

static PyObject *
connection_aexit(ConnectionObject *self, PyObject *args)
{
    (void)args;
    return PyObject_CallMethod((PyObject *)self, "close", NULL);
}


PyDoc_STRVAR(connect_doc, "_connect($self, /)\n--\n\nOpen the connection; gives itself.");

static PyObject *
connection_connect(ConnectionObject *self, PyObject *unused)
{
    (void)unused;
    return opening_open(self);
}

PyDoc_STRVAR(handle_doc, "_handle($self, /)\n--\n\n"
                         "Give a handle of the worker, None while it is not started.");

static PyObject *
connection_handle(ConnectionObject *self, PyObject *unused)
{
    (void)unused;
    if (self->executor == NULL || self->forked) {
        Py_RETURN_NONE;
    }
    return handle_new(self->state, self->executor);
}

PyDoc_STRVAR(interrupt_now_doc, "_interrupt($self, /)\n--\n\n"
                                "As interrupt(), at once and from any thread.");

static PyObject *
connection_interrupt_now(ConnectionObject *self, PyObject *unused)
{
    (void)unused;
    if (connection_check(self) < 0) {
        return NULL;
    }
    self->executor->verbs->interrupt(self->executor);
    if (PyErr_Occurred()) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(run_doc, "_run($self, request, /)\n--\n\n"
                      "Run a request of this connection in the calling thread and give its "
                      "result:\nthe synchronous view that `_conn` is. Raises ProgrammingError in "
                      "another thread\nthan the worker's, unless check_same_thread is False.");

static PyObject *
connection_run(ConnectionObject *self, PyObject *request)
{
    if (!PyObject_TypeCheck(request, self->state->bridge.request_type)) {
        PyErr_SetString(PyExc_TypeError, "expected a csqlite request");
        return NULL;
    }
    if (((RequestObject *)request)->owner != (PyObject *)self ||
        ((RequestObject *)request)->stage != REQUEST_NEW) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return NULL;
    }
    if (self->check_same_thread && self->executor != NULL &&
        !self->executor->verbs->is_current(self->executor)) {
        PyErr_SetString(self->state->ProgrammingError,
                        "SQLite objects created in a thread can only be used in that same "
                        "thread. The object belongs to the connection's worker.");
        ((RequestObject *)request)->stage = REQUEST_DONE;
        return NULL;
    }
    return direct_run((RequestObject *)Py_NewRef(request));
}

/* -- the type ----------------------------------------------------------------- */

static PyObject *
connection_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct module_state *state = module_state_of_type(type);
    ConnectionObject *self;

    (void)args;
    (void)kwargs;
    if (state == NULL) {
        return NULL;
    }
    self = (ConnectionObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->state = state;
        csq_link_init(&self->all);
        line_init(&self->calls);
        lease_init(&self->lease);
        self->stage = CONNECTION_NEW;
        self->row_factory = Py_NewRef(Py_None);
        self->text_factory = Py_NewRef((PyObject *)&PyUnicode_Type);
        self->begin = CONNECTION_BEGIN;
        self->check_same_thread = true;
        self->iter_chunk_size = 64;
    }
    return (PyObject *)self;
}

static int
connection_init(ConnectionObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"connector", "iter_chunk_size", "loop", NULL};
    PyObject *connector;
    PyObject *loop = Py_None;
    Py_ssize_t iter_chunk_size;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "On|O:Connection", (char **)names, &connector,
                                     &iter_chunk_size, &loop)) {
        return -1;
    }
    Py_INCREF(connector);
    Py_XSETREF(self->connector, connector);
    self->iter_chunk_size = iter_chunk_size;
    if (loop != Py_None) {
        return PyErr_WarnEx(PyExc_DeprecationWarning,
                            "aiosqlite.Connection no longer uses the `loop` parameter", 1);
    }
    return 0;
}

static int
connection_traverse(ConnectionObject *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->connector);
    Py_VISIT(self->foreign);
    Py_VISIT(self->row_factory);
    Py_VISIT(self->text_factory);
    Py_VISIT(self->reader_warning);
    Py_VISIT(self->last_sql);
    Py_VISIT(self->dict);
    return foreign_traverse(self->executor, visit, arg);
}

static int
connection_clear(ConnectionObject *self)
{
    Py_CLEAR(self->connector);
    Py_CLEAR(self->foreign);
    Py_CLEAR(self->row_factory);
    Py_CLEAR(self->text_factory);
    Py_CLEAR(self->reader_warning);
    Py_CLEAR(self->last_sql);
    Py_CLEAR(self->dict);
    Py_CLEAR(self->lease.beginner);
    return 0;
}

/* Gives where connect() was called, as far as the connector knows: "" or words. */
static PyObject *
opened_at(ConnectionObject *self)
{
    PyObject *place = NULL;

    if (self->connector != NULL && PyObject_HasAttrString(self->connector, "opened_at")) {
        place = PyObject_CallMethod(self->connector, "opened_at", NULL);
        if (place == NULL) {
            PyErr_Clear(); /* the interpreter may be almost gone */
        }
    }
    return place == NULL ? PyUnicode_FromString("") : place;
}

/* Whether tracemalloc knows where it was made. */
static bool
is_traced(void)
{
    PyObject *ask = module_import("_tracemalloc", "is_tracing");
    PyObject *answer = ask == NULL ? NULL : PyObject_CallNoArgs(ask);
    bool traced = answer == Py_True;

    PyErr_Clear();
    Py_XDECREF(ask);
    Py_XDECREF(answer);
    return traced;
}

/* Warns; 0, or -1 when the warning is an error. With itself as the source, tracemalloc tells
 * what it knows; where that is nothing, the warning would only say so. */
static int
warn_at(ConnectionObject *self, PyObject *place)
{
    static const char text[] = "%R%S was deleted before being closed. Please use 'async with' or "
                               "'.close()' to close the connection properly.";

    return is_traced() ? PyErr_ResourceWarning((PyObject *)self, 1, text, self, place)
                       : PyErr_WarnFormat(PyExc_ResourceWarning, 1, text, self, place);
}

static void
warn_forgotten(ConnectionObject *self)
{
    PyObject *place = opened_at(self);

    if (place == NULL || warn_at(self, place) < 0) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(place);
}

/* A connection that is forgotten says so and closes itself. */
static void
connection_finalize(ConnectionObject *self)
{
    PyObject *exception = compat_take_exception();

    if (!self->forked && self->stage == CONNECTION_OPEN) {
        warn_forgotten(self);
    }
    if (!self->forked && self->executor != NULL) {
        self->stage = CONNECTION_CLOSED;
        self->executor->verbs->stop(self->executor);
    }
    reactor_sweep(&self->state->bridge);
    if (exception != NULL) {
        compat_give_exception(exception);
    }
}

static void
connection_dealloc(ConnectionObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    if (PyObject_CallFinalizerFromDealloc((PyObject *)self) < 0) {
        return;
    }
    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    csq_link_remove(&self->all);
    /* In a forked child nothing is let go: the locks may be held by threads that
     * do not exist here. */
    if (!self->forked) {
        if (self->executor != NULL) {
            module_see_off(self->state, self->executor);
        }
        gate_put(self->gate);
    }
    connection_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}


PyDoc_STRVAR(call_doc,
             "_execute($self, fn, /, *args, **kwargs)\n--\n\n"
             "Call fn(*args, **kwargs) on the connection's worker, in its turn; gives the "
             "result.");
PyDoc_STRVAR(enqueue_doc, "_enqueue($self, callable, /)\n--\n\n"
                          "Let the worker call `callable` in its turn; nobody is told.");

static PyMethodDef connection_methods[] = {
    {"_connect", (PyCFunction)connection_connect, METH_NOARGS, connect_doc},
    METHOD_ENTRY("cursor", connection_cursor, cursor_doc),
    METHOD_ENTRY("commit", connection_commit, commit_doc),
    METHOD_ENTRY("rollback", connection_rollback, rollback_doc),
    METHOD_ENTRY("interrupt", connection_interrupt, interrupt_doc),
    {"_execute", (PyCFunction)(void (*)(void))calls_call, METH_VARARGS | METH_KEYWORDS, call_doc},
    {"_enqueue", (PyCFunction)calls_enqueue, METH_O, enqueue_doc},
    {"_handle", (PyCFunction)connection_handle, METH_NOARGS, handle_doc},
    {"_interrupt", (PyCFunction)connection_interrupt_now, METH_NOARGS, interrupt_now_doc},
    {"_run", (PyCFunction)connection_run, METH_O, run_doc},
    {"__aenter__", (PyCFunction)connection_aenter, METH_NOARGS, aenter_doc},
    {"__aexit__", (PyCFunction)connection_aexit, METH_VARARGS, aexit_doc},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "See PEP 585."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef connection_members[] = {
    {"_iter_chunk_size", T_PYSSIZET, offsetof(ConnectionObject, iter_chunk_size), 0,
     "How many rows are fetched ahead."},
    {"__dictoffset__", T_PYSSIZET, offsetof(ConnectionObject, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ConnectionObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(connection_doc,
             "Connection(connector, iter_chunk_size, loop=None)\n--\n\n"
             "An SQLite connection whose work is done by a thread of its own.\n\n"
             "Made by connect(); await it, or use `async with`. A connector is what opens it:\n"
             "connect()'s own, or any callable that returns a DB-API connection.");

static PyType_Slot connection_slots[] = {
    {Py_tp_doc, (void *)connection_doc},
    {Py_tp_new, connection_new},
    {Py_tp_init, connection_init},
    {Py_tp_traverse, connection_traverse},
    {Py_tp_clear, connection_clear},
    {Py_tp_finalize, connection_finalize},
    {Py_tp_dealloc, connection_dealloc},
    {Py_tp_methods, connection_methods},
    {Py_tp_getset, connection_getset},
    {Py_tp_members, connection_members},
    {Py_am_await, connection_await},
    {Py_tp_repr, connection_repr},
    {0, NULL},
};

static PyType_Spec connection_spec = {
    .name = "csqlite._csqlite.Connection",
    .basicsize = sizeof(ConnectionObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = connection_slots,
};

int
connection_init_type(struct module_state *state, PyObject *module)
{
    PyMethodDef *const others[] = {
        apply_methods,
        backup_methods,
        blob_methods,
        callbacks_methods,
        closing_methods,
        extensions_methods,
        fetching_methods,
        file_control_methods,
        functions_methods,
        hold_connection_methods,
        hooks_methods,
        serialize_methods,
        session_methods,
        settings_methods,
        statement_methods,
        status_methods,
        upkeep_methods,
        vtable_methods,
        watch_methods,
        execute_connection_methods,
        executemany_connection_methods,
    };

    state->connection_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &connection_spec, NULL);
    if (state->connection_type == NULL) {
        return -1;
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (method_add(state->connection_type, others[i]) < 0) {
            return -1;
        }
    }
    return PyModule_AddObject(module, "Connection",
                              Py_NewRef((PyObject *)state->connection_type));
}
