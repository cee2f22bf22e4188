/* A parser of our own, because PyArg_ParseTupleAndKeywords wants a tuple and a
 * dict, which every call of a hot method would have to make. */

#include "binding/args.h"

#include "binding/module.h"

const char *
args_method(const struct args_spec *spec)
{
    const char *dot = strrchr(spec->method, '.');

    return dot == NULL ? spec->method : dot + 1;
}

static int
find_name(const struct args_spec *spec, PyObject *name)
{
    for (int i = spec->nameless; i < spec->count; i++) {
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
                     args_method(spec), name);
        return -1;
    }
    if (values[i] != NULL) {
        PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'",
                     args_method(spec), name);
        return -1;
    }
    values[i] = value;
    return 0;
}

/* Complains of how many arguments there are, as CPython does. -1 */
static int
complain(const struct args_spec *spec, Py_ssize_t given)
{
    const char *method = args_method(spec);
    bool exact = spec->required == spec->positional;
    bool few = given < spec->required;
    int limit = few ? spec->required : spec->positional;
    const char *plural = limit == 1 ? "" : "s";

    if (spec->plain && exact) {
        PyErr_Format(PyExc_TypeError, "%s expected %d argument%s, got %zd", method, limit, plural,
                     given);
    } else if (spec->plain) {
        PyErr_Format(PyExc_TypeError, "%s expected at %s %d argument%s, got %zd", method,
                     few ? "least" : "most", limit, plural, given);
    } else if (spec->positional == 0) {
        PyErr_Format(PyExc_TypeError, "%s() takes no positional arguments", method);
    } else if (given > spec->count && spec->nameless == spec->count) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %d argument%s (%zd given)", method,
                     limit, plural, given);
    } else if (exact && spec->nameless == spec->positional) {
        PyErr_Format(PyExc_TypeError, "%s() takes exactly %d positional argument%s (%zd given)",
                     method, limit, plural, given);
    } else {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %d positional arguments (%zd given)",
                     method, limit, given);
    }
    return -1;
}

int
args_parse(const struct args_spec *spec, PyObject *const *args, Py_ssize_t nargs,
           PyObject *kwnames, PyObject **values)
{
    Py_ssize_t keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);

    if (nargs > spec->positional || (nargs < spec->required && nargs < spec->nameless)) {
        return complain(spec, nargs);
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
                         args_method(spec), spec->names[i], i + 1);
            return -1;
        }
    }
    return 0;
}

int
args_clamped(PyObject *value, int *number)
{
    PyObject *index = PyNumber_Index(value);
    int overflow;
    long read;

    if (index == NULL) {
        return -1;
    }
    read = PyLong_AsLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    if (overflow > 0 || read > INT_MAX) {
        *number = INT_MAX;
        return 1;
    }
    if (overflow < 0 || read < INT_MIN) {
        *number = INT_MIN;
        return 1;
    }
    *number = (int)read;
    return 0;
}

int
args_int(PyObject *value, int *number)
{
    int rc = args_clamped(value, number);

    if (rc > 0) {
        PyErr_SetString(PyExc_OverflowError, "Python int too large to convert to C int");
    }
    return rc == 0 ? 0 : -1;
}

int
args_rowid(PyObject *value, int64_t *rowid)
{
    int overflow;

    if (!PyLong_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "expected 'int'");
        return -1;
    }
    *rowid = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow != 0) {
        PyErr_SetString(PyExc_OverflowError, "Python int too large to convert to SQLite INTEGER");
        return -1;
    }
    return 0;
}

const char *
args_text(PyObject *value, const char *method, const char *argument)
{
    const char *text;
    Py_ssize_t size;

    if (!PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s() argument %s must be str, not %.50s", method, argument,
                     value == Py_None ? "None" : Py_TYPE(value)->tp_name);
        return NULL;
    }
    text = PyUnicode_AsUTF8AndSize(value, &size);
    if (text != NULL && strlen(text) != (size_t)size) {
        PyErr_SetString(PyExc_ValueError, "embedded null character");
        return NULL;
    }
    return text;
}

PyObject *
args_buffer(PyObject *value)
{
    Py_buffer view;

    if (PyBytes_Check(value)) {
        return Py_NewRef(value);
    }
    if (PyObject_GetBuffer(value, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    PyBuffer_Release(&view);
    return PyMemoryView_FromObject(value);
}

void
args_lend(PyObject *buffer, const char **bytes, size_t *size)
{
    if (PyBytes_Check(buffer)) {
        *bytes = PyBytes_AS_STRING(buffer);
        *size = (size_t)PyBytes_GET_SIZE(buffer);
    } else {
        *bytes = PyMemoryView_GET_BUFFER(buffer)->buf;
        *size = (size_t)PyMemoryView_GET_BUFFER(buffer)->len;
    }
}

PyObject *
args_forward_to(const char *module, const char *function, PyObject *self, PyObject *const *args,
                Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    PyObject *all[ARGS_MAX + 1];
    PyObject *callable;
    PyObject *result;

    if (nargs + keywords > ARGS_MAX) {
        PyErr_Format(PyExc_TypeError, "%s() takes fewer arguments", function);
        return NULL;
    }
    callable = module_import(module, function);
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

PyObject *
args_forward(const char *function, PyObject *self, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    return args_forward_to("csqlite.foreign", function, self, args, nargs, kwnames);
}
