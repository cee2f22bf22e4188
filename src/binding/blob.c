/* The Blob type: opening and closing. Its position and its size are the
 * worker's, and every method takes its turn there; but while nothing of a blob is
 * under way, what needs no SQLite is answered at once. */

#include "binding/blob.h"

#include <structmember.h>

#include "binding/errors.h"
#include "binding/method.h"
#include "bridge/ready.h"
#include "engine/alloc.h"

_Static_assert(offsetof(BlobObject, hold) == offsetof(struct held, hold),
               "method_held() finds what it was made through");

/* -- what all methods have in common ------------------------------------------ */

/* -1 with ProgrammingError, as for a sqlite3.Blob, unless the connection is open. */
static int
check_connection(BlobObject *self)
{
    const ConnectionObject *connection = self->connection;

    if (connection->stage != CONNECTION_OPEN && connection->stage != CONNECTION_CLOSING) {
        PyErr_SetString(connection->state->ProgrammingError,
                        "Cannot operate on a closed database.");
        return -1;
    }
    return 0;
}

/* -1 with ProgrammingError unless connection and blob are open. */
static int
check(BlobObject *self)
{
    if (check_connection(self) < 0) {
        return -1;
    }
    if (self->closed) {
        PyErr_SetString(self->connection->state->ProgrammingError,
                        "Cannot operate on a closed blob.");
        return -1;
    }
    return 0;
}

int
blob_use(RequestObject *request)
{
    BlobObject *self = (BlobObject *)request->target;

    if (check(self) < 0 || connection_use(request, CONNECTION_DEFERRED) < 0) {
        return -1;
    }
    request->line = &self->line;
    return 0;
}

static bool
is_idle(const BlobObject *self)
{
    return line_is_idle(&self->line);
}

int
blob_check_refusal(const struct csq_blob_task *task)
{
    switch (task->refusal) {
    case CSQ_BLOB_ACCEPTED:
        return 0;
    case CSQ_BLOB_TOO_LONG:
        PyErr_SetString(PyExc_ValueError, "data longer than blob length");
        break;
    case CSQ_BLOB_OUTSIDE:
        PyErr_SetString(PyExc_ValueError, "offset out of blob range");
        break;
    case CSQ_BLOB_OVERFLOW:
        PyErr_SetString(PyExc_OverflowError, "seek offset results in overflow");
        break;
    case CSQ_BLOB_INDEX:
        PyErr_SetString(PyExc_IndexError, "Blob index out of range");
        break;
    case CSQ_BLOB_WRONG_SIZE:
        PyErr_SetString(PyExc_IndexError, "Blob slice assignment is wrong size");
        break;
    }
    return -1;
}

int
blob_check(RequestObject *request)
{
    BlobObject *self = (BlobObject *)request->target;

    if (errors_check(self->connection->state, request) < 0) {
        return -1;
    }
    return blob_check_refusal(&request->job.with.blob);
}

static enum request_answer
plain_pack(RequestObject *request)
{
    return blob_use(request) < 0 ? REQUEST_FAILED : REQUEST_WAIT;
}

enum request_answer
blob_unpack_none(RequestObject *request, int64_t slice_end)
{
    (void)slice_end;
    Py_CLEAR(REQUEST_PAYLOAD(request, struct blob_call)->data);
    if (blob_check(request) < 0) {
        return REQUEST_FAILED;
    }
    request->result = Py_NewRef(Py_None);
    return REQUEST_READY;
}

int
blob_mistake(RequestObject *request)
{
    PyObject *mistake = compat_take_exception();

    if (check((BlobObject *)request->target) == 0) {
        compat_give_exception(mistake);
    } else {
        Py_DECREF(mistake);
    }
    return -1;
}

void
blob_begin(RequestObject *request, enum csq_blob_action action)
{
    request->job.with.blob.action = action;
    request->job.with.blob.blob = &((BlobObject *)request->target)->rest->blob;
}

/* -- opening, moving and closing ---------------------------------------------- */

PyDoc_STRVAR(
    reopen_doc,
    "reopen($self, rowid, /)\n--\n\n"
    "Go to another row of the same column; the position is 0 and the length the new one.\n\n"
    "It is quicker than opening another blob. When it fails, OperationalError, the blob\n"
    "has no row any more and can only be closed. As apsw's Blob.reopen();\n"
    "sqlite3_blob_reopen().");

