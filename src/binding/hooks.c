/* Hooks. Setting one is a job: the worker makes the listener, takes out the one whose
 * place it takes, and lets SQLite know.
 *
 * Of some kinds there may be several, told apart by an `id` that is compared with ==,
 * as apsw does. Comparing may run any code, so the worker does it before it
 * changes anything. */

#include "binding/hooks.h"

#include "binding/hook_calls.h"
#include "binding/method.h"
#include "binding/registry.h"
#include "engine/native.h"

/* What is set: a kind, and what SQLite's call becomes. */
struct kind {
    enum csq_hook hook;
    bool batched;
    union csq_hook_call call;
};

/* -- on the worker ------------------------------------------------------------- */

/* Whether a listener is of `kind`: tracing has two that do not replace each other. */
static bool
is_of_kind(const struct csq_listener *listener, const struct kind *kind)
{
    return !listener->gone &&
           (kind->hook != CSQ_ON_TRACE || listener->call.trace == kind->call.trace);
}

/* GIL held, listeners held. Finds the one of that kind and id: 1, 0 when there is
 * none, -1 with an exception. */
static int
find(struct csq_hooks *hooks, const struct kind *kind, PyObject *id, struct csq_listener **found)
{
    const struct csq_list *list = &hooks->listeners[kind->hook];

    for (struct csq_link *link = list->head.next; link != &list->head; link = link->next) {
        struct csq_listener *listener = csq_item(link, struct csq_listener, link);
        const struct hook *hook = listener->argument;
        int equal = hook->id == id;

        if (!is_of_kind(listener, kind)) {
            continue;
        }
        if (!equal && hook->id != NULL && id != NULL) {
            equal = PyObject_RichCompareBool(hook->id, id, Py_EQ);
        }
        if (equal < 0) {
            return -1;
        }
        if (equal && !listener->gone) {
            *found = listener;
            return 1;
        }
    }
    return 0;
}

/* Listeners held. Makes the hook and finds what it replaces. Either may be NULL. */
static int
prepare(RequestObject *request, const struct kind *kind, struct hook **fresh,
        struct csq_listener **old)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    const struct callable_call *call = REQUEST_PAYLOAD(request, struct callable_call);
    struct csq_db *db = csq_native_db(request->executor);
    int rc = 0;

    gate_enter(request->gate);
    if (call->callable != NULL) {
        *fresh =
            hook_new(self->state, request->gate, db, call->callable, call->id, call->factory);
        rc = *fresh == NULL ? -1 : 0;
    }
    if (rc == 0) {
        rc = find(&db->hooks, kind, call->id, old);
    }
    if (rc < 0) {
        Py_XSETREF(request->raised, compat_take_exception());
        csq_error_set(&request->job.error, CSQ_RAISED, "a hook could not be set");
    }
    gate_leave(request->gate);
    return rc < 0 ? -1 : 0;
}

static int
set_hook(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    const struct callable_call *call = REQUEST_PAYLOAD(request, struct callable_call);
    const struct kind *kind = job->with.host.argument;
    struct csq_db *db = csq_native_db(request->executor);
    struct csq_listener *old = NULL;
    struct hook *fresh = NULL;

    (void)handle;
    /* SQLite has one place for the two, and a session takes what it finds there for
     * another session. */
    if (kind->hook == CSQ_ON_PREUPDATE && call->callable != NULL &&
        !csq_list_empty(&db->sessions)) {
        return csq_error_set(&job->error, CSQ_USAGE,
                             "A pre-update hook cannot be set while a session is open.");
    }
    csq_hooks_hold(&db->hooks);
    if (prepare(request, kind, &fresh, &old) == 0) {
        const struct csq_listener listener = {
            .call = kind->call,
            .batched = kind->batched,
            .number = call->number,
            .argument = fresh,
            .release = hook_free,
        };

        if (!csq_db_set_hook(db, kind->hook, old, fresh == NULL ? NULL : &listener)) {
            csq_error_copy(&job->error, NULL, SQLITE_NOMEM);
        }
        registry_put_off(db);
    }
    if (job->error.code != SQLITE_OK) {
        hook_free(fresh);
    }
    csq_hooks_release(&db->hooks);
    return job->error.code;
}

static int
set_autocheckpoint(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    int pages = REQUEST_PAYLOAD(request, struct callable_call)->number;
    int rc = csq_hooks_set_autocheckpoint(&csq_native_db(request->executor)->hooks, pages);

    return rc == SQLITE_OK ? rc : csq_error_copy(&job->error, handle, rc);
}

/* -- the methods ----------------------------------------------------------------- */

