/* The Blob type: opening, the position, closing. Its position and its size are the
 * worker's, and every method takes its turn there; but while nothing of a blob is
 * under way, what needs no SQLite is answered at once. */

#include "binding/blob.h"

#include <structmember.h>

#include "binding/args.h"
#include "binding/errors.h"
#include "bridge/ready.h"
#include "engine/alloc.h"

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
    request->counter = &self->under_way;
    return 0;
}

static bool
is_idle(const BlobObject *self)
{
    return self->under_way == 0;
}

/* Raises what the task was refused for. 0: it was not. */
static int
check_refusal(const struct csq_blob_task *task)
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
    return check_refusal(&request->job.with.blob);
}

static enum request_answer
plain_pack(RequestObject *request)
{
    return blob_use(request) < 0 ? REQUEST_FAILED : REQUEST_WAIT;
}

enum request_answer
blob_unpack_none(RequestObject *request, int64_t deadline)
{
    (void)deadline;
    Py_CLEAR(request->arguments[0]);
    if (blob_check(request) < 0) {
        return REQUEST_FAILED;
    }
    request->result = Py_NewRef(Py_None);
    return REQUEST_READY;
}

PyObject *
blob_drop(RequestObject *request)
{
    request->stage = REQUEST_DONE;
    Py_DECREF(request);
    return NULL;
}

PyObject *
blob_mistake(RequestObject *request)
{
    PyObject *mistake = compat_take_exception();

    if (check((BlobObject *)request->target) == 0) {
        compat_give_exception(mistake);
    } else {
        Py_DECREF(mistake);
    }
    return blob_drop(request);
}

RequestObject *
blob_request(BlobObject *self, const struct request_hooks *hooks, enum csq_blob_action action)
{
    RequestObject *request =
        connection_request(self->connection, hooks, CSQ_BLOB_TASK, (PyObject *)self);

    if (request != NULL) {
        request->job.with.blob.action = action;
        request->job.with.blob.blob = &self->rest->blob;
    }
    return request;
}

/* -- the position and the length ---------------------------------------------- */

static enum request_answer
seek_pack(RequestObject *request)
{
    if (blob_use(request) < 0) {
        return REQUEST_FAILED;
    }
    if (!is_idle((BlobObject *)request->target)) {
        return REQUEST_WAIT;
    }
    csq_blob_seek(&request->job.with.blob);
    if (check_refusal(&request->job.with.blob) < 0) {
        return REQUEST_FAILED;
    }
    request->result = Py_NewRef(Py_None);
    return REQUEST_READY;
}

PyDoc_STRVAR(seek_doc,
             "seek($self, offset, origin=0, /)\n--\n\n"
             "Move the position to `offset` bytes from `origin`: os.SEEK_SET, os.SEEK_CUR\n"
             "or os.SEEK_END.\n\n"
             "Raises ValueError for a position that is not in the blob. As sqlite3's\n"
             "Blob.seek().");

static PyObject *
blob_seek(BlobObject *self, PyObject *args)
{
    static const struct request_hooks hooks = {
        .name = "Blob.seek", .pack = seek_pack, .unpack = blob_unpack_none};
    PyObject *values[2] = {NULL, NULL};
    int offset;
    int origin = SEEK_SET;
    RequestObject *request;

    if (!PyArg_UnpackTuple(args, "seek", 1, 2, &values[0], &values[1]) ||
        args_int(values[0], &offset) < 0 ||
        (values[1] != NULL && args_int(values[1], &origin) < 0)) {
        return NULL;
    }
    request = blob_request(self, &hooks, CSQ_BLOB_SEEK);
    if (request != NULL && origin != SEEK_SET && origin != SEEK_CUR && origin != SEEK_END) {
        PyErr_SetString(PyExc_ValueError,
                        "'origin' should be os.SEEK_SET, os.SEEK_CUR, or os.SEEK_END");
        return blob_mistake(request);
    }
    if (request != NULL) {
        request->job.with.blob.with.seek.offset = offset;
        request->job.with.blob.with.seek.whence = origin;
    }
    return (PyObject *)request;
}

