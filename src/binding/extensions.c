/* Loading extensions. Whether it is allowed is set through sqlite3_db_config, for
 * the C function only: load_extension() in SQL stays forbidden, as in sqlite3. */

#include "binding/extensions.h"

#include "binding/args.h"
#include "binding/errors.h"

/* Worker thread. */
static int
enable(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    int rc = sqlite3_enable_load_extension(handle, (int)request->number);

    return rc == SQLITE_OK ? rc : csq_error_copy(&job->error, handle, rc);
}

static const char enable_load_extension_doc[] =
    "enable_load_extension($self, value)\n--\n\n"
    "Allow (True) or forbid load_extension(); it is forbidden at first.\n\n"
    "Unlike sqlite3's, it is there whatever the Python was built with.";

static PyObject *
connection_enable_load_extension(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                                 PyObject *kwnames)
{
    static const char *const names[] = {"value"};
    static const struct args_spec spec = {"enable_load_extension", 1, 1, 1, names};
    static const struct request_hooks hooks = {.name = "Connection.enable_load_extension",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    RequestObject *request;
    PyObject *value;
    int on;

    if (self->foreign != NULL) {
        return args_forward("enable_load_extension", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, &value) < 0) {
        return NULL;
    }
    on = PyObject_IsTrue(value);
    if (on < 0) {
        return NULL;
    }
    request = connection_request(self, &hooks, CSQ_APPLY, NULL);
    if (request != NULL) {
        request->job.with.host.run = enable;
        request->number = on;
    }
    return (PyObject *)request;
}

/* Worker thread. The path is the job's SQL, the entry point the host's argument. */
static int
load(struct csq_job *job, sqlite3 *handle)
{
    char *message = NULL;
    int rc = sqlite3_load_extension(handle, job->sql, job->with.host.argument, &message);

    if (rc != SQLITE_OK) {
        csq_error_set(&job->error, SQLITE_ERROR, "%s",
                      message == NULL ? sqlite3_errmsg(handle) : message);
        sqlite3_free(message);
    }
    return rc;
}

static const char load_extension_doc[] =
    "load_extension($self, path, *, entrypoint=None)\n--\n\n"
    "Load an SQLite extension from a shared library, once it is allowed.\n\n"
    "path: str, as sqlite3_load_extension() takes it. entrypoint: name of its function.\n"
    "Raises OperationalError when it is not authorized or cannot be loaded.";

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
    path = PyUnicode_AsUTF8(values[0]);
    if (path == NULL) {
        return NULL;
    }
    if (values[1] != NULL && values[1] != Py_None) {
        entrypoint = PyUnicode_AsUTF8(values[1]);
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