PyDoc_STRVAR(
    set_update_hook_doc,
    "set_update_hook($self, callback, *, batch=False)\n--\n\n"
    "Call callback(operation, database, table, rowid) for each row that is changed.\n\n"
    "operation: SQLITE_INSERT, SQLITE_UPDATE or SQLITE_DELETE. It is called on the\n"
    "worker, while the statement runs, and cannot use the connection. Exceptions go\n"
    "to sys.unraisablehook. None removes it. sqlite3_update_hook() says which changes\n"
    "it does not see: tables WITHOUT ROWID, REPLACE, DELETE without WHERE.\n\n"
    "batch: call callback(changes) instead, once a transaction is committed; changes is\n"
    "a sequence of such tuples (csqlite.hooks.Changes). What is rolled back is not in\n"
    "it; what ROLLBACK TO or a failed statement undid within the transaction is. The\n"
    "worker records without the GIL, at most 1,048,576 changes a transaction: beyond,\n"
    "one tuple with None for a rowid stands for all of a table and operation.\n\n"
    "As apsw's Connection.set_update_hook(), which has no batch.");

static int
fill_update_hook(RequestObject *request, PyObject *const *values)
{
    static const struct kind single = {CSQ_ON_UPDATE, false, {.update = hook_update}};
    static const struct kind batched = {CSQ_ON_UPDATE, true, {.changes = hook_changes}};
    bool batch = REQUEST_PAYLOAD(request, struct callable_call)->batch;

    (void)values;
    request->job.with.host.argument = (void *)(batch ? &batched : &single);
    return 0;
}

METHOD(connection_set_update_hook) = {
    .args = ARGS("Connection.set_update_hook", 1, 1, 0, "callback", "batch"),
    .hooks = &method_simple,
    .gated = true,
    .anytime = true,
    .objects = CALLABLE_OBJECTS,
    .run = set_hook,
    .takes = {TAKE(CALLABLE, struct callable_call, callable),
              TAKE(TRUTH, struct callable_call, batch)},
    .fill = fill_update_hook,
};

PyDoc_STRVAR(set_commit_hook_doc,
             "set_commit_hook($self, callback, *, id=None)\n--\n\n"
             "Call callback() before each commit; a true answer makes a rollback of it.\n\n"
             "The statement that would have committed then raises IntegrityError (\"constraint\n"
             "failed\", SQLITE_CONSTRAINT_COMMITHOOK). An exception does the same and goes to\n"
             "sys.unraisablehook. It is called on the worker and cannot use the connection.\n"
             "There may be several, each with another `id`: they are called in the order in\n"
             "which they were set, until one says no. None removes the one of that id.\n"
             "As apsw's Connection.set_commit_hook(). sqlite3_commit_hook().");

static const struct kind commit_hook_kind = {CSQ_ON_COMMIT, false, {.commit = hook_commit}};

METHOD(connection_set_commit_hook) = {
    .args = ARGS("Connection.set_commit_hook", 1, 1, 0, "callback", "id"),
    .hooks = &method_simple,
    .gated = true,
    .anytime = true,
    .objects = CALLABLE_OBJECTS,
    .run = set_hook,
    .argument = &commit_hook_kind,
    .takes = {TAKE(CALLABLE, struct callable_call, callable),
              TAKE(OPTIONAL, struct callable_call, id)},
};

PyDoc_STRVAR(
    set_rollback_hook_doc,
    "set_rollback_hook($self, callback, *, id=None)\n--\n\n"
    "Call callback() when a transaction is rolled back, by whatever.\n\n"
    "Not for ROLLBACK TO, nor when the connection is closed. It is called on the worker\n"
    "and cannot use the connection; its exceptions go to sys.unraisablehook. There may\n"
    "be several, each with another `id`. None removes the one of that id.\n"
    "As apsw's Connection.set_rollback_hook(). sqlite3_rollback_hook().");

static const struct kind rollback_hook_kind = {
    CSQ_ON_ROLLBACK, false, {.rollback = hook_rollback}};

METHOD(connection_set_rollback_hook) = {
    .args = ARGS("Connection.set_rollback_hook", 1, 1, 0, "callback", "id"),
    .hooks = &method_simple,
    .gated = true,
    .anytime = true,
    .objects = CALLABLE_OBJECTS,
    .run = set_hook,
    .argument = &rollback_hook_kind,
    .takes = {TAKE(CALLABLE, struct callable_call, callable),
              TAKE(OPTIONAL, struct callable_call, id)},
};

