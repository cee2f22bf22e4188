/* Handlers: what a connection has one of. Each method makes a request whose job, on the
 * worker and without the GIL, hands SQLite a callback.
 *
 * SQLite does not own a handler (authorizer, progress, trace); the db keeps it, frees one
 * when it is replaced and all when it is closed. */

#include "binding/callbacks.h"

#include "binding/args.h"
#include "binding/errors.h"
#include "binding/functions.h"
#include "binding/hooks.h"
#include "binding/trampolines.h"

/* -- requests that apply something to the handle ------------------------------ */

PyObject *
callbacks_request(ConnectionObject *self, const struct request_hooks *hooks,
                  callbacks_apply apply, PyObject *name, PyObject *callable, Py_ssize_t number)
{
    RequestObject *request = connection_request(self, hooks, CSQ_APPLY, NULL);

    if (request != NULL) {
        if (self->gate != NULL) {
            self->gate->used = true;
        }
        request->job.with.host.run = apply;
        request->job.anytime = true;
        request->arguments[0] = Py_XNewRef(name);
        request->arguments[1] = callable == Py_None ? NULL : Py_XNewRef(callable);
        request->number = number;
    }
    return (PyObject *)request;
}

struct callback *
callbacks_make(RequestObject *request, int *rc)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    struct callback *callback = NULL;

    *rc = SQLITE_OK;
    if (request->arguments[1] != NULL) {
        gate_enter(request->gate);
        callback =
            callback_new(self->state, request->gate, &request->worker->db, request->arguments[1]);
        PyErr_Clear();
        gate_leave(request->gate);
        *rc = callback == NULL ? SQLITE_NOMEM : SQLITE_OK;
    }
    return callback;
}

/* Worker thread: the request whose job is run. */
static RequestObject *
request_of(struct csq_job *job)
{
    return csq_item(job, RequestObject, job);
}

/* -- handlers ----------------------------------------------------------------- */

/* SQLite keeps the authorizer aside while it reads the schema, and the trace callback while
 * it vacuums, and puts back the function it knew, with the argument that it knows now. So a
 * trampoline has to bear an argument that is NULL, and what is set meanwhile is set again. */
void
callbacks_put_off(struct csq_db *db)
{
    if (db->sealed > 0) {
        db->unsettled = true;
        db->tidy = callbacks_tidy;
    }
}

static int
tell_authorizer(sqlite3 *handle, struct callback *callback)
{
    return sqlite3_set_authorizer(handle, callback == NULL ? NULL : trampoline_authorizer,
                                  callback);
}

void
callbacks_tidy(struct csq_db *db)
{
    if (db->unsettled) {
        tell_authorizer(db->handle, db->handlers[CSQ_AUTHORIZER].argument);
        csq_hooks_set_trace(&db->hooks, db->hooks.trace, db->hooks.trace_argument);
        db->unsettled = false;
    }
    if (functions_tidy(db)) {
        db->tidy = NULL;
    }
}

static int
set_authorizer(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = request_of(job);
    struct csq_db *db = &request->worker->db;
    int rc;
    struct callback *callback = callbacks_make(request, &rc);

    if (rc == SQLITE_OK) {
        rc = tell_authorizer(handle, callback);
        csq_db_keep(db, CSQ_AUTHORIZER, callback, callback_free);
        callbacks_put_off(db);
    }
    return rc == SQLITE_OK ? rc : csq_error_copy(&job->error, handle, rc);
}

static int
set_progress(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = request_of(job);
    int rc;
    struct callback *callback = callbacks_make(request, &rc);

    (void)handle;
    if (rc != SQLITE_OK) {
        return csq_error_copy(&job->error, NULL, rc);
    }
    if (request->number <= 0) {
        callback_free(callback);
        callback = NULL;
    }
    csq_db_set_progress(&request->worker->db, callback == NULL ? NULL : trampoline_progress,
                        callback, (int)request->number);
    csq_db_keep(&request->worker->db, CSQ_PROGRESS, callback, callback_free);
    return SQLITE_OK;
}

