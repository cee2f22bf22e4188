/* The properties of a connection. What is read comes from the connection itself or
 * from what the worker publishes after each job, so nothing waits; what is set holds
 * from the next statement that is queued.
 *
 * Those of sqlite3's connection are the foreign one's where there is one (attributes.h). */

#include "binding/attributes.h"
#include "binding/connection.h"
#include "binding/foreign.h"
#include "binding/method.h"
#include "binding/watchdog.h"
#include "bridge/direct.h"
#include "engine/native.h"

static PyObject *
get_in_transaction(ConnectionObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(atomic_load(&self->executor->published->in_transaction));
}

static PyObject *
get_total_changes(ConnectionObject *self, void *closure)
{
    (void)closure;
    return PyLong_FromLongLong(atomic_load(&self->executor->published->total_changes));
}

static PyObject *
get_group_commits(ConnectionObject *self, void *closure)
{
    const struct csq_published *published =
        self->executor == NULL ? NULL : self->executor->published;

    (void)closure;
    return PyLong_FromLongLong(published == NULL ? 0 : atomic_load(&published->group_commits));
}

static PyObject *
get_isolation_level(ConnectionObject *self, void *closure)
{
    const char *level = connection_level(self);

    (void)closure;
    return level == NULL ? Py_NewRef(Py_None) : PyUnicode_FromString(level);
}

/* -- what changes transactions ------------------------------------------------------ */

/* Whether the worker would come to it at once. */
static bool
is_idle(ConnectionObject *self)
{
    bool idle;

    Py_BEGIN_ALLOW_THREADS idle = self->executor->verbs->is_idle(self->executor);
    Py_END_ALLOW_THREADS return idle;
}

/* Runs a request that nobody awaits, which it takes: what setting a property means. At once
 * where nothing else runs, so that it raises what sqlite3's property would; in its turn
 * everywhere else, and what it fails with then is raised by what comes behind it. */
static int
run_detached(ConnectionObject *self, RequestObject *request)
{
    PyObject *done = NULL;
    int rc = 0;

    if (request == NULL) {
        return -1;
    }
    if (!self->check_same_thread || self->executor->verbs->is_current(self->executor) ||
        is_idle(self)) {
        rc = direct_try(request);
    }
    if (rc == 0) {
        request->job.owes = true;
        done = request_start(request);
        rc = done == NULL ? -1 : 1;
    }
    Py_XDECREF(done);
    Py_DECREF(request);
    return rc < 0 ? -1 : 0;
}

static int
set_isolation_level(ConnectionObject *self, PyObject *value, void *closure)
{
    static const struct method row = {
        .args = ARGS_NONE("Connection.commit"), .hooks = &method_simple, .op = CSQ_COMMIT};
    const char *begin;

    (void)closure;
    if (connection_read_level(value, &begin) < 0 ||
        (begin == NULL && run_detached(self, method_request(&row, self, NULL)) < 0)) {
        return -1;
    }
    self->begin = begin;
    return 0;
}

static PyObject *
get_row_factory(ConnectionObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef(self->row_factory);
}

static int
set_row_factory(ConnectionObject *self, PyObject *value, void *closure)
{
    (void)closure;
    Py_SETREF(self->row_factory, Py_NewRef(value));
    return 0;
}

static PyObject *
get_text_factory(ConnectionObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef(self->text_factory);
}

static int
set_text_factory(ConnectionObject *self, PyObject *value, void *closure)
{
    (void)closure;
    Py_SETREF(self->text_factory, Py_NewRef(value));
    return 0;
}

static PyObject *
get_autocommit(ConnectionObject *self, void *closure)
{
    const int autocommit = atomic_load(&self->executor->published->autocommit);

    (void)closure;
    return autocommit == CSQ_LEGACY ? PyLong_FromLong(-1) : PyBool_FromLong(autocommit);
}

