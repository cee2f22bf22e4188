/* The worker makes an object, lets the loop call it, and waits. The loop calls it
 * twice: to begin a task, and when the task is done. Its fields are guarded by the
 * GIL, but for `over`, which the worker's lock guards because it is waited for
 * without the GIL.
 *
 * The task runs in a copy of the context that is entered on the worker, in which a
 * variable of ours names this object. Tasks that it starts inherit that, and so a
 * request can tell that it is made on behalf of what its own worker waits for. */

#include "bridge/await.h"

/* Over how many connections it is looked whether callbacks await each other. */
enum { CONNECTIONS_MOST = 16 };

typedef struct {
    PyObject_HEAD
    struct bridge *bridge;
    struct csq_worker *worker; /* lent: while it waits, it does not end */
    ReactorObject *reactor; /* of the loop; until the worker goes on */
    PyObject *awaitable; /* until the task begins */
    PyObject *task;      /* NULL: it has not begun */
    PyObject *result;
    PyObject *exception;
    PyObject *outer; /* the object in whose task the statement is awaited, or NULL */
    struct csq_list asked; /* requests under way that its task has made, by RequestObject.asked */
    bool over; /* the worker may go on */
    bool cancelled; /* before the task began */
    bool left; /* the worker has gone on */
} AwaitObject;

/* Takes the awaitable; a coroutine is told that nobody awaits it, lest it complain. */
static void
refuse(struct bridge *bridge, PyObject *awaitable)
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

/* -- on the loop -------------------------------------------------------------- */

/* Lets the worker go on with the result, or with the current exception. */
static void
finish(AwaitObject *self, PyObject *result)
{
    if (result == NULL) {
        Py_XSETREF(self->exception, compat_take_exception());
    }
    Py_XSETREF(self->result, result);
    if (!self->left) {
        csq_worker_wake(self->worker, &self->over);
    }
}

/* Begins the task; its first step may come at once, as the loop decides. */
static int
start_task(AwaitObject *self, PyObject *awaitable)
{
    struct host_loop *loop = &self->reactor->loop;
    PyObject *token = PyContextVar_Set(self->bridge->within, (PyObject *)self);

    if (token == NULL) {
        return -1;
    }
    Py_DECREF(token);
    self->task = loop->host->calls->spawn(loop, awaitable, (PyObject *)self);
    return self->task == NULL ? -1 : 0;
}

static void
begin(AwaitObject *self)
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
    refuse(self->bridge, awaitable);
    finish(self, NULL);
}

/* Without an argument it is the call that await_on_loop() asks for; with one, a
 * future, the call that start_task() asks for. */
static PyObject *
await_call(AwaitObject *self, PyObject *args, PyObject *kwargs)
{
    struct host *host = self->bridge->host;

    (void)kwargs;
    if (PyTuple_GET_SIZE(args) == 0) {
        begin(self);
    } else {
        Py_CLEAR(self->task);
        finish(self, host->calls->outcome(host, PyTuple_GET_ITEM(args, 0)));
    }
    Py_RETURN_NONE;
}

/* -- from anywhere ------------------------------------------------------------ */

void
await_cancel(PyObject *awaiting)
{
    AwaitObject *self = (AwaitObject *)Py_NewRef(awaiting);
    struct host_loop *loop = &self->reactor->loop;
    PyObject *exception = compat_take_exception();

    self->cancelled = true;
    if (self->task != NULL && loop->host->calls->cancel_task(loop, self->task) < 0) {
        PyErr_Clear();
        await_forsake(awaiting);
    }
    Py_DECREF(self);
    if (exception != NULL) {
        compat_give_exception(exception);
    }
}

void
await_forsake(PyObject *awaiting)
{
    AwaitObject *self = (AwaitObject *)awaiting;

    if (!self->left) {
        csq_worker_wake(self->worker, &self->over);
    }
}

/* -- on the worker ------------------------------------------------------------ */

/* Gives the request that a task awaits, within whose callbacks `request` runs; NULL
 * with ProgrammingError or RuntimeError when there is none. */
static RequestObject *
awaited(struct bridge *bridge, RequestObject *request)
{
    RequestObject *root = request == NULL ? NULL : request_root(request);

    if (root == NULL || root->reactor == NULL) {
        PyErr_SetString(bridge->ProgrammingError,
                        "A callback that is a coroutine needs an event loop: the statement that "
                        "calls it has to be awaited.");
        return NULL;
    }
    if (root->reactor->silent) {
        PyErr_SetString(PyExc_RuntimeError, "Event loop is closed");
        return NULL;
    }
    if (atomic_load(&root->worker->db.quitting)) {
        PyErr_SetString(PyExc_RuntimeError, "the process ends");
        return NULL;
    }
    return root;
}

