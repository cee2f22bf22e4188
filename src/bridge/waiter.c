/* asyncio's future tells its callbacks by call_soon(): the task that waits for it
 * goes on in the next iteration of the loop, which costs as much as all the rest of
 * a short query. A waiter is settled by the reactor, between two tasks, where a
 * task's step may as well be run right away, in the task's context.
 *
 * It is no subclass of asyncio.Future, whose callbacks a subclass cannot reach. A
 * task takes anything that has _asyncio_future_blocking and the methods here. The
 * road back is always open: whatever is not the one callback of one task, or comes
 * at another time, goes through call_soon(). */

#include "bridge/waiter.h"

#include "bridge/context.h"

/* After so many it is tried again to enter a context. */
static const double RETRY_SECONDS = 0.001;

typedef struct {
    PyObject_HEAD
    struct asyncio *asyncio; /* lent: the interpreter's */
    PyObject *loop;
    PyObject *callback; /* the first one; NULL: none, or it was told */
    PyObject *context;  /* what to run it in; NULL: there is no callback */
    PyObject *others;   /* further callbacks, a list of (callback, context); or NULL */
    PyObject *message;  /* of the cancellation; or NULL */
    bool blocking;      /* a task is to wait for it */
    bool done;
    bool cancelled;
} WaiterObject;

PyObject *
waiter_new(struct asyncio *asyncio, PyObject *loop)
{
    PyTypeObject *type = asyncio->waiter_type;
    WaiterObject *waiter = (WaiterObject *)type->tp_alloc(type, 0);

    if (waiter != NULL) {
        waiter->asyncio = asyncio;
        waiter->loop = Py_NewRef(loop);
        waiter->blocking = true;
    }
    return (PyObject *)waiter;
}

/* -- telling ------------------------------------------------------------------ */

/* Lets the loop call tell(callback, context), in its next iteration, or, with `seconds`, after so
 * many. 0, or -1 with an exception. */
static int
schedule(WaiterObject *self, PyObject *seconds, PyObject *callback, PyObject *context)
{
    const struct asyncio *asyncio = self->asyncio;
    PyObject *name = seconds == NULL ? asyncio->str_call_soon : asyncio->str_call_later;
    PyObject *tell = PyObject_GetAttr((PyObject *)self, asyncio->str_tell);
    PyObject *handle = NULL;

    if (tell != NULL) {
        PyObject *args[] = {self->loop, seconds == NULL ? tell : seconds,
                            seconds == NULL ? callback : tell,
                            seconds == NULL ? context : callback, context};

        handle = PyObject_VectorcallMethod(name, args, seconds == NULL ? 4 : 5, NULL);
    }
    Py_XDECREF(tell);
    Py_XDECREF(handle);
    return handle == NULL ? -1 : 0;
}

/* Lets the loop call `callback` in its next iteration. 0, or -1 with an exception. */
static int
call_soon(WaiterObject *self, PyObject *callback, PyObject *context)
{
    return schedule(self, NULL, callback, context == NULL ? Py_None : context);
}

PyDoc_STRVAR(tell_doc, "_tell($self, fn, context, /)\n--\n\n"
                       "Call fn(self) in its context, once that can be entered.");

/* The loop itself would enter the context; where that is entered already, because the loop is
 * run within what csqlite calls for the task, it could not, and the task would wait for ever. */
static PyObject *
waiter_tell(WaiterObject *self, PyObject *args)
{
    PyObject *callback;
    PyObject *context;
    PyObject *answer;

    if (!PyArg_ParseTuple(args, "OO:_tell", &callback, &context)) {
        return NULL;
    }
    if (context == Py_None) {
        return PyObject_CallOneArg(callback, (PyObject *)self);
    }
    if (PyContext_Enter(context) < 0) {
        PyObject *seconds;
        int rc;

        PyErr_Clear();
        seconds = PyFloat_FromDouble(RETRY_SECONDS);
        rc = seconds == NULL ? -1 : schedule(self, seconds, callback, context);
        Py_XDECREF(seconds);
        return rc < 0 ? NULL : Py_NewRef(Py_None);
    }
    answer = PyObject_CallOneArg(callback, (PyObject *)self);
    context_leave(Py_NewRef(context));
    return answer;
}

