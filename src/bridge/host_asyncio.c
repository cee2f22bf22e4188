/* The verbs of host.h in the words of asyncio. */

#include "bridge/host_asyncio.h"

#include "bridge/context.h"
#include "bridge/waiter.h"
#include "engine/clock.h"
#include "engine/list.h"

static const int64_t LONGEST = (int64_t)86400 * 1000000000; /* that a loop can be told to wait */

static struct asyncio *
asyncio_of(struct host *host)
{
    return csq_item(host, struct asyncio, host);
}

/* -- loops -------------------------------------------------------------------- */

/* Who answers that is looked up each time, as programs do: trio_asyncio puts something else
 * there. */
static PyObject *
find(struct host *host)
{
    struct asyncio *asyncio = asyncio_of(host);
    uint64_t version = compat_dict_version(asyncio->names);
    PyObject *function;
    PyObject *loop;

    if (version == 0 || version != asyncio->names_version) {
        function = PyDict_GetItemWithError(asyncio->names, asyncio->str_get_running_loop);
        if (function == NULL) {
            if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_RuntimeError, "no running event loop");
            }
            return NULL;
        }
        if (function != asyncio->get_running_loop) {
            Py_XSETREF(asyncio->get_running_loop, Py_NewRef(function));
        }
        asyncio->names_version = version;
    }
    function = Py_NewRef(asyncio->get_running_loop);
    loop = PyObject_CallNoArgs(function);
    Py_DECREF(function);
    return loop;
}

static int
open_loop(struct host_loop *loop)
{
    struct asyncio *asyncio = asyncio_of(loop->host);

    loop->create_future = PyObject_GetAttr(loop->object, asyncio->str_create_future);
    if (loop->create_future == NULL) {
        return -1;
    }
    loop->ready = PyObject_GetAttr(loop->object, asyncio->str_ready);
    PyErr_Clear(); /* not asyncio's own loop */
    return 0;
}

static int
watch(struct host_loop *loop, int descriptor, PyObject *callable)
{
    PyObject *number = PyLong_FromLong(descriptor);
    PyObject *context = number == NULL ? NULL : context_of_loop(loop->object);
    PyObject *added = NULL;

    if (context != NULL && PyContext_Enter(context) == 0) {
        added = PyObject_CallMethodObjArgs(loop->object, asyncio_of(loop->host)->str_add_reader,
                                           number, callable, NULL);
        PyContext_Exit(context);
    }
    Py_XDECREF(number);
    Py_XDECREF(context);
    Py_XDECREF(added);
    return added == NULL ? -1 : 0;
}

static Py_ssize_t
others(struct host_loop *loop)
{
    Py_ssize_t count = loop->ready == NULL ? -1 : PyObject_Size(loop->ready);

    if (count < 0) {
        PyErr_Clear();
    }
    return count;
}

static bool
is_stopped(struct host_loop *loop)
{
    PyObject *running = PyObject_CallMethod(loop->object, "is_running", NULL);
    bool stopped = running == Py_False;

    PyErr_Clear(); /* a loop that does not tell */
    Py_XDECREF(running);
    return stopped;
}

/* -- futures ------------------------------------------------------------------ */

static PyObject *
create_future(struct host_loop *loop)
{
    return PyObject_CallNoArgs(loop->create_future);
}

static int
settle(struct host *host, PyObject *future, PyObject *result)
{
    struct asyncio *asyncio = asyncio_of(host);
    PyObject *answer = PyObject_CallMethodObjArgs(future, asyncio->str_done, NULL);

    if (answer == Py_False) {
        Py_SETREF(answer,
                  PyObject_CallMethodObjArgs(future, asyncio->str_set_result, result, NULL));
    }
    if (answer == NULL) {
        return -1;
    }
    Py_DECREF(answer);
    return 0;
}

/* -- tasks that wait ---------------------------------------------------------- */

static PyObject *
park(struct host_loop *loop)
{
    return waiter_new(asyncio_of(loop->host), loop->object);
}

