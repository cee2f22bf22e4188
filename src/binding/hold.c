/* What is called on a hold is a request like any other; where it waits, and for whom, stands
 * in bridge/lease.c. */

#include "binding/hold.h"

#include "binding/cursor.h"
#include "binding/errors.h"
#include "binding/method.h"

/* -- beginning ------------------------------------------------------------------- */

static HoldObject *
hold_of(RequestObject *request)
{
    return (HoldObject *)request->target;
}

/* Who has called is who enters, also when it is begun once more. */
static enum request_answer
begin_pack(RequestObject *request)
{
    HoldObject *self = hold_of(request);

    if (connection_use(request, CONNECTION_DIRECT) < 0) {
        return REQUEST_FAILED;
    }
    if (self->stage != HOLD_NEW) {
        PyErr_SetString(request->bridge->ProgrammingError, "A transaction is begun once.");
        return REQUEST_FAILED;
    }
    self->executor = request->executor;
    if (self->task == NULL) {
        self->task =
            request->caller == NULL ? lease_caller(request->bridge) : Py_NewRef(request->caller);
    }
    Py_XSETREF(request->caller, Py_XNewRef(self->task));
    return REQUEST_WAIT;
}

/* Gives whether it was begun; False: a transaction is open that no block has begun. */
static enum request_answer
begin_unpack(RequestObject *request, int64_t slice_end)
{
    ConnectionObject *connection = (ConnectionObject *)request->owner;
    HoldObject *self = hold_of(request);
    bool opened = request->job.error.code == SQLITE_OK;
    bool refused = request->job.refused;

    (void)slice_end;
    if (opened) {
        hold_opened(self);
    } else {
        hold_ended(self);
    }
    if (request->job.error.code == CSQ_OPENED && !refused) {
        self->stage = HOLD_NEW;
        csq_error_clear(&request->job.error);
    }
    if (errors_check(connection->state, request) < 0) {
        return REQUEST_FAILED;
    }
    request->result = PyBool_FromLong(opened);
    return REQUEST_READY;
}

static void
begin_abandon(RequestObject *request)
{
    hold_drop(hold_of(request));
}

static const struct request_hooks begin_hooks = {
    .pack = begin_pack, .unpack = begin_unpack, .abandon = begin_abandon};

struct begin_call {
    PyObject *sql;
    bool read_only;
};

static int
begin_fill(RequestObject *request, PyObject *const *values)
{
    HoldObject *self = hold_of(request);
    const struct begin_call *call = REQUEST_PAYLOAD(request, struct begin_call);

    (void)values;
    request->job.with.hold.action = self->name == NULL ? CSQ_HOLD_BEGIN : CSQ_HOLD_SAVE;
    request->job.with.hold.read_only = call->read_only;
    return 0;
}

PyDoc_STRVAR(begin_doc, "_begin($self, sql, read_only=False, *, deadline=None)\n--\n\n"
                        "Wait until the connection is free and begin; gives False where a\n"
                        "transaction is open that was begun without transaction().");

METHOD(hold_begin) = {
    .args = ARGS("Hold._begin", 1, 2, 0, "sql", "read_only", "deadline"),
    .hooks = &begin_hooks,
    .on = ON_PART,
    .op = CSQ_HOLD,
    .objects = 1,
    .deadline = true,
    .takes = {TAKE(NAME, struct begin_call, sql), TAKE(TRUTH, struct begin_call, read_only)},
    .fill = begin_fill,
};

/* -- ending ----------------------------------------------------------------------- */

static enum request_answer
end_pack(RequestObject *request)
{
    return connection_use(request, CONNECTION_DIRECT) < 0 ? REQUEST_FAILED : REQUEST_WAIT;
}

static enum request_answer
end_unpack(RequestObject *request, int64_t slice_end)
{
    ConnectionObject *connection = (ConnectionObject *)request->owner;
    HoldObject *self = hold_of(request);

    (void)slice_end;
    if (request->job.with.hold.open) {
        self->stage = HOLD_OPEN;
    } else {
        hold_ended(self);
    }
    if (errors_check(connection->state, request) < 0) {
        request->result = compat_take_exception();
    } else {
        request->result = Py_NewRef(Py_None);
    }
    return REQUEST_READY;
}

static void
end_keep(RequestObject *request, PyObject *exception)
{
    Py_XSETREF(hold_of(request)->cancelled, exception);
}

static const struct request_hooks end_hooks = {.pack = end_pack,
                                               .unpack = end_unpack,
                                               .abandon = begin_abandon,
                                               .keep = end_keep,
                                               .ending = true};

static const struct method end_row = {
    .args = ARGS_NONE("Hold._end"), .hooks = &end_hooks, .on = ON_PART, .op = CSQ_HOLD};

PyDoc_STRVAR(end_doc,
             "_end($self, commit, /)\n--\n\n"
             "Commit or roll back, also when cancelled; gives what that failed with, or\n"
             "None. What the task was cancelled with meanwhile gives _cancelled().");

