/* Sessions. Each method is a job (recording.c): what a session has recorded is the
 * worker's. */

#include "binding/session.h"

#include "binding/changeset.h"
#include "binding/errors.h"
#include "binding/method.h"
#include "binding/recording.h"
#include "binding/repr.h"
#include "binding/status.h"
#include "bridge/ready.h"

typedef struct {
    PyObject_HEAD
    ConnectionObject *connection;
    PyObject *name; /* of the schema */
    bool rowid;
    bool closed;
    struct recording *recording; /* NULL: it was never opened */
} SessionObject;

#ifdef SQLITE_ENABLE_SESSION

/* -- what all methods have in common ------------------------------------------ */

/* The job's argument is what the worker has of the session. */
static int
fill_recording(RequestObject *request, PyObject *const *values)
{
    (void)values;
    request->job.with.host.argument = ((SessionObject *)request->target)->recording;
    return 0;
}

/* Gives whether the number that the job has put up is not 0. */
static enum request_answer
session_unpack_bool(RequestObject *request, int64_t slice_end)
{
    if (status_unpack_value(request, slice_end) != REQUEST_READY) {
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
    self->recording = recording_new(request->executor, request->gate, name, self->rowid);
    request->job.with.host.argument = self->recording;
    return self->recording == NULL ? REQUEST_FAILED : REQUEST_WAIT;
}

static enum request_answer
open_unpack(RequestObject *request, int64_t slice_end)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;

    (void)slice_end;
    if (errors_check(self->state, request) < 0) {
        return REQUEST_FAILED;
    }
    request->result = Py_NewRef(request->target);
    return REQUEST_READY;
}

static const struct request_hooks value_hooks = {.pack = method_simple_pack,
                                                 .unpack = status_unpack_value};
static const struct request_hooks bool_hooks = {.pack = method_simple_pack,
                                                .unpack = session_unpack_bool};

/* -- the methods of Session ---------------------------------------------------- */

/* Warns of tables that nothing is recorded of. The result is None. */
static enum request_answer
attach_unpack(RequestObject *request, int64_t slice_end)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    struct csq_reader reader = {NULL, NULL};
    const struct csq_cell *cell;
    PyObject *names = PyList_New(0);
    int rc = names == NULL ? -1 : errors_check(self->state, request);

    (void)slice_end;
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

static int
fill_attach(RequestObject *request, PyObject *const *values)
{
    struct session_call *call = REQUEST_PAYLOAD(request, struct session_call);
    PyObject *table = values[0];

    if (table == NULL || table == Py_None) {
        return fill_recording(request, values);
    }
    if (PyUnicode_Check(table)) {
        call->table = Py_NewRef(table);
        request->job.sql = args_text(table, "attach", "1");
        return request->job.sql == NULL ? -1 : fill_recording(request, values);
    }
    if (!PyCallable_Check(table)) {
        PyErr_Format(PyExc_TypeError,
                     "attach() argument must be str, a callable or None, not %.100s",
                     Py_TYPE(table)->tp_name);
        return -1;
    }
    call->filter = Py_NewRef(table);
    ((ConnectionObject *)request->owner)->gate->used = true;
    return fill_recording(request, values);
}

static const struct request_hooks attach_hooks = {.pack = method_simple_pack,
                                                  .unpack = attach_unpack};

METHOD(session_attach) = {
    .args = ARGS_PLAIN("Session.attach", 0, "table"),
    .hooks = &attach_hooks,
    .on = ON_PART,
    .objects = SESSION_OBJECTS,
    .run = recording_attach,
    .fill = fill_attach,
};

/* A switch is set to the argument, or only asked for. */
static int
fill_switch(RequestObject *request, PyObject *const *values)
{
    struct session_call *call = REQUEST_PAYLOAD(request, struct session_call);
    int on = values[0] == NULL || values[0] == Py_None ? 0 : PyObject_IsTrue(values[0]);

    call->given = values[0] != NULL && values[0] != Py_None;
    call->on = on > 0;
    return on < 0 ? -1 : fill_recording(request, values);
}

PyDoc_STRVAR(enabled_doc, "enabled($self, value=None, /)\n--\n\n"
                          "Tell whether it records; with True or False, set that first.\n\n"
                          "sqlite3session_enable().");

METHOD(session_enabled) = {
    .args = ARGS_PLAIN("Session.enabled", 0, "value"),
    .hooks = &bool_hooks,
    .on = ON_PART,
    .run = recording_enable,
    .fill = fill_switch,
};

PyDoc_STRVAR(
    indirect_doc,
    "indirect($self, value=None, /)\n--\n\n"
    "Tell whether changes are recorded as indirect; with True or False, set that first.\n\n"
    "Those of triggers and foreign key actions always are. sqlite3session_indirect().");