static int
fill_reopen(RequestObject *request, PyObject *const *values)
{
    blob_begin(request, CSQ_BLOB_REOPEN);
    return args_rowid(values[0], &request->job.with.blob.with.open.row);
}

static const struct request_hooks reopen_hooks = {.pack = plain_pack, .unpack = blob_unpack_none};

METHOD(blob_reopen) = {
    .args = ARGS_PLAIN("Blob.reopen", 1, "rowid"),
    .hooks = &reopen_hooks,
    .on = ON_PART,
    .op = CSQ_BLOB_TASK,
    .fill = fill_reopen,
};

static enum request_answer
exit_pack(RequestObject *request)
{
    if (blob_use(request) < 0) {
        return REQUEST_FAILED;
    }
    ((BlobObject *)request->target)->closed = true;
    return REQUEST_WAIT;
}

/* Unlike leaving a context, closing twice does nothing; but it comes behind the first time,
 * which may have been cancelled. */
static enum request_answer
close_pack(RequestObject *request)
{
    BlobObject *self = (BlobObject *)request->target;

    if (!self->closed) {
        return exit_pack(request);
    }
    if (check_connection(self) < 0) {
        return REQUEST_FAILED;
    }
    if (self->opened && !is_idle(self)) {
        request->line = &self->line;
        return connection_use(request, CONNECTION_DEFERRED) < 0 ? REQUEST_FAILED : REQUEST_WAIT;
    }
    request->result = Py_NewRef(Py_None);
    return REQUEST_READY;
}

static enum request_answer
close_unpack(RequestObject *request, int64_t slice_end)
{
    BlobObject *self = (BlobObject *)request->target;

    /* What a callback of the blob's own work has asked for was not done. */
    self->closed = request->job.error.code != CSQ_USAGE;
    self->opened = !self->closed;
    return blob_unpack_none(request, slice_end);
}

PyDoc_STRVAR(close_doc,
             "close($self, /)\n--\n\n"
             "Close the blob. Outside a transaction, this commits what was written.\n\n"
             "Raises OperationalError when that commit fails, and what was written is undone;\n"
             "sqlite3 does not tell. sqlite3_blob_close().");

static const struct request_hooks close_hooks = {
    .pack = close_pack, .unpack = close_unpack, .ending = true};

static int
fill_close(RequestObject *request, PyObject *const *values)
{
    (void)values;
    blob_begin(request, CSQ_BLOB_CLOSE);
    return 0;
}

METHOD(blob_close) = {
    .args = ARGS_NONE("Blob.close"),
    .hooks = &close_hooks,
    .on = ON_PART,
    .op = CSQ_BLOB_TASK,
    .fill = fill_close,
};

PyDoc_STRVAR(aenter_doc, "__aenter__($self, /)\n--\n\nGive the blob itself.");

static PyObject *
blob_aenter(BlobObject *self, PyObject *unused)
{
    (void)unused;
    return ready_new(&self->connection->state->bridge,
                     check(self) < 0 ? NULL : Py_NewRef((PyObject *)self));
}

PyDoc_STRVAR(aexit_doc, "__aexit__($self, exc_type, exc, tb, /)\n--\n\n"
                        "Close the blob; ProgrammingError when it is closed already.");

static const struct request_hooks exit_hooks = {
    .pack = exit_pack, .unpack = close_unpack, .ending = true};

static const struct method exit_row = {
    .args = ARGS_NONE("Blob.__aexit__"),
    .hooks = &exit_hooks,
    .on = ON_PART,
    .op = CSQ_BLOB_TASK,
    .fill = fill_close,
};

static PyObject *
blob_leave(PyObject *self)
{
    return method_call(&exit_row, self, NULL, 0, NULL);
}

static PyObject *
blob_aexit(PyObject *self, PyObject *args)
{
    (void)args;
    return blob_leave(self);
}

/* Worker thread, or whoever is left when there is none. */
static void
release_rest(struct csq_job *job)
{
    struct blob_rest *rest = csq_item(job, struct blob_rest, farewell);

    csq_job_clear(&rest->farewell);
    csq_free(rest);
}