static int
set_autocommit(ConnectionObject *self, PyObject *value, void *closure)
{
    static const struct method row = {.args = ARGS_NONE("Connection.autocommit"),
                                      .hooks = &method_simple,
                                      .op = CSQ_AUTOCOMMIT};
    RequestObject *request;
    long control;

    (void)closure;
    control = PyLong_Check(value) ? PyLong_AsLong(value) : 2;
    if (!PyBool_Check(value) && control != CSQ_LEGACY) {
        PyErr_Clear();
        PyErr_SetString(PyExc_ValueError,
                        "autocommit must be True, False, or sqlite3.LEGACY_TRANSACTION_CONTROL");
        return -1;
    }
    request = method_request(&row, self, NULL);
    if (request != NULL) {
        request->job.with.autocommit = (enum csq_autocommit)control;
    }
    return run_detached(self, request);
}

static PyObject *
get_cached_statements(ConnectionObject *self, void *closure)
{
    (void)closure;
    return PyLong_FromLong(self->cached_statements);
}

/* Worker thread. */
static int
resize_cache(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);

    (void)handle;
    csq_cache_resize(&csq_native_db(request->executor)->cache,
                     (int)(intptr_t)job->with.host.argument);
    return SQLITE_OK;
}

static int
set_cached_statements(ConnectionObject *self, PyObject *value, void *closure)
{
    static const struct method row = {.args = ARGS_NONE("Connection.cached_statements"),
                                      .hooks = &method_simple,
                                      .run = resize_cache};
    RequestObject *request;
    int count;

    (void)closure;
    if (args_clamped(value, &count) < 0) {
        return -1;
    }
    if (count < 0) {
        PyErr_SetString(PyExc_ValueError, "cached_statements must not be negative");
        return -1;
    }
    request = method_request(&row, self, NULL);
    if (request != NULL) {
        request->job.with.host.argument = (void *)(intptr_t)count;
        self->cached_statements = count;
    }
    return run_detached(self, request);
}

/* A foreign connection's cursors are not watched. */
static PyObject *
get_reader_warning(ConnectionObject *self, void *closure)
{
    (void)closure;
    if (connection_check(self) < 0) {
        return NULL;
    }
    return Py_NewRef(self->reader_warning == NULL ? Py_None : self->reader_warning);
}

static int
set_reader_warning(ConnectionObject *self, PyObject *value, void *closure)
{
    (void)closure;
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "cannot delete attribute");
        return -1;
    }
    if (connection_check(self) < 0) {
        return -1;
    }
    if (csq_native_db(self->executor) == NULL && value != Py_None) {
        return foreign_refuse(self, "reader_warning");
    }
    return watchdog_set(self, value);
}

/* -- what a foreign connection does not have ---------------------------------- */

static PyObject *
get_connection(ConnectionObject *self, void *closure)
{
    PyObject *view;
    PyObject *raw;

    (void)closure;
    if (self->stage != CONNECTION_OPEN && self->stage != CONNECTION_CLOSING) {
        Py_RETURN_NONE;
    }
    if (self->foreign != NULL) {
        return Py_NewRef(self->foreign);
    }
    view = module_import("csqlite.raw", "RawConnection");
    if (view == NULL) {
        return NULL;
    }
    raw = PyObject_CallOneArg(view, (PyObject *)self);
    Py_DECREF(view);
    return raw;
}

static PyObject *
get_conn(ConnectionObject *self, void *closure)
{
    return connection_check(self) < 0 ? NULL : get_connection(self, closure);
}

static PyObject *
get_running(ConnectionObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(self->stage != CONNECTION_CLOSED);
}

static PyObject *
get_connector(ConnectionObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef(self->connector == NULL ? Py_None : self->connector);
}

static PyObject *
get_idle(ConnectionObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(self->executor == NULL || self->forked ||
                           self->executor->verbs->is_empty(self->executor));
}