/* For tell() and length(). */
static enum request_answer
number_pack(RequestObject *request)
{
    BlobObject *self = (BlobObject *)request->target;
    const struct csq_blob *blob = &self->rest->blob;
    bool tell = request->job.with.blob.action == CSQ_BLOB_TELL;

    if (blob_use(request) < 0) {
        return REQUEST_FAILED;
    }
    if (!is_idle(self)) {
        return REQUEST_WAIT;
    }
    request->result = PyLong_FromLong(atomic_load(tell ? &blob->offset : &blob->size));
    return request->result == NULL ? REQUEST_FAILED : REQUEST_READY;
}

static enum request_answer
number_unpack(RequestObject *request, int64_t deadline)
{
    (void)deadline;
    if (blob_check(request) < 0) {
        return REQUEST_FAILED;
    }
    request->result = PyLong_FromLong(request->job.with.blob.got);
    return request->result == NULL ? REQUEST_FAILED : REQUEST_READY;
}

PyDoc_STRVAR(tell_doc, "tell($self, /)\n--\n\n"
                       "Give the position, in bytes. As sqlite3's Blob.tell().");

static PyObject *
blob_tell(BlobObject *self, PyObject *unused)
{
    static const struct request_hooks hooks = {
        .name = "Blob.tell", .pack = number_pack, .unpack = number_unpack};

    (void)unused;
    return (PyObject *)blob_request(self, &hooks, CSQ_BLOB_TELL);
}

PyDoc_STRVAR(length_doc,
             "length($self, /)\n--\n\n"
             "Give the length in bytes, in its turn; len(blob) gives what is known now.\n\n"
             "As apsw's Blob.length(); sqlite3_blob_bytes().");

static PyObject *
blob_length(BlobObject *self, PyObject *unused)
{
    static const struct request_hooks hooks = {
        .name = "Blob.length", .pack = number_pack, .unpack = number_unpack};

    (void)unused;
    return (PyObject *)blob_request(self, &hooks, CSQ_BLOB_LENGTH);
}

static Py_ssize_t
blob_len(BlobObject *self)
{
    return check(self) < 0 ? -1 : atomic_load(&self->rest->blob.size);
}

/* -- opening, moving and closing ---------------------------------------------- */

PyDoc_STRVAR(
    reopen_doc,
    "reopen($self, rowid, /)\n--\n\n"
    "Go to another row of the same column; the position is 0 and the length the new one.\n\n"
    "It is quicker than opening another blob. When it fails, OperationalError, the blob\n"
    "has no row any more and can only be closed. As apsw's Blob.reopen();\n"
    "sqlite3_blob_reopen().");

static PyObject *
blob_reopen(BlobObject *self, PyObject *rowid)
{
    static const struct request_hooks hooks = {
        .name = "Blob.reopen", .pack = plain_pack, .unpack = blob_unpack_none};
    RequestObject *request;
    int64_t row;

    if (args_rowid(rowid, &row) < 0) {
        return NULL;
    }
    request = blob_request(self, &hooks, CSQ_BLOB_REOPEN);
    if (request != NULL) {
        request->job.with.blob.with.open.row = row;
    }
    return (PyObject *)request;
}

static enum request_answer
exit_pack(RequestObject *request)
{
    if (blob_use(request) < 0) {
        return REQUEST_FAILED;
    }
    ((BlobObject *)request->target)->closed = true;
    return REQUEST_WAIT;
}

/* Unlike leaving a context, closing twice does nothing. */
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
    request->result = Py_NewRef(Py_None);
    return REQUEST_READY;
}

static enum request_answer
close_unpack(RequestObject *request, int64_t deadline)
{
    BlobObject *self = (BlobObject *)request->target;

    /* What a callback of the blob's own work has asked for was not done. */
    self->closed = request->job.error.code != CSQ_USAGE;
    self->opened = !self->closed;
    return blob_unpack_none(request, deadline);
}

