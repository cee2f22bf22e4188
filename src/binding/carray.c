/* The values are copied when the object is made. They could be read where they lie, but
 * then whoever changes them would race with the worker, and a buffer would have to be
 * let go of on a thread that holds the GIL. Copying a million integers takes some
 * milliseconds. */

#include "binding/carray.h"

#include <limits.h>
#include <sys/uio.h>

typedef struct {
    PyObject_HEAD
    struct csq_array *array;
} CarrayObject;

/* Gives an array for `count` values; NULL with an exception. */
static struct csq_array *
new_array(enum csq_array_type type, Py_ssize_t count, size_t room)
{
    struct csq_array *array;

    if (count > INT_MAX) {
        PyErr_SetString(PyExc_OverflowError, "carray() takes at most INT_MAX values");
        return NULL;
    }
    array = csq_array_new(type, (int)count, room);
    if (array == NULL) {
        PyErr_NoMemory();
    }
    return array;
}

/* -- buffers ------------------------------------------------------------------ */

/* What the items of a buffer are. -1 with TypeError. */
static int
type_of_items(const Py_buffer *view)
{
    const char *format = view->format == NULL ? "B" : view->format;
    const char *letter = format;

#if PY_BIG_ENDIAN
    letter += *letter == '@' || *letter == '=' || *letter == '>';
#else
    letter += *letter == '@' || *letter == '=' || *letter == '<';
#endif
    if (*letter != '\0' && letter[1] == '\0') {
        if (strchr("ilqn", *letter) != NULL && view->itemsize == 4) {
            return CSQ_ARRAY_INT32;
        }
        if (strchr("ilqn", *letter) != NULL && view->itemsize == 8) {
            return CSQ_ARRAY_INT64;
        }
        if (*letter == 'd') {
            return CSQ_ARRAY_DOUBLE;
        }
    }
    PyErr_Format(PyExc_TypeError,
                 "carray() takes a buffer of signed integers of 32 or 64 bits, or of doubles, "
                 "not of items with the format '%.50s'",
                 format);
    return -1;
}

static struct csq_array *
from_buffer(PyObject *values)
{
    struct csq_array *array = NULL;
    Py_buffer view;
    int type;

    if (PyObject_GetBuffer(values, &view, PyBUF_CONTIG_RO | PyBUF_FORMAT) < 0) {
        return NULL;
    }
    type = type_of_items(&view);
    if (type >= 0 && view.ndim != 1) {
        PyErr_Format(PyExc_TypeError, "carray() takes a buffer of one dimension, not of %d",
                     view.ndim);
    } else if (type >= 0) {
        array = new_array((enum csq_array_type)type, view.len / view.itemsize, 0);
    }
    if (array != NULL) {
        memcpy(array->values, view.buf, (size_t)view.len);
    }
    PyBuffer_Release(&view);
    return array;
}

/* -- sequences ---------------------------------------------------------------- */

static bool
is_bytes_like(PyObject *value)
{
    return PyObject_CheckBuffer(value);
}

static bool
is_integer(PyObject *value)
{
    return PyLong_Check(value);
}

static bool
is_float(PyObject *value)
{
    return PyFloat_Check(value);
}

static bool
is_text(PyObject *value)
{
    return PyUnicode_Check(value);
}

/* 0 when all items are of the kind of the first, else -1 with TypeError. */
static int
check_items(PyObject *items, bool (*is_kind)(PyObject *))
{
    for (Py_ssize_t i = 1; i < PyTuple_GET_SIZE(items); i++) {
        if (!is_kind(PyTuple_GET_ITEM(items, i))) {
            PyErr_Format(PyExc_TypeError,
                         "carray() takes values of one type: the first is %.100s, the one at "
                         "index %zd is %.100s",
                         Py_TYPE(PyTuple_GET_ITEM(items, 0))->tp_name, i,
                         Py_TYPE(PyTuple_GET_ITEM(items, i))->tp_name);
            return -1;
        }
    }
    return 0;
}

