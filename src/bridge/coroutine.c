/* A request as Python sees it: its own coroutine. send() is called by the task's step,
 * and between the two sends the task waits for what is to it a future of its loop,
 * so cancellation, timeouts and task groups work as with any coroutine. */

#include "bridge/request.h"

#include "bridge/await.h"
#include "bridge/deadline.h"
#include "bridge/lease.h"
#include "bridge/ready.h"
#include "bridge/stop.h"

/* -- the coroutine ------------------------------------------------------------ */

/* Raises `exception`, which it takes. A StopIteration would look like a result, and a
 * StopAsyncIteration like the end of what has none. */
static void
raise_from(const RequestObject *request, PyObject *exception)
{
    compat_give_exception(exception);
    if (!request->hooks->iterates || !PyErr_ExceptionMatches(PyExc_StopAsyncIteration)) {
        stop_refuse("coroutine");
    }
}

PySendResult
request_finish(RequestObject *request, PyObject **result)
{
    PyObject *exception = request->exception;

    request->stage = REQUEST_DONE;
    if (exception != NULL) {
        request->exception = NULL;
        *result = NULL;
        raise_from(request, exception);
        return PYGEN_ERROR;
    }
    if (request->entered) {
        request->entered_result = Py_NewRef(request->result);
    }
    *result = request->result;
    request->result = NULL;
    return PYGEN_RETURN;
}

/* Lets the task wait until the request is settled. */
static PySendResult
park(RequestObject *request, PyObject **result)
{
    struct host_loop *loop = &request->reactor->loop;

    Py_XSETREF(request->waiter, loop->host->verbs->park(loop));
    *result = Py_XNewRef(request->waiter);
    return request->waiter == NULL ? PYGEN_ERROR : PYGEN_NEXT;
}

/* Lets the task wait for what never comes: the process ends before it. */
static PySendResult
wait_for_end(RequestObject *request, PyObject **result)
{
    PyErr_Clear();
    if (request_find_reactor(request) < 0) {
        return PYGEN_ERROR;
    }
    return park(request, result);
}

static PySendResult
start(RequestObject *request, PyObject **result)
{
    enum request_answer answer;
    bool attended;

    *result = NULL;
    /* A request whose packing fails is over: it never reached the worker. */
    request->stage = REQUEST_DONE;
    if (request->bridge->deadlines && request->hooks->keep == NULL &&
        deadline_begin(request) < 0) {
        return PYGEN_ERROR;
    }
    answer = request_pack(request);
    if (answer == REQUEST_READY) {
        return request_finish(request, result);
    }
    if (answer == REQUEST_FAILED && request_is_left(request)) {
        return wait_for_end(request, result);
    }
    if (answer == REQUEST_FAILED) {
        raise_from(request, compat_take_exception());
        return PYGEN_ERROR;
    }
    if (await_check(request) < 0 || request_find_reactor(request) < 0 ||
        (request->deadline != 0 && deadline_watch(request) < 0)) {
        request_give_up(request);
        return PYGEN_ERROR;
    }
    attended = !request_is_gated(request) && csq_turn_attend(&request->reactor->turn);
    if (request_push(request) < 0) {
        if (attended) {
            csq_turn_disregard(&request->reactor->turn);
        }
        request_give_up(request);
        return PYGEN_ERROR;
    }
    if (attended && request->waits) {
        csq_turn_disregard(&request->reactor->turn); /* it waits for more than the worker */
        attended = false;
    }
    if (attended && reactor_wait(request->reactor, &request->news) &&
        request->stage == REQUEST_SETTLED) {
        return request_finish(request, result);
    }
    if (park(request, result) == PYGEN_ERROR) {
        request_leave(request);
        return PYGEN_ERROR;
    }
    return PYGEN_NEXT;
}

/* -1 with ValueError when a hook of the request runs, and so what called this. */
static int
check_running(RequestObject *self)
{
    if (self->running && !self->elsewhere) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
        return -1;
    }
    return 0;
}