/* Lets the worker close the blob, in its turn. False: it is not open, or there is no worker. */
static bool
push_farewell(BlobObject *self)
{
    struct blob_rest *rest = self->rest;

    csq_job_init(&rest->farewell, CSQ_BLOB_TASK);
    rest->farewell.with.blob.action = CSQ_BLOB_CLOSE;
    rest->farewell.with.blob.blob = &rest->blob;
    rest->farewell.release = release_rest;
    return self->opened &&
           self->connection->executor->verbs->push(self->connection->executor, &rest->farewell);
}

/* A blob that is let go open is closed by the worker, in its turn. */
static void
drop_rest(BlobObject *self)
{
    struct blob_rest *rest = self->rest;

    if (rest == NULL || self->connection->forked) {
        self->rest = NULL;
        return;
    }
    if (!push_farewell(self)) {
        release_rest(&rest->farewell);
    }
    self->rest = NULL;
}

/* Nobody gets the blob: it is closed before anything that is asked from now on. */
static void
open_abandon(RequestObject *request)
{
    BlobObject *self = (BlobObject *)request->target;

    if (self->rest != NULL && !self->connection->forked && push_farewell(self)) {
        self->rest = NULL;
    }
}

static enum request_answer
open_pack(RequestObject *request)
{
    BlobObject *self = (BlobObject *)request->target;

    if (connection_use(request, CONNECTION_DIRECT) < 0) {
        return REQUEST_FAILED;
    }
    self->opened = true;
    return REQUEST_WAIT;
}

static enum request_answer
open_unpack(RequestObject *request, int64_t slice_end)
{
    BlobObject *self = (BlobObject *)request->target;

    (void)slice_end;
    if (errors_check(self->connection->state, request) < 0) {
        self->opened = false;
        return REQUEST_FAILED;
    }
    request->result = Py_NewRef((PyObject *)self);
    return REQUEST_READY;
}

static BlobObject *
blob_new(ConnectionObject *connection)
{
    PyTypeObject *type = connection->state->blob_type;
    BlobObject *self = (BlobObject *)type->tp_alloc(type, 0);

    if (self == NULL) {
        return NULL;
    }
    self->connection = (ConnectionObject *)Py_NewRef((PyObject *)connection);
    line_init(&self->line);
    self->rest = csq_malloc(sizeof *self->rest);
    if (self->rest == NULL) {
        Py_DECREF(self);
        PyErr_NoMemory();
        return NULL;
    }
    csq_blob_init(&self->rest->blob);
    return self;
}

/* Makes the blob, and fills in its place. */
static int
fill_open(RequestObject *request, PyObject *const *values)
{
    struct csq_blob_task *task = &request->job.with.blob;
    const struct blob_call *call = REQUEST_PAYLOAD(request, struct blob_call);

    request->target = (PyObject *)blob_new((ConnectionObject *)request->owner);
    if (request->target == NULL) {
        return -1;
    }
    blob_begin(request, CSQ_BLOB_OPEN);
    task->with.open.row = call->row;
    task->with.open.writable = !call->readonly;
    task->with.open.table = args_text(values[0], "blobopen", "1");
    if (task->with.open.table == NULL) {
        return -1;
    }
    task->with.open.column = args_text(values[1], "blobopen", "2");
    if (task->with.open.column == NULL) {
        return -1;
    }
    task->with.open.schema =
        values[4] == NULL ? "main" : args_text(values[4], "blobopen", "'name'");
    return task->with.open.schema == NULL ? -1 : 0;
}

static const struct request_hooks open_hooks = {
    .pack = open_pack, .unpack = open_unpack, .abandon = open_abandon, .leave = blob_leave};

static const char blobopen_doc[] =
    "blobopen($self, table, column, rowid, /, *, readonly=False, name='main')\n--\n\n"
    "Open the BLOB or TEXT value in one row for reading and writing in pieces; gives a Blob.\n\n"
    "table, column, name: str; name is the schema. rowid: int. readonly: do not allow\n"
    "write(). `async with` closes the blob at the end. As sqlite3's Connection.blobopen();\n"
    "sqlite3_blob_open(). Raises OperationalError when there is no such table, column or\n"
    "row, when the value is neither BLOB nor TEXT, or when the column cannot be written.";