METHOD(session_indirect) = {
    .args = ARGS_PLAIN("Session.indirect", 0, "value"),
    .hooks = &bool_hooks,
    .on = ON_PART,
    .run = recording_indirect,
    .fill = fill_switch,
};

PyDoc_STRVAR(is_empty_doc, "is_empty($self, /)\n--\n\n"
                           "Tell whether nothing has been recorded. sqlite3session_isempty().");

METHOD(session_is_empty) = {
    .args = ARGS_NONE("Session.is_empty"),
    .hooks = &bool_hooks,
    .on = ON_PART,
    .run = recording_is_empty,
    .fill = fill_recording,
};

PyDoc_STRVAR(memory_used_doc, "memory_used($self, /)\n--\n\n"
                              "Tell how many bytes of memory it uses; 0 before SQLite 3.35.\n\n"
                              "sqlite3session_memory_used().");

METHOD(session_memory_used) = {
    .args = ARGS_NONE("Session.memory_used"),
    .hooks = &value_hooks,
    .on = ON_PART,
    .run = recording_memory_used,
    .fill = fill_recording,
};

PyDoc_STRVAR(changeset_doc,
             "changeset($self, /)\n--\n\n"
             "Give the changes since attach() as bytes, a changeset; recording goes on.\n\n"
             "One change a row: what was changed twice is there once, and what is as it was is\n"
             "not there. sqlite3session_changeset().");

METHOD(session_changeset) = {
    .args = ARGS_NONE("Session.changeset"),
    .hooks = &value_hooks,
    .on = ON_PART,
    .run = recording_changeset,
    .fill = fill_recording,
};

PyDoc_STRVAR(patchset_doc,
             "patchset($self, /)\n--\n\n"
             "Give the changes since attach() as bytes, a patchset.\n\n"
             "It is smaller than a changeset, without the values before, so it cannot be\n"
             "inverted and finds fewer conflicts. sqlite3session_patchset().");

METHOD(session_patchset) = {
    .args = ARGS_NONE("Session.patchset"),
    .hooks = &value_hooks,
    .on = ON_PART,
    .run = recording_patchset,
    .fill = fill_recording,
};

PyDoc_STRVAR(diff_doc,
             "diff($self, from_schema, table, /)\n--\n\n"
             "Record what turns the table of another schema into that of this one.\n\n"
             "from_schema: the name of an attached database, whose table has the same columns\n"
             "and the same primary key, else OperationalError. sqlite3session_diff().");

static int
fill_diff(RequestObject *request, PyObject *const *values)
{
    struct session_call *call = REQUEST_PAYLOAD(request, struct session_call);

    call->from = args_text(values[0], "diff", "1");
    request->job.sql = call->from == NULL ? NULL : args_text(values[1], "diff", "2");
    return request->job.sql == NULL ? -1 : fill_recording(request, values);
}

METHOD(session_diff) = {
    .args = ARGS_PLAIN("Session.diff", 2, "from_schema", "table"),
    .hooks = &value_hooks,
    .on = ON_PART,
    .objects = SESSION_OBJECTS,
    .run = recording_diff,
    .takes = {TAKE(OBJECT, struct session_call, schema),
              TAKE(OBJECT, struct session_call, table)},
    .fill = fill_diff,
};

/* A session of a connection that is closed is closed, too. */
static enum request_answer
close_pack(RequestObject *request)
{
    const ConnectionObject *self = (ConnectionObject *)request->owner;

    if (self->stage == CONNECTION_CLOSED) {
        request->result = Py_NewRef(Py_None);
        return REQUEST_READY;
    }
    return method_simple_pack(request);
}

static enum request_answer
close_unpack(RequestObject *request, int64_t slice_end)
{
    /* The connection has been closed before it: so is the session. */
    if (request->job.error.code == CSQ_CLOSED) {
        csq_error_clear(&request->job.error);
    }
    ((SessionObject *)request->target)->closed = request->job.error.code == SQLITE_OK;
    return status_unpack_value(request, slice_end);
}

PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\n"
                        "End the session and forget what it has recorded.\n\n"
                        "Closing again does nothing, nor after the connection was closed, which\n"
                        "closes its sessions. sqlite3session_delete().");

static const struct request_hooks close_hooks = {
    .pack = close_pack, .unpack = close_unpack, .ending = true};

METHOD(session_close) = {
    .args = ARGS_NONE("Session.close"),
    .hooks = &close_hooks,
    .on = ON_PART,
    .run = recording_close,
    .fill = fill_recording,
};

PyDoc_STRVAR(aenter_doc, "__aenter__($self, /)\n--\n\nGive the session itself.");