/* The nearest object that is waited for among those in whose context this runs. */
static int
find_outer(struct bridge *bridge, PyObject **outer)
{
    PyObject *value = NULL;

    if (PyContextVar_Get(bridge->within, Py_None, &value) < 0) {
        return -1;
    }
    while (value != Py_None && ((AwaitObject *)value)->left) {
        PyObject *next = ((AwaitObject *)value)->outer;

        next = Py_NewRef(next == NULL ? Py_None : next);
        Py_SETREF(value, next);
    }
    if (value == Py_None) {
        Py_CLEAR(value);
    }
    *outer = value;
    return 0;
}

/* Takes the awaitable. */
static AwaitObject *
make(struct bridge *bridge, RequestObject *root, PyObject *awaitable)
{
    PyTypeObject *type = bridge->await_type;
    AwaitObject *self = (AwaitObject *)type->tp_alloc(type, 0);

    if (self == NULL) {
        refuse(bridge, awaitable);
        return NULL;
    }
    self->bridge = bridge;
    self->worker = root->worker;
    self->reactor = (ReactorObject *)Py_NewRef((PyObject *)root->reactor);
    self->awaitable = awaitable;
    csq_list_init(&self->asked);
    if (find_outer(bridge, &self->outer) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return self;
}

/* Lets the loop begin, and waits; false when that could not be asked for. */
static bool
send(AwaitObject *self, struct gate *gate, RequestObject *root)
{
    struct host_loop *loop = &self->reactor->loop;
    PyObject *context;
    bool sent = false;

    if (atomic_load(&root->job.cancelled)) {
        PyErr_SetNone(self->bridge->host->cancelled);
        return false;
    }
    context = PyContext_CopyCurrent();
    if (context != NULL) {
        sent = loop->host->calls->soon_from_thread(loop, (PyObject *)self, context) == 0;
    }
    Py_XDECREF(context);
    if (sent) {
        gate_leave(gate);
        csq_worker_wait(root->worker, &root->job, &self->over);
        gate_enter(gate);
    }
    return sent;
}

/* Gives what has come of it. Nothing has when the loop or the process ends. */
static PyObject *
take_outcome(AwaitObject *self)
{
    PyObject *result = self->result;
    PyObject *exception = self->exception;

    self->result = NULL;
    self->exception = NULL;
    if (exception != NULL) {
        compat_give_exception(exception);
    } else if (result == NULL) {
        /* Where the loop still runs, the task is told. */
        await_cancel((PyObject *)self);
        PyErr_SetString(PyExc_RuntimeError, "the event loop ended before the callback did");
    }
    return result;
}

PyObject *
await_on_loop(struct bridge *bridge, RequestObject *request, PyObject *awaitable)
{
    RequestObject *root = awaited(bridge, request);
    struct gate *gate;
    AwaitObject *self;
    PyObject *result = NULL;
    bool sent;

    if (root == NULL) {
        refuse(bridge, awaitable);
        return NULL;
    }
    self = make(bridge, root, awaitable);
    if (self == NULL) {
        return NULL;
    }
    /* Whoever cancels or closes finds it from here on, begun or not. */
    gate = root->gate;
    root->awaiting = Py_NewRef((PyObject *)self);
    gate->awaiting = (PyObject *)self;
    bridge->awaits++;
    sent = send(self, gate, root);
    bridge->awaits--;
    gate->awaiting = NULL;
    Py_CLEAR(root->awaiting);
    if (sent) {
        result = take_outcome(self);
    }
    self->left = true;
    Py_CLEAR(self->reactor);
    awaitable = self->awaitable;
    self->awaitable = NULL;
    if (awaitable != NULL) {
        refuse(bridge, awaitable);
    }
    Py_DECREF(self);
    return result;
}

/* Whether its task is done, of which the worker is about to hear. -1 with an exception. */
static int
is_done(AwaitObject *self)
{
    struct host *host = self->bridge->host;
    PyObject *task = Py_XNewRef(self->task);
    int done;

    if (task == NULL) {
        return self->over; /* or in a first step that came at once */
    }
    done = host->calls->is_done(host, task);
    Py_DECREF(task);
    return done;
}

/* Whether `awaiting` is among the callbacks within which code runs, `within` the innermost. */
static bool
is_within(PyObject *within, PyObject *awaiting)
{
    while (within != NULL && within != Py_None && within != awaiting) {
        within = ((AwaitObject *)within)->outer;
    }
    return within == awaiting;
}

/* Whether the end of `awaiting` waits, over so many connections, for a callback within which
 * this code runs. One whose task is done waits for nobody. -1 with an exception. */
static int
waits_for(PyObject *awaiting, PyObject *within, int depth)
{
    AwaitObject *self = (AwaitObject *)awaiting;
    struct csq_link *link;
    int found = is_done(self);

    if (found != 0) {
        return found < 0 ? -1 : 0;
    }
    found = is_within(within, awaiting);
    for (link = self->asked.head.next; found == 0 && depth > 0 && link != &self->asked.head;
         link = link->next) {
        PyObject *next = csq_item(link, RequestObject, asked)->gate->awaiting;

        found = next == NULL ? 0 : waits_for(next, within, depth - 1);
    }
    return found;
}

/* Notes for whom the request is made. */
static void
note_asker(RequestObject *request, PyObject *within)
{
    if (within != Py_None && request->asker == NULL) {
        request->asker = Py_NewRef(within);
        csq_list_append(&((AwaitObject *)within)->asked, &request->asked);
    }
}

/* 0, or -1 with ProgrammingError: who waits for `awaiting`, which may be NULL, waits for ever. */
static int
refuse_circle(struct bridge *bridge, PyObject *awaiting, PyObject *within)
{
    int found = 0;

    if (awaiting != NULL && within != Py_None) {
        found = waits_for(awaiting, within, CONNECTIONS_MOST);
    }
    if (found > 0) {
        PyErr_SetString(bridge->ProgrammingError,
                        is_within(within, awaiting)
                            ? "A callback cannot await its own connection, which waits for the "
                              "callback."
                            : "A callback cannot await a connection whose callback awaits its "
                              "own.");
    }
    return found == 0 ? 0 : -1;
}

int
await_check_gate(RequestObject *request, const struct gate *gate)
{
    struct bridge *bridge = request->bridge;
    PyObject *awaiting = Py_XNewRef(gate->awaiting);
    PyObject *within = NULL;
    int rc = -1;

    if (bridge->awaits == 0 || request->unawaited) {
        rc = 0;
    } else if (PyContextVar_Get(bridge->within, Py_None, &within) == 0) {
        rc = refuse_circle(bridge, awaiting, within);
    }
    if (rc == 0 && within != NULL && gate == request->gate) {
        note_asker(request, within);
    }
    Py_XDECREF(within);
    Py_XDECREF(awaiting);
    return rc;
}

void
await_forget(RequestObject *request)
{
    csq_link_remove(&request->asked);
    Py_CLEAR(request->asker);
}

/* -- the type ----------------------------------------------------------------- */

static int
await_traverse(AwaitObject *self, visitproc visit, void *arg)
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
await_clear(AwaitObject *self)
{
    PyObject *awaitable = self->awaitable;

    self->awaitable = NULL;
    if (awaitable != NULL) {
        refuse(self->bridge, awaitable);
    }
    Py_CLEAR(self->reactor);
    Py_CLEAR(self->task);
    Py_CLEAR(self->result);
    Py_CLEAR(self->exception);
    Py_CLEAR(self->outer);
    return 0;
}

static void
await_dealloc(AwaitObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    await_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot await_slots[] = {
    {Py_tp_doc, "A callback that the loop runs while its connection's worker waits."},
    {Py_tp_call, await_call},
    {Py_tp_traverse, await_traverse},
    {Py_tp_clear, await_clear},
    {Py_tp_dealloc, await_dealloc},
    {0, NULL},
};

static PyType_Spec await_spec = {
    .name = "csqlite._csqlite.Await",
    .basicsize = sizeof(AwaitObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = await_slots,
};

int
await_init(struct bridge *bridge, PyObject *module)
{
    PyObject *sqlite3 = PyImport_ImportModule("sqlite3");

    bridge->await_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &await_spec, NULL);
    bridge->within = PyContextVar_New("csqlite_callback", NULL);
    if (sqlite3 != NULL) {
        bridge->ProgrammingError = PyObject_GetAttrString(sqlite3, "ProgrammingError");
    }
    Py_XDECREF(sqlite3);
    if (bridge->await_type == NULL || bridge->within == NULL ||
        bridge->ProgrammingError == NULL) {
        return -1;
    }
    compat_forbid_new(bridge->await_type);
    return 0;
}
