/* While its job is with the worker, the request holds one reference to itself;
 * request_arrive() is the only place that drops it. Owner, cursor and reactor are
 * held by the request, so nothing the worker touches can die under it. */

#include "bridge/request_object.h"

RequestObject *
request_new(struct bridge *bridge, const char *name, const struct request_hooks *hooks,
            enum csq_op op, PyObject *owner, PyObject *target)
{
    PyTypeObject *type = bridge->request_type;
    RequestObject *request = (RequestObject *)type->tp_alloc(type, 0);

    if (request == NULL) {
        return NULL;
    }
    csq_job_init_zeroed(&request->job, op);
    csq_link_init(&request->under_way);
    csq_link_init(&request->news);
    csq_link_init(&request->place);
    request->bridge = bridge;
    request->name = name;
    request->hooks = hooks;
    request->owner = Py_XNewRef(owner);
    request->target = Py_XNewRef(target);
    return request;
}

void
request_fail(RequestObject *request)
{
    PyObject *exception = compat_take_exception();

    Py_CLEAR(request->result);
    Py_XDECREF(request->exception);
    request->exception = exception;
}

void
request_arrive(RequestObject *request)
{
    request->pushed = false;
    request->reactor->turn.gated -= request->gated;
    if (request->line != NULL) {
        request->line->under_way--;
    }
    csq_link_remove(&request->under_way);
    if (request->deadline != 0) {
        csq_link_remove(&request->timed);
    }
    Py_CLEAR(request->task_context);
    Py_CLEAR(request->callback_context);
    request_forget_asker(request);
    Py_DECREF(request);
}
