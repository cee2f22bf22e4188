/* What stands in a blob: reading and writing from the position on, and by index or
 * slice.
 *
 * What is read goes into a bytes object that is made beforehand, as large as it
 * should be, and what is written is taken out of the caller's buffer: the loop copies
 * neither. */

#include "binding/blob.h"

#include "binding/method.h"

/* -- reading ------------------------------------------------------------------ */

/* Makes the bytes that the worker reads into: as many as it will be, unless another
 * job of the blob is under way. Then it is a guess. */
static enum request_answer
lend_room(RequestObject *request, Py_ssize_t size)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, size);

    if (bytes == NULL) {
        return REQUEST_FAILED;
    }
    Py_XSETREF(REQUEST_PAYLOAD(request, struct blob_call)->data, bytes);
    request->job.with.blob.into = PyBytes_AS_STRING(bytes);
    request->job.with.blob.room = (size_t)size;
    return REQUEST_WAIT;
}

/* Gives the bytes that were read, in the one or the other place. */
static PyObject *
take_bytes(RequestObject *request)
{
    const struct csq_blob_task *task = &request->job.with.blob;
    struct blob_call *call = REQUEST_PAYLOAD(request, struct blob_call);
    PyObject *bytes = call->data;

    if (task->own != NULL) {
        return PyBytes_FromStringAndSize(task->own, task->got);
    }
    call->data = NULL;
    if (PyBytes_GET_SIZE(bytes) != task->got) {
        _PyBytes_Resize(&bytes, task->got);
    }
    return bytes;
}

static enum request_answer
bytes_unpack(RequestObject *request, int64_t slice_end)
{
    (void)slice_end;
    if (blob_check(request) < 0) {
        return REQUEST_FAILED;
    }
    request->result = take_bytes(request);
    return request->result == NULL ? REQUEST_FAILED : REQUEST_READY;
}

static enum request_answer
read_pack(RequestObject *request)
{
    BlobObject *self = (BlobObject *)request->target;
    const struct csq_blob *blob = &self->rest->blob;
    int length = request->job.with.blob.with.length;
    int rest = atomic_load(&blob->size) - atomic_load(&blob->offset);

    if (blob_use(request) < 0) {
        return REQUEST_FAILED;
    }
    rest = rest < 0 ? 0 : rest;
    return lend_room(request, length < 0 || length > rest ? rest : length);
}

PyDoc_STRVAR(
    read_doc,
    "read($self, length=-1, /)\n--\n\n"
    "Read `length` bytes from the position on (negative: all) and move it behind them.\n\n"
    "Gives bytes, fewer at the end. A cancelled read leaves the position where it was,\n"
    "unless it was done already. As sqlite3's Blob.read(); sqlite3_blob_read().\n"
    "Raises OperationalError (\"query aborted\") when the row is gone or changed.");

static int
fill_read(RequestObject *request, PyObject *const *values)
{
    blob_begin(request, CSQ_BLOB_READ);
    request->job.with.blob.with.length = -1;
    return values[0] == NULL ? 0 : args_int(values[0], &request->job.with.blob.with.length);
}

static const struct request_hooks read_hooks = {.pack = read_pack, .unpack = bytes_unpack};

METHOD(blob_read) = {
    .args = ARGS_PLAIN("Blob.read", 0, "length"),
    .hooks = &read_hooks,
    .on = ON_PART,
    .op = CSQ_BLOB_TASK,
    .objects = 1,
    .fill = fill_read,
};

/* -- writing ------------------------------------------------------------------ */

static enum request_answer
write_pack(RequestObject *request)
{
    struct csq_blob_task *task = &request->job.with.blob;

    if (blob_use(request) < 0) {
        return REQUEST_FAILED;
    }
    args_lend(REQUEST_PAYLOAD(request, struct blob_call)->data, &task->data, &task->data_size);
    return REQUEST_WAIT;
}

PyDoc_STRVAR(
    write_doc,
    "write($self, data, /)\n--\n\n"
    "Write `data`, a bytes-like object, at the position and move it behind.\n\n"
    "A blob keeps its length: ValueError when there is not so much room. The object must\n"
    "not be changed meanwhile. A write that has begun is done even when it is cancelled.\n"
    "As sqlite3's Blob.write(); sqlite3_blob_write().");

static int
fill_write(RequestObject *request, PyObject *const *values)
{
    struct blob_call *call = REQUEST_PAYLOAD(request, struct blob_call);

    blob_begin(request, CSQ_BLOB_WRITE);
    call->data = args_buffer(values[0]);
    return call->data == NULL ? -1 : 0;
}

static const struct request_hooks write_hooks = {.pack = write_pack, .unpack = blob_unpack_none};

METHOD(blob_write) = {
    .args = ARGS_PLAIN("Blob.write", 1, "data"),
    .hooks = &write_hooks,
    .on = ON_PART,
    .op = CSQ_BLOB_TASK,
    .objects = 1,
    .fill = fill_write,
};

/* -- slices ------------------------------------------------------------------- */

