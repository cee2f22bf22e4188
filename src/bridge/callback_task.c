/* Its fields are guarded by the GIL, but for `over`, which the worker's lock guards because
 * it is waited for without the GIL.
 *
 * The task runs in a copy of the context that is entered on the worker, in which a variable
 * of ours names this object. Tasks that it starts inherit that, and so a request can tell that
 * it is made on behalf of what its own worker waits for. */

#include "bridge/callback_task.h"

void
callback_task_refuse(struct bridge *bridge, PyObject *awaitable)
{
    PyObject *exception = compat_take_exception();
    PyObject *closed = NULL;

    if (PyCoro_CheckExact(awaitable) || PyGen_CheckExact(awaitable) ||
        Py_TYPE(awaitable) == bridge->request_type) {
        closed = PyObject_CallMethod(awaitable, "close", NULL);
    }
    Py_XDECREF(closed);
    PyErr_Clear();
    Py_DECREF(awaitable);
    if (exception != NULL) {
        compat_give_exception(exception);
    }
}

/* -- making ------------------------------------------------------------------- */

int
callback_task_current(struct bridge *bridge, CallbackTask **current)
{
    PyObject *value = NULL;

    if (PyContextVar_Get(bridge->within, Py_None, &value) < 0) {
        return -1;
    }
    if (value == Py_None) {
        Py_CLEAR(value);
    }
    *current = (CallbackTask *)value;
    return 0;
}

/* The nearest one that is waited for among those in whose context this runs. */
static int
find_outer(struct bridge *bridge, CallbackTask **outer)
{
    CallbackTask *current;

    if (callback_task_current(bridge, &current) < 0) {
        return -1;
    }
    while (current != NULL && current->left) {
        Py_SETREF(current, (CallbackTask *)Py_XNewRef((PyObject *)current->outer));
    }
    *outer = current;
    return 0;
}