static PySendResult
request_send(RequestObject *self, PyObject *value, PyObject **result)
{
    (void)value;
    *result = NULL;
    if (check_running(self) < 0) {
        return PYGEN_ERROR;
    }
    switch (self->stage) {
    case REQUEST_NEW:
        return start(self, result);
    case REQUEST_SETTLED:
        return request_finish(self, result);
    case REQUEST_PENDING:
        PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");
        return PYGEN_ERROR;
    default:
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return PYGEN_ERROR;
    }
}

/* As send() of a generator: a return becomes StopIteration. */
static PyObject *
give_next(PySendResult answer, PyObject *result)
{
    if (answer == PYGEN_RETURN) {
        /* An instance: a tuple as result would be taken for its arguments. */
        PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result);

        if (stop != NULL) {
            PyErr_SetObject(PyExc_StopIteration, stop);
            Py_DECREF(stop);
        }
        Py_CLEAR(result);
    }
    return result;
}

static PyObject *
request_send_method(RequestObject *self, PyObject *value)
{
    PyObject *result;
    PySendResult answer = request_send(self, value, &result);

    return give_next(answer, result);
}

/* What await calls. Once in a while a task gives way before it asks: `None` lets its loop
 * call it again in the next iteration. Whoever calls send() by hand knows nothing of that. */
static PySendResult
request_resume(RequestObject *self, PyObject *value, PyObject **result)
{
    if (self->gave_way) {
        stretch_begin(&self->bridge->stretch);
        self->gave_way = false;
    } else if (self->stage == REQUEST_NEW && stretch_count(&self->bridge->stretch)) {
        self->gave_way = true;
        *result = Py_NewRef(Py_None);
        return PYGEN_NEXT;
    }
    return request_send(self, value, result);
}

/* await calls this before 3.10 and since 3.12, where it has nothing to send. */
static PyObject *
request_iternext(RequestObject *self)
{
    PyObject *result;
    PySendResult answer = request_resume(self, Py_None, &result);

    if (answer == PYGEN_RETURN && result == Py_None) {
        Py_DECREF(result); /* an iteration that just ends gives None */
        return NULL;
    }
    return give_next(answer, result);
}

/* Raises what throw(type, value, traceback) was given. */
static void
raise_thrown(PyObject *type, PyObject *value, PyObject *traceback)
{
    if (PyExceptionInstance_Check(type)) {
        PyErr_SetObject((PyObject *)Py_TYPE(type), type);
    } else if (PyExceptionClass_Check(type)) {
        PyErr_SetObject(type, value == NULL ? Py_None : value);
    } else {
        PyErr_Format(PyExc_TypeError,
                     "exceptions must be classes or instances deriving from BaseException, "
                     "not %.100s",
                     Py_TYPE(type)->tp_name);
        return;
    }
    if (traceback != NULL && traceback != Py_None) {
        PyObject *exception = compat_take_exception();

        if (exception != NULL) {
            PyException_SetTraceback(exception, traceback);
            compat_give_exception(exception);
        }
    }
}

/* What has to come to its end goes on: the task waits for that, and hears of the cancellation
 * from who has asked for it. */
static PyObject *
go_on(RequestObject *self, PyObject *type, PyObject *value, PyObject *traceback)
{
    PyObject *result = NULL;
    PySendResult answer;

    raise_thrown(type, value, traceback);
    self->hooks->keep(self, compat_take_exception());
    if (self->stage == REQUEST_PENDING) {
        answer = park(self, &result);
    } else {
        answer =
            self->stage == REQUEST_NEW ? start(self, &result) : request_finish(self, &result);
    }
    return give_next(answer, result);
}

/* Whether what is thrown says that the task was cancelled. */
static bool
is_cancellation(const RequestObject *self, PyObject *thrown)
{
    PyObject *cancelled = self->bridge->host->cancelled;

    return cancelled != NULL && PyErr_GivenExceptionMatches(thrown, cancelled);
}

PyDoc_STRVAR(throw_doc, "throw($self, type, value=None, traceback=None, /)\n--\n\n"
                        "Raise an exception where the request is awaited; its query is stopped.");