static int
set_trace(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = request_of(job);
    struct csq_db *db = &request->worker->db;
    int rc;
    struct callback *callback = callbacks_make(request, &rc);

    if (rc == SQLITE_OK) {
        csq_hooks_set_trace(&db->hooks, callback == NULL ? NULL : trampoline_trace, callback);
        csq_db_keep(db, CSQ_TRACE, callback, callback_free);
        callbacks_put_off(db);
    }
    return rc == SQLITE_OK ? rc : csq_error_copy(&job->error, handle, rc);
}

static const char set_authorizer_doc[] =
    "set_authorizer($self, authorizer_callback)\n--\n\n"
    "Ask authorizer_callback(action, arg1, arg2, database, trigger) for each access.\n\n"
    "It gives SQLITE_OK, SQLITE_DENY or SQLITE_IGNORE, on the worker, while statements are\n"
    "prepared. An exception denies. None removes it (on every Python version).";

static PyObject *
connection_set_authorizer(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *kwnames)
{
    static const char *const names[] = {"authorizer_callback"};
    static const struct args_spec spec = {"set_authorizer", 1, 1, 1, names};
    static const struct request_hooks hooks = {.name = "Connection.set_authorizer",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    PyObject *callable;

    if (self->foreign != NULL) {
        return args_forward("set_authorizer", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, &callable) < 0) {
        return NULL;
    }
    return callbacks_request(self, &hooks, set_authorizer, NULL, callable, 0);
}

static const char set_progress_handler_doc[] =
    "set_progress_handler($self, handler, n, *, id=None)\n--\n\n"
    "Call handler() about every `n` steps of SQLite's virtual machine, on the worker.\n\n"
    "When it gives a true value, or raises, the statement is stopped: OperationalError\n"
    "(\"interrupted\"). There may be several, each with another `id`; without one it is\n"
    "sqlite3's single one. None, or an `n` of 0, removes the one of that id. As sqlite3's\n"
    "Connection.set_progress_handler(); `id` is apsw's.";

static PyObject *
connection_set_progress_handler(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                                PyObject *kwnames)
{
    static const char *const names[] = {"handler", "n", "id"};
    static const struct args_spec spec = {"set_progress_handler", 3, 2, 2, names};
    static const struct request_hooks hooks = {.name = "Connection.set_progress_handler",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    PyObject *values[3];
    int steps;

    if (self->foreign != NULL) {
        return args_forward("set_progress_handler", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    if (args_int(values[1], &steps) < 0) {
        return NULL;
    }
    if (values[2] != NULL && values[2] != Py_None) {
        return hooks_set_progress(self, values[0], steps < 0 ? 0 : steps, values[2]);
    }
    return callbacks_request(self, &hooks, set_progress, NULL, values[0], (Py_ssize_t)steps);
}

static const char set_trace_callback_doc[] =
    "set_trace_callback($self, handler)\n--\n\n"
    "Call handler(sql) for each statement that begins to run, on the worker.\n\n"
    "The SQL has its parameters filled in. What the handler gives or raises is ignored.\n"
    "None removes it.";

static PyObject *
connection_set_trace_callback(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames)
{
    static const char *const names[] = {"handler"};
    static const struct args_spec spec = {"set_trace_callback", 1, 1, 1, names};
    static const struct request_hooks hooks = {.name = "Connection.set_trace_callback",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    PyObject *callable;

    if (self->foreign != NULL) {
        return args_forward("set_trace_callback", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, &callable) < 0) {
        return NULL;
    }
    return callbacks_request(self, &hooks, set_trace, NULL, callable, 0);
}

/* -- the methods --------------------------------------------------------------- */


PyMethodDef callbacks_methods[] = {
    {"set_authorizer", (PyCFunction)(void (*)(void))connection_set_authorizer, ARGS_FASTCALL,
     set_authorizer_doc},
    {"set_progress_handler", (PyCFunction)(void (*)(void))connection_set_progress_handler,
     ARGS_FASTCALL, set_progress_handler_doc},
    {"set_trace_callback", (PyCFunction)(void (*)(void))connection_set_trace_callback,
     ARGS_FASTCALL, set_trace_callback_doc},
    {NULL, NULL, 0, NULL},
};
