/* Registering. SQLite neither replaces nor removes a function while any statement of the
 * connection runs, and in asyncio a half-read cursor is easily forgotten. So what SQLite
 * has is a callback whose callable can be exchanged: replacing is that, and what cannot be
 * removed yet is emptied, and removed before the first job that finds no statement
 * running. */

#include "binding/functions.h"

#include "binding/args.h"
#include "binding/callbacks.h"
#include "binding/errors.h"
#include "binding/trampolines.h"

/* -- what is registered -------------------------------------------------------- */

/* `number` of a request: arity in the low bits, then these. */
enum { ARITY_OFFSET = 4096, FLAGS_SHIFT = 16 };
enum { DETERMINISTIC = 1, DIRECTONLY = 2, INNOCUOUS = 4 };

/* What a job asks for. Worker thread. */
struct registration {
    RequestObject *request;
    struct csq_db *db;
    enum callback_kind kind;
    const char *name; /* lent */
    int arity;
    int flags; /* SQLite's */
};

static struct registration
registration_of(struct csq_job *job, enum callback_kind kind)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    int flags = (int)(request->number >> FLAGS_SHIFT);
    struct registration what = {
        .request = request,
        .db = &request->worker->db,
        .kind = kind,
        .name = job->sql,
        .arity = (int)(request->number & ((1 << FLAGS_SHIFT) - 1)) - ARITY_OFFSET,
    };

    what.flags = SQLITE_UTF8 | (flags & DETERMINISTIC ? SQLITE_DETERMINISTIC : 0) |
                 (flags & DIRECTONLY ? SQLITE_DIRECTONLY : 0) |
                 (flags & INNOCUOUS ? SQLITE_INNOCUOUS : 0);
    return what;
}

/* The callback that SQLite has for the name and, in a function, the arity; or NULL. */
static struct callback *
find(const struct registration *what)
{
    struct csq_list *list = &what->db->registered;

    for (struct csq_link *link = list->head.next; link != &list->head; link = link->next) {
        struct callback *callback = csq_item(link, struct callback, registered);

        if ((callback->kind == CALLBACK_COLLATION) == (what->kind == CALLBACK_COLLATION) &&
            callback->arity == what->arity && sqlite3_stricmp(callback->name, what->name) == 0) {
            return callback;
        }
    }
    return NULL;
}

/* Lets it call `callable` from now on, NULL: nothing. */
static void
exchange(struct callback *callback, PyObject *callable)
{
    struct gate *gate = callback->gate;
    struct csq_db *db = callback->db;
    PyObject *before;

    gate_enter(gate);
    before = callback->callable;
    callback->callable = Py_XNewRef(callable);
    /* Letting go may run any Python code. */
    db->sealed++;
    Py_XDECREF(before);
    db->sealed--;
    gate_leave(gate);
}

/* Gives the callback to be registered, or NULL: no memory. */
static struct callback *
make(const struct registration *what)
{
    int rc;
    struct callback *callback = callbacks_make(what->request, &rc);
    size_t size = strlen(what->name) + 1;

    if (callback == NULL) {
        return NULL;
    }
    callback->kind = what->kind;
    callback->arity = what->arity;
    callback->flags = what->flags;
    callback->name = PyMem_RawMalloc(size);
    if (callback->name == NULL) {
        callback_free(callback);
        return NULL;
    }
    memcpy(callback->name, what->name, size);
    return callback;
}

/* -- what SQLite is told ------------------------------------------------------- */

/* Registers the callback, NULL: removes what is there. Takes the callback. */
static int
tell(sqlite3 *handle, enum callback_kind kind, const char *name, int arity, int flags,
     struct callback *callback)
{
    int rc;

