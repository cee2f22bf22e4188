/* What csqlite/worker.py makes a threading.Thread of. */

#include "binding/handle.h"

#include <unistd.h>

typedef struct {
    PyObject_HEAD
    struct csq_executor *executor;
    pid_t process; /* where the thread is; a forked child has none */
} HandleObject;

PyObject *
handle_new(struct module_state *state, struct csq_executor *executor)
{
    HandleObject *handle = PyObject_New(HandleObject, state->handle_type);

    if (handle != NULL) {
        handle->executor = csq_executor_get(executor);
        handle->process = getpid();
    }
    return (PyObject *)handle;
}

static bool
is_here(const HandleObject *self)
{
    return self->process == getpid();
}

PyDoc_STRVAR(is_alive_doc, "is_alive($self, /)\n--\n\n"
                           "Whether the thread was started and has not ended.");

static PyObject *
handle_is_alive(HandleObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(is_here(self) && self->executor->verbs->is_running(self->executor));
}

PyDoc_STRVAR(ident_doc, "ident($self, /)\n--\n\n"
                        "What threading.get_ident() gives in the thread.");

static PyObject *
handle_ident(HandleObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(self->executor->verbs->ident(self->executor));
}

PyDoc_STRVAR(join_doc, "join($self, timeout, /)\n--\n\n"
                       "Block until the thread has ended, at most `timeout` seconds (None: for\n"
                       "ever). Gives whether it has.");

static PyObject *
handle_join(HandleObject *self, PyObject *timeout)
{
    double seconds = -1;
    bool ended;

    if (timeout != Py_None) {
        seconds = PyFloat_AsDouble(timeout);
        if (seconds == -1 && PyErr_Occurred()) {
            return NULL;
        }
        seconds = seconds < 0 ? 0 : seconds;
    }
    if (!is_here(self)) {
        Py_RETURN_TRUE;
    }
    if (self->executor->verbs->is_current(self->executor)) {
        PyErr_SetString(PyExc_RuntimeError, "cannot join current thread");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS ended = self->executor->verbs->join(self->executor, seconds);
    Py_END_ALLOW_THREADS return PyBool_FromLong(ended);
}

static void
handle_dealloc(HandleObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    if (is_here(self)) {
        csq_executor_put(self->executor);
    }
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef handle_methods[] = {
    {"is_alive", (PyCFunction)handle_is_alive, METH_NOARGS, is_alive_doc},
    {"ident", (PyCFunction)handle_ident, METH_NOARGS, ident_doc},
    {"join", (PyCFunction)handle_join, METH_O, join_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot handle_slots[] = {
    {Py_tp_doc, "A connection's worker."},
    {Py_tp_dealloc, handle_dealloc},
    {Py_tp_methods, handle_methods},
    {0, NULL},
};

static PyType_Spec handle_spec = {
    .name = "csqlite._csqlite.Handle",
    .basicsize = sizeof(HandleObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = handle_slots,
};

int
handle_init_type(struct module_state *state, PyObject *module)
{
    state->handle_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &handle_spec, NULL);
    if (state->handle_type == NULL) {
        return -1;
    }
    compat_forbid_new(state->handle_type);
    return 0;
}
