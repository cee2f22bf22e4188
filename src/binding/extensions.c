/* Loading extensions: arguments, and the jobs that hand them to the engine. */

#include "binding/extensions.h"

#include "binding/errors.h"
#include "binding/method.h"
#include "engine/bounds.h"
#include "engine/native.h"

struct enable_call {
    PyObject *paths; /* bytes, or NULL */
    bool on;
};

struct load_call {
    PyObject *path;
    PyObject *entrypoint; /* NULL: what SQLite derives */
};

/* Worker thread. The job's SQL is the paths of the list, each with a 0 behind it;
 * NULL: there is none. */
static int
enable(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    struct csq_db *db = csq_native_db(request->executor);
    bool on = REQUEST_PAYLOAD(request, struct enable_call)->on;
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

static int
fill_enable(RequestObject *request, PyObject *const *values)
{
    struct enable_call *call = REQUEST_PAYLOAD(request, struct enable_call);

    if (values[1] == NULL || values[1] == Py_None) {
        return 0;
    }
    call->paths = pack_paths(values[1]);
    if (call->paths == NULL) {
        return -1;
    }
    request->job.sql = PyBytes_AS_STRING(call->paths);
    request->job.sql_size = (size_t)PyBytes_GET_SIZE(call->paths);
    return 0;
}

METHOD(connection_enable_load_extension) = {
    .args = ARGS("Connection.enable_load_extension", 1, 1, 0, "value", "allow"),
    .hooks = &method_simple,
    .objects = 1,
    .run = enable,
    .takes = {TAKE(TRUTH, struct enable_call, on)},
    .fill = fill_enable,
};

/* Worker thread. The path is the job's SQL, the entry point the host's argument. */
static int
load(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);

    if (csq_native_db(request->executor)->bound != CSQ_SHAPES) {
        return csq_bounds_refuse(&job->error);
    }
    return csq_extension_load(handle, csq_native_db(request->executor)->allowed, job->sql,
                              job->with.host.argument, &job->error);
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

static int
fill_load(RequestObject *request, PyObject *const *values)
{
    if (values[1] != NULL && values[1] != Py_None) {
        request->job.with.host.argument =
            (void *)args_text(values[1], "load_extension", "'entrypoint'");
    }
    return PyErr_Occurred() ? -1 : 0;
}

METHOD(connection_load_extension) = {
    .args = ARGS("Connection.load_extension", 1, 1, 0, "path", "entrypoint"),
    .hooks = &method_simple,
    .objects = 2,
    .run = load,
    .takes = {TAKE(NAME, struct load_call, path), TAKE(OPTIONAL, struct load_call, entrypoint)},
    .fill = fill_load,
};

PyMethodDef extensions_methods[] = {
    METHOD_ENTRY("enable_load_extension", connection_enable_load_extension,
                 enable_load_extension_doc),
    METHOD_ENTRY("load_extension", connection_load_extension, load_extension_doc),
    {NULL, NULL, 0, NULL},
};