static struct csq_array *
from_integers(PyObject *items)
{
    struct csq_array *array = new_array(CSQ_ARRAY_INT64, PyTuple_GET_SIZE(items), 0);

    for (int i = 0; array != NULL && i < array->count; i++) {
        int overflow;

        array->values[i].integer =
            PyLong_AsLongLongAndOverflow(PyTuple_GET_ITEM(items, i), &overflow);
        if (overflow != 0) {
            PyErr_SetString(PyExc_OverflowError,
                            "Python int too large to convert to SQLite INTEGER");
            csq_array_put(array);
            return NULL;
        }
    }
    return array;
}

static struct csq_array *
from_floats(PyObject *items)
{
    struct csq_array *array = new_array(CSQ_ARRAY_DOUBLE, PyTuple_GET_SIZE(items), 0);

    for (int i = 0; array != NULL && i < array->count; i++) {
        array->values[i].real = PyFloat_AS_DOUBLE(PyTuple_GET_ITEM(items, i));
    }
    return array;
}

/* The UTF-8 of a str, which keeps it; NULL with an exception. carray() takes texts
 * that end with a 0, so there can be none in them. */
static const char *
utf8(PyObject *text, size_t *size)
{
    Py_ssize_t length;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &length);

    if (bytes != NULL && strlen(bytes) != (size_t)length) {
        PyErr_SetString(PyExc_ValueError, "embedded null character");
        return NULL;
    }
    *size = (size_t)length;
    return bytes;
}

static struct csq_array *
from_texts(PyObject *items)
{
    struct csq_array *array;
    size_t room = 0;
    size_t size = 0;
    char *at;

    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items); i++) {
        if (utf8(PyTuple_GET_ITEM(items, i), &size) == NULL) {
            return NULL;
        }
        room += size + 1;
    }
    array = new_array(CSQ_ARRAY_TEXT, PyTuple_GET_SIZE(items), room);
    at = array == NULL ? NULL : array->room;
    for (int i = 0; array != NULL && i < array->count; i++) {
        const char *bytes = utf8(PyTuple_GET_ITEM(items, i), &size);

        memcpy(at, bytes, size + 1);
        array->values[i].pointer = at;
        at += size + 1;
    }
    return array;
}

/* Gives a tuple of the same items as bytes objects, which stay as they are. */
static PyObject *
frozen(PyObject *items)
{
    PyObject *all = PyTuple_New(PyTuple_GET_SIZE(items));

    for (Py_ssize_t i = 0; all != NULL && i < PyTuple_GET_SIZE(items); i++) {
        PyObject *bytes = PyBytes_FromObject(PyTuple_GET_ITEM(items, i));

        if (bytes == NULL) {
            Py_CLEAR(all);
        } else {
            PyTuple_SET_ITEM(all, i, bytes);
        }
    }
    return all;
}

static struct csq_array *
from_blobs(PyObject *items)
{
    PyObject *all = frozen(items);
    struct csq_array *array = NULL;
    size_t room = 0;
    char *at;

    if (all == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(all); i++) {
        room += (size_t)PyBytes_GET_SIZE(PyTuple_GET_ITEM(all, i));
    }
    array = new_array(CSQ_ARRAY_BLOB, PyTuple_GET_SIZE(all), room);
    at = array == NULL ? NULL : array->room;
    for (int i = 0; array != NULL && i < array->count; i++) {
        PyObject *bytes = PyTuple_GET_ITEM(all, i);
        struct iovec *blob = (struct iovec *)array->values + i;

        blob->iov_base = at;
        blob->iov_len = (size_t)PyBytes_GET_SIZE(bytes);
        memcpy(at, PyBytes_AS_STRING(bytes), blob->iov_len);
        at += blob->iov_len;
    }
    Py_DECREF(all);
    return array;
}

static struct csq_array *
from_items(PyObject *items)
{
    static const struct {
        bool (*is_kind)(PyObject *);
        struct csq_array *(*from)(PyObject *);
    } kinds[] = {
        {is_integer, from_integers},
        {is_float, from_floats},
        {is_text, from_texts},
        {is_bytes_like, from_blobs},
    };
    PyObject *first;

    if (PyTuple_GET_SIZE(items) == 0) {
        return new_array(CSQ_ARRAY_INT64, 0, 0);
    }
    first = PyTuple_GET_ITEM(items, 0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i].is_kind(first)) {
            return check_items(items, kinds[i].is_kind) < 0 ? NULL : kinds[i].from(items);
        }
    }
    PyErr_Format(PyExc_TypeError, "carray() takes int, float, str or bytes, not %.100s",
                 Py_TYPE(first)->tp_name);
    return NULL;
}