/* What was told is not told again, so after a failure this can be called once more. */
static int
call_others_soon(WaiterObject *self)
{
    while (self->others != NULL && PyList_GET_SIZE(self->others) > 0) {
        PyObject *pair = Py_NewRef(PyList_GET_ITEM(self->others, 0));
        int rc = call_soon(self, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1));

        Py_DECREF(pair);
        if (rc < 0 || PyList_SetSlice(self->others, 0, 1, NULL) < 0) {
            return -1;
        }
    }
    Py_CLEAR(self->others);
    return 0;
}

/* Lets all callbacks be called in the next iteration of the loop. */
static int
call_all_soon(WaiterObject *self)
{
    if (call_others_soon(self) < 0 ||
        (self->callback != NULL && call_soon(self, self->callback, self->context) < 0)) {
        return -1;
    }
    Py_CLEAR(self->callback);
    Py_CLEAR(self->context);
    return 0;
}

/* Gives the arguments of a callback that cannot be called without a tuple of them: what
 * needs memory is done before anything is told. *args stays NULL where none is needed. */
static int
pack_arguments(WaiterObject *self, PyObject **args)
{
    *args = NULL;
    if (PyVectorcall_Function(self->callback) == NULL) {
        *args = PyTuple_Pack(1, (PyObject *)self);
        return *args == NULL ? -1 : 0;
    }
    return 0;
}

/* Calls the first callback in its context, which is the current one. */
static enum host_answer
step(WaiterObject *self, PyObject *args, PyObject *held)
{
    PyObject *callback = self->callback;
    PyObject *context = self->context;
    PyObject *answer;

    self->done = true;
    self->callback = NULL;
    self->context = NULL;
    Py_DECREF(held);
    answer = args == NULL ? PyObject_CallOneArg(callback, (PyObject *)self)
                          : PyObject_Call(callback, args, NULL);
    Py_XDECREF(args);
    Py_DECREF(callback);
    Py_DECREF(context);
    if (answer == NULL) {
        return HOST_RAISED;
    }
    Py_DECREF(answer);
    return HOST_TOLD;
}

/* The same, when another context may be the current one. HOST_UNTOLD: the callback's cannot
 * be entered, because it is entered already. */
static enum host_answer
step_in_context(WaiterObject *self, PyObject *args, PyObject *held)
{
    PyObject *context = self->context;
    enum host_answer rc;

    if (context == compat_current_context()) {
        return step(self, args, held);
    }
    if (PyContext_Enter(context) < 0) {
        PyErr_Clear();
        Py_XDECREF(args);
        return HOST_UNTOLD;
    }
    Py_INCREF(context);
    rc = step(self, args, held);
    context_leave(context);
    return rc;
}

enum host_answer
waiter_wake(PyObject *object, PyObject *held)
{
    WaiterObject *waiter = (WaiterObject *)object;
    PyObject *args = NULL;

    if (!waiter->done) {
        if (call_others_soon(waiter) < 0) {
            return HOST_UNTOLD;
        }
        if (waiter->callback != NULL) {
            enum host_answer rc;

            if (pack_arguments(waiter, &args) < 0) {
                return HOST_UNTOLD;
            }
            rc = step_in_context(waiter, args, held);
            if (rc != HOST_UNTOLD) {
                return rc;
            }
        }
        /* A context that is entered already can only be waited for. */
        if (call_all_soon(waiter) < 0) {
            return HOST_UNTOLD;
        }
        waiter->done = true;
    }
    Py_DECREF(held);
    return HOST_TOLD;
}

PyObject *
waiter_sleeper(PyObject *object)
{
    PyObject *callback = ((WaiterObject *)object)->callback;
    PyObject *task = callback == NULL ? NULL : PyObject_GetAttrString(callback, "__self__");

    PyErr_Clear();
    return task;
}

/* -- what a task calls -------------------------------------------------------- */

/* Takes the context. */
static int
keep_callback(WaiterObject *self, PyObject *callback, PyObject *context)
{
    PyObject *pair;
    int rc = -1;

    if (self->callback == NULL) {
        self->callback = Py_NewRef(callback);
        self->context = context;
        return 0;
    }
    pair = PyTuple_Pack(2, callback, context);
    if (self->others == NULL) {
        self->others = PyList_New(0);
    }
    if (pair != NULL && self->others != NULL) {
        rc = PyList_Append(self->others, pair);
    }
    Py_XDECREF(pair);
    Py_DECREF(context);
    return rc;
}

