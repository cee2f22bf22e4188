/* The Cursor type: its end, and what needs no job. Executing, fetching and properties stand in
 * files of their own. */

#include "binding/cursor.h"

#include <structmember.h>

#include "binding/calls.h"
#include "binding/errors.h"
#include "binding/iterate.h"
#include "binding/method.h"
#include "binding/repr.h"
#include "binding/watchdog.h"
#include "bridge/ready.h"

/* -- closing ------------------------------------------------------------------ */

static enum request_answer
close_pack(RequestObject *request)
{
    CursorObject *self = (CursorObject *)request->target;
    bool idle = cursor_is_idle(self) && (self->exhausted || self->rest == NULL);

    if (connection_use(request, CONNECTION_DEFERRED) < 0) {
        return REQUEST_FAILED;
    }
    if (!self->closed && self->connection->stage == CONNECTION_OPEN && !idle) {
        if (cursor_use(request, CONNECTION_DEFERRED) < 0) {
            return REQUEST_FAILED;
        }
        self->closed = true;
        self->closing = true;
        return iterate_send(request);
    }
    if (self->closed && !request->inline_run && !line_is_idle(&self->line) &&
        self->connection->stage == CONNECTION_OPEN) {
        /* Its first closing may have been cancelled: this one comes behind it. */
        request->job.cursor = &self->rest->cursor;
        request->line = &self->line;
        return REQUEST_WAIT;
    }
    self->closed = true;
    if (self->line.held == 0) {
        if (iterate_keep(self, NULL) < 0) {
            return REQUEST_FAILED;
        }
        cursor_drop_rows(self);
    }
    request->result = Py_NewRef(Py_None);
    return REQUEST_READY;
}

static enum request_answer
close_unpack(RequestObject *request, int64_t slice_end)
{
    CursorObject *self = (CursorObject *)request->target;
    (void)slice_end;
    self->closing = false;
    if (iterate_keep(self, &request->job) < 0) {
        return REQUEST_FAILED;
    }
    cursor_drop_rows(self);
    self->exhausted = true;
    if (errors_check(self->state, request) < 0) {
        return REQUEST_FAILED;
    }
    request->result = Py_NewRef(Py_None);
    return REQUEST_READY;
}

static const struct request_hooks close_hooks = {
    .pack = close_pack, .unpack = close_unpack, .ending = true};

METHOD(cursor_close) = {
    .args = ARGS_NONE("Cursor.close"),
    .hooks = &close_hooks,
    .on = ON_PART,
    .op = CSQ_RESET,
};

PyDoc_STRVAR(close_doc,
             "close($self, /)\n--\n\n"
             "Close the cursor. Only one that is half-read has to cross to the worker.");

PyDoc_STRVAR(aenter_doc, "__aenter__($self, /)\n--\n\nGive the cursor itself.");

static PyObject *
cursor_aenter(CursorObject *self, PyObject *unused)
{
    (void)unused;
    return ready_new(&self->state->bridge, Py_NewRef((PyObject *)self));
}

PyDoc_STRVAR(aexit_doc, "__aexit__($self, exc_type, exc, tb, /)\n--\n\nClose the cursor.");

static PyObject *
cursor_aexit(CursorObject *self, PyObject *args)
{
    (void)args;
    return cursor_leave((PyObject *)self);
}

PyDoc_STRVAR(fetch_chunked_doc, "_fetch_chunked($self, /)\n--\n\n"
                                "Iterate by fetchmany(iter_chunk_size).");

static PyObject *
cursor_fetch_chunked(CursorObject *self, PyObject *unused)
{
    (void)unused;
    return args_forward("fetch_chunked", (PyObject *)self, NULL, 0, NULL);
}

/* A subclass may have a say in fetching. */
static PyObject *
cursor_aiter(CursorObject *self)
{
    if (self->foreign != NULL || Py_TYPE(self) != self->state->cursor_type) {
        return PyObject_CallMethod((PyObject *)self, "_fetch_chunked", NULL);
    }
    return iterate_new(self);
}

PyDoc_STRVAR(call_doc, "_execute($self, fn, /, *args, **kwargs)\n--\n\n"
                       "See Connection._execute().");