    if (kind == CALLBACK_COLLATION) {
        rc = sqlite3_create_collation_v2(handle, name, SQLITE_UTF8, callback,
                                         callback == NULL ? NULL : trampoline_collation,
                                         callback_free);
        if (rc != SQLITE_OK) {
            /* Unlike functions, a refused collation is not freed by SQLite. */
            callback_free(callback);
        }
        return rc;
    }
    if (callback == NULL) {
        return sqlite3_create_function_v2(handle, name, arity, SQLITE_UTF8, NULL, NULL, NULL,
                                          NULL, NULL);
    }
    if (kind == CALLBACK_WINDOW) {
        return sqlite3_create_window_function(handle, name, arity, flags, callback,
                                              trampoline_step, trampoline_final, trampoline_value,
                                              trampoline_inverse, callback_free);
    }
    if (kind == CALLBACK_AGGREGATE) {
        return sqlite3_create_function_v2(handle, name, arity, flags, callback, NULL,
                                          trampoline_step, trampoline_final, callback_free);
    }
    return sqlite3_create_function_v2(handle, name, arity, flags, callback, trampoline_function,
                                      NULL, NULL, callback_free);
}

bool
functions_tidy(struct csq_db *db)
{
    struct csq_link *link = db->registered.head.next;
    bool complete = true;

    while (link != &db->registered.head) {
        struct callback *callback = csq_item(link, struct callback, registered);
        char *name = callback->name;

        link = link->next;
        if (callback->callable != NULL) {
            continue;
        }
        /* SQLite reads the name after it has freed the callback. */
        callback->name = NULL;
        if (tell(db->handle, callback->kind, name, callback->arity, 0, NULL) == SQLITE_OK) {
            PyMem_RawFree(name);
        } else {
            callback->name = name;
            complete = false;
        }
    }
    return complete;
}

static int
remove_it(const struct registration *what, sqlite3 *handle)
{
    struct callback *callback;
    int rc = SQLITE_BUSY;

    if (what->db->sealed == 0) {
        rc = tell(handle, what->kind, what->name, what->arity, 0, NULL);
    }
    if (rc == SQLITE_BUSY) {
        callback = find(what);
        if (callback != NULL) {
            exchange(callback, NULL);
            what->db->tidy = callbacks_tidy;
            rc = SQLITE_OK;
        }
    }
    return rc;
}

static int
put(const struct registration *what, sqlite3 *handle)
{
    struct callback *callback = find(what);
    int rc;

    if (callback != NULL && callback->kind == what->kind && callback->flags == what->flags) {
        exchange(callback, what->request->arguments[1]);
        return SQLITE_OK;
    }
    /* A statement that is being prepared may have found the other kind already. */
    if (callback != NULL && what->db->sealed > 0) {
        return SQLITE_BUSY;
    }
    callback = make(what);
    if (callback == NULL) {
        return SQLITE_NOMEM;
    }
    rc = tell(handle, what->kind, what->name, what->arity, what->flags, callback);
    if (rc == SQLITE_OK) {
        csq_list_append(&what->db->registered, &callback->registered);
    }
    return rc;
}

/* Does what the job asks for; the caller tells of a failure. */
static int
apply(struct csq_job *job, sqlite3 *handle, enum callback_kind kind)
{
    struct registration what = registration_of(job, kind);

    return what.request->arguments[1] == NULL ? remove_it(&what, handle) : put(&what, handle);
}

static int
apply_function(struct csq_job *job, sqlite3 *handle)
{
    int rc = apply(job, handle, CALLBACK_FUNCTION);

    return rc == SQLITE_OK ? rc
                           : csq_error_set(&job->error, SQLITE_ERROR, "Error creating function");
}

static int
apply_aggregate(struct csq_job *job, sqlite3 *handle)
{
    int rc = apply(job, handle, CALLBACK_AGGREGATE);

    return rc == SQLITE_OK ? rc
                           : csq_error_set(&job->error, SQLITE_ERROR, "Error creating aggregate");
}

static int
apply_window(struct csq_job *job, sqlite3 *handle)
{
    int rc = apply(job, handle, CALLBACK_WINDOW);

    return rc == SQLITE_OK ? rc : csq_error_set(&job->error, CSQ_USAGE, "%s", sqlite3_errstr(rc));
}

static int
apply_collation(struct csq_job *job, sqlite3 *handle)
{
    int rc = apply(job, handle, CALLBACK_COLLATION);

    return rc == SQLITE_OK ? rc : csq_error_copy(&job->error, handle, rc);
}

/* -- requests ------------------------------------------------------------------ */

