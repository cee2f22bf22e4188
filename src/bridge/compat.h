/* What CPython 3.9 to 3.14 call by different names. Nothing else. */

#ifndef CSQ_COMPAT_H
#define CSQ_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if PY_VERSION_HEX < 0x030A0000

typedef enum { PYGEN_RETURN = 0, PYGEN_ERROR = -1, PYGEN_NEXT = 1 } PySendResult;

static inline PyObject *
Py_NewRef(PyObject *object)
{
    Py_INCREF(object);
    return object;
}

static inline PyObject *
Py_XNewRef(PyObject *object)
{
    Py_XINCREF(object);
    return object;
}

#endif

/* What a GC-tracked heap type owes its type: before 3.9 nothing, since then a visit. */
#define COMPAT_VISIT_TYPE(self) Py_VISIT(Py_TYPE(self))

/* Lets Python code make no instances of `type`: what it makes would be empty. */
static inline void
compat_forbid_new(PyTypeObject *type)
{
    type->tp_new = NULL;
}

/* Lends the context that runs in this thread, not a copy as PyContext_CopyCurrent() gives; NULL:
 * none has been needed yet. CPython has no function for that. */
static inline PyObject *
compat_current_context(void)
{
    return PyThreadState_Get()->context;
}

/* The current exception as an instance, taken out of the thread state; NULL: none. */
static inline PyObject *
compat_take_exception(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type;
    PyObject *value;
    PyObject *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    if (type == NULL) {
        return NULL;
    }
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
    }
    Py_DECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

/* Raises `exception`, an instance; takes it. */
static inline void
compat_give_exception(PyObject *exception)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(exception);
#else
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exception)), exception,
                  PyException_GetTraceback(exception));
#endif
}

/* Changes whenever `dict` does; 0 where Python does not tell. */
static inline uint64_t
compat_dict_version(PyObject *dict)
{
#if PY_VERSION_HEX < 0x030C0000
    return ((PyDictObject *)dict)->ma_version_tag;
#else
    (void)dict;
    return 0;
#endif
}

/* Raises an exception of `type`, whose cause is the current one, in its place. */
static inline void
compat_replace_exception(PyObject *type, const char *message)
{
    PyObject *cause = compat_take_exception();
    PyObject *error;

    PyErr_SetString(type, message);
    error = compat_take_exception();
    PyException_SetContext(error, Py_NewRef(cause));
    PyException_SetCause(error, cause);
    compat_give_exception(error);
}

#endif
