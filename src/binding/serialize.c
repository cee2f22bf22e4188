/* Serializing. A database can be large, so the bytes that the worker gives are copied
 * into a bytes object slice by slice, as the rows of a large result are decoded. */

#include "binding/serialize.h"

#include "binding/args.h"
#include "binding/errors.h"
#include "engine/clock.h"
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

/* The schema that is asked for: "main", or the str that is kept in arguments[1]. */
static int
take_name(RequestObject *request, PyObject *name, const char *method)
{
    request->job.sql = "main";
    if (name != NULL) {
        request->arguments[1] = Py_NewRef(name);
        request->job.sql = args_text(name, method, "'name'");
    }
    return request->job.sql == NULL ? -1 : 0;
}

static PyObject *
drop(RequestObject *request)
{
    request->stage = REQUEST_DONE;
    Py_DECREF(request);
    return NULL;
}

/* -- to bytes ----------------------------------------------------------------- */

/* Worker thread. */
static int
run_serialize(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    struct image *image = job->with.host.argument;

    (void)handle;
    return csq_serialize(&request->worker->db, job->sql, &image->bytes, &image->size,
                         &job->error);
}

static enum request_answer
serialize_unpack(RequestObject *request, int64_t deadline)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    const struct image *image = request->job.with.host.argument;

    if (errors_check(self->state, request) < 0) {
        return REQUEST_FAILED;
    }
    if (request->arguments[2] == NULL) {
        request->arguments[2] = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)image->size);
        if (request->arguments[2] == NULL) {
            return REQUEST_FAILED;
        }
    }
    while (request->number < image->size) {
        Py_ssize_t rest = (Py_ssize_t)image->size - request->number;
        Py_ssize_t piece = rest < PIECE ? rest : PIECE;

        memcpy(PyBytes_AS_STRING(request->arguments[2]) + request->number,
               image->bytes + request->number, (size_t)piece);
        request->number += piece;
        if (request->number < image->size && csq_now() >= deadline) {
            return REQUEST_AGAIN;
        }
    }
    request->result = request->arguments[2];
    request->arguments[2] = NULL;
    Py_CLEAR(request->arguments[0]);
    return REQUEST_READY;
}

static const char serialize_doc[] =
    "serialize($self, *, name='main')\n--\n\n"
    "Give the bytes of a database: what its file holds, or would hold.\n\n"
    "name: the schema, a str. As sqlite3's Connection.serialize(); sqlite3_serialize().\n"
    "Raises OperationalError when there is no such schema, NotSupportedError where the\n"
    "SQLite in use cannot do it.";

static PyObject *
connection_serialize(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames)
{
    static const char *const names[] = {"name"};
    static const struct args_spec spec = {"serialize", 1, 0, 0, names, 0};
    static const struct request_hooks hooks = {.name = "Connection.serialize",
                                               .pack = connection_simple_pack,
                                               .unpack = serialize_unpack};
    RequestObject *request;
    PyObject *name;

    if (self->foreign != NULL) {
        return args_forward("serialize", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, &name) < 0) {
        return NULL;
    }
    request = connection_request(self, &hooks, CSQ_APPLY, NULL);
    if (request == NULL) {
        return NULL;
    }
    request->arguments[0] = new_image();
    if (request->arguments[0] == NULL || take_name(request, name, spec.method) < 0) {
        return drop(request);
    }
    request->job.with.host.run = run_serialize;
    request->job.with.host.argument = PyCapsule_GetPointer(request->arguments[0], NULL);
    return (PyObject *)request;
}

/* -- from bytes --------------------------------------------------------------- */

/* Worker thread. */
static int
run_deserialize(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    const char *bytes = job->with.host.argument;

    (void)handle;
    return csq_deserialize(&request->worker->db, job->sql, bytes, (size_t)request->number,
                           &job->error);
}

/* Lends the job the bytes of arguments[0], which the worker copies. */
static enum request_answer
deserialize_pack(RequestObject *request)
{
    const char *bytes;
    size_t size;

    if (connection_use(request, CONNECTION_DIRECT) < 0) {
        return REQUEST_FAILED;
    }
    if (PyUnicode_Check(request->arguments[0])) {
        bytes = PyUnicode_AsUTF8AndSize(request->arguments[0], &request->number);
        if (bytes == NULL) {
            return REQUEST_FAILED;
        }
    } else {
        args_lend(request->arguments[0], &bytes, &size);
        request->number = (Py_ssize_t)size;
    }
    request->job.with.host.argument = (void *)bytes;
    return REQUEST_WAIT;
}

static enum request_answer
deserialize_unpack(RequestObject *request, int64_t deadline)
{
    Py_CLEAR(request->arguments[0]);
    return connection_simple_unpack(request, deadline);
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

static PyObject *
connection_deserialize(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames)
{
    static const char *const names[] = {"data", "name"};
    static const struct args_spec spec = {"deserialize", 2, 1, 1, names, 1};
    static const struct request_hooks hooks = {
        .name = "Connection.deserialize", .pack = deserialize_pack, .unpack = deserialize_unpack};
    RequestObject *request;
    PyObject *values[2];

    if (self->foreign != NULL) {
        return args_forward("deserialize", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    request = connection_request(self, &hooks, CSQ_APPLY, NULL);
    if (request == NULL) {
        return NULL;
    }
    request->arguments[0] =
        PyUnicode_Check(values[0]) ? Py_NewRef(values[0]) : args_buffer(values[0]);
    if (request->arguments[0] == NULL || take_name(request, values[1], spec.method) < 0) {
        return drop(request);
    }
    request->job.with.host.run = run_deserialize;
    return (PyObject *)request;
}

PyMethodDef serialize_methods[] = {
    {"serialize", (PyCFunction)(void (*)(void))connection_serialize, ARGS_FASTCALL,
     serialize_doc},
    {"deserialize", (PyCFunction)(void (*)(void))connection_deserialize, ARGS_FASTCALL,
     deserialize_doc},
    {NULL, NULL, 0, NULL},
};