PyDoc_STRVAR(
    set_wal_hook_doc,
    "set_wal_hook($self, callback)\n--\n\n"
    "Call callback(database, pages) after each commit to a database in WAL mode.\n\n"
    "pages: how many the log has. The answer is None, SQLITE_OK, or the code of an\n"
    "error, with which the committing statement raises OperationalError (\"SQL logic\n"
    "error\") although it has committed; an exception goes to sys.unraisablehook. It is\n"
    "called on the worker and may use the connection through `_conn`. None removes it.\n"
    "Automatic checkpoints go on, unlike in SQLite; but `PRAGMA wal_autocheckpoint = N`\n"
    "takes the hook's place: use wal_autocheckpoint(). As apsw's\n"
    "Connection.set_wal_hook(), without the connection as an argument.\n"
    "sqlite3_wal_hook().");

static const struct kind wal_hook_kind = {CSQ_ON_WAL, false, {.wal = hook_wal}};

/* It runs a PRAGMA, so not at any time. */
METHOD(connection_set_wal_hook) = {
    .args = ARGS("Connection.set_wal_hook", 1, 1, 0, "callback"),
    .hooks = &method_simple,
    .gated = true,
    .objects = CALLABLE_OBJECTS,
    .run = set_hook,
    .argument = &wal_hook_kind,
    .takes = {TAKE(CALLABLE, struct callable_call, callable)},
};

PyDoc_STRVAR(
    wal_autocheckpoint_doc,
    "wal_autocheckpoint($self, n)\n--\n\n"
    "Make a checkpoint after each commit that leaves `n` pages or more in the log.\n\n"
    "0 or less: never. SQLite begins with 1,000. It goes together with a WAL hook, which\n"
    "`PRAGMA wal_autocheckpoint` does not. As apsw's Connection.wal_autocheckpoint().\n"
    "sqlite3_wal_autocheckpoint().");

METHOD(connection_wal_autocheckpoint) = {
    .args = ARGS("Connection.wal_autocheckpoint", 1, 1, 0, "n"),
    .hooks = &method_simple,
    .run = set_autocheckpoint,
    .takes = {TAKE(CLAMPED, struct callable_call, number)},
};

PyDoc_STRVAR(
    set_preupdate_hook_doc,
    "set_preupdate_hook($self, callback, *, id=None)\n--\n\n"
    "Call callback(change) before each row is changed; change: csqlite.hooks.PreUpdate.\n\n"
    "It has the values before and after, and sees what an update hook does not: tables\n"
    "WITHOUT ROWID, rows that REPLACE removes, DELETE without WHERE. It is called on the\n"
    "worker and cannot use the connection; its exceptions go to sys.unraisablehook, and\n"
    "the change happens. There may be several, each with another `id`. None removes the\n"
    "one of that id. Raises NotSupportedError where SQLite was built without it. After\n"
    "apsw's Connection.preupdate_hook(). sqlite3_preupdate_hook().");

static int
fill_preupdate_hook(RequestObject *request, PyObject *const *values)
{
    struct callable_call *call = REQUEST_PAYLOAD(request, struct callable_call);

    (void)values;
#ifndef SQLITE_ENABLE_PREUPDATE_HOOK
    PyErr_SetString(((ConnectionObject *)request->owner)->state->NotSupportedError,
                    "set_preupdate_hook() needs SQLite built with SQLITE_ENABLE_PREUPDATE_HOOK");
    return -1;
#endif
    call->factory = module_import("csqlite.hooks", "PreUpdate");
    return call->factory == NULL ? -1 : 0;
}

static const struct kind preupdate_hook_kind = {
    CSQ_ON_PREUPDATE, false, {.preupdate = hook_preupdate}};

METHOD(connection_set_preupdate_hook) = {
    .args = ARGS("Connection.set_preupdate_hook", 1, 1, 0, "callback", "id"),
    .hooks = &method_simple,
    .gated = true,
    .anytime = true,
    .objects = CALLABLE_OBJECTS,
    .run = set_hook,
    .argument = &preupdate_hook_kind,
    .takes = {TAKE(CALLABLE, struct callable_call, callable),
              TAKE(OPTIONAL, struct callable_call, id)},
    .fill = fill_preupdate_hook,
};

/* -- statements ---------------------------------------------------------------- */

enum { TRACE_EVENTS = 0x0f };

