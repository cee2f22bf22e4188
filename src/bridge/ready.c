/* What `async for` awaits for a row that has been prefetched. It is as small as
 * an object can be: there is one for each row. */

#include "bridge/ready.h"

typedef struct {
    PyObject_HEAD
    PyObject *result;    /* NULL: it was awaited, or it raises */
    PyObject *exception; /* NULL: it was awaited, or it has a result */
} ReadyObject;

PyObject *
ready_new(struct bridge *bridge, PyObject *result)
{
    PyObject *exception = result == NULL ? compat_take_exception() : NULL;
    ReadyObject *ready = PyObject_New(ReadyObject, bridge->ready_type);

    if (ready == NULL) {
        Py_XDECREF(result);
        Py_XDECREF(exception);
        return NULL;
    }
    ready->result = result;
    ready->exception = exception;
    return (PyObject *)ready;
}

static PySendResult
ready_send(ReadyObject *self, PyObject *value, PyObject **result)
{
    (void)value;
    *result = self->result;
    self->result = NULL;
    if (self->exception != NULL) {
        PyObject *exception = self->exception;

        self->exception = NULL;
        compat_give_exception(exception);
        return PYGEN_ERROR;
    }
    if (*result == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return PYGEN_ERROR;
    }
    return PYGEN_RETURN;
}

static PyObject *
ready_iternext(ReadyObject *self)
{
    PyObject *result;
    PyObject *stop;

    if (ready_send(self, Py_None, &result) == PYGEN_ERROR) {
        return NULL;
    }
    if (result == Py_None) {
        Py_DECREF(result); /* an iteration that just ends gives None */
        return NULL;
    }
    /* An instance: a tuple as result would be taken for its arguments. */
    stop = PyObject_CallOneArg(PyExc_StopIteration, result);
    Py_DECREF(result);
    if (stop != NULL) {
        PyErr_SetObject(PyExc_StopIteration, stop);
        Py_DECREF(stop);
    }
    return NULL;
}

static PyObject *
ready_await(ReadyObject *self)
{
    return Py_NewRef((PyObject *)self);
}

static void
ready_dealloc(ReadyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    Py_XDECREF(self->result);
    Py_XDECREF(self->exception);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyType_Slot ready_slots[] = {
    {Py_tp_doc, "An awaitable whose answer is there already."},
    {Py_tp_dealloc, ready_dealloc},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, ready_iternext},
    {Py_am_await, ready_await},
#if PY_VERSION_HEX >= 0x030A0000
    {Py_am_send, ready_send},
#endif
    {0, NULL},
};

static PyType_Spec ready_spec = {
    .name = "csqlite._csqlite.Ready",
    .basicsize = sizeof(ReadyObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = ready_slots,
};

int
ready_init(struct bridge *bridge, PyObject *module)
{
    bridge->ready_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &ready_spec, NULL);
    if (bridge->ready_type == NULL) {
        return -1;
    }
    compat_forbid_new(bridge->ready_type);
    return 0;
}
