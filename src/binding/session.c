/* Sessions. Each method is a job (recording.c): what a session has recorded is the
 * worker's. */

#include "binding/session.h"

#include "binding/args.h"
#include "binding/changeset.h"
#include "binding/errors.h"
#include "binding/recording.h"
#include "binding/status.h"
#include "bridge/ready.h"

typedef struct {
    PyObject_HEAD
    ConnectionObject *connection;
    PyObject *name; /* of the schema */
    bool rowid;
    struct recording *recording; /* NULL: it was never opened */
} SessionObject;

int
session_check(ConnectionObject *self, const char *method)
{
    if (self->foreign != NULL) {
        PyErr_Format(self->state->NotSupportedError,
                     "%s() is not there for the connection of another module", method);
        return -1;
    }
    return changeset_check(self->state);
}

#ifdef SQLITE_ENABLE_SESSION

/* -- what all methods have in common ------------------------------------------ */

typedef int (*session_function)(struct csq_job *job, sqlite3 *handle);

/* A request that runs `run` on the worker. Borrows the argument, which may be NULL. */
static PyObject *
session_request(SessionObject *self, const struct request_hooks *hooks, session_function run,
                PyObject *argument)
{
    RequestObject *request =
        connection_request(self->connection, hooks, CSQ_APPLY, (PyObject *)self);

    if (request != NULL) {
        request->job.with.host.run = run;
        request->job.with.host.argument = self->recording;
        request->arguments[0] = Py_XNewRef(argument);
    }
    return (PyObject *)request;
}

/* Gives whether the number that the job has put up is not 0. */
static enum request_answer
session_unpack_bool(RequestObject *request, int64_t deadline)
{
    if (status_unpack_value(request, deadline) != REQUEST_READY) {
        return REQUEST_FAILED;
    }
    Py_SETREF(request->result,
              PyBool_FromLong(request->result != NULL && PyObject_IsTrue(request->result) == 1));
    return REQUEST_READY;
}

/* -- opening and closing ------------------------------------------------------- */

static enum request_answer
open_pack(RequestObject *request)
{
    SessionObject *self = (SessionObject *)request->target;
    const char *name = PyUnicode_AsUTF8(self->name);

    if (name == NULL || connection_use(request, CONNECTION_DIRECT) < 0) {
        return REQUEST_FAILED;
    }
    self->recording = recording_new(request->worker, request->gate, name, self->rowid);
    request->job.with.host.argument = self->recording;
    return self->recording == NULL ? REQUEST_FAILED : REQUEST_WAIT;
}

static enum request_answer
open_unpack(RequestObject *request, int64_t deadline)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;

    (void)deadline;
    if (errors_check(self->state, request) < 0) {
        return REQUEST_FAILED;
    }
    request->result = Py_NewRef(request->target);
    return REQUEST_READY;
}

/* -- the methods of Session ---------------------------------------------------- */

/* Warns of tables that nothing is recorded of. The result is None. */
static enum request_answer
attach_unpack(RequestObject *request, int64_t deadline)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    struct csq_reader reader = {NULL, NULL};
    const struct csq_cell *cell;
    PyObject *names = PyList_New(0);
    int rc = names == NULL ? -1 : errors_check(self->state, request);

    (void)deadline;
    while (rc == 0 && (cell = csq_strip_read(&request->job.up, &reader)) != NULL) {
        PyObject *name =
            PyUnicode_DecodeUTF8(cell->value.bytes, (Py_ssize_t)cell->size, "replace");

        rc = name == NULL ? -1 : PyList_Append(names, name);
        Py_XDECREF(name);
    }
    if (rc == 0 && PyList_GET_SIZE(names) > 0) {
        rc = PyErr_WarnFormat(PyExc_RuntimeWarning, 1,
                              "a session records nothing of tables without a PRIMARY KEY, here "
                              "%R; session(rowid=True) records them by their rowid",
                              names);
    }
    Py_XDECREF(names);
    request->result = rc < 0 ? NULL : Py_NewRef(Py_None);
    return rc < 0 ? REQUEST_FAILED : REQUEST_READY;
}

