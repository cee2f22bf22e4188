/* Handlers: what a connection has one of. Each method makes a request whose job, on the
 * worker and without the GIL, hands SQLite a callback.
 *
 * SQLite does not own a handler (authorizer, progress, trace); the db keeps it, frees one
 * when it is replaced and all when it is closed. */

#include "binding/callbacks.h"

#include "binding/hooks.h"
#include "binding/method.h"
#include "binding/registry.h"
#include "binding/trampolines.h"
#include "engine/native.h"

/* -- on the worker -------------------------------------------------------------- */

static int
set_authorizer(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    struct csq_db *db = csq_native_db(request->executor);
    int rc;
    struct callback *callback = registry_callback(request, &rc);

    if (rc == SQLITE_OK) {
        rc = registry_tell_authorizer(db, callback);
        csq_db_keep(db, CSQ_AUTHORIZER, callback, callback_free);
        registry_put_off(db);
    }
    return rc == SQLITE_OK ? rc : csq_error_copy(&job->error, handle, rc);
}

static int
set_progress(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    int steps = REQUEST_PAYLOAD(request, struct callable_call)->number;
    int rc;
    struct callback *callback = registry_callback(request, &rc);

    (void)handle;
    if (rc != SQLITE_OK) {
        return csq_error_copy(&job->error, NULL, rc);
    }
    if (steps <= 0) {
        callback_free(callback);
        callback = NULL;
    }
    csq_db_set_progress(csq_native_db(request->executor),
                        callback == NULL ? NULL : trampoline_progress, callback, steps);
    csq_db_keep(csq_native_db(request->executor), CSQ_PROGRESS, callback, callback_free);
    return SQLITE_OK;
}

static int
set_trace(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    struct csq_db *db = csq_native_db(request->executor);
    int rc;
    struct callback *callback = registry_callback(request, &rc);

    if (rc == SQLITE_OK) {
        csq_hooks_set_trace(&db->hooks, callback == NULL ? NULL : trampoline_trace, callback);
        csq_db_keep(db, CSQ_TRACE, callback, callback_free);
        registry_put_off(db);
    }
    return rc == SQLITE_OK ? rc : csq_error_copy(&job->error, handle, rc);
}

/* -- the methods ---------------------------------------------------------------- */

static const char set_authorizer_doc[] =
    "set_authorizer($self, authorizer_callback)\n--\n\n"
    "Ask authorizer_callback(action, arg1, arg2, database, trigger) for each access.\n\n"
    "It gives SQLITE_OK, SQLITE_DENY or SQLITE_IGNORE, on the worker, while statements are\n"
    "prepared. An exception denies. None removes it (on every Python version).";

METHOD(connection_set_authorizer) = {
    .args = ARGS("Connection.set_authorizer", 1, 1, 0, "authorizer_callback"),
    .hooks = &method_simple,
    .gated = true,
    .anytime = true,
    .objects = CALLABLE_OBJECTS,
    .run = set_authorizer,
    .takes = {TAKE(OPTIONAL, struct callable_call, callable)},
};

static const char set_progress_handler_doc[] =
    "set_progress_handler($self, handler, n, *, id=None)\n--\n\n"
    "Call handler() about every `n` steps of SQLite's virtual machine, on the worker.\n\n"
    "When it gives a true value, or raises, the statement is stopped: OperationalError\n"
    "(\"interrupted\"). There may be several, each with another `id`; without one it is\n"
    "sqlite3's single one. None, or an `n` of 0, removes the one of that id. As sqlite3's\n"
    "Connection.set_progress_handler(); `id` is apsw's.";

static int
fill_progress(RequestObject *request, PyObject *const *values)
{
    (void)values;
    return REQUEST_PAYLOAD(request, struct callable_call)->id == NULL
               ? 0
               : hooks_fill_progress(request);
}

METHOD(connection_set_progress_handler) = {
    .args = ARGS("Connection.set_progress_handler", 2, 2, 0, "handler", "n", "id"),
    .hooks = &method_simple,
    .gated = true,
    .anytime = true,
    .objects = CALLABLE_OBJECTS,
    .run = set_progress,
    .takes = {TAKE(OPTIONAL, struct callable_call, callable),
              TAKE(INT, struct callable_call, number), TAKE(OPTIONAL, struct callable_call, id)},
    .fill = fill_progress,
};

static const char set_trace_callback_doc[] =
    "set_trace_callback($self, handler)\n--\n\n"
    "Call handler(sql) for each statement that begins to run, on the worker.\n\n"
    "The SQL has its parameters filled in. What the handler gives or raises is ignored.\n"
    "None removes it.";

METHOD(connection_set_trace_callback) = {
    .args = ARGS("Connection.set_trace_callback", 1, 1, 0, "handler"),
    .hooks = &method_simple,
    .gated = true,
    .anytime = true,
    .objects = CALLABLE_OBJECTS,
    .run = set_trace,
    .takes = {TAKE(OPTIONAL, struct callable_call, callable)},
};

PyMethodDef callbacks_methods[] = {
    METHOD_ENTRY("set_authorizer", connection_set_authorizer, set_authorizer_doc),
    METHOD_ENTRY("set_progress_handler", connection_set_progress_handler,
                 set_progress_handler_doc),
    METHOD_ENTRY("set_trace_callback", connection_set_trace_callback, set_trace_callback_doc),
    {NULL, NULL, 0, NULL},
};