METHOD(connection_blobopen) = {
    .args = ARGS("Connection.blobopen", 3, 3, 3, "table", "column", "rowid", "readonly", "name"),
    .hooks = &open_hooks,
    .op = CSQ_BLOB_TASK,
    .objects = 3,
    .takes = {TAKE(OBJECT, struct blob_call, data), TAKE(OBJECT, struct blob_call, column),
              TAKE(ROWID, struct blob_call, row), TAKE(TRUTH, struct blob_call, readonly),
              TAKE(OBJECT, struct blob_call, schema)},
    .fill = fill_open,
};

PyMethodDef blob_methods[] = {
    METHOD_ENTRY("blobopen", connection_blobopen, blobopen_doc),
    {NULL, NULL, 0, NULL},
};

/* -- the type ----------------------------------------------------------------- */

static Py_ssize_t
blob_len(BlobObject *self)
{
    return check(self) < 0 ? -1 : atomic_load(&self->rest->blob.size);
}

static int
blob_traverse(BlobObject *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->connection);
    Py_VISIT(self->hold);
    return 0;
}

/* The connection stays until the end. */
static int
blob_clear(BlobObject *self)
{
    Py_CLEAR(self->hold);
    return 0;
}

static void
blob_dealloc(BlobObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    drop_rest(self);
    (void)blob_clear(self);
    Py_CLEAR(self->connection);
    type->tp_free(self);
    Py_DECREF(type);
}

/* What an assignment cannot do is wait. */
static int
blob_ass_subscript(BlobObject *self, PyObject *key, PyObject *value)
{
    (void)self;
    if (value != NULL) {
        PyErr_SetString(PyExc_TypeError, "Blob doesn't support item assignment, which cannot be "
                                         "awaited: use 'await blob.set(key, value)'");
    } else if (PySlice_Check(key)) {
        PyErr_SetString(PyExc_TypeError, "Blob doesn't support slice deletion");
    } else {
        PyErr_SetString(PyExc_TypeError, "Blob doesn't support item deletion");
    }
    return -1;
}

static PyMethodDef type_methods[] = {
    METHOD_ENTRY("reopen", blob_reopen, reopen_doc),
    METHOD_ENTRY("close", blob_close, close_doc),
    {"__aenter__", (PyCFunction)blob_aenter, METH_NOARGS, aenter_doc},
    {"__aexit__", (PyCFunction)blob_aexit, METH_VARARGS, aexit_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef type_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(BlobObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    type_doc,
    "One BLOB or TEXT value, read and written in pieces: what blobopen() gives.\n\n"
    "Methods are those of sqlite3.Blob, awaited. `await blob[i]` is a byte as an int and\n"
    "`await blob[a:b]` bytes; `await blob.set(key, value)` writes there. len(blob) needs\n"
    "no waiting. `async with` closes it at the end.");

static PyType_Slot type_slots[] = {
    {Py_tp_doc, (void *)type_doc},
    {Py_tp_traverse, blob_traverse},
    {Py_tp_clear, blob_clear},
    {Py_tp_dealloc, blob_dealloc},
    {Py_tp_methods, type_methods},
    {Py_tp_members, type_members},
    {Py_tp_repr, blob_repr},
    {Py_mp_length, blob_len},
    {Py_mp_subscript, blob_subscript},
    {Py_mp_ass_subscript, blob_ass_subscript},
    {0, NULL},
};

static PyType_Spec type_spec = {
    .name = "csqlite.Blob",
    .basicsize = sizeof(BlobObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = type_slots,
};

int
blob_init_type(struct module_state *state, PyObject *module)
{
    state->blob_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &type_spec, NULL);
    if (state->blob_type == NULL) {
        return -1;
    }
    compat_forbid_new(state->blob_type);
    if (method_add(state->blob_type, blob_data_methods) < 0 ||
        method_add(state->blob_type, blob_position_methods) < 0) {
        return -1;
    }
    return PyModule_AddObject(module, "Blob", Py_NewRef((PyObject *)state->blob_type));
}
