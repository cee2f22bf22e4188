/* Serializing. A database can be large, so the bytes that the worker gives are copied
 * into a bytes object slice by slice, as the rows of a large result are decoded. */

#include "binding/serialize.h"

#include "binding/errors.h"
#include "binding/method.h"
#include "engine/clock.h"
#include "engine/native.h"
#include "engine/serialize.h"

/* How much is copied before the clock is looked at: some microseconds' worth. */
enum { PIECE = 64 * 1024 };

/* What the worker gives: in a capsule, which frees it. */
struct image {
    unsigned char *bytes;
    sqlite3_int64 size;
};

static void
free_image(PyObject *capsule)
{
    struct image *image = PyCapsule_GetPointer(capsule, NULL);

    sqlite3_free(image->bytes);
    PyMem_Free(image);
}

static PyObject *
new_image(void)
{
    struct image *image = PyMem_Calloc(1, sizeof *image);
    PyObject *capsule;

    if (image == NULL) {
        return PyErr_NoMemory();
    }
    capsule = PyCapsule_New(image, NULL, free_image);
    if (capsule == NULL) {
        PyMem_Free(image);
    }
    return capsule;
}

struct serialize_call {
    PyObject *name;    /* of the schema; NULL: "main" */
    PyObject *capsule; /* of the image */
    PyObject *bytes;   /* as far as they are copied; NULL: not begun */
    Py_ssize_t copied;
};

struct deserialize_call {
    PyObject *name;
    PyObject *data; /* what holds the bytes: a str, or as args_buffer() says */
    size_t size;
};

/* -- to bytes ----------------------------------------------------------------- */

/* Worker thread. */
static int
run_serialize(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    struct image *image = job->with.host.argument;

    (void)handle;
    return csq_serialize(csq_native_db(request->executor), job->sql, &image->bytes, &image->size,
                         &job->error);
}

static enum request_answer
serialize_unpack(RequestObject *request, int64_t slice_end)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    struct serialize_call *call = REQUEST_PAYLOAD(request, struct serialize_call);
    const struct image *image = request->job.with.host.argument;

    if (errors_check(self->state, request) < 0) {
        return REQUEST_FAILED;
    }
    if (call->bytes == NULL) {
        call->bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)image->size);
        if (call->bytes == NULL) {
            return REQUEST_FAILED;
        }
    }
    while (call->copied < image->size) {
        Py_ssize_t rest = (Py_ssize_t)image->size - call->copied;
        Py_ssize_t piece = rest < PIECE ? rest : PIECE;

        memcpy(PyBytes_AS_STRING(call->bytes) + call->copied, image->bytes + call->copied,
               (size_t)piece);
        call->copied += piece;
        if (call->copied < image->size && csq_now() >= slice_end) {
            return REQUEST_AGAIN;
        }
    }
    request->result = call->bytes;
    call->bytes = NULL;
    Py_CLEAR(call->capsule);
    return REQUEST_READY;
}

static const char serialize_doc[] =
    "serialize($self, *, name='main')\n--\n\n"
    "Give the bytes of a database: what its file holds, or would hold.\n\n"
    "name: the schema, a str. As sqlite3's Connection.serialize(); sqlite3_serialize().\n"
    "Raises OperationalError when there is no such schema, NotSupportedError where the\n"
    "SQLite in use cannot do it.";

static int
fill_serialize(RequestObject *request, PyObject *const *values)
{
    struct serialize_call *call = REQUEST_PAYLOAD(request, struct serialize_call);

    call->capsule = new_image();
    if (call->capsule == NULL) {
        return -1;
    }
    request->job.with.host.argument = PyCapsule_GetPointer(call->capsule, NULL);
    return 0;
}

static const struct request_hooks serialize_hooks = {.pack = method_simple_pack,
                                                     .unpack = serialize_unpack};

METHOD(connection_serialize) = {
    .args = ARGS("Connection.serialize", 0, 0, 0, "name"),
    .hooks = &serialize_hooks,
    .objects = 3,
    .run = run_serialize,
    .takes = {TAKE(MAIN, struct serialize_call, name)},
    .fill = fill_serialize,
};

/* -- from bytes --------------------------------------------------------------- */

/* Worker thread. */
static int
run_deserialize(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    const struct deserialize_call *call = REQUEST_PAYLOAD(request, struct deserialize_call);
    const char *bytes = job->with.host.argument;

    (void)handle;
    return csq_deserialize(csq_native_db(request->executor), job->sql, bytes, call->size,
                           &job->error);
}

/* Lends the job the bytes, which the worker copies. */
static enum request_answer
deserialize_pack(RequestObject *request)
{
    struct deserialize_call *call = REQUEST_PAYLOAD(request, struct deserialize_call);
    const char *bytes;
    Py_ssize_t size;

    if (connection_use(request, CONNECTION_DIRECT) < 0) {
        return REQUEST_FAILED;
    }
    if (PyUnicode_Check(call->data)) {
        bytes = PyUnicode_AsUTF8AndSize(call->data, &size);
        if (bytes == NULL) {
            return REQUEST_FAILED;
        }
        call->size = (size_t)size;
    } else {
        args_lend(call->data, &bytes, &call->size);
    }
    request->job.with.host.argument = (void *)bytes;
    return REQUEST_WAIT;
}

static enum request_answer
deserialize_unpack(RequestObject *request, int64_t slice_end)
{
    Py_CLEAR(REQUEST_PAYLOAD(request, struct deserialize_call)->data);
    return method_simple_unpack(request, slice_end);
}

static const char deserialize_doc[] =
    "deserialize($self, data, /, *, name='main')\n--\n\n"
    "Replace a database by one in memory that has the content `data`.\n\n"
    "data: a bytes-like object, as from serialize(); it is copied. name: the schema, a str.\n"
    "As sqlite3's Connection.deserialize(); sqlite3_deserialize(). Raises OperationalError\n"
    "(\"database is locked\") in a transaction, while a cursor or a blob is open on the\n"
    "schema, or while it is copied by backup(). Whether `data` is a database shows with the\n"
    "first statement: DatabaseError. Unlike sqlite3's, it takes what was serialized from a\n"
    "file with a write-ahead log.";

static int
fill_deserialize(RequestObject *request, PyObject *const *values)
{
    struct deserialize_call *call = REQUEST_PAYLOAD(request, struct deserialize_call);

    call->data = PyUnicode_Check(values[0]) ? Py_NewRef(values[0]) : args_buffer(values[0]);
    return call->data == NULL ? -1 : 0;
}

static const struct request_hooks deserialize_hooks = {.pack = deserialize_pack,
                                                       .unpack = deserialize_unpack};

METHOD(connection_deserialize) = {
    .args = ARGS("Connection.deserialize", 1, 1, 1, "data", "name"),
    .hooks = &deserialize_hooks,
    .objects = 2,
    .run = run_deserialize,
    .takes = {{TAKE_NOTHING}, TAKE(MAIN, struct deserialize_call, name)},
    .fill = fill_deserialize,
};

PyMethodDef serialize_methods[] = {
    METHOD_ENTRY("serialize", connection_serialize, serialize_doc),
    METHOD_ENTRY("deserialize", connection_deserialize, deserialize_doc),
    {NULL, NULL, 0, NULL},
};
