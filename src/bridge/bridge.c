/* Puts together what the units of this floor keep in the state of a module. */

#include "bridge/bridge.h"

#include "bridge/callback_task.h"
#include "bridge/deadline.h"
#include "bridge/delivery.h"
#include "bridge/host_asyncio.h"
#include "bridge/reactor.h"
#include "bridge/ready.h"
#include "bridge/request.h"

static int
take_sqlite3(struct bridge *bridge)
{
    PyObject *sqlite3 = PyImport_ImportModule("sqlite3");

    if (sqlite3 != NULL) {
        bridge->ProgrammingError = PyObject_GetAttrString(sqlite3, "ProgrammingError");
    }
    Py_XDECREF(sqlite3);
    return bridge->ProgrammingError == NULL ? -1 : 0;
}

int
bridge_init(struct bridge *bridge, PyObject *module)
{
    bridge->host = &bridge->asyncio.host;
    bridge->acting = PyDict_New();
    if (bridge->acting == NULL) {
        return -1;
    }
    delivery_init(bridge);
    if (host_asyncio_init(&bridge->asyncio, module) < 0 || reactor_init(bridge, module) < 0 ||
        ready_init(bridge, module) < 0 || callback_task_init(bridge, module) < 0 ||
        take_sqlite3(bridge) < 0 || deadline_init(bridge, module) < 0) {
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
    Py_VISIT(bridge->callback_task_type);
    Py_VISIT(bridge->alarm_type);
    Py_VISIT(bridge->deadline);
    Py_VISIT(bridge->within);
    Py_VISIT(bridge->acting);
    Py_VISIT(bridge->ProgrammingError);
    return host_asyncio_traverse(&bridge->asyncio, visit, arg);
}

void
bridge_clear(struct bridge *bridge)
{
    Py_CLEAR(bridge->reactor_type);
    Py_CLEAR(bridge->waker_type);
    Py_CLEAR(bridge->request_type);
    Py_CLEAR(bridge->ready_type);
    Py_CLEAR(bridge->callback_task_type);
    Py_CLEAR(bridge->alarm_type);
    Py_CLEAR(bridge->deadline);
    Py_CLEAR(bridge->within);
    Py_CLEAR(bridge->acting);
    Py_CLEAR(bridge->ProgrammingError);
    host_asyncio_clear(&bridge->asyncio);
}
