/* The calls of host.h in the words of asyncio. */

#include "bridge/host_asyncio.h"

#include "bridge/context.h"
#include "engine/list.h"

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
        Py_XSETREF(asyncio->get_running_loop, Py_NewRef(function));
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

/* -- the host ----------------------------------------------------------------- */

static const struct host_calls calls = {
    .find = find,
    .open = open_loop,
    .watch = watch,
    .others = others,
    .is_stopped = is_stopped,
    .future = create_future,
    .settle = settle,
};

static int
intern_strings(struct asyncio *asyncio)
{
    const struct {
        PyObject **where;
        const char *text;
    } strings[] = {
        {&asyncio->str_add_reader, "add_reader"},
        {&asyncio->str_call_soon, "call_soon"},
        {&asyncio->str_create_future, "create_future"},
        {&asyncio->str_done, "done"},
        {&asyncio->str_get_running_loop, "get_running_loop"},
        {&asyncio->str_ready, "_ready"},
        {&asyncio->str_set_result, "set_result"},
    };

    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        *strings[i].where = PyUnicode_InternFromString(strings[i].text);
        if (*strings[i].where == NULL) {
            return -1;
        }
    }
    return 0;
}

int
host_asyncio_init(struct asyncio *asyncio)
{
    PyObject *module = PyImport_ImportModule("asyncio");

    asyncio->host.calls = &calls;
    if (module == NULL) {
        return -1;
    }
    asyncio->names = Py_XNewRef(PyModule_GetDict(module));
    asyncio->CancelledError = PyObject_GetAttrString(module, "CancelledError");
    asyncio->InvalidStateError = PyObject_GetAttrString(module, "InvalidStateError");
    Py_DECREF(module);
    if (asyncio->names == NULL || asyncio->CancelledError == NULL ||
        asyncio->InvalidStateError == NULL || intern_strings(asyncio) < 0) {
        return -1;
    }
    asyncio->context_names = Py_BuildValue("(s)", "context");
    return asyncio->context_names == NULL ? -1 : 0;
}

int
host_asyncio_traverse(struct asyncio *asyncio, visitproc visit, void *arg)
{
    Py_VISIT(asyncio->names);
    Py_VISIT(asyncio->get_running_loop);
    Py_VISIT(asyncio->CancelledError);
    Py_VISIT(asyncio->InvalidStateError);
    return 0;
}

void
host_asyncio_clear(struct asyncio *asyncio)
{
    Py_CLEAR(asyncio->names);
    Py_CLEAR(asyncio->get_running_loop);
    Py_CLEAR(asyncio->CancelledError);
    Py_CLEAR(asyncio->InvalidStateError);
    Py_CLEAR(asyncio->context_names);
    Py_CLEAR(asyncio->str_add_reader);
    Py_CLEAR(asyncio->str_call_soon);
    Py_CLEAR(asyncio->str_create_future);
    Py_CLEAR(asyncio->str_done);
    Py_CLEAR(asyncio->str_get_running_loop);
    Py_CLEAR(asyncio->str_ready);
    Py_CLEAR(asyncio->str_set_result);
}
