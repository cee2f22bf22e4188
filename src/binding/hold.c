/* What is called on a hold is a request like any other; where it waits, and for whom, stands
 * in bridge/lease.c. */

#include "binding/hold.h"

#include <structmember.h>

#include "binding/cursor.h"
#include "binding/errors.h"
#include "binding/method.h"
#include "engine/alloc.h"

/* -- beginning ------------------------------------------------------------------- */

static HoldObject *
hold_of(RequestObject *request)
{
    return (HoldObject *)request->target;
}

/* Who awaits is who enters. */
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
    Py_XSETREF(self->task, lease_caller(request->bridge));
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

/* Keeps the exception, if there is one, as what the future gives. */
static void
answer_exception(RequestObject *request)
{
    ConnectionObject *connection = (ConnectionObject *)request->owner;

    if (errors_check(connection->state, request) < 0) {
        Py_XSETREF(request->answer, compat_take_exception());
    }
}

static enum request_answer
end_unpack(RequestObject *request, int64_t slice_end)
{
    HoldObject *self = hold_of(request);

    (void)slice_end;
    answer_exception(request);
    if (request->job.with.hold.open) {
        self->stage = HOLD_OPEN;
    } else {
        hold_ended(self);
    }
    request->result = Py_NewRef(Py_None);
    return REQUEST_READY;
}

static const struct request_hooks end_hooks = {
    .pack = end_pack, .unpack = end_unpack, .abandon = begin_abandon, .ending = true};

static const struct method end_row = {
    .args = ARGS_NONE("Hold._end"), .hooks = &end_hooks, .on = ON_PART, .op = CSQ_HOLD};

PyDoc_STRVAR(end_doc, "_end($self, commit, /)\n--\n\n"
                      "Commit or roll back, whoever waits for it; gives a future, whose result\n"
                      "is None or an exception.");