PyDoc_STRVAR(
    trace_v2_doc,
    "trace_v2($self, mask, callback=None, *, id=None)\n--\n\n"
    "Call callback(event) for the events in `mask`; event: dict.\n\n"
    "mask: SQLITE_TRACE_STMT (a statement begins), SQLITE_TRACE_PROFILE (it has ended),\n"
    "SQLITE_TRACE_ROW, SQLITE_TRACE_CLOSE, or several of them with `|`. The dict has\n"
    "`code`, and as the event has them `id` (of the statement), `sql`, `trigger`,\n"
    "`total_changes`, `nanoseconds` and `stmt_status`. It is called on the worker;\n"
    "its exceptions go to sys.unraisablehook. There may be several, each with another\n"
    "`id`; set_trace_callback() is apart. A callback of None, or a mask of 0, removes\n"
    "the one of that id. As apsw's Connection.trace_v2(), without `connection`.\n"
    "sqlite3_trace_v2().");

static int
fill_trace(RequestObject *request, PyObject *const *values)
{
    struct callable_call *call = REQUEST_PAYLOAD(request, struct callable_call);

    if ((call->number & ~TRACE_EVENTS) != 0) {
        PyErr_Format(PyExc_ValueError, "mask must be made of SQLITE_TRACE_ events, not %R",
                     values[0]);
        return -1;
    }
    if (call->number == 0) {
        Py_CLEAR(call->callable);
    }
    return 0;
}

static const struct kind trace_v2_kind = {CSQ_ON_TRACE, false, {.trace = hook_trace}};

METHOD(connection_trace_v2) = {
    .args = ARGS("Connection.trace_v2", 1, 2, 0, "mask", "callback", "id"),
    .hooks = &method_simple,
    .gated = true,
    .anytime = true,
    .objects = CALLABLE_OBJECTS,
    .run = set_hook,
    .argument = &trace_v2_kind,
    .takes = {TAKE(CLAMPED, struct callable_call, number),
              TAKE(CALLABLE, struct callable_call, callable),
              TAKE(OPTIONAL, struct callable_call, id)},
    .fill = fill_trace,
};

PyDoc_STRVAR(
    set_profile_doc,
    "set_profile($self, callback)\n--\n\n"
    "Call callback(sql, nanoseconds) when a statement has ended, on the worker.\n\n"
    "SQLite measures in milliseconds. The SQL has its placeholders in it. Exceptions go\n"
    "to sys.unraisablehook. None removes it. As apsw's Connection.set_profile();\n"
    "trace_v2() tells more. sqlite3_trace_v2().");

static int
fill_profile(RequestObject *request, PyObject *const *values)
{
    (void)values;
    REQUEST_PAYLOAD(request, struct callable_call)->number = SQLITE_TRACE_PROFILE;
    return 0;
}

static const struct kind profile_kind = {CSQ_ON_TRACE, false, {.trace = hook_profile}};

METHOD(connection_set_profile) = {
    .args = ARGS("Connection.set_profile", 1, 1, 0, "callback"),
    .hooks = &method_simple,
    .gated = true,
    .anytime = true,
    .objects = CALLABLE_OBJECTS,
    .run = set_hook,
    .argument = &profile_kind,
    .takes = {TAKE(CALLABLE, struct callable_call, callable)},
    .fill = fill_profile,
};

int
hooks_fill_progress(RequestObject *request)
{
    static const struct kind kind = {CSQ_ON_PROGRESS, false, {.progress = hook_progress}};
    struct callable_call *call = REQUEST_PAYLOAD(request, struct callable_call);

    if (call->callable != NULL && !PyCallable_Check(call->callable)) {
        PyErr_SetString(PyExc_TypeError, "parameter must be callable");
        return -1;
    }
    if (call->number < 1) {
        call->number = 0;
        Py_CLEAR(call->callable);
    }
    request->job.with.host.run = set_hook;
    request->job.with.host.argument = (void *)&kind;
    return 0;
}

PyMethodDef hooks_methods[] = {
    METHOD_ENTRY("set_update_hook", connection_set_update_hook, set_update_hook_doc),
    METHOD_ENTRY("set_commit_hook", connection_set_commit_hook, set_commit_hook_doc),
    METHOD_ENTRY("set_rollback_hook", connection_set_rollback_hook, set_rollback_hook_doc),
    METHOD_ENTRY("set_wal_hook", connection_set_wal_hook, set_wal_hook_doc),
    METHOD_ENTRY("wal_autocheckpoint", connection_wal_autocheckpoint, wal_autocheckpoint_doc),
    METHOD_ENTRY("set_preupdate_hook", connection_set_preupdate_hook, set_preupdate_hook_doc),
    METHOD_ENTRY("trace_v2", connection_trace_v2, trace_v2_doc),
    METHOD_ENTRY("set_profile", connection_set_profile, set_profile_doc),
    {NULL, NULL, 0, NULL},
};
