/* Where a blob stands and how long it is. Both are the worker's; but while nothing of the blob
 * is under way, they are here to be read. */

#include "binding/blob.h"

#include "binding/method.h"

/* -- the position -------------------------------------------------------------- */

static enum request_answer
seek_pack(RequestObject *request)
{
    if (blob_use(request) < 0) {
        return REQUEST_FAILED;
    }
    if (!line_is_idle(&((BlobObject *)request->target)->line)) {
        return REQUEST_WAIT;
    }
    csq_blob_seek(&request->job.with.blob);
    if (blob_check_refusal(&request->job.with.blob) < 0) {
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

static int
fill_seek(RequestObject *request, PyObject *const *values)
{
    struct csq_blob_task *task = &request->job.with.blob;

    blob_begin(request, CSQ_BLOB_SEEK);
    task->with.seek.whence = SEEK_SET;
    if (args_int(values[0], &task->with.seek.offset) < 0 ||
        (values[1] != NULL && args_int(values[1], &task->with.seek.whence) < 0)) {
        return -1;
    }
    if (task->with.seek.whence != SEEK_SET && task->with.seek.whence != SEEK_CUR &&
        task->with.seek.whence != SEEK_END) {
        PyErr_SetString(PyExc_ValueError,
                        "'origin' should be os.SEEK_SET, os.SEEK_CUR, or os.SEEK_END");
        return blob_mistake(request);
    }
    return 0;
}

static const struct request_hooks seek_hooks = {.pack = seek_pack, .unpack = blob_unpack_none};

METHOD(blob_seek) = {
    .args = ARGS_PLAIN("Blob.seek", 1, "offset", "origin"),
    .hooks = &seek_hooks,
    .on = ON_PART,
    .op = CSQ_BLOB_TASK,
    .fill = fill_seek,
};

/* -- the position and the length, told ------------------------------------------- */

static enum request_answer
number_pack(RequestObject *request)
{
    BlobObject *self = (BlobObject *)request->target;
    const struct csq_blob *blob = &self->rest->blob;
    bool tell = request->job.with.blob.action == CSQ_BLOB_TELL;

    if (blob_use(request) < 0) {
        return REQUEST_FAILED;
    }
    if (!line_is_idle(&self->line)) {
        return REQUEST_WAIT;
    }
    request->result = PyLong_FromLong(atomic_load(tell ? &blob->offset : &blob->size));
    return request->result == NULL ? REQUEST_FAILED : REQUEST_READY;
}

static enum request_answer
number_unpack(RequestObject *request, int64_t slice_end)
{
    (void)slice_end;
    if (blob_check(request) < 0) {
        return REQUEST_FAILED;
    }
    request->result = PyLong_FromLong(request->job.with.blob.got);
    return request->result == NULL ? REQUEST_FAILED : REQUEST_READY;
}

PyDoc_STRVAR(tell_doc, "tell($self, /)\n--\n\n"
                       "Give the position, in bytes. As sqlite3's Blob.tell().");

static const struct request_hooks number_hooks = {.pack = number_pack, .unpack = number_unpack};

static int
fill_tell(RequestObject *request, PyObject *const *values)
{
    (void)values;
    blob_begin(request, CSQ_BLOB_TELL);
    return 0;
}

METHOD(blob_tell) = {
    .args = ARGS_NONE("Blob.tell"),
    .hooks = &number_hooks,
    .on = ON_PART,
    .op = CSQ_BLOB_TASK,
    .fill = fill_tell,
};

PyDoc_STRVAR(length_doc,
             "length($self, /)\n--\n\n"
             "Give the length in bytes, in its turn; len(blob) gives what is known now.\n\n"
             "As apsw's Blob.length(); sqlite3_blob_bytes().");

static int
fill_length(RequestObject *request, PyObject *const *values)
{
    (void)values;
    blob_begin(request, CSQ_BLOB_LENGTH);
    return 0;
}

METHOD(blob_length) = {
    .args = ARGS_NONE("Blob.length"),
    .hooks = &number_hooks,
    .on = ON_PART,
    .op = CSQ_BLOB_TASK,
    .fill = fill_length,
};

PyMethodDef blob_position_methods[] = {
    METHOD_ENTRY("seek", blob_seek, seek_doc),
    METHOD_ENTRY("tell", blob_tell, tell_doc),
    METHOD_ENTRY("length", blob_length, length_doc),
    {NULL, NULL, 0, NULL},
};
