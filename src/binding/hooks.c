/* Hooks. Setting one is a job: the worker makes the listener, takes out the one whose
 * place it takes, and lets SQLite know.
 *
 * Of some kinds there may be several, told apart by an `id` that is compared with ==,
 * as apsw does. Comparing may run any code, so the worker does it before it
 * changes anything. */

#include "binding/hooks.h"

#include "binding/args.h"
#include "binding/callbacks.h"
#include "binding/errors.h"
#include "binding/hook_calls.h"

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
    struct csq_db *db = &request->worker->db;
    int rc = 0;

    gate_enter(request->gate);
    if (request->arguments[1] != NULL) {
        *fresh = hook_new(self->state, request->gate, db, request->arguments[1],
                          request->arguments[0], request->arguments[2]);
        rc = *fresh == NULL ? -1 : 0;
    }
    if (rc == 0) {
        rc = find(&db->hooks, kind, request->arguments[0], old);
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
    const struct kind *kind = job->with.host.argument;
    struct csq_db *db = &request->worker->db;
    struct csq_listener *old = NULL;
    struct hook *fresh = NULL;

    (void)handle;
    /* SQLite has one place for the two, and a session takes what it finds there for
     * another session. */
    if (kind->hook == CSQ_ON_PREUPDATE && request->arguments[1] != NULL &&
        !csq_list_empty(&db->sessions)) {
        return csq_error_set(&job->error, CSQ_USAGE,
                             "A pre-update hook cannot be set while a session is open.");
    }
    csq_hooks_hold(&db->hooks);
    if (prepare(request, kind, &fresh, &old) == 0) {
        const struct csq_listener listener = {
            .call = kind->call,
            .batched = kind->batched,
            .number = (int)request->number,
            .argument = fresh,
            .release = hook_free,
        };

        if (!csq_db_set_hook(db, kind->hook, old, fresh == NULL ? NULL : &listener)) {
            csq_error_copy(&job->error, NULL, SQLITE_NOMEM);
        }
        callbacks_put_off(db);
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
    int rc = csq_hooks_set_autocheckpoint(&request->worker->db.hooks, (int)request->number);

    return rc == SQLITE_OK ? rc : csq_error_copy(&job->error, handle, rc);
}

/* -- requests ------------------------------------------------------------------ */

/* Gives a request that sets `callable` (None: nothing). `id` may be NULL or None. */
static PyObject *
hook_request(ConnectionObject *self, const struct request_hooks *hooks, const struct kind *kind,
             PyObject *callable, PyObject *id, int number)
{
    RequestObject *request;

    if (callable != Py_None && !PyCallable_Check(callable)) {
        PyErr_SetString(PyExc_TypeError, "parameter must be callable");
        return NULL;
    }
    request = connection_request(self, hooks, CSQ_APPLY, NULL);
    if (request != NULL) {
        if (self->gate != NULL) {
            self->gate->used = true;
        }
        request->job.with.host.run = set_hook;
        request->job.with.host.argument = (void *)kind;
        request->job.anytime = kind->hook != CSQ_ON_WAL; /* which runs a PRAGMA */
        request->arguments[0] = id == Py_None ? NULL : Py_XNewRef(id);
        request->arguments[1] = callable == Py_None ? NULL : Py_NewRef(callable);
        request->number = number;
    }
    return (PyObject *)request;
}

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

static PyObject *
connection_set_update_hook(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                           PyObject *kwnames)
{
    static const char *const names[] = {"callback", "batch"};
    static const struct args_spec spec = {"set_update_hook", 2, 1, 1, names};
    static const struct request_hooks hooks = {.name = "Connection.set_update_hook",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    static const struct kind single = {CSQ_ON_UPDATE, false, {.update = hook_update}};
    static const struct kind batched = {CSQ_ON_UPDATE, true, {.changes = hook_changes}};
    PyObject *values[2];
    int batch;

    if (self->foreign != NULL) {
        return args_forward("set_update_hook", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    batch = values[1] == NULL ? 0 : PyObject_IsTrue(values[1]);
    return batch < 0 ? NULL
                     : hook_request(self, &hooks, batch ? &batched : &single, values[0], NULL, 0);
}

PyDoc_STRVAR(set_commit_hook_doc,
             "set_commit_hook($self, callback, *, id=None)\n--\n\n"
             "Call callback() before each commit; a true answer makes a rollback of it.\n\n"
             "The statement that would have committed then raises IntegrityError (\"constraint\n"
             "failed\", SQLITE_CONSTRAINT_COMMITHOOK). An exception does the same and goes to\n"
             "sys.unraisablehook. It is called on the worker and cannot use the connection.\n"
             "There may be several, each with another `id`: they are called in the order in\n"
             "which they were set, until one says no. None removes the one of that id.\n"
             "As apsw's Connection.set_commit_hook(). sqlite3_commit_hook().");

static PyObject *
connection_set_commit_hook(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                           PyObject *kwnames)
{
    static const char *const names[] = {"callback", "id"};
    static const struct args_spec spec = {"set_commit_hook", 2, 1, 1, names};
    static const struct request_hooks hooks = {.name = "Connection.set_commit_hook",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    static const struct kind kind = {CSQ_ON_COMMIT, false, {.commit = hook_commit}};
    PyObject *values[2];

    if (self->foreign != NULL) {
        return args_forward("set_commit_hook", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    return hook_request(self, &hooks, &kind, values[0], values[1], 0);
}

PyDoc_STRVAR(
    set_rollback_hook_doc,
    "set_rollback_hook($self, callback, *, id=None)\n--\n\n"
    "Call callback() when a transaction is rolled back, by whatever.\n\n"
    "Not for ROLLBACK TO, nor when the connection is closed. It is called on the worker\n"
    "and cannot use the connection; its exceptions go to sys.unraisablehook. There may\n"
    "be several, each with another `id`. None removes the one of that id.\n"
    "As apsw's Connection.set_rollback_hook(). sqlite3_rollback_hook().");

static PyObject *
connection_set_rollback_hook(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *kwnames)
{
    static const char *const names[] = {"callback", "id"};
    static const struct args_spec spec = {"set_rollback_hook", 2, 1, 1, names};
    static const struct request_hooks hooks = {.name = "Connection.set_rollback_hook",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    static const struct kind kind = {CSQ_ON_ROLLBACK, false, {.rollback = hook_rollback}};
    PyObject *values[2];

    if (self->foreign != NULL) {
        return args_forward("set_rollback_hook", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    return hook_request(self, &hooks, &kind, values[0], values[1], 0);
}

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

static PyObject *
connection_set_wal_hook(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *kwnames)
{
    static const char *const names[] = {"callback"};
    static const struct args_spec spec = {"set_wal_hook", 1, 1, 1, names};
    static const struct request_hooks hooks = {.name = "Connection.set_wal_hook",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    static const struct kind kind = {CSQ_ON_WAL, false, {.wal = hook_wal}};
    PyObject *callable;

    if (self->foreign != NULL) {
        return args_forward("set_wal_hook", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, &callable) < 0) {
        return NULL;
    }
    return hook_request(self, &hooks, &kind, callable, NULL, 0);
}

PyDoc_STRVAR(
    wal_autocheckpoint_doc,
    "wal_autocheckpoint($self, n)\n--\n\n"
    "Make a checkpoint after each commit that leaves `n` pages or more in the log.\n\n"
    "0 or less: never. SQLite begins with 1,000. It goes together with a WAL hook, which\n"
    "`PRAGMA wal_autocheckpoint` does not. As apsw's Connection.wal_autocheckpoint().\n"
    "sqlite3_wal_autocheckpoint().");

static PyObject *
connection_wal_autocheckpoint(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames)
{
    static const char *const names[] = {"n"};
    static const struct args_spec spec = {"wal_autocheckpoint", 1, 1, 1, names};
    static const struct request_hooks hooks = {.name = "Connection.wal_autocheckpoint",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    RequestObject *request;
    PyObject *value;
    int pages;

    if (self->foreign != NULL) {
        return args_forward("wal_autocheckpoint", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, &value) < 0 || args_clamped(value, &pages) < 0) {
        return NULL;
    }
    request = connection_request(self, &hooks, CSQ_APPLY, NULL);
    if (request != NULL) {
        request->job.with.host.run = set_autocheckpoint;
        request->number = pages;
    }
    return (PyObject *)request;
}

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

static PyObject *
connection_set_preupdate_hook(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames)
{
    static const char *const names[] = {"callback", "id"};
    static const struct args_spec spec = {"set_preupdate_hook", 2, 1, 1, names};
    static const struct request_hooks hooks = {.name = "Connection.set_preupdate_hook",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    static const struct kind kind = {CSQ_ON_PREUPDATE, false, {.preupdate = hook_preupdate}};
    PyObject *values[2];
    PyObject *request;

    if (self->foreign != NULL) {
        return args_forward("set_preupdate_hook", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
#ifndef SQLITE_ENABLE_PREUPDATE_HOOK
    PyErr_SetString(self->state->NotSupportedError,
                    "set_preupdate_hook() needs SQLite built with SQLITE_ENABLE_PREUPDATE_HOOK");
    return NULL;
#endif
    request = hook_request(self, &hooks, &kind, values[0], values[1], 0);
    if (request != NULL) {
        ((RequestObject *)request)->arguments[2] = module_import("csqlite.hooks", "PreUpdate");
        if (((RequestObject *)request)->arguments[2] == NULL) {
            ((RequestObject *)request)->stage = REQUEST_DONE;
            Py_CLEAR(request);
        }
    }
    return request;
}

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

static PyObject *
connection_trace_v2(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames)
{
    static const char *const names[] = {"mask", "callback", "id"};
    static const struct args_spec spec = {"trace_v2", 3, 1, 2, names};
    static const struct request_hooks hooks = {.name = "Connection.trace_v2",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    static const struct kind kind = {CSQ_ON_TRACE, false, {.trace = hook_trace}};
    PyObject *values[3];
    PyObject *callable;
    int mask;

    if (self->foreign != NULL) {
        return args_forward("trace_v2", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, values) < 0 ||
        args_clamped(values[0], &mask) < 0) {
        return NULL;
    }
    if ((mask & ~TRACE_EVENTS) != 0) {
        PyErr_Format(PyExc_ValueError, "mask must be made of SQLITE_TRACE_ events, not %R",
                     values[0]);
        return NULL;
    }
    callable = mask == 0 || values[1] == NULL ? Py_None : values[1];
    return hook_request(self, &hooks, &kind, callable, values[2], mask);
}

PyDoc_STRVAR(
    set_profile_doc,
    "set_profile($self, callback)\n--\n\n"
    "Call callback(sql, nanoseconds) when a statement has ended, on the worker.\n\n"
    "SQLite measures in milliseconds. The SQL has its placeholders in it. Exceptions go\n"
    "to sys.unraisablehook. None removes it. As apsw's Connection.set_profile();\n"
    "trace_v2() tells more. sqlite3_trace_v2().");

static PyObject *
connection_set_profile(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames)
{
    static const char *const names[] = {"callback"};
    static const struct args_spec spec = {"set_profile", 1, 1, 1, names};
    static const struct request_hooks hooks = {.name = "Connection.set_profile",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    static const struct kind kind = {CSQ_ON_TRACE, false, {.trace = hook_profile}};
    PyObject *callable;

    if (self->foreign != NULL) {
        return args_forward("set_profile", (PyObject *)self, args, nargs, kwnames);
    }
    if (args_parse(&spec, args, nargs, kwnames, &callable) < 0) {
        return NULL;
    }
    return hook_request(self, &hooks, &kind, callable, NULL, SQLITE_TRACE_PROFILE);
}

PyObject *
hooks_set_progress(ConnectionObject *self, PyObject *callable, int steps, PyObject *id)
{
    static const struct request_hooks hooks = {.name = "Connection.set_progress_handler",
                                               .pack = connection_simple_pack,
                                               .unpack = connection_simple_unpack};
    static const struct kind kind = {CSQ_ON_PROGRESS, false, {.progress = hook_progress}};

    return hook_request(self, &hooks, &kind, steps < 1 ? Py_None : callable, id, steps);
}

PyMethodDef hooks_methods[] = {
    {"set_update_hook", (PyCFunction)(void (*)(void))connection_set_update_hook, ARGS_FASTCALL,
     set_update_hook_doc},
    {"set_commit_hook", (PyCFunction)(void (*)(void))connection_set_commit_hook, ARGS_FASTCALL,
     set_commit_hook_doc},
    {"set_rollback_hook", (PyCFunction)(void (*)(void))connection_set_rollback_hook,
     ARGS_FASTCALL, set_rollback_hook_doc},
    {"set_wal_hook", (PyCFunction)(void (*)(void))connection_set_wal_hook, ARGS_FASTCALL,
     set_wal_hook_doc},
    {"wal_autocheckpoint", (PyCFunction)(void (*)(void))connection_wal_autocheckpoint,
     ARGS_FASTCALL, wal_autocheckpoint_doc},
    {"set_preupdate_hook", (PyCFunction)(void (*)(void))connection_set_preupdate_hook,
     ARGS_FASTCALL, set_preupdate_hook_doc},
    {"trace_v2", (PyCFunction)(void (*)(void))connection_trace_v2, ARGS_FASTCALL, trace_v2_doc},
    {"set_profile", (PyCFunction)(void (*)(void))connection_set_profile, ARGS_FASTCALL,
     set_profile_doc},
    {NULL, NULL, 0, NULL},
};