static PyObject *
current_task(struct host *host)
{
    PyObject *task = PyObject_CallNoArgs(asyncio_of(host)->current_task);

    PyErr_Clear(); /* no loop runs in this thread */
    if (task == Py_None) {
        Py_CLEAR(task);
    }
    return task;
}

/* -- timers ------------------------------------------------------------------- */

/* A context of its own: that of the task would live as long as the timer. */
static PyObject *
call_at(struct host_loop *loop, int64_t when, PyObject *callable)
{
    int64_t delay = when - csq_now();
    double seconds = (double)(delay < 0 ? 0 : delay > LONGEST ? LONGEST : delay) / 1e9;
    PyObject *method = PyObject_GetAttr(loop->object, asyncio_of(loop->host)->str_call_later);
    PyObject *args = Py_BuildValue("(dO)", seconds, callable);
    PyObject *context = context_of_loop(loop->object);
    PyObject *kwargs = context == NULL ? NULL : Py_BuildValue("{sO}", "context", context);
    PyObject *handle = NULL;

    if (method != NULL && args != NULL && kwargs != NULL) {
        handle = PyObject_Call(method, args, kwargs);
    }
    Py_XDECREF(method);
    Py_XDECREF(args);
    Py_XDECREF(context);
    Py_XDECREF(kwargs);
    return handle;
}

static int
cancel(struct host *host, PyObject *timer)
{
    PyObject *cancelled = PyObject_CallMethod(timer, "cancel", NULL);

    (void)host;
    Py_DECREF(timer);
    Py_XDECREF(cancelled);
    return cancelled == NULL ? -1 : 0;
}

/* -- tasks of ours ------------------------------------------------------------ */

static int
soon_from_thread(struct host_loop *loop, PyObject *callable, PyObject *context)
{
    PyObject *method = PyObject_GetAttrString(loop->object, "call_soon_threadsafe");
    PyObject *args = PyTuple_Pack(1, callable);
    PyObject *kwargs = Py_BuildValue("{sO}", "context", context);
    PyObject *handle = NULL;

    if (method != NULL && args != NULL && kwargs != NULL) {
        handle = PyObject_Call(method, args, kwargs);
    }
    Py_XDECREF(method);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    Py_XDECREF(handle);
    return handle == NULL ? -1 : 0;
}

static PyObject *
spawn(struct host_loop *loop, PyObject *awaitable, PyObject *callable)
{
    PyObject *ensure_future = asyncio_of(loop->host)->ensure_future;
    PyObject *task = PyObject_CallFunctionObjArgs(ensure_future, awaitable, NULL);
    PyObject *added;

    if (task == NULL) {
        return NULL;
    }
    added = PyObject_CallMethod(task, "add_done_callback", "O", callable);
    if (added == NULL) {
        Py_CLEAR(task);
    }
    Py_XDECREF(added);
    return task;
}

static PyObject *
outcome(struct host *host, PyObject *task)
{
    (void)host;
    return PyObject_CallMethod(task, "result", NULL);
}

static int
is_done(struct host *host, PyObject *task)
{
    PyObject *answer = PyObject_CallMethodObjArgs(task, asyncio_of(host)->str_done, NULL);
    int done = answer == NULL ? -1 : PyObject_IsTrue(answer);

    Py_XDECREF(answer);
    return done;
}

/* Whether somebody has cancelled the task already: a second time would interrupt what
 * it does about the first. Known since Python 3.11. */
static bool
is_cancelling(PyObject *task)
{
    PyObject *count = PyObject_CallMethod(task, "cancelling", NULL);
    bool cancelling = count != NULL && PyObject_IsTrue(count) > 0;

    PyErr_Clear();
    Py_XDECREF(count);
    return cancelling;
}

static int
cancel_task(struct host_loop *loop, PyObject *task)
{
    PyObject *method;
    PyObject *context;
    int rc = -1;

    if (is_cancelling(task)) {
        return 0;
    }
    method = PyObject_GetAttrString(task, "cancel");
    context = method == NULL ? NULL : context_of_loop(loop->object);
    if (context != NULL) {
        rc = soon_from_thread(loop, method, context);
    }
    Py_XDECREF(method);
    Py_XDECREF(context);
    return rc;
}

