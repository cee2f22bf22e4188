/* The Hold: its beginning and end as an object, and who waits for it. What is begun and ended with
 * it stands in hold.c. */

#include "binding/hold.h"

#include <structmember.h>

#include "binding/method.h"
#include "engine/alloc.h"

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

PyMethodDef hold_connection_methods[] = {
    {"_hold", connection_hold, METH_VARARGS, hold_of_doc},
    {"_holder", connection_holder, METH_NOARGS, holder_doc},
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
hold_get_connection(HoldObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef(self->connection);
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
    {"_connection", (getter)hold_get_connection, NULL, "Whose it is.", NULL},
    {"_outer", (getter)hold_get_outer, NULL, "What it stands on, or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
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
    Py_VISIT(self->cancelled);
    return 0;
}

/* The connection stays until the end, as what it lends is used there. */
static int
hold_clear(HoldObject *self)
{
    Py_CLEAR(self->outer);
    Py_CLEAR(self->task);
    Py_CLEAR(self->watch);
    Py_CLEAR(self->cancelled);
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

static PyMethodDef own_methods[] = {
    {"_waiters", (PyCFunction)hold_waiters, METH_NOARGS, waiters_doc},
    {"_refuse", (PyCFunction)hold_refuse, METH_VARARGS, refuse_doc},
    {NULL, NULL, 0, NULL},
};

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
    {Py_tp_methods, own_methods},
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
    if (method_add(state->hold_type, hold_methods) < 0 ||
        PyModule_AddFunctions(module, hold_module_methods) < 0) {
        return -1;
    }
    return PyModule_AddObject(module, "Hold", Py_NewRef((PyObject *)state->hold_type));
}
