/* Registering. Each method makes a request whose job, on the worker and without
 * the GIL, hands SQLite a callback; what SQLite does not take is freed there.
 *
 * The handlers that SQLite does not own (authorizer, progress, trace) are kept by
 * the db, which frees one when it is replaced and all when it is closed. */

#include "binding/callbacks.h"

#include "binding/args.h"
#include "binding/errors.h"
#include "binding/trampolines.h"

/* -- requests that apply something to the handle ------------------------------ */

typedef int (*apply_function)(struct csq_job *job, sqlite3 *handle);

/* A request that runs `apply` on the worker. arguments[0] is the name or path,
 * arguments[1] the callable, `number` whatever the function needs. */
static PyObject *
apply_request(ConnectionObject *self, const struct request_hooks *hooks, apply_function apply,
              PyObject *name, PyObject *callable, Py_ssize_t number)
{
    RequestObject *request = connection_request(self, hooks, CSQ_APPLY, NULL);

    if (request != NULL) {
        if (self->gate != NULL) {
            self->gate->used = true;
        }
        request->job.with.host.run = apply;
        request->arguments[0] = Py_XNewRef(name);
        request->arguments[1] = callable == Py_None ? NULL : Py_XNewRef(callable);
        request->number = number;
    }
    return (PyObject *)request;
}

/* Worker thread: the request whose job is run. */
static RequestObject *
request_of(struct csq_job *job)
{
    return csq_item(job, RequestObject, job);
}

/* Worker thread. Gives the callback for the request's callable, NULL when it has
 * none (or no memory, with *rc set). */
static struct callback *
callback_of(RequestObject *request, int *rc)
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

/* Worker thread: UTF-8 that the str in arguments[0] has cached. */
static const char *
name_of(const RequestObject *request)
{
    return request->job.sql;
}

/* Lends the job the UTF-8 of `name`. -1 with TypeError. */
static int
lend_name(RequestObject *request, const char *method)
{
    PyObject *name = request->arguments[0];

    if (!PyUnicode_Check(name)) {
        PyErr_Format(PyExc_TypeError, "%s() argument 1 must be str, not %.50s", method,
                     Py_TYPE(name)->tp_name);
        return -1;
    }
    request->job.sql = PyUnicode_AsUTF8(name);
    return request->job.sql == NULL ? -1 : 0;
}

/* -- functions ---------------------------------------------------------------- */

/* `number` of a function request: arity in the low bits, flags above. */
enum { ARITY_OFFSET = 4096, FLAGS_SHIFT = 16 };

static int
create(struct csq_job *job, sqlite3 *handle, bool aggregate)
{
    RequestObject *request = request_of(job);
    int arity = (int)(request->number & ((1 << FLAGS_SHIFT) - 1)) - ARITY_OFFSET;
    int flags = SQLITE_UTF8 | (int)(request->number >> FLAGS_SHIFT);
    int rc;
    struct callback *callback = callback_of(request, &rc);

    if (rc != SQLITE_OK) {
        return csq_error_copy(&job->error, NULL, rc);
    }
    if (callback == NULL) {
        rc = sqlite3_create_function_v2(handle, name_of(request), arity, flags, NULL, NULL, NULL,
                                        NULL, NULL);
    } else if (aggregate) {
        rc = sqlite3_create_function_v2(handle, name_of(request), arity, flags, callback, NULL,
                                        trampoline_step, trampoline_final, callback_free);
    } else {
        rc = sqlite3_create_function_v2(handle, name_of(request), arity, flags, callback,
                                        trampoline_function, NULL, NULL, callback_free);
    }
    if (rc != SQLITE_OK) {
        csq_error_set(&job->error, SQLITE_ERROR,
                      aggregate ? "Error creating aggregate" : "Error creating function");
    }
    return rc;
}

static int
create_function(struct csq_job *job, sqlite3 *handle)
{
    return create(job, handle, false);
}

static int
create_aggregate(struct csq_job *job, sqlite3 *handle)
{
    return create(job, handle, true);
}

