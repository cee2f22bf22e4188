/* A context can be entered once at a time: entering it a second time is an error, also in
 * the thread that is in it. */

#include "bridge/context.h"

int
context_enter_copy(PyObject *context, PyObject **entered)
{
    PyObject *copy = context == NULL ? PyContext_New() : PyContext_Copy(context);

    *entered = NULL;
    if (copy == NULL) {
        return -1;
    }
    if (PyContext_Enter(copy) < 0) {
        Py_DECREF(copy);
        return -1;
    }
    *entered = copy;
    return 0;
}

int
context_enter(PyObject *context, PyObject **entered)
{
    *entered = NULL;
    if (context != NULL && context == compat_current_context()) {
        return 0;
    }
    if (context != NULL && PyContext_Enter(context) == 0) {
        *entered = Py_NewRef(context);
        return 0;
    }
    PyErr_Clear();
    return context_enter_copy(context, entered);
}

void
context_leave(PyObject *entered)
{
    if (entered != NULL) {
        PyContext_Exit(entered);
        Py_DECREF(entered);
    }
}

PyObject *
context_step_out(void)
{
    PyObject *context = Py_XNewRef(compat_current_context());

    if (context != NULL && PyContext_Exit(context) < 0) {
        PyErr_Clear(); /* a thread's own, which nobody has entered */
        Py_CLEAR(context);
    }
    return context;
}

void
context_step_in(PyObject *context)
{
    if (context != NULL && PyContext_Enter(context) < 0) {
        PyErr_WriteUnraisable(context);
    }
    Py_XDECREF(context);
}

/* Sets in the current context what holds the loop in `items`, a list of (variable, value). 0, or -1 with an exception. */
static int
keep_loop(PyObject *items, PyObject *loop)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items); i++) {
        PyObject *pair = PyList_GET_ITEM(items, i);
        PyObject *token;

        if (PyTuple_GET_ITEM(pair, 1) != loop) {
            continue;
        }
        token = PyContextVar_Set(PyTuple_GET_ITEM(pair, 0), loop);
        if (token == NULL) {
            return -1;
        }
        Py_DECREF(token);
    }
    return 0;
}

PyObject *
context_of_loop(PyObject *loop)
{
    PyObject *current = PyContext_CopyCurrent();
    PyObject *view = current == NULL ? NULL : PyObject_CallMethod(current, "items", NULL);
    PyObject *items = view == NULL ? NULL : PySequence_List(view);
    PyObject *context = items == NULL ? NULL : PyContext_New();
    int rc = -1;

    if (context != NULL && PyContext_Enter(context) == 0) {
        rc = keep_loop(items, loop);
        PyContext_Exit(context);
    }
    Py_XDECREF(current);
    Py_XDECREF(view);
    Py_XDECREF(items);
    if (rc < 0) {
        Py_CLEAR(context);
    }
    return context;
}