CallbackTask *
callback_task_new(ReactorObject *reactor, struct csq_executor *executor, PyObject *awaitable)
{
    struct bridge *bridge = reactor->bridge;
    PyTypeObject *type = bridge->callback_task_type;
    CallbackTask *self = (CallbackTask *)type->tp_alloc(type, 0);

    if (self == NULL) {
        callback_task_refuse(bridge, awaitable);
        return NULL;
    }
    self->bridge = bridge;
    self->executor = executor;
    self->reactor = (ReactorObject *)Py_NewRef((PyObject *)reactor);
    self->awaitable = awaitable;
    csq_list_init(&self->asked);
    if (find_outer(bridge, &self->outer) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return self;
}

/* -- on the loop -------------------------------------------------------------- */

/* Lets the worker go on with the result, or with the current exception. */
static void
finish(CallbackTask *self, PyObject *result)
{
    if (result == NULL) {
        Py_XSETREF(self->exception, compat_take_exception());
    }
    Py_XSETREF(self->result, result);
    if (!self->left) {
        self->executor->verbs->wake(self->executor, &self->over);
    }
}

/* Begins the task; its first step may come at once, as the loop decides. */
static int
start_task(CallbackTask *self, PyObject *awaitable)
{
    /* The worker may go on meanwhile, and let go of it. */
    ReactorObject *reactor = (ReactorObject *)Py_NewRef((PyObject *)self->reactor);
    PyObject *token = PyContextVar_Set(self->bridge->within, (PyObject *)self);

    if (token != NULL) {
        self->task =
            reactor->loop.host->verbs->spawn(&reactor->loop, awaitable, (PyObject *)self);
        Py_DECREF(token);
    }
    Py_DECREF(reactor);
    return self->task == NULL ? -1 : 0;
}

static void
begin(CallbackTask *self)
{
    PyObject *awaitable = self->awaitable;

    self->awaitable = NULL;
    if (awaitable == NULL) {
        return;
    }
    if (self->left || self->cancelled) {
        PyErr_SetNone(self->bridge->host->cancelled);
    } else if (start_task(self, awaitable) == 0) {
        Py_DECREF(awaitable);
        return;
    }
    callback_task_refuse(self->bridge, awaitable);
    finish(self, NULL);
}

/* Without an argument it is the call that callback_task_send() asks for; with one, a
 * task, the call that start_task() asks for. */
static PyObject *
callback_task_call(CallbackTask *self, PyObject *args, PyObject *kwargs)
{
    struct host *host = self->bridge->host;

    (void)kwargs;
    if (PyTuple_GET_SIZE(args) == 0) {
        begin(self);
    } else {
        Py_CLEAR(self->task);
        finish(self, host->verbs->outcome(host, PyTuple_GET_ITEM(args, 0)));
    }
    Py_RETURN_NONE;
}

/* -- from anywhere ------------------------------------------------------------ */

/* Asking the loop runs Python code: meanwhile the task may end, and the worker go on. */
static int
cancel_task(CallbackTask *self)
{
    PyObject *task = Py_XNewRef(self->task);
    ReactorObject *reactor = (ReactorObject *)Py_XNewRef((PyObject *)self->reactor);
    int rc = 0;

    if (task != NULL && reactor != NULL) {
        rc = reactor->loop.host->verbs->cancel_task(&reactor->loop, task);
    }
    Py_XDECREF(task);
    Py_XDECREF(reactor);
    return rc;
}

void
callback_task_cancel(CallbackTask *self)
{
    PyObject *exception;

    Py_INCREF(self);
    self->cancelled = true;
    exception = compat_take_exception();
    if (cancel_task(self) < 0) {
        PyErr_Clear();
        callback_task_forsake(self);
    }
    Py_DECREF(self);
    if (exception != NULL) {
        compat_give_exception(exception);
    }
}

void
callback_task_forsake(CallbackTask *self)
{
    if (!self->left) {
        self->executor->verbs->wake(self->executor, &self->over);
    }
}

int
callback_task_is_done(CallbackTask *self)
{
    struct host *host = self->bridge->host;
    PyObject *task = Py_XNewRef(self->task);
    int done;

    if (task == NULL) {
        return self->over; /* or in a first step that came at once */
    }
    done = host->verbs->is_done(host, task);
    Py_DECREF(task);
    return done;
}

/* -- the type ----------------------------------------------------------------- */

static int
callback_task_traverse(CallbackTask *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->reactor);
    Py_VISIT(self->awaitable);
    Py_VISIT(self->task);
    Py_VISIT(self->result);
    Py_VISIT(self->exception);
    Py_VISIT(self->outer);
    return 0;
}

static int
callback_task_clear(CallbackTask *self)
{
    PyObject *awaitable = self->awaitable;

    self->awaitable = NULL;
    if (awaitable != NULL) {
        callback_task_refuse(self->bridge, awaitable);
    }
    Py_CLEAR(self->reactor);
    Py_CLEAR(self->task);
    Py_CLEAR(self->result);
    Py_CLEAR(self->exception);
    Py_CLEAR(self->outer);
    return 0;
}

static void
callback_task_dealloc(CallbackTask *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    callback_task_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot callback_task_slots[] = {
    {Py_tp_doc, "A callback that the loop runs while its connection's worker waits."},
    {Py_tp_call, callback_task_call},
    {Py_tp_traverse, callback_task_traverse},
    {Py_tp_clear, callback_task_clear},
    {Py_tp_dealloc, callback_task_dealloc},
    {0, NULL},
};

static PyType_Spec callback_task_spec = {
    .name = "csqlite._csqlite.CallbackTask",
    .basicsize = sizeof(CallbackTask),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = callback_task_slots,
};

int
callback_task_init(struct bridge *bridge, PyObject *module)
{
    bridge->callback_task_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &callback_task_spec, NULL);
    bridge->within = PyContextVar_New("csqlite_callback", NULL);
    if (bridge->callback_task_type == NULL || bridge->within == NULL) {
        return -1;
    }
    compat_forbid_new(bridge->callback_task_type);
    return 0;
}
