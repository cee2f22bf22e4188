/* The worker makes a callback's task (callback_task.h), lets the loop call it, and waits. */

#include "bridge/await.h"

/* Over how many connections it is looked whether callbacks await each other. */
enum { CONNECTIONS_MOST = 16 };

/* -- on the worker ------------------------------------------------------------ */

/* Gives the request that a task awaits, within whose callbacks `request` runs; NULL
 * with ProgrammingError or RuntimeError when there is none. */
static RequestObject *
find_root(struct bridge *bridge, RequestObject *request)
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
    if (atomic_load(&root->executor->quitting)) {
        PyErr_SetString(PyExc_RuntimeError, "the process ends");
        return NULL;
    }
    return root;
}

/* Lets the loop begin, and waits; false when that could not be asked for. */
static bool
send(CallbackTask *self, struct gate *gate, RequestObject *root)
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
        sent = loop->host->verbs->soon_from_thread(loop, (PyObject *)self, context) == 0;
    }
    Py_XDECREF(context);
    if (sent) {
        gate_leave(gate);
        root->executor->verbs->wait(root->executor, &root->job, &self->over);
        gate_enter(gate);
    }
    return sent;
}

/* Gives what has come of it. Nothing has when the loop or the process ends. */
static PyObject *
take_outcome(CallbackTask *self)
{
    PyObject *result = self->result;
    PyObject *exception = self->exception;

    self->result = NULL;
    self->exception = NULL;
    if (exception != NULL) {
        compat_give_exception(exception);
    } else if (result == NULL) {
        /* Where the loop still runs, the task is told. */
        callback_task_cancel(self);
        PyErr_SetString(PyExc_RuntimeError, "the event loop ended before the callback did");
    }
    return result;
}

PyObject *
await_on_loop(struct bridge *bridge, RequestObject *request, PyObject *awaitable)
{
    RequestObject *root = find_root(bridge, request);
    struct gate *gate;
    CallbackTask *self;
    PyObject *result = NULL;
    bool sent;

    if (root == NULL) {
        callback_task_refuse(bridge, awaitable);
        return NULL;
    }
    self = callback_task_new(root->reactor, root->executor, awaitable);
    if (self == NULL) {
        return NULL;
    }
    /* Whoever cancels or closes finds it from here on, begun or not. */
    gate = root->gate;
    root->callback_task = (CallbackTask *)Py_NewRef((PyObject *)self);
    gate->callback_task = self;
    bridge->waiting_workers++;
    sent = send(self, gate, root);
    bridge->waiting_workers--;
    gate->callback_task = NULL;
    Py_CLEAR(root->callback_task);
    if (sent) {
        result = take_outcome(self);
    }
    self->left = true;
    Py_CLEAR(self->reactor);
    awaitable = self->awaitable;
    self->awaitable = NULL;
    if (awaitable != NULL) {
        callback_task_refuse(bridge, awaitable);
    }
    Py_DECREF(self);
    return result;
}

/* Whether `task` is among the callbacks within which code runs, `within` the innermost. */
static bool
is_within(const CallbackTask *within, const CallbackTask *task)
{
    while (within != NULL && within != task) {
        within = within->outer;
    }
    return within == task;
}

/* Whether the end of `task` waits, over so many connections, for a callback within which
 * this code runs. One whose task is done waits for nobody. -1 with an exception. */
static int
waits_for(CallbackTask *task, const CallbackTask *within, int depth)
{
    struct csq_link *link;
    int found = callback_task_is_done(task);

    if (found != 0) {
        return found < 0 ? -1 : 0;
    }
    found = is_within(within, task);
    for (link = task->asked.head.next; found == 0 && depth > 0 && link != &task->asked.head;
         link = link->next) {
        CallbackTask *next = csq_item(link, RequestObject, asked)->gate->callback_task;

        found = next == NULL ? 0 : waits_for(next, within, depth - 1);
    }
    return found;
}

/* Notes for whom the request is made. */
static void
note_asker(RequestObject *request, CallbackTask *within)
{
    if (request->asker == NULL) {
        request->asker = (CallbackTask *)Py_NewRef((PyObject *)within);
        csq_list_append(&within->asked, &request->asked);
    }
}

/* 0, or -1 with ProgrammingError: who waits for `task` waits for ever. */
static int
refuse_circle(struct bridge *bridge, CallbackTask *task, CallbackTask *within)
{
    int found = waits_for(task, within, CONNECTIONS_MOST);

    if (found > 0) {
        PyErr_SetString(bridge->ProgrammingError,
                        is_within(within, task)
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
    CallbackTask *within = NULL;
    CallbackTask *task;
    int rc = 0;

    if (bridge->waiting_workers == 0 || request->detached) {
        return 0;
    }
    if (callback_task_current(bridge, &within) < 0) {
        return -1;
    }
    task = (CallbackTask *)Py_XNewRef((PyObject *)gate->callback_task);
    if (task != NULL && within != NULL) {
        rc = refuse_circle(bridge, task, within);
    }
    if (rc == 0 && within != NULL && gate == request->gate) {
        note_asker(request, within);
    }
    Py_XDECREF(within);
    Py_XDECREF(task);
    return rc;
}