PyDoc_STRVAR(close_doc,
             "close($self, /)\n--\n\n"
             "Close the blob. Outside a transaction, this commits what was written.\n\n"
             "Raises OperationalError when that commit fails, and what was written is undone;\n"
             "sqlite3 does not tell. sqlite3_blob_close().");

static PyObject *
blob_close(BlobObject *self, PyObject *unused)
{
    static const struct request_hooks hooks = {
        .name = "Blob.close", .pack = close_pack, .unpack = close_unpack, .ending = true};

    (void)unused;
    return (PyObject *)blob_request(self, &hooks, CSQ_BLOB_CLOSE);
}

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

static PyObject *
blob_leave(PyObject *self)
{
    static const struct request_hooks hooks = {
        .name = "Blob.__aexit__", .pack = exit_pack, .unpack = close_unpack, .ending = true};

    return (PyObject *)blob_request((BlobObject *)self, &hooks, CSQ_BLOB_CLOSE);
}

static PyObject *
blob_aexit(BlobObject *self, PyObject *args)
{
    (void)args;
    return blob_leave((PyObject *)self);
}

static enum request_answer
open_pack(RequestObject *request)
{
    BlobObject *self = (BlobObject *)request->target;

    if (connection_use(request, CONNECTION_DIRECT) < 0) {
        return REQUEST_FAILED;
    }
    request->counter = &self->under_way;
    self->opened = true;
    return REQUEST_WAIT;
}

static enum request_answer
open_unpack(RequestObject *request, int64_t deadline)
{
    BlobObject *self = (BlobObject *)request->target;

    (void)deadline;
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
    self->rest = csq_malloc(sizeof *self->rest);
    if (self->rest == NULL) {
        Py_DECREF(self);
        PyErr_NoMemory();
        return NULL;
    }
    csq_blob_init(&self->rest->blob);
    return self;
}

/* Fills the task from (table, column, row, readonly, name), which arguments[] keep. */
static int
take_place(RequestObject *request, PyObject *const *values)
{
    struct csq_blob_task *task = &request->job.with.blob;
    int readonly = values[3] == NULL ? 0 : PyObject_IsTrue(values[3]);

    task->with.open.table = args_text(values[0], "blobopen", "1");
    if (task->with.open.table == NULL) {
        return -1;
    }
    task->with.open.column = args_text(values[1], "blobopen", "2");
    if (task->with.open.column == NULL || args_rowid(values[2], &task->with.open.row) < 0 ||
        readonly < 0) {
        return -1;
    }
    task->with.open.writable = readonly == 0;
    task->with.open.schema =
        values[4] == NULL ? "main" : args_text(values[4], "blobopen", "'name'");
    request->arguments[0] = Py_NewRef(values[0]);
    request->arguments[1] = Py_NewRef(values[1]);
    request->arguments[2] = Py_XNewRef(values[4]);
    return task->with.open.schema == NULL ? -1 : 0;
}

static const char blobopen_doc[] =
    "blobopen($self, table, column, rowid, /, *, readonly=False, name='main')\n--\n\n"
    "Open the BLOB or TEXT value in one row for reading and writing in pieces; gives a Blob.\n\n"
    "table, column, name: str; name is the schema. rowid: int. readonly: do not allow\n"
    "write(). `async with` closes the blob at the end. As sqlite3's Connection.blobopen();\n"
    "sqlite3_blob_open(). Raises OperationalError when there is no such table, column or\n"
    "row, when the value is neither BLOB nor TEXT, or when the column cannot be written.";