PyDoc_STRVAR(
    attach_doc,
    "attach($self, table=None, /)\n--\n\n"
    "Begin to record what changes in a table; None: in all, also those made later.\n\n"
    "table: str, or a filter: a callable (or coroutine function) that is given a name\n"
    "when a table first changes and says whether to record it. It runs on the worker;\n"
    "where it raises, the table is not recorded, and the next changeset() or\n"
    "patchset() raises that exception.\n\n"
    "Nothing is recorded of a table without a PRIMARY KEY, unless the session was made\n"
    "with rowid=True: naming one raises ProgrammingError, and for all tables a\n"
    "RuntimeWarning names them. sqlite3session_attach(), sqlite3session_table_filter().");

static PyObject *
session_attach(SessionObject *self, PyObject *args)
{
    static const struct request_hooks hooks = {
        .name = "Session.attach", .pack = connection_simple_pack, .unpack = attach_unpack};
    PyObject *table = Py_None;
    const char *name = NULL;
    PyObject *request;

    if (!PyArg_ParseTuple(args, "|O:attach", &table)) {
        return NULL;
    }
    if (PyUnicode_Check(table)) {
        name = PyUnicode_AsUTF8(table);
        if (name == NULL) {
            return NULL;
        }
    } else if (table != Py_None && !PyCallable_Check(table)) {
        return PyErr_Format(PyExc_TypeError,
                            "attach() argument must be str, a callable or None, "
                            "not %.100s",
                            Py_TYPE(table)->tp_name);
    }
    request = session_request(self, &hooks, recording_attach, NULL);
    if (request != NULL && name != NULL) {
        ((RequestObject *)request)->arguments[1] = Py_NewRef(table);
        ((RequestObject *)request)->job.sql = name;
    } else if (request != NULL && table != Py_None) {
        ((RequestObject *)request)->arguments[0] = Py_NewRef(table);
        self->connection->gate->used = true;
    }
    return request;
}

/* A request for a switch that is set to the argument, or only asked for. */
static PyObject *
switch_request(SessionObject *self, const struct request_hooks *hooks, session_function run,
               PyObject *args)
{
    PyObject *value = Py_None;
    PyObject *request;
    int on = -1;

    if (!PyArg_ParseTuple(args, "|O", &value)) {
        return NULL;
    }
    if (value != Py_None) {
        on = PyObject_IsTrue(value);
        if (on < 0) {
            return NULL;
        }
    }
    request = session_request(self, hooks, run, NULL);
    if (request != NULL) {
        ((RequestObject *)request)->number = on;
    }
    return request;
}

PyDoc_STRVAR(enabled_doc, "enabled($self, value=None, /)\n--\n\n"
                          "Tell whether it records; with True or False, set that first.\n\n"
                          "sqlite3session_enable().");

static PyObject *
session_enabled(SessionObject *self, PyObject *args)
{
    static const struct request_hooks hooks = {
        .name = "Session.enabled", .pack = connection_simple_pack, .unpack = session_unpack_bool};

    return switch_request(self, &hooks, recording_enable, args);
}

PyDoc_STRVAR(
    indirect_doc,
    "indirect($self, value=None, /)\n--\n\n"
    "Tell whether changes are recorded as indirect; with True or False, set that first.\n\n"
    "Those of triggers and foreign key actions always are. sqlite3session_indirect().");

static PyObject *
session_indirect(SessionObject *self, PyObject *args)
{
    static const struct request_hooks hooks = {.name = "Session.indirect",
                                               .pack = connection_simple_pack,
                                               .unpack = session_unpack_bool};

    return switch_request(self, &hooks, recording_indirect, args);
}

PyDoc_STRVAR(is_empty_doc, "is_empty($self, /)\n--\n\n"
                           "Tell whether nothing has been recorded. sqlite3session_isempty().");