static PyObject *
cursor_call(CursorObject *self, PyObject *args, PyObject *kwargs)
{
    if (cursor_check(self) < 0) {
        return NULL;
    }
    return calls_call(self->connection, args, kwargs);
}

/* setinputsizes() and setoutputsize(): they do nothing, as PEP 249 allows. */
static PyObject *
cursor_ignore(CursorObject *self, PyObject *args)
{
    (void)args;
    return ready_new(&self->state->bridge, Py_NewRef(Py_None));
}

/* -- the type ----------------------------------------------------------------- */

static PyObject *
cursor_type_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct module_state *state = module_state_of_type(type);
    CursorObject *self;

    (void)args;
    (void)kwargs;
    if (state == NULL) {
        return NULL;
    }
    self = (CursorObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->state = state;
        line_init(&self->line);
        self->exhausted = true;
        csq_error_init(&self->error);
    }
    return (PyObject *)self;
}

/* Moves the state of `from` here: of the cursor that a raw one is a view of. */
static void
adopt(CursorObject *self, CursorObject *from)
{
    self->rest = from->rest;
    from->rest = NULL;
    self->result = from->result;
    self->closed = from->closed;
    self->columns = from->columns;
    from->columns = NULL;
    csq_strip_clear(&self->strip);
    csq_strip_move(&self->strip, &from->strip);
    self->reader = from->reader;
    self->exhausted = from->exhausted;
    self->error = from->error;
    csq_error_init(&from->error);
    Py_XSETREF(self->cause, Py_XNewRef(from->cause));
    self->changes = from->changes;
    self->rowcount = from->rowcount;
    self->arraysize = from->arraysize;
    Py_XSETREF(self->description, Py_XNewRef(from->description));
    Py_XSETREF(self->converters, Py_XNewRef(from->converters));
    Py_XSETREF(self->lastrowid, Py_XNewRef(from->lastrowid));
    Py_XSETREF(self->row_factory, Py_XNewRef(from->row_factory));
    Py_XSETREF(self->sql, Py_XNewRef(from->sql));
    cursor_forget(from);
}

/* Takes over what `raw` stands for: a view of a native cursor, or a foreign one. */
static int
take_raw(CursorObject *self, PyObject *raw)
{
    PyObject *owner;

    if (self->connection->foreign != NULL) {
        Py_XSETREF(self->foreign, Py_NewRef(raw));
        self->exhausted = false; /* its rows are elsewhere */
        return 0;
    }
    owner = PyObject_GetAttrString(raw, "_owner");
    if (owner == NULL) {
        return -1;
    }
    if (!PyObject_TypeCheck(owner, self->state->cursor_type) ||
        ((CursorObject *)owner)->connection != self->connection ||
        !line_is_idle(&((CursorObject *)owner)->line)) {
        PyErr_SetString(PyExc_TypeError, "expected an idle raw cursor of the same connection");
        Py_DECREF(owner);
        return -1;
    }
    adopt(self, (CursorObject *)owner);
    Py_DECREF(owner);
    return PyObject_SetAttrString(raw, "_owner", (PyObject *)self);
}

static int
cursor_init(CursorObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"conn", "cursor", NULL};
    PyObject *connection;
    PyObject *raw = Py_None;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!|O:Cursor", (char **)names,
                                     self->state->connection_type, &connection, &raw)) {
        return -1;
    }
    if (self->connection != NULL) {
        PyErr_SetString(self->state->ProgrammingError, "a cursor is initialized once");
        return -1;
    }
    cursor_set_up(self, (ConnectionObject *)connection);
    return raw == Py_None ? 0 : take_raw(self, raw);
}

static int
cursor_traverse(CursorObject *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->connection);
    Py_VISIT(self->foreign);
    Py_VISIT(self->hold);
    Py_VISIT(self->cause);
    Py_VISIT(self->description);
    Py_VISIT(self->converters);
    Py_VISIT(self->row_cursor);
    Py_VISIT(self->watch);
    Py_VISIT(self->sql);
    Py_VISIT(self->lastrowid);
    Py_VISIT(self->row_factory);
    Py_VISIT(self->dict);
    return 0;
}