/* Gives the UTF-8 of a name, which lives as long as the name does; NULL with an exception.
 * `argument` is what the sqlite3 module calls the name there. */
static const char *
name_of(PyObject *name, const char *method, const char *argument)
{
    const char *bytes;
    Py_ssize_t size;

    if (!PyUnicode_Check(name)) {
        PyErr_Format(PyExc_TypeError, "%s() argument %s must be str, not %.50s", method, argument,
                     name == Py_None ? "None" : Py_TYPE(name)->tp_name);
        return NULL;
    }
    bytes = PyUnicode_AsUTF8AndSize(name, &size);
    if (bytes != NULL && strlen(bytes) != (size_t)size) {
        PyErr_SetString(PyExc_ValueError, "embedded null character");
        return NULL;
    }
    return bytes;
}

/* Packs an arity; what no function can have stays what SQLite refuses. */
static int
take_arity(PyObject *value, Py_ssize_t *number)
{
    int arity;

    if (args_int(value, &arity) < 0) {
        return -1;
    }
    if (arity < -ARITY_OFFSET || arity > ARITY_OFFSET) {
        arity = ARITY_OFFSET;
    }
    *number = (Py_ssize_t)(arity + ARITY_OFFSET);
    return 0;
}

/* Adds `flag` to the number when `value` (NULL: not given) is true. */
static int
take_flag(PyObject *value, Py_ssize_t flag, Py_ssize_t *number)
{
    int on = value == NULL ? 0 : PyObject_IsTrue(value);

    if (on > 0) {
        *number |= flag << FLAGS_SHIFT;
    }
    return on;
}

/* -1 with TypeError unless there are `count` arguments, all by position. */
static int
check_positional(const char *method, Py_ssize_t count, Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t given = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));

    if (given > count) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zd arguments (%zd given)", method,
                     count, given);
        return -1;
    }
    if (nargs != count) {
        PyErr_Format(PyExc_TypeError, "%s() takes exactly %zd positional arguments (%zd given)",
                     method, count, nargs);
        return -1;
    }
    return 0;
}

static PyObject *
registering(ConnectionObject *self, const struct request_hooks *hooks, callbacks_apply applied,
            PyObject *name, const char *bytes, PyObject *callable, Py_ssize_t number)
{
    PyObject *request = callbacks_request(self, hooks, applied, name, callable, number);

    if (request != NULL) {
        ((RequestObject *)request)->job.sql = bytes;
    }
    return request;
}

/* -- the methods --------------------------------------------------------------- */

static const char create_function_doc[] =
    "create_function($self, name, num_params, func, deterministic=False, *, directonly=False,\n"
    "                innocuous=False)\n--\n\n"
    "Let SQL call `func` as name(...) with num_params arguments (-1: any number).\n\n"
    "func: a callable or a coroutine function; None removes the function. It is called on the\n"
    "worker, a coroutine is awaited on the loop of the task that awaits the statement. It gives\n"
    "None, int, float, str or an object with the buffer protocol. An exception makes the\n"
    "statement fail with OperationalError, whose __cause__ it is.\n"
    "deterministic: the same arguments give the same result, so that an index may use it.\n"
    "directonly: it cannot be called from a trigger, a view or the schema. innocuous: it can,\n"
    "even where the schema is not trusted.\n\n"
    "Replacing it, or removing it, holds at once, also in statements that are half done. Raises\n"
    "OperationalError for a number of arguments that cannot be, ValueError when the connection\n"
    "is not open. sqlite3_create_function_v2().";