static PyObject *
session_is_empty(SessionObject *self, PyObject *unused)
{
    static const struct request_hooks hooks = {.name = "Session.is_empty",
                                               .pack = connection_simple_pack,
                                               .unpack = session_unpack_bool};

    (void)unused;
    return session_request(self, &hooks, recording_is_empty, NULL);
}

PyDoc_STRVAR(memory_used_doc, "memory_used($self, /)\n--\n\n"
                              "Tell how many bytes of memory it uses; 0 before SQLite 3.35.\n\n"
                              "sqlite3session_memory_used().");

static PyObject *
session_memory_used(SessionObject *self, PyObject *unused)
{
    static const struct request_hooks hooks = {.name = "Session.memory_used",
                                               .pack = connection_simple_pack,
                                               .unpack = status_unpack_value};

    (void)unused;
    return session_request(self, &hooks, recording_memory_used, NULL);
}

PyDoc_STRVAR(changeset_doc,
             "changeset($self, /)\n--\n\n"
             "Give the changes since attach() as bytes, a changeset; recording goes on.\n\n"
             "One change a row: what was changed twice is there once, and what is as it was is\n"
             "not there. sqlite3session_changeset().");

static PyObject *
session_changeset(SessionObject *self, PyObject *unused)
{
    static const struct request_hooks hooks = {.name = "Session.changeset",
                                               .pack = connection_simple_pack,
                                               .unpack = status_unpack_value};

    (void)unused;
    return session_request(self, &hooks, recording_output, NULL);
}

PyDoc_STRVAR(patchset_doc,
             "patchset($self, /)\n--\n\n"
             "Give the changes since attach() as bytes, a patchset.\n\n"
             "It is smaller than a changeset, without the values before, so it cannot be\n"
             "inverted and finds fewer conflicts. sqlite3session_patchset().");

static PyObject *
session_patchset(SessionObject *self, PyObject *unused)
{
    static const struct request_hooks hooks = {.name = "Session.patchset",
                                               .pack = connection_simple_pack,
                                               .unpack = status_unpack_value};
    PyObject *request = session_request(self, &hooks, recording_output, NULL);

    (void)unused;
    if (request != NULL) {
        ((RequestObject *)request)->number = 1;
    }
    return request;
}

PyDoc_STRVAR(diff_doc,
             "diff($self, from_schema, table, /)\n--\n\n"
             "Record what turns the table of another schema into that of this one.\n\n"
             "from_schema: the name of an attached database, whose table has the same columns\n"
             "and the same primary key, else OperationalError. sqlite3session_diff().");

static PyObject *
session_diff(SessionObject *self, PyObject *args)
{
    static const struct request_hooks hooks = {
        .name = "Session.diff", .pack = connection_simple_pack, .unpack = status_unpack_value};
    const char *from_schema;
    const char *table;
    PyObject *request;

    if (!PyArg_ParseTuple(args, "ss:diff", &from_schema, &table)) {
        return NULL;
    }
    request = session_request(self, &hooks, recording_diff, args);
    if (request == NULL) {
        return NULL;
    }
    ((RequestObject *)request)->job.sql = table;
    if (!csq_strip_put_text(&((RequestObject *)request)->job.down, from_schema,
                            strlen(from_schema) + 1)) {
        ((RequestObject *)request)->stage = REQUEST_DONE;
        Py_DECREF(request);
        return PyErr_NoMemory();
    }
    return request;
}

/* A session of a connection that is closed is closed, too. */
static enum request_answer
close_pack(RequestObject *request)
{
    const ConnectionObject *self = (ConnectionObject *)request->owner;

    if (self->stage == CONNECTION_CLOSED) {
        request->result = Py_NewRef(Py_None);
        return REQUEST_READY;
    }
    return connection_simple_pack(request);
}

static enum request_answer
close_unpack(RequestObject *request, int64_t deadline)
{
    /* The connection has been closed before it: so is the session. */
    if (request->job.error.code == CSQ_CLOSED) {
        csq_error_clear(&request->job.error);
    }
    return status_unpack_value(request, deadline);
}

PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\n"
                        "End the session and forget what it has recorded.\n\n"
                        "Closing again does nothing, nor after the connection was closed, which\n"
                        "closes its sessions. sqlite3session_delete().");

static PyObject *
session_close(SessionObject *self, PyObject *unused)
{
    static const struct request_hooks hooks = {
        .name = "Session.close", .pack = close_pack, .unpack = close_unpack, .ending = true};

    (void)unused;
    return session_request(self, &hooks, recording_close, NULL);
}

PyDoc_STRVAR(aenter_doc, "__aenter__($self, /)\n--\n\nGive the session itself.");

static PyObject *
session_aenter(SessionObject *self, PyObject *unused)
{
    (void)unused;
    return ready_new(&self->connection->state->bridge, Py_NewRef((PyObject *)self));
}

PyDoc_STRVAR(aexit_doc, "__aexit__($self, exc_type, exc, tb, /)\n--\n\nClose the session.");

static PyObject *
session_aexit(SessionObject *self, PyObject *args)
{
    return session_close(self, args);
}

static PyMethodDef session_object_methods[] = {
    {"attach", (PyCFunction)session_attach, METH_VARARGS, attach_doc},
    {"enabled", (PyCFunction)session_enabled, METH_VARARGS, enabled_doc},
    {"indirect", (PyCFunction)session_indirect, METH_VARARGS, indirect_doc},
    {"is_empty", (PyCFunction)session_is_empty, METH_NOARGS, is_empty_doc},
    {"memory_used", (PyCFunction)session_memory_used, METH_NOARGS, memory_used_doc},
    {"changeset", (PyCFunction)session_changeset, METH_NOARGS, changeset_doc},
    {"patchset", (PyCFunction)session_patchset, METH_NOARGS, patchset_doc},
    {"diff", (PyCFunction)session_diff, METH_VARARGS, diff_doc},
    {"close", (PyCFunction)session_close, METH_NOARGS, close_doc},
    {"__aenter__", (PyCFunction)session_aenter, METH_NOARGS, aenter_doc},
    {"__aexit__", (PyCFunction)session_aexit, METH_VARARGS, aexit_doc},
    {NULL, NULL, 0, NULL},
};

/* What `async with db.session()` awaits at its end. */
static PyObject *
session_leave(PyObject *session)
{
    return session_close((SessionObject *)session, NULL);
}

static PyObject *
connection_session(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames)
{
    static const char *const names[] = {"name", "rowid"};
    static const struct args_spec spec = {"session", 2, 0, 1, names};
    static const struct request_hooks hooks = {.name = "Connection.session",
                                               .pack = open_pack,
                                               .unpack = open_unpack,
                                               .leave = session_leave};
    PyTypeObject *type = self->state->session_type;
    SessionObject *session;
    PyObject *values[2];
    PyObject *request;
    int rowid;

    if (session_check(self, "session") < 0 ||
        args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    if (values[0] != NULL && !PyUnicode_Check(values[0])) {
        return PyErr_Format(PyExc_TypeError, "session() argument 1 must be str, not %.50s",
                            Py_TYPE(values[0])->tp_name);
    }
    rowid = values[1] == NULL ? 0 : PyObject_IsTrue(values[1]);
    if (rowid < 0) {
        return NULL;
    }
#ifndef SQLITE_SESSION_OBJCONFIG_ROWID
    if (rowid) {
        PyErr_SetString(self->state->NotSupportedError,
                        "session(rowid=True) needs SQLite 3.41 or later");
        return NULL;
    }
#endif
    session = (SessionObject *)type->tp_alloc(type, 0);
    if (session == NULL) {
        return NULL;
    }
    session->connection = (ConnectionObject *)Py_NewRef((PyObject *)self);
    session->name = values[0] == NULL ? PyUnicode_FromString("main") : Py_NewRef(values[0]);
    session->rowid = rowid != 0;
    request =
        session->name == NULL ? NULL : session_request(session, &hooks, recording_open, NULL);
    Py_DECREF(session);
    return request;
}

static void
session_drop(SessionObject *self)
{
    if (self->recording != NULL && !self->connection->forked) {
        recording_drop(self->recording);
    }
    self->recording = NULL;
}

#else

static PyMethodDef session_object_methods[] = {
    {NULL, NULL, 0, NULL},
};

static PyObject *
connection_session(ConnectionObject *self, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames)
{
    (void)args;
    (void)nargs;
    (void)kwnames;
    session_check(self, "session");
    return NULL;
}

static void
session_drop(SessionObject *self)
{
    (void)self;
}

#endif

/* -- the type ----------------------------------------------------------------- */

static int
session_traverse(SessionObject *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->connection);
    return 0;
}