static PyObject *
request_throw(RequestObject *self, PyObject *args)
{
    PyObject *type;
    PyObject *value = NULL;
    PyObject *traceback = NULL;

    if (!PyArg_ParseTuple(args, "O|OO:throw", &type, &value, &traceback)) {
        return NULL;
    }
    if (check_running(self) < 0) {
        return NULL;
    }
    if (self->stage == REQUEST_DONE) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return NULL;
    }
    if (self->hooks->keep != NULL && is_cancellation(self, type)) {
        return go_on(self, type, value, traceback);
    }
    request_leave(self);
    raise_thrown(type, value, traceback);
    if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
        stop_refuse("coroutine");
    }
    return NULL;
}

PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\n"
                        "Give the request up; a query on its way is stopped.");

static PyObject *
request_close(RequestObject *self, PyObject *unused)
{
    (void)unused;
    if (check_running(self) < 0) {
        return NULL;
    }
    request_leave(self);
    Py_RETURN_NONE;
}

static PyObject *
request_await(RequestObject *self)
{
    return Py_NewRef((PyObject *)self);
}

/* -- the context manager ------------------------------------------------------ */

PyDoc_STRVAR(aenter_doc, "__aenter__($self, /)\n--\n\nAwait the request; gives its result.");

static PyObject *
request_aenter(RequestObject *self, PyObject *unused)
{
    (void)unused;
    self->entered = true;
    return Py_NewRef((PyObject *)self);
}

/* Who has called the method leaves what it has given. Apart, so that others do not pay for it. */
__attribute__((noinline)) static PyObject *
leave_as_caller(RequestObject *self, PyObject *result)
{
    PyObject *before = lease_act(self->bridge, self->caller);
    PyObject *leaving;
    PyObject *exception;

    if (before == NULL) {
        PyErr_Clear();
        return self->hooks->leave(result);
    }
    leaving = self->hooks->leave(result);
    exception = compat_take_exception();
    Py_DECREF(before);
    before = lease_act(self->bridge, before == Py_None ? NULL : before);
    Py_XDECREF(before);
    if (exception != NULL) {
        compat_give_exception(exception);
    }
    return leaving;
}

PyDoc_STRVAR(aexit_doc, "__aexit__($self, exc_type, exc, tb, /)\n--\n\n"
                        "Close the result when it is a cursor.");

static PyObject *
request_aexit(RequestObject *self, PyObject *args)
{
    (void)args;
    if (self->entered_result != NULL && self->hooks->leave != NULL) {
        PyObject *result = self->entered_result;
        PyObject *leaving;

        self->entered_result = NULL;
        leaving =
            self->caller == NULL ? self->hooks->leave(result) : leave_as_caller(self, result);
        Py_DECREF(result);
        return leaving;
    }
    return ready_new(self->bridge, Py_NewRef(Py_None));
}
/* -- the type ----------------------------------------------------------------- */

static void
request_finalize(RequestObject *self)
{
    PyObject *exception = compat_take_exception();

    if (self->stage == REQUEST_NEW && self->owner != NULL &&
        PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine '%s' was never awaited",
                         self->name) < 0) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    if (exception != NULL) {
        compat_give_exception(exception);
    }
}

static int
request_traverse(RequestObject *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->owner);
    Py_VISIT(self->target);
    for (int i = 0; i < self->objects; i++) {
        Py_VISIT(self->payload.objects[i]);
    }
    Py_VISIT(self->hold);
    Py_VISIT(self->caller);
    Py_VISIT(self->rows);
    Py_VISIT(self->result);
    Py_VISIT(self->exception);
    Py_VISIT(self->held);
    Py_VISIT(self->raised);
    Py_VISIT(self->task_context);
    Py_VISIT(self->asker);
    Py_VISIT(self->callback_context);
    Py_VISIT(self->callback_task);
    Py_VISIT(self->entered_result);
    Py_VISIT(self->waiter);
    Py_VISIT(self->future);
    Py_VISIT(self->answer);
    Py_VISIT(self->reactor);
    return 0;
}