static PyObject *
hold_end(HoldObject *self, PyObject *commit)
{
    int keeps = PyObject_IsTrue(commit);
    RequestObject *request =
        keeps < 0
            ? NULL
            : method_request(&end_row, (ConnectionObject *)self->connection, (PyObject *)self);

    if (request == NULL) {
        return NULL;
    }
    if (self->name == NULL) {
        request->job.with.hold.action = keeps ? CSQ_HOLD_COMMIT : CSQ_HOLD_ROLLBACK;
    } else {
        const char *name = PyUnicode_AsUTF8(self->name);

        request->job.with.hold.action = keeps ? CSQ_HOLD_RELEASE : CSQ_HOLD_BACK;
        request->job.sql = name == NULL ? "" : name;
    }
    request->hold = (HoldObject *)Py_NewRef((PyObject *)self);
    return (PyObject *)request;
}

PyDoc_STRVAR(cancelled_doc,
             "_cancelled($self, /)\n--\n\n"
             "Give what its task was cancelled with while it was being ended, once;\n"
             "None: it was not.");

static PyObject *
hold_cancelled(HoldObject *self, PyObject *unused)
{
    PyObject *exception = self->cancelled;

    (void)unused;
    self->cancelled = NULL;
    return exception == NULL ? Py_NewRef(Py_None) : exception;
}

PyDoc_STRVAR(tire_doc,
             "_tire($self, exception, /)\n--\n\n"
             "Let it wait no longer for a transaction that no hold has begun; None: look\n"
             "whether that is over.");

static PyObject *
hold_tire(HoldObject *self, PyObject *exception)
{
    if (exception == Py_None) {
        lease_look(self->lease, self->executor);
    } else {
        lease_tire(self, exception);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(began_doc,
             "_began_here($self, /)\n--\n\n"
             "Whether its task has begun the transaction that is open without a hold.");

static PyObject *
hold_began_here(HoldObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(lease_is_beginner(self->lease, self->task));
}

PyDoc_STRVAR(drop_doc, "_drop($self, /)\n--\n\n"
                       "Roll back without waiting, before anything that is called from now on.");

static PyObject *
hold_drop_now(HoldObject *self, PyObject *unused)
{
    (void)unused;
    hold_drop(self);
    Py_RETURN_NONE;
}

/* -- what belongs to it ------------------------------------------------------------ */

PyDoc_STRVAR(lend_doc, "_lend($self, request, /)\n--\n\n"
                       "Let a request belong to the transaction, whoever awaits it; gives it.");

static PyObject *
hold_lend(HoldObject *self, PyObject *object)
{
    ConnectionObject *connection = (ConnectionObject *)self->connection;
    RequestObject *request = (RequestObject *)object;
    struct held *held;

    if (!PyObject_TypeCheck(object, connection->state->bridge.request_type) ||
        request->owner != self->connection) {
        PyErr_SetString(PyExc_TypeError, "expected a request of the same connection");
        return NULL;
    }
    Py_XSETREF(request->hold, (HoldObject *)Py_NewRef((PyObject *)self));
    held = method_held(connection->state, request->target);
    if (held != NULL) {
        Py_XSETREF(held->hold, Py_NewRef((PyObject *)self));
    }
    return Py_NewRef(object);
}

/* -- who calls -------------------------------------------------------------------------- */

PyDoc_STRVAR(caller_doc,
             "_caller($module, /)\n--\n\n"
             "Give the task in whose name something is called now, or None where there\n"
             "is none, or nobody has ever used a transaction().");

static PyObject *
module_caller(PyObject *module, PyObject *unused)
{
    struct module_state *state = PyModule_GetState(module);
    PyObject *task = state->bridge.holds ? lease_caller(&state->bridge) : NULL;

    (void)unused;
    return task == NULL ? Py_NewRef(Py_None) : task;
}

PyDoc_STRVAR(act_doc,
             "_act($module, task, /)\n--\n\n"
             "Let the running task act for another; None: for itself. Gives for whom it\n"
             "has acted.");

static PyObject *
module_act(PyObject *module, PyObject *task)
{
    struct module_state *state = PyModule_GetState(module);

    return lease_act(&state->bridge, task == Py_None ? NULL : task);
}

PyMethodDef hold_module_methods[] = {
    {"_caller", module_caller, METH_NOARGS, caller_doc},
    {"_act", module_act, METH_O, act_doc},
    {NULL, NULL, 0, NULL},
};

/* -- the methods ------------------------------------------------------------------------ */

PyMethodDef hold_methods[] = {
    METHOD_ENTRY("_begin", hold_begin, begin_doc),
    {"_end", (PyCFunction)hold_end, METH_O, end_doc},
    {"_cancelled", (PyCFunction)hold_cancelled, METH_NOARGS, cancelled_doc},
    {"_tire", (PyCFunction)hold_tire, METH_O, tire_doc},
    {"_began_here", (PyCFunction)hold_began_here, METH_NOARGS, began_doc},
    {"_drop", (PyCFunction)hold_drop_now, METH_NOARGS, drop_doc},
    {"_lend", (PyCFunction)hold_lend, METH_O, lend_doc},
    {NULL, NULL, 0, NULL},
};