static PyObject *
session_aenter(SessionObject *self, PyObject *unused)
{
    (void)unused;
    return ready_new(&self->connection->state->bridge, Py_NewRef((PyObject *)self));
}

PyDoc_STRVAR(aexit_doc, "__aexit__($self, exc_type, exc, tb, /)\n--\n\nClose the session.");

/* What `async with` awaits at its end. */
static PyObject *
session_leave(PyObject *session)
{
    return session_close(session, NULL, 0, NULL);
}

static PyObject *
session_aexit(PyObject *self, PyObject *args)
{
    (void)args;
    return session_leave(self);
}

static PyMethodDef session_object_methods[] = {
    METHOD_ENTRY("attach", session_attach, attach_doc),
    METHOD_ENTRY("enabled", session_enabled, enabled_doc),
    METHOD_ENTRY("indirect", session_indirect, indirect_doc),
    METHOD_ENTRY("is_empty", session_is_empty, is_empty_doc),
    METHOD_ENTRY("memory_used", session_memory_used, memory_used_doc),
    METHOD_ENTRY("changeset", session_changeset, changeset_doc),
    METHOD_ENTRY("patchset", session_patchset, patchset_doc),
    METHOD_ENTRY("diff", session_diff, diff_doc),
    METHOD_ENTRY("close", session_close, close_doc),
    {"__aenter__", (PyCFunction)session_aenter, METH_NOARGS, aenter_doc},
    {"__aexit__", (PyCFunction)session_aexit, METH_VARARGS, aexit_doc},
    {NULL, NULL, 0, NULL},
};

static SessionObject *
session_new(ConnectionObject *connection, PyObject *name, bool rowid)
{
    PyTypeObject *type = connection->state->session_type;
    SessionObject *session = (SessionObject *)type->tp_alloc(type, 0);

    if (session == NULL) {
        return NULL;
    }
    session->connection = (ConnectionObject *)Py_NewRef((PyObject *)connection);
    session->name = name == NULL ? PyUnicode_FromString("main") : Py_NewRef(name);
    session->rowid = rowid;
    if (session->name == NULL) {
        Py_CLEAR(session);
    }
    return session;
}

static int
fill_session(RequestObject *request, PyObject *const *values)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    bool rowid = REQUEST_PAYLOAD(request, struct session_call)->rowid;

    if (changeset_check(self->state) < 0) {
        return -1;
    }
    if (values[0] != NULL && args_text(values[0], "session", "1") == NULL) {
        return -1;
    }
#ifndef SQLITE_SESSION_OBJCONFIG_ROWID
    if (rowid) {
        PyErr_SetString(self->state->NotSupportedError,
                        "session(rowid=True) needs SQLite 3.41 or later");
        return -1;
    }
#endif
    request->target = (PyObject *)session_new(self, values[0], rowid);
    return request->target == NULL ? -1 : 0;
}

static const struct request_hooks open_hooks = {
    .pack = open_pack, .unpack = open_unpack, .leave = session_leave};

METHOD(connection_session) = {
    .args = ARGS("Connection.session", 0, 1, 0, "name", "rowid"),
    .hooks = &open_hooks,
    .native = true,
    .run = recording_open,
    .takes = {{TAKE_NOTHING}, TAKE(TRUTH, struct session_call, rowid)},
    .fill = fill_session,
};

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

static int
refuse(RequestObject *request, PyObject *const *values)
{
    (void)values;
    return changeset_check(((ConnectionObject *)request->owner)->state);
}

METHOD(connection_session) = {
    .args = ARGS("Connection.session", 0, 1, 0, "name", "rowid"),
    .hooks = &method_simple,
    .op = CSQ_APPLY,
    .native = true,
    .fill = refuse,
};

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

static PyObject *
session_repr(SessionObject *self)
{
    const ConnectionObject *connection = self->connection;
    bool closed = self->closed || connection->stage == CONNECTION_CLOSED;
    PyObject *database = repr_database(self->connection);
    PyObject *text = NULL;

    if (database != NULL) {
        text = PyUnicode_FromFormat("<csqlite.Session of %R in %U, %s, at %p>", self->name,
                                    database, closed ? "closed" : "open", self);
        Py_DECREF(database);
    }
    return text;
}

static PyType_Slot session_slots[] = {
    {Py_tp_doc, (void *)session_doc},        {Py_tp_traverse, session_traverse},
    {Py_tp_dealloc, session_dealloc},        {Py_tp_repr, session_repr},
    {Py_tp_methods, session_object_methods}, {0, NULL},
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

PyMethodDef session_methods[] = {
    METHOD_ENTRY("session", connection_session, connection_session_doc),
    {NULL, NULL, 0, NULL},
};
