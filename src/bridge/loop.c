/* Looks by identity: what is equal to a handle is for Python to say, which could take its
 * time and change the queue. */

#include "bridge/loop.h"

bool
loop_has(PyObject *ready, const void *handle)
{
    PyObject *handles = ready == NULL ? NULL : PyObject_GetIter(ready);
    PyObject *next = NULL;

    while (handles != NULL && next != handle && (next = PyIter_Next(handles)) != NULL) {
        Py_DECREF(next);
    }
    Py_XDECREF(handles);
    PyErr_Clear();
    return next != NULL;
}