PyDoc_STRVAR(add_done_callback_doc, "add_done_callback($self, fn, /, *, context=None)\n--\n\n"
                                    "Let fn(self) be called when it is done.");

static PyObject *
waiter_add_done_callback(WaiterObject *self, PyObject *const *args, Py_ssize_t nargs,
                         PyObject *kwnames)
{
    Py_ssize_t named = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    PyObject *context = named == 0 || args[nargs] == Py_None ? NULL : args[nargs];

    if (nargs != 1 || named > 1 ||
        (named == 1 &&
         PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "context") != 0)) {
        PyErr_SetString(PyExc_TypeError, "add_done_callback() takes a callback and a context");
        return NULL;
    }
    if (self->done) {
        return call_soon(self, args[0], context) < 0 ? NULL : Py_NewRef(Py_None);
    }
    /* As a future does, which never asks for the context in which it is settled. */
    context = context == NULL ? PyContext_CopyCurrent() : Py_NewRef(context);
    if (context == NULL || keep_callback(self, args[0], context) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Takes `fn` out of the others. Gives how often it stood there, or -1. */
static Py_ssize_t
remove_from_others(WaiterObject *self, PyObject *fn)
{
    Py_ssize_t removed = 0;
    Py_ssize_t i = 0;

    while (self->others != NULL && i < PyList_GET_SIZE(self->others)) {
        PyObject *pair = Py_NewRef(PyList_GET_ITEM(self->others, i));
        int same = PyObject_RichCompareBool(PyTuple_GET_ITEM(pair, 0), fn, Py_EQ);

        Py_DECREF(pair);
        if (same < 0) {
            return -1;
        }
        if (!same) {
            i++;
        } else if (self->others != NULL && i < PyList_GET_SIZE(self->others)) {
            if (PySequence_DelItem(self->others, i) < 0) {
                return -1;
            }
            removed++;
        }
    }
    return removed;
}

PyDoc_STRVAR(remove_done_callback_doc, "remove_done_callback($self, fn, /)\n--\n\n"
                                       "Forget a callback; gives how often it stood there.");

static PyObject *
waiter_remove_done_callback(WaiterObject *self, PyObject *fn)
{
    PyObject *callback = Py_XNewRef(self->callback);
    int same = callback == NULL ? 0 : PyObject_RichCompareBool(callback, fn, Py_EQ);
    Py_ssize_t removed;

    Py_XDECREF(callback);
    if (same < 0) {
        return NULL;
    }
    if (same) {
        Py_CLEAR(self->callback);
        Py_CLEAR(self->context);
    }
    removed = remove_from_others(self, fn);
    return removed < 0 ? NULL : PyLong_FromSsize_t(removed + same);
}

PyDoc_STRVAR(cancel_doc, "cancel($self, /, msg=None)\n--\n\n"
                         "Let the task that waits hear of its cancellation. Gives whether one\n"
                         "still waited.");

static PyObject *
waiter_cancel(WaiterObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"msg", NULL};
    PyObject *message = Py_None;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:cancel", (char **)names, &message)) {
        return NULL;
    }
    if (self->done) {
        Py_RETURN_FALSE;
    }
    self->done = true;
    self->cancelled = true;
    self->message = message == Py_None ? NULL : Py_NewRef(message);
    if (call_all_soon(self) < 0) {
        /* No memory, or a signal handler has raised something. The task still waits. */
        self->done = false;
        self->cancelled = false;
        Py_CLEAR(self->message);
        return NULL;
    }
    Py_RETURN_TRUE;
}

PyDoc_STRVAR(result_doc, "result($self, /)\n--\n\n"
                         "Give None; raise CancelledError or InvalidStateError as a future "
                         "does.");