/* Packs an arity and flags; what no function can have stays what SQLite refuses. */
static int
take_arity(PyObject *value, bool deterministic, Py_ssize_t *number)
{
    long arity = PyLong_AsLong(value);

    if (arity == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (arity < -ARITY_OFFSET || arity > ARITY_OFFSET) {
        arity = ARITY_OFFSET;
    }
    *number = (Py_ssize_t)(arity + ARITY_OFFSET) |
              (Py_ssize_t)(deterministic ? SQLITE_DETERMINISTIC : 0) << FLAGS_SHIFT;
    return 0;
}

static PyObject *
creating(ConnectionObject *self, const struct request_hooks *hooks, apply_function apply,
         PyObject *const *values, bool deterministic)
{
    const char *method = strrchr(hooks->name, '.') + 1;
    Py_ssize_t number;
    PyObject *request;

    if (take_arity(values[1], deterministic, &number) < 0) {
        return NULL;
    }
    request = apply_request(self, hooks, apply, values[0], values[2], number);
    if (request != NULL && lend_name((RequestObject *)request, method) < 0) {
        ((RequestObject *)request)->stage = REQUEST_DONE;
        Py_CLEAR(request);
    }
    return request;
}

static const char create_function_doc[] =
    "create_function($self, name, num_params, func, deterministic=False)\n--\n\n"
    "Let SQL call `func`, a callable, as name(...) with num_params arguments (-1: any).\n\n"
    "It is called on the worker. None removes the function. An exception in it makes the\n"
    "statement fail with OperationalError. sqlite3_create_function_v2().";

static PyObject *
connection_create_function(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                           PyObject *kwnames)
{
    static const char *const names[] = {"name", "num_params", "func", "deterministic"};
    static const struct args_spec spec = {"create_function", 4, 3, 4, names};
    static const struct request_hooks hooks = {.name = "Connection.create_function",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    PyObject *values[4];
    int deterministic;

    if (self->foreign != NULL) {
        return args_forward("create_function", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    deterministic = values[3] == NULL ? 0 : PyObject_IsTrue(values[3]);
    return deterministic < 0 ? NULL
                             : creating(self, &hooks, create_function, values, deterministic);
}

static const char create_aggregate_doc[] =
    "create_aggregate($self, name, n_arg, aggregate_class)\n--\n\n"
    "Let SQL use an aggregate: a class with step(*values) and finalize().\n\n"
    "Both are called on the worker. None removes the aggregate. As sqlite3's\n"
    "Connection.create_aggregate(); aiosqlite has no such method.";

static PyObject *
connection_create_aggregate(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *kwnames)
{
    static const char *const names[] = {"name", "n_arg", "aggregate_class"};
    static const struct args_spec spec = {"create_aggregate", 3, 3, 3, names};
    static const struct request_hooks hooks = {.name = "Connection.create_aggregate",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    PyObject *values[3];

    if (self->foreign != NULL) {
        return args_forward("create_aggregate", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    return creating(self, &hooks, create_aggregate, values, false);
}

/* -- collations --------------------------------------------------------------- */

static int
create_collation(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = request_of(job);
    int rc;
    struct callback *callback = callback_of(request, &rc);

    if (rc == SQLITE_OK) {
        rc = sqlite3_create_collation_v2(handle, name_of(request), SQLITE_UTF8, callback,
                                         callback == NULL ? NULL : trampoline_collation,
                                         callback_free);
        if (rc != SQLITE_OK) {
            /* Unlike functions, a refused collation is not freed by SQLite. */
            callback_free(callback);
        }
    }
    return rc == SQLITE_OK ? rc : csq_error_copy(&job->error, handle, rc);
}

static const char create_collation_doc[] =
    "create_collation($self, name, callback)\n--\n\n"
    "Let SQL order text by callback(a, b), which gives a negative, zero or positive int.\n\n"
    "It is called on the worker. None removes the collation. As sqlite3's\n"
    "Connection.create_collation(); aiosqlite has no such method.";

static PyObject *
connection_create_collation(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *kwnames)
{
    static const char *const names[] = {"name", "callback"};
    static const struct args_spec spec = {"create_collation", 2, 2, 2, names};
    static const struct request_hooks hooks = {.name = "Connection.create_collation",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    PyObject *values[2];
    PyObject *request;

    if (self->foreign != NULL) {
        return args_forward("create_collation", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    if (values[1] != Py_None && !PyCallable_Check(values[1])) {
        PyErr_SetString(PyExc_TypeError, "parameter must be callable");
        return NULL;
    }
    request = apply_request(self, &hooks, create_collation, values[0], values[1], 0);
    if (request != NULL && lend_name((RequestObject *)request, "create_collation") < 0) {
        ((RequestObject *)request)->stage = REQUEST_DONE;
        Py_CLEAR(request);
    }
    return request;
}

/* -- handlers ----------------------------------------------------------------- */

static int
set_authorizer(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = request_of(job);
    int rc;
    struct callback *callback = callback_of(request, &rc);

    if (rc == SQLITE_OK) {
        rc = sqlite3_set_authorizer(handle, callback == NULL ? NULL : trampoline_authorizer,
                                    callback);
        csq_db_keep(&request->worker->db, CSQ_AUTHORIZER, callback, callback_free);
    }
    return rc == SQLITE_OK ? rc : csq_error_copy(&job->error, handle, rc);
}

static int
set_progress(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = request_of(job);
    int rc;
    struct callback *callback = callback_of(request, &rc);

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
    int rc;
    struct callback *callback = callback_of(request, &rc);

    if (rc == SQLITE_OK) {
        rc = sqlite3_trace_v2(handle, callback == NULL ? 0 : SQLITE_TRACE_STMT,
                              callback == NULL ? NULL : trampoline_trace, callback);
        csq_db_keep(&request->worker->db, CSQ_TRACE, callback, callback_free);
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
    return apply_request(self, &hooks, set_authorizer, NULL, callable, 0);
}

static const char set_progress_handler_doc[] =
    "set_progress_handler($self, handler, n)\n--\n\n"
    "Call handler() every `n` steps of SQLite's virtual machine, on the worker.\n\n"
    "When it gives a true value, or raises, the statement is stopped: OperationalError\n"
    "(\"interrupted\"). None removes it.";

static PyObject *
connection_set_progress_handler(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                                PyObject *kwnames)
{
    static const char *const names[] = {"handler", "n"};
    static const struct args_spec spec = {"set_progress_handler", 2, 2, 2, names};
    static const struct request_hooks hooks = {.name = "Connection.set_progress_handler",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    PyObject *values[2];
    long steps;

    if (self->foreign != NULL) {
        return args_forward("set_progress_handler", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    steps = PyLong_AsLong(values[1]);
    if (steps == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (steps > INT_MAX) {
        steps = INT_MAX;
    }
    return apply_request(self, &hooks, set_progress, NULL, values[0], (Py_ssize_t)steps);
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
    return apply_request(self, &hooks, set_trace, NULL, callable, 0);
}

/* -- the methods --------------------------------------------------------------- */


PyMethodDef callbacks_methods[] = {
    {"create_function", (PyCFunction)(void (*)(void))connection_create_function, ARGS_FASTCALL,
     create_function_doc},
    {"create_aggregate", (PyCFunction)(void (*)(void))connection_create_aggregate, ARGS_FASTCALL,
     create_aggregate_doc},
    {"create_collation", (PyCFunction)(void (*)(void))connection_create_collation, ARGS_FASTCALL,
     create_collation_doc},
    {"set_authorizer", (PyCFunction)(void (*)(void))connection_set_authorizer, ARGS_FASTCALL,
     set_authorizer_doc},
    {"set_progress_handler", (PyCFunction)(void (*)(void))connection_set_progress_handler,
     ARGS_FASTCALL, set_progress_handler_doc},
    {"set_trace_callback", (PyCFunction)(void (*)(void))connection_set_trace_callback,
     ARGS_FASTCALL, set_trace_callback_doc},
    {NULL, NULL, 0, NULL},
};
