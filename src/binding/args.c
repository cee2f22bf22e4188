/* A parser of our own, because PyArg_ParseTupleAndKeywords wants a tuple and a
 * dict, which every call of a hot method would have to make. */

#include "binding/args.h"

#include "binding/module.h"

static int
find_name(const struct args_spec *spec, PyObject *name)
{
    for (int i = 0; i < spec->count; i++) {
        if (PyUnicode_CompareWithASCIIString(name, spec->names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static int
take_keyword(const struct args_spec *spec, PyObject *name, PyObject *value, PyObject **values)
{
    int i = find_name(spec, name);

    if (i < 0) {
        PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'",
                     spec->method, name);
        return -1;
    }
    if (values[i] != NULL) {
        PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'", spec->method,
                     name);
        return -1;
    }
    values[i] = value;
    return 0;
}

int
args_parse(const struct args_spec *spec, PyObject *const *args, Py_ssize_t nargs,
           PyObject *kwnames, PyObject **values)
{
    Py_ssize_t keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);

    if (nargs > spec->positional) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %d positional arguments (%zd given)",
                     spec->method, spec->positional, nargs);
        return -1;
    }
    for (int i = 0; i < spec->count; i++) {
        values[i] = i < nargs ? args[i] : NULL;
    }
    for (Py_ssize_t i = 0; i < keywords; i++) {
        if (take_keyword(spec, PyTuple_GET_ITEM(kwnames, i), args[nargs + i], values) < 0) {
            return -1;
        }
    }
    for (int i = 0; i < spec->required; i++) {
        if (values[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s' (pos %d)",
                         spec->method, spec->names[i], i + 1);
            return -1;
        }
    }
    return 0;
}

PyObject *
args_forward(const char *function, PyObject *self, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    Py_ssize_t keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    PyObject *all[ARGS_MAX + 1];
    PyObject *callable;
    PyObject *result;

    if (nargs + keywords > ARGS_MAX) {
        PyErr_Format(PyExc_TypeError, "%s() takes fewer arguments", function);
        return NULL;
    }
    callable = module_import("csqlite.foreign", function);
    if (callable == NULL) {
        return NULL;
    }
    all[0] = self;
    for (Py_ssize_t i = 0; i < nargs + keywords; i++) {
        all[i + 1] = args[i];
    }
    result = PyObject_Vectorcall(callable, all, (size_t)nargs + 1, kwnames);
    Py_DECREF(callable);
    return result;
}