/* -- the host ----------------------------------------------------------------- */

static const struct host_verbs verbs = {
    .find = find,
    .open = open_loop,
    .watch = watch,
    .others = others,
    .is_stopped = is_stopped,
    .future = create_future,
    .settle = settle,
    .park = park,
    .task = current_task,
    .sleeper = waiter_sleeper,
    .wake = waiter_wake,
    .at = call_at,
    .cancel = cancel,
    .soon_from_thread = soon_from_thread,
    .spawn = spawn,
    .outcome = outcome,
    .is_done = is_done,
    .cancel_task = cancel_task,
};

static int
intern_strings(struct asyncio *asyncio)
{
    const struct {
        PyObject **where;
        const char *text;
    } strings[] = {
        {&asyncio->str_add_reader, "add_reader"},
        {&asyncio->str_call_later, "call_later"},
        {&asyncio->str_call_soon, "call_soon"},
        {&asyncio->str_create_future, "create_future"},
        {&asyncio->str_done, "done"},
        {&asyncio->str_get_running_loop, "get_running_loop"},
        {&asyncio->str_ready, "_ready"},
        {&asyncio->str_set_result, "set_result"},
        {&asyncio->str_tell, "_tell"},
    };

    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        *strings[i].where = PyUnicode_InternFromString(strings[i].text);
        if (*strings[i].where == NULL) {
            return -1;
        }
    }
    return 0;
}

static int
look_up(struct asyncio *asyncio)
{
    PyObject *module = PyImport_ImportModule("asyncio");

    if (module == NULL) {
        return -1;
    }
    asyncio->names = Py_XNewRef(PyModule_GetDict(module));
    asyncio->host.cancelled = PyObject_GetAttrString(module, "CancelledError");
    asyncio->InvalidStateError = PyObject_GetAttrString(module, "InvalidStateError");
    asyncio->current_task = PyObject_GetAttrString(module, "current_task");
    asyncio->ensure_future = PyObject_GetAttrString(module, "ensure_future");
    Py_DECREF(module);
    return asyncio->names == NULL || asyncio->host.cancelled == NULL ||
                   asyncio->InvalidStateError == NULL || asyncio->ensure_future == NULL ||
                   asyncio->current_task == NULL
               ? -1
               : 0;
}

int
host_asyncio_init(struct asyncio *asyncio, PyObject *module)
{
    asyncio->host.verbs = &verbs;
    if (look_up(asyncio) < 0 || intern_strings(asyncio) < 0) {
        return -1;
    }
    return waiter_init(asyncio, module);
}

int
host_asyncio_traverse(struct asyncio *asyncio, visitproc visit, void *arg)
{
    Py_VISIT(asyncio->names);
    Py_VISIT(asyncio->get_running_loop);
    Py_VISIT(asyncio->host.cancelled);
    Py_VISIT(asyncio->InvalidStateError);
    Py_VISIT(asyncio->current_task);
    Py_VISIT(asyncio->ensure_future);
    Py_VISIT(asyncio->waiter_type);
    return 0;
}

void
host_asyncio_clear(struct asyncio *asyncio)
{
    Py_CLEAR(asyncio->names);
    Py_CLEAR(asyncio->get_running_loop);
    Py_CLEAR(asyncio->host.cancelled);
    Py_CLEAR(asyncio->InvalidStateError);
    Py_CLEAR(asyncio->current_task);
    Py_CLEAR(asyncio->ensure_future);
    Py_CLEAR(asyncio->waiter_type);
    Py_CLEAR(asyncio->str_add_reader);
    Py_CLEAR(asyncio->str_call_later);
    Py_CLEAR(asyncio->str_call_soon);
    Py_CLEAR(asyncio->str_create_future);
    Py_CLEAR(asyncio->str_done);
    Py_CLEAR(asyncio->str_get_running_loop);
    Py_CLEAR(asyncio->str_ready);
    Py_CLEAR(asyncio->str_set_result);
    Py_CLEAR(asyncio->str_tell);
}