static PyObject *
connection_blobopen(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames)
{
    static const char *const names[] = {"table", "column", "rowid", "readonly", "name"};
    static const struct args_spec spec = {"blobopen", 5, 3, 3, names, 3};
    static const struct request_hooks hooks = {.name = "Connection.blobopen",
                                               .pack = open_pack,
                                               .unpack = open_unpack,
                                               .leave = blob_leave};
    RequestObject *request;
    BlobObject *blob;
    PyObject *values[5];

    if (self->foreign != NULL) {
        return args_forward("blobopen", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    blob = blob_new(self);
    if (blob == NULL) {
        return NULL;
    }
    request = blob_request(blob, &hooks, CSQ_BLOB_OPEN);
    Py_DECREF(blob);
    if (request != NULL && take_place(request, values) < 0) {
        return blob_drop(request);
    }
    return (PyObject *)request;
}

PyMethodDef blob_methods[] = {
    {"blobopen", (PyCFunction)(void (*)(void))connection_blobopen, ARGS_FASTCALL, blobopen_doc},
    {NULL, NULL, 0, NULL},
};

/* -- the type ----------------------------------------------------------------- */

/* Worker thread, or whoever is left when there is none. */
static void
release_rest(struct csq_job *job)
{
    struct blob_rest *rest = csq_item(job, struct blob_rest, farewell);

    csq_job_clear(&rest->farewell);
    csq_free(rest);
}

/* A blob that is let go open is closed by the worker, in its turn. */
static void
drop_rest(BlobObject *self)
{
    struct blob_rest *rest = self->rest;

    self->rest = NULL;
    if (rest == NULL || self->connection->forked) {
        return;
    }
    csq_job_init(&rest->farewell, CSQ_BLOB_TASK);
    rest->farewell.with.blob.action = CSQ_BLOB_CLOSE;
    rest->farewell.with.blob.blob = &rest->blob;
    rest->farewell.release = release_rest;
    if (!self->opened || !csq_worker_push(self->connection->worker, &rest->farewell)) {
        release_rest(&rest->farewell);
    }
}

static int
blob_traverse(BlobObject *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->connection);
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

PyDoc_STRVAR(
    read_doc,
    "read($self, length=-1, /)\n--\n\n"
    "Read `length` bytes from the position on (negative: all) and move it behind them.\n\n"
    "Gives bytes, fewer at the end. A cancelled read leaves the position where it was,\n"
    "unless it was done already. As sqlite3's Blob.read(); sqlite3_blob_read().\n"
    "Raises OperationalError (\"query aborted\") when the row is gone or changed.");
PyDoc_STRVAR(
    write_doc,
    "write($self, data, /)\n--\n\n"
    "Write `data`, a bytes-like object, at the position and move it behind.\n\n"
    "A blob keeps its length: ValueError when there is not so much room. The object must\n"
    "not be changed meanwhile. A write that has begun is done even when it is cancelled.\n"
    "As sqlite3's Blob.write(); sqlite3_blob_write().");
PyDoc_STRVAR(
    set_doc,
    "set($self, key, value, /)\n--\n\n"
    "Write at an index or a slice: what blob[key] = value is for a sqlite3.Blob.\n\n"
    "key: an int, or a slice such as slice(4, 8). value: for an int one in range(256), for\n"
    "a slice a bytes-like object of its length. The position stays. Reading is\n"
    "`await blob[key]`. Raises IndexError for an index outside or a wrong length.");

static PyMethodDef type_methods[] = {
    {"read", (PyCFunction)blob_read, METH_VARARGS, read_doc},
    {"write", (PyCFunction)blob_write, METH_O, write_doc},
    {"seek", (PyCFunction)blob_seek, METH_VARARGS, seek_doc},
    {"tell", (PyCFunction)blob_tell, METH_NOARGS, tell_doc},
    {"length", (PyCFunction)blob_length, METH_NOARGS, length_doc},
    {"set", (PyCFunction)blob_set, METH_VARARGS, set_doc},
    {"reopen", (PyCFunction)blob_reopen, METH_O, reopen_doc},
    {"close", (PyCFunction)blob_close, METH_NOARGS, close_doc},
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
    {Py_tp_dealloc, blob_dealloc},
    {Py_tp_methods, type_methods},
    {Py_tp_members, type_members},
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
    return PyModule_AddObject(module, "Blob", Py_NewRef((PyObject *)state->blob_type));
}
