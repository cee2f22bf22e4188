/* Puts together what the units of this floor keep in the state of a module. */

#include "bridge/bridge.h"

#include "bridge/await.h"
#include "bridge/deadline.h"
#include "bridge/ready.h"
#include "bridge/request.h"
#include "bridge/waiter.h"

static int
intern_strings(struct bridge *bridge)
{
    const struct {
        PyObject **where;
        const char *text;
    } strings[] = {
        {&bridge->str_add_reader, "add_reader"},
        {&bridge->str_call_soon, "call_soon"},
        {&bridge->str_create_future, "create_future"},
        {&bridge->str_done, "done"},
        {&bridge->str_get_running_loop, "get_running_loop"},
        {&bridge->str_ready, "_ready"},
        {&bridge->str_set_result, "set_result"},
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
import_asyncio(struct bridge *bridge)
{
    PyObject *asyncio = PyImport_ImportModule("asyncio");

    if (asyncio == NULL) {
        return -1;
    }
    bridge->asyncio_names = Py_XNewRef(PyModule_GetDict(asyncio));
    bridge->CancelledError = PyObject_GetAttrString(asyncio, "CancelledError");
    bridge->InvalidStateError = PyObject_GetAttrString(asyncio, "InvalidStateError");
    Py_DECREF(asyncio);
    if (bridge->asyncio_names == NULL || bridge->CancelledError == NULL ||
        bridge->InvalidStateError == NULL) {
        return -1;
    }
    bridge->context_names = Py_BuildValue("(s)", "context");
    return bridge->context_names == NULL ? -1 : 0;
}

int
bridge_init(struct bridge *bridge, PyObject *module)
{
    if (import_asyncio(bridge) < 0 || reactor_init(bridge, module) < 0 ||
        intern_strings(bridge) < 0 || ready_init(bridge, module) < 0 ||
        waiter_init(bridge, module) < 0 || await_init(bridge, module) < 0 ||
        deadline_init(bridge, module) < 0) {
        return -1;
    }
    return request_init(bridge, module);
}

int
bridge_traverse(struct bridge *bridge, visitproc visit, void *arg)
{
    Py_VISIT(bridge->reactor_type);
    Py_VISIT(bridge->waker_type);
    Py_VISIT(bridge->request_type);
    Py_VISIT(bridge->ready_type);
    Py_VISIT(bridge->waiter_type);
    Py_VISIT(bridge->asyncio_names);
    Py_VISIT(bridge->get_running_loop);
    Py_VISIT(bridge->CancelledError);
    Py_VISIT(bridge->InvalidStateError);
    Py_VISIT(bridge->await_type);
    Py_VISIT(bridge->alarm_type);
    Py_VISIT(bridge->deadline);
    Py_VISIT(bridge->within);
    Py_VISIT(bridge->ensure_future);
    Py_VISIT(bridge->ProgrammingError);
    return 0;
}

void
bridge_clear(struct bridge *bridge)
{
    Py_CLEAR(bridge->reactor_type);
    Py_CLEAR(bridge->waker_type);
    Py_CLEAR(bridge->request_type);
    Py_CLEAR(bridge->ready_type);
    Py_CLEAR(bridge->waiter_type);
    Py_CLEAR(bridge->asyncio_names);
    Py_CLEAR(bridge->get_running_loop);
    Py_CLEAR(bridge->CancelledError);
    Py_CLEAR(bridge->InvalidStateError);
    Py_CLEAR(bridge->context_names);
    Py_CLEAR(bridge->await_type);
    Py_CLEAR(bridge->alarm_type);
    Py_CLEAR(bridge->deadline);
    Py_CLEAR(bridge->within);
    Py_CLEAR(bridge->ensure_future);
    Py_CLEAR(bridge->ProgrammingError);
    Py_CLEAR(bridge->str_add_reader);
    Py_CLEAR(bridge->str_call_soon);
    Py_CLEAR(bridge->str_create_future);
    Py_CLEAR(bridge->str_done);
    Py_CLEAR(bridge->str_get_running_loop);
    Py_CLEAR(bridge->str_ready);
    Py_CLEAR(bridge->str_set_result);
}