static PyObject *
waiter_result(WaiterObject *self, PyObject *unused)
{
    (void)unused;
    if (self->cancelled) {
        PyObject *error = self->message == NULL
                              ? PyObject_CallNoArgs(self->asyncio->host.cancelled)
                              : PyObject_CallOneArg(self->asyncio->host.cancelled, self->message);

        if (error != NULL) {
            compat_give_exception(error);
        }
        return NULL;
    }
    if (!self->done) {
        PyErr_SetString(self->asyncio->InvalidStateError, "Result is not set.");
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(done_doc, "done($self, /)\n--\n\nWhether nobody needs to wait any more.");

static PyObject *
waiter_is_done(WaiterObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(self->done);
}

PyDoc_STRVAR(cancelled_doc, "cancelled($self, /)\n--\n\nWhether it was cancelled.");

static PyObject *
waiter_is_cancelled(WaiterObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(self->cancelled);
}

PyDoc_STRVAR(get_loop_doc, "get_loop($self, /)\n--\n\nThe event loop.");

static PyObject *
waiter_get_loop(WaiterObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self->loop);
}

/* -- as an awaitable ---------------------------------------------------------- */

static PyObject *
waiter_await(WaiterObject *self)
{
    return Py_NewRef((PyObject *)self);
}

static PyObject *
waiter_iternext(WaiterObject *self)
{
    PyObject *result;

    if (!self->done) {
        self->blocking = true;
        return Py_NewRef((PyObject *)self);
    }
    result = waiter_result(self, NULL);
    Py_XDECREF(result); /* None: the iteration just ends */
    return NULL;
}

/* -- the type ----------------------------------------------------------------- */

static PyObject *
waiter_get_blocking(WaiterObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(self->blocking);
}

static int
waiter_set_blocking(WaiterObject *self, PyObject *value, void *closure)
{
    int blocking = value == NULL ? 0 : PyObject_IsTrue(value);

    (void)closure;
    if (blocking < 0) {
        return -1;
    }
    self->blocking = blocking;
    return 0;
}

static int
waiter_traverse(WaiterObject *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->loop);
    Py_VISIT(self->callback);
    Py_VISIT(self->context);
    Py_VISIT(self->others);
    Py_VISIT(self->message);
    return 0;
}

static int
waiter_clear(WaiterObject *self)
{
    Py_CLEAR(self->loop);
    Py_CLEAR(self->callback);
    Py_CLEAR(self->context);
    Py_CLEAR(self->others);
    Py_CLEAR(self->message);
    return 0;
}

static void
waiter_dealloc(WaiterObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    waiter_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef waiter_methods[] = {
    {"add_done_callback", (PyCFunction)(void (*)(void))waiter_add_done_callback,
     METH_FASTCALL | METH_KEYWORDS, add_done_callback_doc},
    {"remove_done_callback", (PyCFunction)waiter_remove_done_callback, METH_O,
     remove_done_callback_doc},
    {"cancel", (PyCFunction)(void (*)(void))waiter_cancel, METH_VARARGS | METH_KEYWORDS,
     cancel_doc},
    {"result", (PyCFunction)waiter_result, METH_NOARGS, result_doc},
    {"done", (PyCFunction)waiter_is_done, METH_NOARGS, done_doc},
    {"cancelled", (PyCFunction)waiter_is_cancelled, METH_NOARGS, cancelled_doc},
    {"_tell", (PyCFunction)waiter_tell, METH_VARARGS, tell_doc},
    {"get_loop", (PyCFunction)waiter_get_loop, METH_NOARGS, get_loop_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef waiter_getset[] = {
    {"_asyncio_future_blocking", (getter)waiter_get_blocking, (setter)waiter_set_blocking,
     "Whether a task is to wait for it.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot waiter_slots[] = {
    {Py_tp_doc, "What a task waits for while the worker works."},
    {Py_tp_traverse, waiter_traverse},
    {Py_tp_clear, waiter_clear},
    {Py_tp_dealloc, waiter_dealloc},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, waiter_iternext},
    {Py_tp_methods, waiter_methods},
    {Py_tp_getset, waiter_getset},
    {Py_am_await, waiter_await},
    {0, NULL},
};

static PyType_Spec waiter_spec = {
    .name = "csqlite._csqlite.Waiter",
    .basicsize = sizeof(WaiterObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = waiter_slots,
};

int
waiter_init(struct asyncio *asyncio, PyObject *module)
{
    asyncio->waiter_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &waiter_spec, NULL);
    if (asyncio->waiter_type == NULL) {
        return -1;
    }
    compat_forbid_new(asyncio->waiter_type);
    return 0;
}