static struct csq_array *
array_from(PyObject *values)
{
    struct csq_array *array;
    PyObject *items;

    if (PyObject_CheckBuffer(values)) {
        return from_buffer(values);
    }
    if (PyUnicode_Check(values)) {
        PyErr_SetString(PyExc_TypeError, "carray() takes a list of values, not a str");
        return NULL;
    }
    items = PySequence_Tuple(values);
    array = items == NULL ? NULL : from_items(items);
    Py_XDECREF(items);
    return array;
}

/* -- the type ----------------------------------------------------------------- */

struct csq_array *
carray_of(const struct module_state *state, PyObject *value)
{
    return Py_TYPE(value) == state->carray_type ? ((CarrayObject *)value)->array : NULL;
}

static PyObject *
carray_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"values", NULL};
    struct module_state *state = module_state_of_type(type);
    CarrayObject *self;
    PyObject *values;

    if (state == NULL ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "O:carray", keywords, &values)) {
        return NULL;
    }
#ifndef SQLITE_ENABLE_CARRAY
    PyErr_SetString(state->NotSupportedError,
                    "carray() needs an SQLite that csqlite was built with, 3.51 or later, with "
                    "SQLITE_ENABLE_CARRAY; see csqlite.placeholders()");
    return NULL;
#endif
    self = (CarrayObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->array = array_from(values);
        if (self->array == NULL) {
            Py_CLEAR(self);
        }
    }
    return (PyObject *)self;
}

static void
carray_dealloc(CarrayObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    csq_array_put(self->array);
    type->tp_free(self);
    Py_DECREF(type);
}

static Py_ssize_t
carray_length(CarrayObject *self)
{
    return self->array->count;
}

static PyObject *
carray_repr(CarrayObject *self)
{
    static const char *const names[] = {
        [CSQ_ARRAY_INT32] = "int32", [CSQ_ARRAY_INT64] = "int64", [CSQ_ARRAY_DOUBLE] = "float",
        [CSQ_ARRAY_TEXT] = "str",    [CSQ_ARRAY_BLOB] = "bytes",
    };

    return PyUnicode_FromFormat("<csqlite.carray of %d %s>", self->array->count,
                                names[self->array->type]);
}

PyDoc_STRVAR(
    carray_doc,
    "carray(values)\n--\n\n"
    "Many values to bind as one parameter, for SQL's carray():\n\n"
    "    db.execute(\"SELECT * FROM t WHERE id IN carray(?)\", (csqlite.carray(ids),))\n\n"
    "values: an iterable of int, of float, of str or of bytes, all of one type, or a buffer of\n"
    "signed 32-bit or 64-bit integers or of doubles (array.array, numpy). They are copied, so\n"
    "the object can be used again, by several connections at once. Where SQL asks for the\n"
    "parameter itself it finds NULL.\n\n"
    "Raises TypeError for other values, OverflowError for an int beyond 64 bits, ValueError\n"
    "for a str with a NUL character, NotSupportedError when SQLite lacks carray(). It is\n"
    "sqlite3_carray_bind(), as apsw's carray().");

static PyType_Slot carray_slots[] = {
    {Py_tp_doc, (void *)carray_doc}, {Py_tp_new, carray_new},   {Py_tp_dealloc, carray_dealloc},
    {Py_sq_length, carray_length},   {Py_tp_repr, carray_repr}, {0, NULL},
};

static PyType_Spec carray_spec = {
    .name = "csqlite._csqlite.carray",
    .basicsize = sizeof(CarrayObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = carray_slots,
};

int
carray_init_type(struct module_state *state, PyObject *module)
{
    state->carray_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &carray_spec, NULL);
    if (state->carray_type == NULL) {
        return -1;
    }
    return PyModule_AddObject(module, "carray", Py_NewRef((PyObject *)state->carray_type));
}