static PyObject *
hold_end(HoldObject *self, PyObject *commit)
{
    int keeps = PyObject_IsTrue(commit);
    RequestObject *request =
        keeps < 0
            ? NULL
            : method_request(&end_row, (ConnectionObject *)self->connection, (PyObject *)self);
    PyObject *future;

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
    future = request_start(request);
    Py_DECREF(request);
    return future;
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

/* -- who waits ---------------------------------------------------------------------- */

PyDoc_STRVAR(waiters_doc, "_waiters($self, /)\n--\n\n"
                          "Give the tasks that wait for its end, in order.");

static PyObject *
hold_waiters(HoldObject *self, PyObject *unused)
{
    PyObject *tasks = PyList_New(0);
    struct csq_link *link = self->waiting.head.next;

    (void)unused;
    for (; tasks != NULL && link != &self->waiting.head; link = link->next) {
        PyObject *task = lease_sleeper(csq_item(link, RequestObject, queued));

        if (task != NULL && PyList_Append(tasks, task) < 0) {
            Py_CLEAR(tasks);
        }
        Py_XDECREF(task);
    }
    return tasks;
}

/* Lends what `task` waits with; NULL: nothing. */
static RequestObject *
waiting_of(HoldObject *self, PyObject *task)
{
    struct csq_link *link = self->waiting.head.next;

    for (; link != &self->waiting.head; link = link->next) {
        RequestObject *request = csq_item(link, RequestObject, queued);
        PyObject *sleeper = lease_sleeper(request);

        Py_XDECREF(sleeper);
        if (sleeper == task) {
            return request;
        }
    }
    return NULL;
}

PyDoc_STRVAR(refuse_doc, "_refuse($self, task, exception, /)\n--\n\n"
                         "Let what a task waits with fail, all of it.");

static PyObject *
hold_refuse(HoldObject *self, PyObject *args)
{
    RequestObject *request;
    PyObject *task;
    PyObject *exception;

    if (!PyArg_ParseTuple(args, "OO:_refuse", &task, &exception)) {
        return NULL;
    }
    while ((request = waiting_of(self, task)) != NULL) {
        Py_XSETREF(request->raised, Py_NewRef(exception));
        csq_error_set(&request->job.error, CSQ_RAISED, "refused");
        (void)lease_leave(request);
    }
    Py_RETURN_NONE;
}

/* -- making one ---------------------------------------------------------------------- */

struct farewell {
    struct csq_job job;
    char name[];
};

static void
release_farewell(struct csq_job *job)
{
    struct farewell *farewell = csq_item(job, struct farewell, job);

    csq_job_clear(job);
    csq_free(farewell);
}

/* Gives what a hold is undone with, or NULL with MemoryError. */
static struct csq_job *
farewell_new(const char *name)
{
    size_t size = name == NULL ? 1 : strlen(name) + 1;
    struct farewell *farewell = csq_malloc(sizeof *farewell + size);

    if (farewell == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    csq_job_init(&farewell->job, CSQ_HOLD);
    memcpy(farewell->name, name == NULL ? "" : name, size);
    farewell->job.sql = farewell->name;
    farewell->job.release = release_farewell;
    farewell->job.with.hold.action = name == NULL ? CSQ_HOLD_ROLLBACK : CSQ_HOLD_BACK;
    return &farewell->job;
}

static const char *
name_of(PyObject *name)
{
    return name == Py_None ? "" : PyUnicode_AsUTF8(name);
}

PyDoc_STRVAR(hold_of_doc,
             "_hold($self, name, watch, /)\n--\n\n"
             "Give a hold, not begun: of a savepoint, or of a transaction where the\n"
             "name is None. watch: called with it when somebody begins to wait.");

static PyObject *
connection_hold(PyObject *object, PyObject *args)
{
    ConnectionObject *self = (ConnectionObject *)object;
    HoldObject *hold;
    const char *text;
    PyObject *name;
    PyObject *watch;

    if (!PyArg_ParseTuple(args, "OO:_hold", &name, &watch)) {
        return NULL;
    }
    text = name_of(name);
    hold = text == NULL
               ? NULL
               : (HoldObject *)self->state->hold_type->tp_alloc(self->state->hold_type, 0);
    if (hold == NULL) {
        return NULL;
    }
    csq_list_init(&hold->waiting);
    hold->connection = Py_NewRef(object);
    hold->lease = &self->lease;
    hold->stage = HOLD_NEW;
    hold->name = name == Py_None ? NULL : Py_NewRef(name);
    hold->watch = watch == Py_None ? NULL : Py_NewRef(watch);
    hold->farewell = farewell_new(name == Py_None ? NULL : text);
    if (hold->farewell == NULL) {
        Py_DECREF(hold);
        return NULL;
    }
    self->lease.used = true;
    self->state->bridge.holds = true;
    return (PyObject *)hold;
}

PyDoc_STRVAR(holder_doc, "_holder($self, /)\n--\n\n"
                         "Give the innermost hold that the running task has entered, or None.");

static PyObject *
connection_holder(PyObject *object, PyObject *unused)
{
    ConnectionObject *self = (ConnectionObject *)object;
    PyObject *task = lease_caller(&self->state->bridge);
    HoldObject *hold = lease_of_task(&self->lease, task);

    (void)unused;
    Py_XDECREF(task);
    return hold == NULL ? Py_NewRef(Py_None) : Py_NewRef((PyObject *)hold);
}

PyDoc_STRVAR(began_doc,
             "_began_here($self, /)\n--\n\n"
             "Whether the running task has begun the transaction that is open without\n"
             "a hold.");

static PyObject *
connection_began_here(PyObject *object, PyObject *unused)
{
    ConnectionObject *self = (ConnectionObject *)object;
    PyObject *task = lease_caller(&self->state->bridge);
    bool same = lease_is_beginner(&self->lease, task);

    (void)unused;
    Py_XDECREF(task);
    return PyBool_FromLong(same);
}

PyMethodDef hold_connection_methods[] = {
    {"_hold", connection_hold, METH_VARARGS, hold_of_doc},
    {"_holder", connection_holder, METH_NOARGS, holder_doc},
    {"_began_here", connection_began_here, METH_NOARGS, began_doc},
    {NULL, NULL, 0, NULL},
};

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

static PyMethodDef module_methods[] = {
    {"_caller", module_caller, METH_NOARGS, caller_doc},
    {"_act", module_act, METH_O, act_doc},
    {NULL, NULL, 0, NULL},
};

/* -- the type -------------------------------------------------------------------------- */

static PyObject *
hold_get_stage(HoldObject *self, void *closure)
{
    static const char *const stages[] = {"new", "opening", "open", "ending", "over"};

    (void)closure;
    return PyUnicode_FromString(stages[self->stage]);
}

static PyObject *
hold_get_task(HoldObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef(self->task == NULL ? Py_None : self->task);
}

static PyObject *
hold_get_outer(HoldObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef(self->outer == NULL ? Py_None : (PyObject *)self->outer);
}

static PyGetSetDef hold_getset[] = {
    {"_stage", (getter)hold_get_stage, NULL, "new, opening, open, ending, or over.", NULL},
    {"_task", (getter)hold_get_task, NULL, "The task that has entered it, or None.", NULL},
    {"_outer", (getter)hold_get_outer, NULL, "What it stands on, or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef hold_methods[] = {
    METHOD_ENTRY("_begin", hold_begin, begin_doc),
    {"_end", (PyCFunction)hold_end, METH_O, end_doc},
    {"_drop", (PyCFunction)hold_drop_now, METH_NOARGS, drop_doc},
    {"_lend", (PyCFunction)hold_lend, METH_O, lend_doc},
    {"_waiters", (PyCFunction)hold_waiters, METH_NOARGS, waiters_doc},
    {"_refuse", (PyCFunction)hold_refuse, METH_VARARGS, refuse_doc},
    {NULL, NULL, 0, NULL},
};

static bool
is_forked(const HoldObject *self)
{
    return ((ConnectionObject *)self->connection)->forked;
}

/* Nobody can end it any more: it is undone, and says so. */
static void
hold_finalize(HoldObject *self)
{
    PyObject *exception = compat_take_exception();

    if (hold_stands(self) && !is_forked(self)) {
        if (self->stage == HOLD_OPEN &&
            PyErr_ResourceWarning(NULL, 1,
                                  "a transaction was forgotten before it was ended, and is "
                                  "rolled back; it was begun by %R",
                                  self->task == NULL ? Py_None : self->task) < 0) {
            PyErr_WriteUnraisable((PyObject *)self);
        }
        hold_drop(self);
    }
    if (exception != NULL) {
        compat_give_exception(exception);
    }
}

static int
hold_traverse(HoldObject *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->connection);
    Py_VISIT(self->outer);
    Py_VISIT(self->task);
    Py_VISIT(self->watch);
    return 0;
}

/* The connection stays until the end, as what it lends is used there. */
static int
hold_clear(HoldObject *self)
{
    Py_CLEAR(self->outer);
    Py_CLEAR(self->task);
    Py_CLEAR(self->watch);
    return 0;
}

static void
hold_dealloc(HoldObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    if (PyObject_CallFinalizerFromDealloc((PyObject *)self) < 0) {
        return;
    }
    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    if (self->farewell != NULL) {
        release_farewell(self->farewell);
    }
    hold_clear(self);
    Py_CLEAR(self->name);
    Py_CLEAR(self->connection);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef hold_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(HoldObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot hold_slots[] = {
    {Py_tp_doc, "Who has a connection: a transaction, or a savepoint in one."},
    {Py_tp_traverse, hold_traverse},
    {Py_tp_clear, hold_clear},
    {Py_tp_dealloc, hold_dealloc},
    {Py_tp_finalize, hold_finalize},
    {Py_tp_methods, hold_methods},
    {Py_tp_getset, hold_getset},
    {Py_tp_members, hold_members},
    {0, NULL},
};

static PyType_Spec hold_spec = {
    .name = "csqlite._csqlite.Hold",
    .basicsize = sizeof(HoldObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = hold_slots,
};

int
hold_init_type(struct module_state *state, PyObject *module)
{
    state->hold_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &hold_spec, NULL);
    if (state->hold_type == NULL) {
        return -1;
    }
    compat_forbid_new(state->hold_type);
    if (PyModule_AddFunctions(module, module_methods) < 0) {
        return -1;
    }
    return PyModule_AddObject(module, "Hold", Py_NewRef((PyObject *)state->hold_type));
}