/* Reads what stands in brackets: an index or a slice. */
static int
take_key(RequestObject *request, PyObject *key)
{
    struct csq_blob_task *task = &request->job.with.blob;
    Py_ssize_t start;
    Py_ssize_t stop = 0;
    Py_ssize_t step = 0;

    if (PyIndex_Check(key)) {
        start = PyNumber_AsSsize_t(key, PyExc_IndexError);
        if (start == -1 && PyErr_Occurred()) {
            return -1;
        }
    } else if (!PySlice_Check(key)) {
        PyErr_SetString(PyExc_TypeError, "Blob indices must be integers");
        return -1;
    } else if (PySlice_Unpack(key, &start, &stop, &step) < 0) {
        return -1;
    }
    task->with.slice.start = start;
    task->with.slice.stop = stop;
    task->with.slice.step = step;
    return 0;
}

static enum request_answer
get_pack(RequestObject *request)
{
    const struct csq_blob_task *task = &request->job.with.blob;
    Py_ssize_t start = (Py_ssize_t)task->with.slice.start;
    Py_ssize_t stop = (Py_ssize_t)task->with.slice.stop;
    Py_ssize_t step = (Py_ssize_t)task->with.slice.step;
    Py_ssize_t size = atomic_load(&task->blob->size);

    if (blob_use(request) < 0) {
        return REQUEST_FAILED;
    }
    return lend_room(request, step == 0 ? 1 : PySlice_AdjustIndices(size, &start, &stop, step));
}

static enum request_answer
get_unpack(RequestObject *request, int64_t slice_end)
{
    PyObject *byte;

    if (request->job.with.blob.with.slice.step != 0) {
        return bytes_unpack(request, slice_end);
    }
    if (blob_check(request) < 0) {
        return REQUEST_FAILED;
    }
    byte = REQUEST_PAYLOAD(request, struct blob_call)->data;
    request->result = PyLong_FromLong((unsigned char)*PyBytes_AS_STRING(byte));
    return request->result == NULL ? REQUEST_FAILED : REQUEST_READY;
}

static int
fill_get(RequestObject *request, PyObject *const *values)
{
    blob_begin(request, CSQ_BLOB_GET);
    return take_key(request, values[0]) < 0 ? blob_mistake(request) : 0;
}

static const struct request_hooks get_hooks = {.pack = get_pack, .unpack = get_unpack};

static const struct method get_row = {
    .args = ARGS_PLAIN("Blob.__getitem__", 1, "key"),
    .hooks = &get_hooks,
    .on = ON_PART,
    .op = CSQ_BLOB_TASK,
    .objects = 1,
    .fill = fill_get,
};

PyObject *
blob_subscript(PyObject *self, PyObject *key)
{
    return method_call(&get_row, self, &key, 1, NULL);
}

/* The one byte that an int stands for. */
static PyObject *
take_byte(PyObject *value)
{
    int overflow;
    long number;
    char byte;

    if (!PyLong_Check(value)) {
        PyErr_Format(PyExc_TypeError, "'%.200s' object cannot be interpreted as an integer",
                     Py_TYPE(value)->tp_name);
        return NULL;
    }
    number = PyLong_AsLongAndOverflow(value, &overflow);
    if (overflow != 0 || number < 0 || number > 255) {
        PyErr_SetString(PyExc_ValueError, "byte must be in range(0, 256)");
        return NULL;
    }
    byte = (char)number;
    return PyBytes_FromStringAndSize(&byte, 1);
}

PyDoc_STRVAR(
    set_doc,
    "set($self, key, value, /)\n--\n\n"
    "Write at an index or a slice: what blob[key] = value is for a sqlite3.Blob.\n\n"
    "key: an int, or a slice such as slice(4, 8). value: for an int one in range(256), for\n"
    "a slice a bytes-like object of its length. The position stays. Reading is\n"
    "`await blob[key]`. Raises IndexError for an index outside or a wrong length.");

static int
fill_set(RequestObject *request, PyObject *const *values)
{
    struct blob_call *call = REQUEST_PAYLOAD(request, struct blob_call);

    blob_begin(request, CSQ_BLOB_SET);
    if (take_key(request, values[0]) < 0) {
        return blob_mistake(request);
    }
    call->data = PySlice_Check(values[0]) ? args_buffer(values[1]) : take_byte(values[1]);
    return call->data == NULL ? blob_mistake(request) : 0;
}

METHOD(blob_set) = {
    .args = ARGS_PLAIN("Blob.set", 2, "key", "value"),
    .hooks = &write_hooks,
    .on = ON_PART,
    .op = CSQ_BLOB_TASK,
    .objects = 1,
    .fill = fill_set,
};

PyMethodDef blob_data_methods[] = {
    METHOD_ENTRY("read", blob_read, read_doc),
    METHOD_ENTRY("write", blob_write, write_doc),
    METHOD_ENTRY("set", blob_set, set_doc),
    {NULL, NULL, 0, NULL},
};

PyObject *
blob_repr(BlobObject *self)
{
    const struct csq_blob *blob = self->rest == NULL ? NULL : &self->rest->blob;

    if (self->closed || !self->opened || blob == NULL || self->connection == NULL ||
        self->connection->stage != CONNECTION_OPEN) {
        return PyUnicode_FromFormat("<csqlite.Blob object, closed, at %p>", self);
    }
    return PyUnicode_FromFormat("<csqlite.Blob object of %d bytes, position %d, at %p>",
                                (int)atomic_load(&blob->size), (int)atomic_load(&blob->offset),
                                self);
}
