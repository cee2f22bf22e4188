/* Loading extensions: arguments, and the jobs that hand them to the engine. */

#include "binding/extensions.h"

#include "binding/args.h"
#include "binding/errors.h"

/* Worker thread. The job's SQL is the paths of the list, each with a 0 behind it;
 * NULL: there is none. */
static int
enable(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    struct csq_db *db = &request->worker->db;
    bool on = request->number != 0;
    bool listed = on && job->sql != NULL;
    struct csq_allowed *allowed = NULL;
    int rc;

    if (on && db->untrusted) {
        return csq_error_set(&job->error, CSQ_UNSUPPORTED,
                             "no extension can be loaded into an untrusted connection");
    }
    if (listed) {
        allowed = csq_allowed_new(job->sql, job->sql_size, &job->error);
        if (allowed == NULL) {
            return job->error.code;
        }
    }
    rc = csq_extension_enable(handle, on, !listed, &job->error);
    if (rc != SQLITE_OK) {
        csq_allowed_free(allowed);
        return rc;
    }
    csq_allowed_free(db->allowed);
    db->allowed = allowed;
    return SQLITE_OK;
}

/* Appends a path and a 0 to `*paths`, a bytes object that may be replaced. */
static int
append_path(PyObject **paths, PyObject *path)
{
    PyObject *encoded;
    PyObject *longer;

    if (!PyUnicode_FSConverter(path, &encoded)) {
        return -1;
    }
    longer =
        PyBytes_FromStringAndSize(NULL, PyBytes_GET_SIZE(*paths) + PyBytes_GET_SIZE(encoded) + 1);
    if (longer != NULL) {
        char *end = PyBytes_AS_STRING(longer);

        memcpy(end, PyBytes_AS_STRING(*paths), (size_t)PyBytes_GET_SIZE(*paths));
        end += PyBytes_GET_SIZE(*paths);
        /* A bytes object has a 0 behind its last byte. */
        memcpy(end, PyBytes_AS_STRING(encoded), (size_t)PyBytes_GET_SIZE(encoded) + 1);
        Py_SETREF(*paths, longer);
    }
    Py_DECREF(encoded);
    return longer == NULL ? -1 : 0;
}

/* Gives the paths of an iterable as bytes, each with a 0 behind it. */
static PyObject *
pack_paths(PyObject *allow)
{
    PyObject *iterator = NULL;
    PyObject *paths;
    PyObject *path;

    /* A lone path is an iterable too: of letters, one of which is the root. */
    if (!PyUnicode_Check(allow) && !PyBytes_Check(allow)) {
        iterator = PyObject_GetIter(allow);
    }
    if (iterator == NULL) {
        if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "allow must be an iterable of paths, not %.100s",
                         Py_TYPE(allow)->tp_name);
        }
        return NULL;
    }
    paths = PyBytes_FromStringAndSize(NULL, 0);
    while (paths != NULL && (path = PyIter_Next(iterator)) != NULL) {
        if (append_path(&paths, path) < 0) {
            Py_CLEAR(paths);
        }
        Py_DECREF(path);
    }
    Py_DECREF(iterator);
    if (PyErr_Occurred()) {
        Py_CLEAR(paths);
    }
    return paths;
}

PyDoc_STRVAR(
    enable_load_extension_doc,
    "enable_load_extension($self, value, *, allow=None)\n--\n\n"
    "Allow (True) or forbid load_extension(); it is forbidden at first.\n\n"
    "allow: an iterable of paths (str, bytes, os.PathLike), files or directories: only\n"
    "these files, and what lies in these directories, may be loaded then, and the SQL\n"
    "function load_extension() stays forbidden. Links are resolved in both places, and\n"
    "the suffix of a shared library may be missing. None: anything may be loaded.\n"
    "Each call replaces what the one before said.\n\n"
    "Raises OperationalError when an allowed path does not exist, NotSupportedError for a\n"
    "connection that was opened with untrusted=True. As sqlite3's method,\n"
    "which has no list, and which is there only if Python was built with it.");