/* The connection stays until the end: the worker's half is let go through it. */
static int
cursor_clear(CursorObject *self)
{
    Py_CLEAR(self->foreign);
    Py_CLEAR(self->hold);
    Py_CLEAR(self->cause);
    Py_CLEAR(self->description);
    Py_CLEAR(self->converters);
    Py_CLEAR(self->row_cursor);
    Py_CLEAR(self->watch);
    Py_CLEAR(self->sql);
    Py_CLEAR(self->lastrowid);
    Py_CLEAR(self->row_factory);
    Py_CLEAR(self->dict);
    return 0;
}

static void
cursor_dealloc(CursorObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    cursor_drop_rest(self);
    csq_strip_clear(&self->strip);
    csq_error_clear(&self->error);
    csq_columns_put(self->columns);
    cursor_clear(self);
    Py_CLEAR(self->connection);
    type->tp_free(self);
    Py_DECREF(type);
}


static PyMethodDef cursor_methods[] = {
    METHOD_ENTRY("close", cursor_close, close_doc),
    {"setinputsizes", (PyCFunction)cursor_ignore, METH_O,
     "setinputsizes($self, sizes, /)\n--\n\nDo nothing, as PEP 249 allows."},
    {"setoutputsize", (PyCFunction)cursor_ignore, METH_VARARGS,
     "setoutputsize($self, size, column=None, /)\n--\n\nDo nothing, as PEP 249 allows."},
    {"_execute", (PyCFunction)(void (*)(void))cursor_call, METH_VARARGS | METH_KEYWORDS,
     call_doc},
    {"_fetch_chunked", (PyCFunction)cursor_fetch_chunked, METH_NOARGS, fetch_chunked_doc},
    {"_tell_if_open", (PyCFunction)cursor_tell_if_open, METH_O, cursor_tell_doc},
    {"__aenter__", (PyCFunction)cursor_aenter, METH_NOARGS, aenter_doc},
    {"__aexit__", (PyCFunction)cursor_aexit, METH_VARARGS, aexit_doc},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "See PEP 585."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef cursor_members[] = {
    {"_sql", T_OBJECT, offsetof(CursorObject, sql), 0,
     "What it has executed; csqlite/foreign.py."},
    {"iter_chunk_size", T_PYSSIZET, offsetof(CursorObject, iter_chunk_size), 0,
     "How many rows are fetched ahead."},
    {"__dictoffset__", T_PYSSIZET, offsetof(CursorObject, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(CursorObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(cursor_type_doc,
             "Cursor(conn, cursor=None)\n--\n\n"
             "A cursor of a Connection: made by cursor() and execute().\n\n"
             "An async iterator of rows, and an async context manager that closes it.\n"
             "`cursor`: a raw cursor that is taken over, as in aiosqlite.");

static PyType_Slot cursor_slots[] = {
    {Py_tp_doc, (void *)cursor_type_doc},
    {Py_tp_new, cursor_type_new},
    {Py_tp_init, cursor_init},
    {Py_tp_traverse, cursor_traverse},
    {Py_tp_clear, cursor_clear},
    {Py_tp_dealloc, cursor_dealloc},
    {Py_tp_repr, cursor_repr},
    {Py_tp_methods, cursor_methods},
    {Py_tp_getset, cursor_getset},
    {Py_tp_members, cursor_members},
    {Py_am_aiter, cursor_aiter},
    {Py_am_anext, cursor_anext},
    {0, NULL},
};

static PyType_Spec cursor_spec = {
    .name = "csqlite.cursor.Cursor",
    .basicsize = sizeof(CursorObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = cursor_slots,
};

int
cursor_init_type(struct module_state *state, PyObject *module)
{
    state->cursor_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &cursor_spec, NULL);
    if (state->cursor_type == NULL) {
        return -1;
    }
    if (method_add(state->cursor_type, execute_cursor_methods) < 0 ||
        method_add(state->cursor_type, executemany_cursor_methods) < 0 ||
        method_add(state->cursor_type, fetch_methods) < 0) {
        return -1;
    }
    return PyModule_AddObject(module, "Cursor", Py_NewRef((PyObject *)state->cursor_type));
}