static void
session_dealloc(SessionObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    session_drop(self);
    Py_CLEAR(self->connection);
    Py_CLEAR(self->name);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(session_doc,
             "Records what a connection changes, as changesets; made by Connection.session().\n\n"
             "`async with` closes it at the end. Its methods raise ProgrammingError when it is\n"
             "closed, or called within a callback of the connection. A sqlite3_session, as\n"
             "apsw's Session.");

static PyType_Slot session_slots[] = {
    {Py_tp_doc, (void *)session_doc},
    {Py_tp_traverse, session_traverse},
    {Py_tp_dealloc, session_dealloc},
    {Py_tp_methods, session_object_methods},
    {0, NULL},
};

static PyType_Spec session_spec = {
    .name = "csqlite._csqlite.Session",
    .basicsize = sizeof(SessionObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = session_slots,
};

int
session_init_type(struct module_state *state, PyObject *module)
{
    state->session_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &session_spec, NULL);
    if (state->session_type == NULL) {
        return -1;
    }
    compat_forbid_new(state->session_type);
    return PyModule_AddObject(module, "Session", Py_NewRef((PyObject *)state->session_type));
}

static const char connection_session_doc[] =
    "session($self, name='main', *, rowid=False)\n--\n\n"
    "Give a Session, which records what this connection changes once tables are attached.\n\n"
    "name: the schema. rowid: record tables without a PRIMARY KEY by their rowid, which the\n"
    "one who applies the changeset then has to agree with. `async with` closes it at the end.\n"
    "Raises NotSupportedError when SQLite was built without sessions. sqlite3session_create().";

static const char apply_changeset_doc[] =
    "apply_changeset($self, changeset, *, filter=None, conflict=None, flags=0, rebase=False)\n"
    "--\n\n"
    "Apply a changeset or patchset as a whole, or not at all.\n\n"
    "filter: called with the name of each table in it, says whether to apply its changes.\n"
    "conflict: called as conflict(reason, change) for each conflict, gives\n"
    "SQLITE_CHANGESET_OMIT, SQLITE_CHANGESET_REPLACE (to the reasons SQLITE_CHANGESET_DATA and\n"
    "SQLITE_CHANGESET_CONFLICT only) or SQLITE_CHANGESET_ABORT; or one of these, to answer\n"
    "always (REPLACE: where it can be, else OMIT). None aborts. Both run on the worker, and may\n"
    "be coroutine functions. flags: SQLITE_CHANGESETAPPLY_... rebase: give what a Rebaser\n"
    "needs, bytes; else None.\n\n"
    "It is part of an open transaction, or one of its own; none is begun implicitly. Raises\n"
    "what a callback raises, OperationalError when a conflict aborts, IntegrityError\n"
    "for foreign keys, DatabaseError for a malformed changeset; nothing is changed then. "
    "sqlite3changeset_apply_v2().";

PyMethodDef session_methods[] = {
    {"session", (PyCFunction)(void (*)(void))connection_session, ARGS_FASTCALL,
     connection_session_doc},
    {"apply_changeset", (PyCFunction)(void (*)(void))session_apply, ARGS_FASTCALL,
     apply_changeset_doc},
    {NULL, NULL, 0, NULL},
};