static PyObject *
get_foreign(ConnectionObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef(self->foreign == NULL ? Py_None : self->foreign);
}

/* -- the table ---------------------------------------------------------------- */

#define ATTRIBUTE(name, set)                                                           \
    static const struct attribute name##_attribute = {                                 \
        #name, offsetof(ConnectionObject, foreign), (attribute_check)connection_check, \
        (getter)get_##name, (setter)(set)}

ATTRIBUTE(in_transaction, NULL);
ATTRIBUTE(total_changes, NULL);
ATTRIBUTE(isolation_level, set_isolation_level);
ATTRIBUTE(autocommit, set_autocommit);
ATTRIBUTE(row_factory, set_row_factory);
ATTRIBUTE(text_factory, set_text_factory);
ATTRIBUTE(cached_statements, set_cached_statements);

static PyObject *
get_last_sql(ConnectionObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef(self->last_sql == NULL ? Py_None : self->last_sql);
}

/* Whoever sets it wants to know: from then on it is noted. */
static int
set_last_sql(ConnectionObject *self, PyObject *value, void *closure)
{
    (void)closure;
    self->notes_sql = value != NULL;
    Py_XSETREF(self->last_sql, value == Py_None ? NULL : Py_XNewRef(value));
    return 0;
}

PyGetSetDef connection_getset[] = {
    {"in_transaction", attribute_get, NULL,
     "Whether a transaction is open, as of the last job done.",
     (void *)&in_transaction_attribute},
    {"total_changes", attribute_get, NULL,
     "Rows changed since it was opened, as of the last job done.",
     (void *)&total_changes_attribute},
    {"isolation_level", attribute_get, attribute_set,
     "None, or how the implicit BEGIN before DML is qualified: '', 'DEFERRED', 'IMMEDIATE',\n"
     "'EXCLUSIVE'. Holds from the next statement that is queued; None commits what is open.",
     (void *)&isolation_level_attribute},
    {"autocommit", attribute_get, attribute_set,
     "True, False or LEGACY_TRANSACTION_CONTROL, as sqlite3's attribute of that name: True\n"
     "commits what is open, False begins a transaction, both in their turn.",
     (void *)&autocommit_attribute},
    {"row_factory", attribute_get, attribute_set,
     "None, sqlite3.Row, or a callable (cursor, tuple) -> row, for cursors made from now on.",
     (void *)&row_factory_attribute},
    {"text_factory", attribute_get, attribute_set,
     "str, bytes, bytearray, or a callable of bytes, for TEXT values.",
     (void *)&text_factory_attribute},
    {"cached_statements", attribute_get, attribute_set,
     "How many prepared statements are kept: connect()'s argument of that name. Setting it\n"
     "finalizes those that are too many, in its turn; 0 keeps none.",
     (void *)&cached_statements_attribute},
    {"reader_warning", (getter)get_reader_warning, (setter)set_reader_warning,
     "After how many seconds a cursor that is still half-read is warned of, or None: "
     "connect()'s\n"
     "argument of that name. A number holds for what is executed from now on, None at once.",
     NULL},
    {"group_commits", (getter)get_group_commits, NULL,
     "How many commits were for several writes at once: connect()'s group_commit.", NULL},
    {"_conn", (getter)get_conn, NULL, "The synchronous view, for functions on the worker.", NULL},
    {"_connection", (getter)get_connection, NULL, "As _conn; None when it is not open.", NULL},
    {"_connector", (getter)get_connector, NULL, "What opens it.", NULL},
    {"_foreign", (getter)get_foreign, NULL, "The foreign DB-API connection, or None.", NULL},
    {"_running", (getter)get_running, NULL, "False once it is closed or stopped.", NULL},
    {"_last_sql", (getter)get_last_sql, (setter)set_last_sql,
     "What was executed last, or None; noted once it was set.", NULL},
    {"_idle", (getter)get_idle, NULL, "Whether nothing waits for the worker.", NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