static int
request_clear(RequestObject *self)
{
    Py_CLEAR(self->owner);
    Py_CLEAR(self->target);
    for (int i = 0; i < self->objects; i++) {
        Py_CLEAR(self->payload.objects[i]);
    }
    Py_CLEAR(self->hold);
    Py_CLEAR(self->caller);
    Py_CLEAR(self->rows);
    Py_CLEAR(self->result);
    Py_CLEAR(self->exception);
    Py_CLEAR(self->held);
    Py_CLEAR(self->raised);
    Py_CLEAR(self->task_context);
    request_forget_asker(self);
    Py_CLEAR(self->callback_context);
    Py_CLEAR(self->callback_task);
    Py_CLEAR(self->entered_result);
    Py_CLEAR(self->waiter);
    Py_CLEAR(self->future);
    Py_CLEAR(self->answer);
    Py_CLEAR(self->reactor);
    return 0;
}

static void
request_dealloc(RequestObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    /* The finalizer has nothing to say of any other. */
    if (self->stage == REQUEST_NEW && PyObject_CallFinalizerFromDealloc((PyObject *)self) < 0) {
        return;
    }
    PyObject_GC_UnTrack(self);
    csq_link_remove(&self->news);
    csq_job_clear(&self->job);
    csq_strip_clear(&self->strip);
    request_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
request_get_name(RequestObject *self, void *closure)
{
    const char *dot = strrchr(self->name, '.');

    (void)closure;
    return PyUnicode_FromString(dot == NULL ? self->name : dot + 1);
}

static PyObject *
request_get_qualname(RequestObject *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(self->name);
}

static PyObject *
request_repr(RequestObject *self)
{
    static const char *const stages[] = {"not awaited", "pending", "settled", "done"};

    return PyUnicode_FromFormat("<csqlite request %s, %s>", self->name, stages[self->stage]);
}

PyDoc_STRVAR(send_doc, "send($self, value, /)\n--\n\nGo on, as a coroutine does.");

static PyMethodDef request_methods[] = {
    {"send", (PyCFunction)request_send_method, METH_O, send_doc},
    {"throw", (PyCFunction)request_throw, METH_VARARGS, throw_doc},
    {"close", (PyCFunction)request_close, METH_NOARGS, close_doc},
    {"__aenter__", (PyCFunction)request_aenter, METH_NOARGS, aenter_doc},
    {"__aexit__", (PyCFunction)request_aexit, METH_VARARGS, aexit_doc},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "See PEP 585."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef request_getset[] = {
    {"__name__", (getter)request_get_name, NULL, "The method that made it.", NULL},
    {"__qualname__", (getter)request_get_qualname, NULL, "The method that made it.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(request_doc,
             "What every method that must wait returns: await it, once.\n\n"
             "Nothing runs before it is awaited. Where the result is a cursor, "
             "`async with` awaits\nit and closes the cursor at the end. It is an "
             "asyncio coroutine (`asyncio.iscoroutine`),\nso tasks can be made of it. "
             "Cancelling the task stops the query.");

static PyType_Slot request_slots[] = {
    {Py_tp_doc, (void *)request_doc},
    {Py_tp_repr, request_repr},
    {Py_tp_traverse, request_traverse},
    {Py_tp_clear, request_clear},
    {Py_tp_dealloc, request_dealloc},
    {Py_tp_finalize, request_finalize},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, request_iternext},
    {Py_tp_methods, request_methods},
    {Py_tp_getset, request_getset},
    {Py_am_await, request_await},
#if PY_VERSION_HEX >= 0x030A0000
    {Py_am_send, request_resume},
#endif
    {0, NULL},
};

static PyType_Spec request_spec = {
    .name = "csqlite._csqlite.Request",
    .basicsize = sizeof(RequestObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = request_slots,
};

int
request_init(struct bridge *bridge, PyObject *module)
{
    bridge->request_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &request_spec, NULL);
    if (bridge->request_type == NULL) {
        return -1;
    }
    compat_forbid_new(bridge->request_type);
    return PyModule_AddObject(module, "Request", Py_NewRef((PyObject *)bridge->request_type));
}
