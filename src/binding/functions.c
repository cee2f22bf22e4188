/* SQL functions, aggregates, window functions and collations: the methods. */

#include "binding/functions.h"

#include "binding/method.h"
#include "binding/registry.h"

static int
apply_function(struct csq_job *job, sqlite3 *handle)
{
    int rc = registry_set(job, handle, CALLBACK_FUNCTION);

    return rc == SQLITE_OK ? rc
                           : csq_error_set(&job->error, SQLITE_ERROR, "Error creating function");
}

static int
apply_aggregate(struct csq_job *job, sqlite3 *handle)
{
    int rc = registry_set(job, handle, CALLBACK_AGGREGATE);

    return rc == SQLITE_OK ? rc
                           : csq_error_set(&job->error, SQLITE_ERROR, "Error creating aggregate");
}

static int
apply_window(struct csq_job *job, sqlite3 *handle)
{
    int rc = registry_set(job, handle, CALLBACK_WINDOW);

    return rc == SQLITE_OK ? rc : csq_error_set(&job->error, CSQ_USAGE, "%s", sqlite3_errstr(rc));
}

static int
apply_collation(struct csq_job *job, sqlite3 *handle)
{
    int rc = registry_set(job, handle, CALLBACK_COLLATION);

    return rc == SQLITE_OK ? rc : csq_error_copy(&job->error, handle, rc);
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

METHOD(connection_create_function) = {
    .args = ARGS("Connection.create_function", 3, 4, 0, "name", "num_params", "func",
                 "deterministic", "directonly", "innocuous"),
    .hooks = &method_simple,
    .gated = true,
    .anytime = true,
    .objects = CALLABLE_OBJECTS,
    .run = apply_function,
    .takes = {TAKE(NAME, struct callable_call, name), TAKE(INT, struct callable_call, number),
              TAKE(OPTIONAL, struct callable_call, callable),
              TAKE(TRUTH, struct callable_call, deterministic),
              TAKE(TRUTH, struct callable_call, directonly),
              TAKE(TRUTH, struct callable_call, innocuous)},
};

static const char create_aggregate_doc[] =
    "create_aggregate($self, name, n_arg, aggregate_class)\n--\n\n"
    "Let SQL use an aggregate of n_arg arguments (-1: any number).\n\n"
    "aggregate_class: a class with step(*values) and finalize(), which gives the result; None\n"
    "removes the aggregate. They are called on the worker; either may be a coroutine function.\n"
    "An exception makes the statement fail with OperationalError, whose __cause__ it is.\n\n"
    "As sqlite3's Connection.create_aggregate(); aiosqlite has no such method.";

METHOD(connection_create_aggregate) = {
    .args = ARGS("Connection.create_aggregate", 3, 3, 0, "name", "n_arg", "aggregate_class"),
    .hooks = &method_simple,
    .gated = true,
    .anytime = true,
    .objects = CALLABLE_OBJECTS,
    .run = apply_aggregate,
    .takes = {TAKE(NAME, struct callable_call, name), TAKE(INT, struct callable_call, number),
              TAKE(OPTIONAL, struct callable_call, callable)},
};

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

METHOD(connection_create_window_function) = {
    .args = ARGS("Connection.create_window_function", 3, 3, 3, "name", "num_params",
                 "aggregate_class"),
    .hooks = &method_simple,
    .gated = true,
    .anytime = true,
    .objects = CALLABLE_OBJECTS,
    .run = apply_window,
    .takes = {TAKE(NAME, struct callable_call, name), TAKE(INT, struct callable_call, number),
              TAKE(OPTIONAL, struct callable_call, callable)},
};

static const char create_collation_doc[] =
    "create_collation($self, name, callback)\n--\n\n"
    "Let SQL order text by callback(a, b), which gives a negative, zero or positive int.\n\n"
    "callback: a callable or a coroutine function; None removes the collation. It is called on\n"
    "the worker. An exception is raised by the statement when SQLite is done with that step; "
    "till\n"
    "then texts compare as equal.\n\n"
    "As sqlite3's Connection.create_collation(); aiosqlite has no such method.";

/* sqlite3's names of the arguments cannot be used, and its complaint numbers them. */
static int
fill_collation(RequestObject *request, PyObject *const *values)
{
    request->job.sql = args_text(values[0], "create_collation", "1");
    if (request->job.sql != NULL && values[1] != Py_None && !PyCallable_Check(values[1])) {
        PyErr_SetString(PyExc_TypeError, "parameter must be callable");
        return -1;
    }
    return request->job.sql == NULL ? -1 : 0;
}

METHOD(connection_create_collation) = {
    .args = ARGS("Connection.create_collation", 2, 2, 0, "name", "callback"),
    .hooks = &method_simple,
    .gated = true,
    .anytime = true,
    .objects = CALLABLE_OBJECTS,
    .run = apply_collation,
    .takes = {TAKE(OBJECT, struct callable_call, name),
              TAKE(OPTIONAL, struct callable_call, callable)},
    .fill = fill_collation,
};

PyMethodDef functions_methods[] = {
    METHOD_ENTRY("create_function", connection_create_function, create_function_doc),
    METHOD_ENTRY("create_aggregate", connection_create_aggregate, create_aggregate_doc),
    METHOD_ENTRY("create_window_function", connection_create_window_function,
                 create_window_function_doc),
    METHOD_ENTRY("create_collation", connection_create_collation, create_collation_doc),
    {NULL, NULL, 0, NULL},
};