static PyObject *
connection_enable_load_extension(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                                 PyObject *kwnames)
{
    static const char *const names[] = {"value", "allow"};
    static const struct args_spec spec = {"enable_load_extension", 2, 1, 1, names};
    static const struct request_hooks hooks = {.name = "Connection.enable_load_extension",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    RequestObject *request;
    PyObject *values[2];
    PyObject *paths = NULL;
    int on;

    if (self->foreign != NULL) {
        return args_forward("enable_load_extension", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    on = PyObject_IsTrue(values[0]);
    if (on < 0) {
        return NULL;
    }
    if (values[1] != NULL && values[1] != Py_None) {
        paths = pack_paths(values[1]);
        if (paths == NULL) {
            return NULL;
        }
    }
    request = connection_request(self, &hooks, CSQ_APPLY, NULL);
    if (request == NULL) {
        Py_XDECREF(paths);
        return NULL;
    }
    request->job.with.host.run = enable;
    request->number = on;
    if (paths != NULL) {
        request->arguments[0] = paths;
        request->job.sql = PyBytes_AS_STRING(paths);
        request->job.sql_size = (size_t)PyBytes_GET_SIZE(paths);
    }
    return (PyObject *)request;
}

/* Worker thread. The path is the job's SQL, the entry point the host's argument. */
static int
load(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);

    return csq_extension_load(handle, request->worker->db.allowed, job->sql,
                              job->with.host.argument, &job->error);
}

/* Lends the UTF-8 of a str; NULL with TypeError, or with ValueError for a 0 in it. */
static const char *
text_of(PyObject *value)
{
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);

    if (text != NULL && strlen(text) != (size_t)size) {
        PyErr_SetString(PyExc_ValueError, "embedded null character");
        return NULL;
    }
    return text;
}

PyDoc_STRVAR(
    load_extension_doc,
    "load_extension($self, path, *, entrypoint=None)\n--\n\n"
    "Load an SQLite extension from a shared library, once it is allowed.\n\n"
    "path: str, as sqlite3_load_extension() takes it; where enable_load_extension() was\n"
    "given a list, it is not searched for among the system's libraries. entrypoint: str,\n"
    "the name of its function; None: the one that SQLite derives from the file's name.\n"
    "Raises OperationalError when it is not authorized or cannot be loaded. As sqlite3's\n"
    "method, which has `entrypoint` since Python 3.12.");

static PyObject *
connection_load_extension(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *kwnames)
{
    static const char *const names[] = {"path", "entrypoint"};
    static const struct args_spec spec = {"load_extension", 2, 1, 1, names};
    static const struct request_hooks hooks = {.name = "Connection.load_extension",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    RequestObject *request;
    PyObject *values[2];
    const char *path;
    const char *entrypoint = NULL;

    if (self->foreign != NULL) {
        return args_forward("load_extension", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    path = text_of(values[0]);
    if (path == NULL) {
        return NULL;
    }
    if (values[1] != NULL && values[1] != Py_None) {
        entrypoint = text_of(values[1]);
        if (entrypoint == NULL) {
            return NULL;
        }
    }
    request = connection_request(self, &hooks, CSQ_APPLY, NULL);
    if (request != NULL) {
        request->arguments[0] = Py_NewRef(values[0]);
        request->arguments[1] = Py_XNewRef(values[1]);
        request->job.sql = path;
        request->job.with.host.run = load;
        request->job.with.host.argument = (void *)entrypoint;
    }
    return (PyObject *)request;
}

PyMethodDef extensions_methods[] = {
    {"enable_load_extension", (PyCFunction)(void (*)(void))connection_enable_load_extension,
     ARGS_FASTCALL, enable_load_extension_doc},
    {"load_extension", (PyCFunction)(void (*)(void))connection_load_extension, ARGS_FASTCALL,
     load_extension_doc},
    {NULL, NULL, 0, NULL},
};
