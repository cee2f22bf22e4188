/* What stands in a blob: reading and writing from the position on, and by index or
 * slice.
 *
 * What is read goes into a bytes object that is made beforehand, as large as it
 * should be, and what is written is taken out of the caller's buffer: the loop copies
 * neither. */

#include "binding/args.h"
#include "binding/blob.h"

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
    Py_XSETREF(request->arguments[0], bytes);
    request->job.with.blob.into = PyBytes_AS_STRING(bytes);
    request->job.with.blob.room = (size_t)size;
    return REQUEST_WAIT;
}

/* Gives the bytes that were read, in the one or the other place. */
static PyObject *
take_bytes(RequestObject *request)
{
    const struct csq_blob_task *task = &request->job.with.blob;
    PyObject *bytes = request->arguments[0];

    if (task->own != NULL) {
        return PyBytes_FromStringAndSize(task->own, task->got);
    }
    request->arguments[0] = NULL;
    if (PyBytes_GET_SIZE(bytes) != task->got) {
        _PyBytes_Resize(&bytes, task->got);
    }
    return bytes;
}

static enum request_answer
bytes_unpack(RequestObject *request, int64_t deadline)
{
    (void)deadline;
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

PyObject *
blob_read(BlobObject *self, PyObject *args)
{
    static const struct request_hooks hooks = {
        .name = "Blob.read", .pack = read_pack, .unpack = bytes_unpack};
    PyObject *value = NULL;
    RequestObject *request;
    int length = -1;

    if (!PyArg_UnpackTuple(args, "read", 0, 1, &value) ||
        (value != NULL && args_int(value, &length) < 0)) {
        return NULL;
    }
    request = blob_request(self, &hooks, CSQ_BLOB_READ);
    if (request != NULL) {
        request->job.with.blob.with.length = length;
    }
    return (PyObject *)request;
}

/* -- writing ------------------------------------------------------------------ */

/* Lends the task the bytes of arguments[0]. */
static void
lend_data(RequestObject *request)
{
    args_lend(request->arguments[0], &request->job.with.blob.data,
              &request->job.with.blob.data_size);
}

static enum request_answer
write_pack(RequestObject *request)
{
    if (blob_use(request) < 0) {
        return REQUEST_FAILED;
    }
    lend_data(request);
    return REQUEST_WAIT;
}

PyObject *
blob_write(BlobObject *self, PyObject *data)
{
    static const struct request_hooks hooks = {
        .name = "Blob.write", .pack = write_pack, .unpack = blob_unpack_none};
    PyObject *buffer = args_buffer(data);
    RequestObject *request;

    if (buffer == NULL) {
        return NULL;
    }
    request = blob_request(self, &hooks, CSQ_BLOB_WRITE);
    if (request == NULL) {
        Py_DECREF(buffer);
        return NULL;
    }
    request->arguments[0] = buffer;
    return (PyObject *)request;
}

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
get_unpack(RequestObject *request, int64_t deadline)
{
    PyObject *byte;

    if (request->job.with.blob.with.slice.step != 0) {
        return bytes_unpack(request, deadline);
    }
    if (blob_check(request) < 0) {
        return REQUEST_FAILED;
    }
    byte = request->arguments[0];
    request->result = PyLong_FromLong((unsigned char)*PyBytes_AS_STRING(byte));
    return request->result == NULL ? REQUEST_FAILED : REQUEST_READY;
}

PyObject *
blob_subscript(BlobObject *self, PyObject *key)
{
    static const struct request_hooks hooks = {
        .name = "Blob.__getitem__", .pack = get_pack, .unpack = get_unpack};
    RequestObject *request = blob_request(self, &hooks, CSQ_BLOB_GET);

    if (request != NULL && take_key(request, key) < 0) {
        return blob_mistake(request);
    }
    return (PyObject *)request;
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

PyObject *
blob_set(BlobObject *self, PyObject *args)
{
    static const struct request_hooks hooks = {
        .name = "Blob.set", .pack = write_pack, .unpack = blob_unpack_none};
    RequestObject *request;
    PyObject *key;
    PyObject *value;

    if (!PyArg_UnpackTuple(args, "set", 2, 2, &key, &value)) {
        return NULL;
    }
    request = blob_request(self, &hooks, CSQ_BLOB_SET);
    if (request == NULL) {
        return NULL;
    }
    if (take_key(request, key) < 0) {
        return blob_mistake(request);
    }
    request->arguments[0] = PySlice_Check(key) ? args_buffer(value) : take_byte(value);
    return request->arguments[0] == NULL ? blob_mistake(request) : (PyObject *)request;
}