static PyObject *
connection_create_function(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                           PyObject *kwnames)
{
    static const char *const names[] = {"name",          "num_params", "func",
                                        "deterministic", "directonly", "innocuous"};
    static const struct args_spec spec = {"create_function", 6, 3, 4, names};
    static const struct request_hooks hooks = {.name = "Connection.create_function",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    PyObject *values[6];
    const char *name;
    Py_ssize_t number;

    if (self->foreign != NULL) {
        return args_forward("create_function", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    name = name_of(values[0], "create_function", "'name'");
    if (name == NULL || take_arity(values[1], &number) < 0 ||
        take_flag(values[3], DETERMINISTIC, &number) < 0 ||
        take_flag(values[4], DIRECTONLY, &number) < 0 ||
        take_flag(values[5], INNOCUOUS, &number) < 0) {
        return NULL;
    }
    return registering(self, &hooks, apply_function, values[0], name, values[2], number);
}

static const char create_aggregate_doc[] =
    "create_aggregate($self, name, n_arg, aggregate_class)\n--\n\n"
    "Let SQL use an aggregate of n_arg arguments (-1: any number).\n\n"
    "aggregate_class: a class with step(*values) and finalize(), which gives the result; None\n"
    "removes the aggregate. They are called on the worker; either may be a coroutine function.\n"
    "An exception makes the statement fail with OperationalError, whose __cause__ it is.\n\n"
    "As sqlite3's Connection.create_aggregate(); aiosqlite has no such method.";

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
    const char *name;
    Py_ssize_t number;

    if (self->foreign != NULL) {
        return args_forward("create_aggregate", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    name = name_of(values[0], "create_aggregate", "'name'");
    if (name == NULL || take_arity(values[1], &number) < 0) {
        return NULL;
    }
    return registering(self, &hooks, apply_aggregate, values[0], name, values[2], number);
}

static const char create_window_function_doc[] =
    "create_window_function($self, name, num_params, aggregate_class, /)\n--\n\n"
    "Let SQL use an aggregate window function of num_params arguments (-1: any number).\n\n"
    "aggregate_class: a class with step(*values), which adds a row to the window,\n"
    "inverse(*values), which takes one out of it, value(), the result now, and finalize(), the\n"
    "result at the end; None removes the function. They are called on the worker; each may be a\n"
    "coroutine function. An exception makes the statement fail with OperationalError, whose\n"
    "__cause__ it is.\n\n"
    "Raises ProgrammingError for a number of arguments that cannot be. As sqlite3's\n"
    "Connection.create_window_function() (Python 3.11); sqlite3_create_window_function().";

static PyObject *
connection_create_window_function(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                                  PyObject *kwnames)
{
    static const struct request_hooks hooks = {.name = "Connection.create_window_function",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    const char *name;
    Py_ssize_t number;

    if (self->foreign != NULL) {
        return args_forward("create_window_function", (PyObject *)self, args, nargs, kwnames);
    }
    if (check_positional("create_window_function", 3, nargs, kwnames) < 0) {
        return NULL;
    }
    name = name_of(args[0], "create_window_function", "1");
    if (name == NULL || take_arity(args[1], &number) < 0) {
        return NULL;
    }
    return registering(self, &hooks, apply_window, args[0], name, args[2], number);
}

static const char create_collation_doc[] =
    "create_collation($self, name, callback)\n--\n\n"
    "Let SQL order text by callback(a, b), which gives a negative, zero or positive int.\n\n"
    "callback: a callable or a coroutine function; None removes the collation. It is called on\n"
    "the worker. An exception is raised by the statement when SQLite is done with that step; "
    "till\n"
    "then texts compare as equal.\n\n"
    "As sqlite3's Connection.create_collation(); aiosqlite has no such method.";

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
    const char *name;

    if (self->foreign != NULL) {
        return args_forward("create_collation", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    name = name_of(values[0], "create_collation", "1");
    if (name == NULL) {
        return NULL;
    }
    if (values[1] != Py_None && !PyCallable_Check(values[1])) {
        PyErr_SetString(PyExc_TypeError, "parameter must be callable");
        return NULL;
    }
    return registering(self, &hooks, apply_collation, values[0], name, values[1], ARITY_OFFSET);
}

PyMethodDef functions_methods[] = {
    {"create_function", (PyCFunction)(void (*)(void))connection_create_function, ARGS_FASTCALL,
     create_function_doc},
    {"create_aggregate", (PyCFunction)(void (*)(void))connection_create_aggregate, ARGS_FASTCALL,
     create_aggregate_doc},
    {"create_window_function", (PyCFunction)(void (*)(void))connection_create_window_function,
     ARGS_FASTCALL, create_window_function_doc},
    {"create_collation", (PyCFunction)(void (*)(void))connection_create_collation, ARGS_FASTCALL,
     create_collation_doc},
    {NULL, NULL, 0, NULL},
};
