/* Encoding. An element's size stands before it and is known behind it: a container
 * is given a header of one byte, and moved when it turns out to need a longer one.
 * Headers are then as short as SQLite's own, and the bytes the same as those of
 * jsonb(). */

#include "binding/jsonb.h"

#include <limits.h>
#include <math.h>
#include <stdbool.h>

#include "binding/args.h"

/* What is being written that holds something else. */
enum level_kind {
    LEVEL_ARRAY,
    LEVEL_OBJECT,
    LEVEL_OTHER, /* what `default` has given */
};

struct level {
    enum level_kind kind;
    PyObject *holder; /* owned: a list or tuple, a list of a dict's items, or the object itself */
    Py_ssize_t next; /* the index of what is written next */
    size_t start; /* where its header stands */
};

struct writer {
    unsigned char *bytes;
    size_t size;
    size_t capacity;
    struct level *levels; /* the outermost first */
    int depth; /* how many there are */
    int room;
    PyObject *fallback; /* the caller's `default`, or NULL */
    int sort_keys;
    int skip_keys;
    int allow_nan;
};

/* Makes room for `more` bytes. 0, or -1 with an exception. */
static int
grow(struct writer *writer, size_t more)
{
    size_t need = writer->size + more;
    size_t capacity = writer->capacity < 256 ? 256 : writer->capacity;
    unsigned char *bytes;

    if (need <= writer->capacity) {
        return 0;
    }
    if (need > INT_MAX) {
        PyErr_SetString(PyExc_OverflowError, "JSONB longer than INT_MAX bytes");
        return -1;
    }
    while (capacity < need) {
        capacity *= 2;
    }
    bytes = PyMem_Realloc(writer->bytes, capacity);
    if (bytes == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    writer->bytes = bytes;
    writer->capacity = capacity;
    return 0;
}

/* How many bytes follow the first one of a header for `size` bytes. */
static size_t
header_rest(size_t size)
{
    if (size <= 11) {
        return 0;
    }
    return size <= 0xff ? 1 : size <= 0xffff ? 2 : 4;
}

/* Fills a header, for which there is room at `at`. */
static void
fill_header(unsigned char *at, enum jsonb_type type, size_t size)
{
    size_t rest = header_rest(size);
    unsigned code = rest == 0 ? (unsigned)size : rest == 1 ? 12u : rest == 2 ? 13u : 14u;

    at[0] = (unsigned char)(code << 4 | (unsigned)type);
    for (size_t i = rest; i > 0; i--) {
        at[i] = (unsigned char)(size & 0xff);
        size >>= 8;
    }
}

static int
write_element(struct writer *writer, enum jsonb_type type, const char *bytes, size_t size)
{
    size_t head = 1 + header_rest(size);

    if (size > INT_MAX || grow(writer, head + size) < 0) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_OverflowError, "JSONB longer than INT_MAX bytes");
        }
        return -1;
    }
    fill_header(writer->bytes + writer->size, type, size);
    if (size > 0) {
        memcpy(writer->bytes + writer->size + head, bytes, size);
    }
    writer->size += head + size;
    return 0;
}

/* -- scalars ------------------------------------------------------------------ */

static int
write_text(struct writer *writer, PyObject *value)
{
    enum jsonb_type type = JSONB_TEXT;
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);

    if (text == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < size && type == JSONB_TEXT; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == '"' || text[i] == '\\') {
            type = JSONB_TEXTRAW;
        }
    }
    return write_element(writer, type, text, (size_t)size);
}

static int
write_integer(struct writer *writer, PyObject *value)
{
    /* Of int itself: a subclass, such as an enumeration, may call its values otherwise. */
    PyObject *digits = PyLong_Type.tp_repr(value);
    Py_ssize_t size;
    const char *text = digits == NULL ? NULL : PyUnicode_AsUTF8AndSize(digits, &size);
    int rc = text == NULL ? -1 : write_element(writer, JSONB_INT, text, (size_t)size);

    Py_XDECREF(digits);
    return rc;
}

/* Writes what SQLite makes of an infinity and of what is no number. */
static int
write_special(struct writer *writer, double value)
{
    if (!writer->allow_nan) {
        PyErr_SetString(PyExc_ValueError, "Out of range float values are not JSON compliant");
        return -1;
    }
    if (isnan(value)) {
        return write_element(writer, JSONB_NULL, NULL, 0);
    }
    return value > 0 ? write_element(writer, JSONB_FLOAT, "9e999", 5)
                     : write_element(writer, JSONB_FLOAT, "-9e999", 6);
}

static int
write_float(struct writer *writer, double value)
{
    char *text;
    int rc;

    if (!isfinite(value)) {
        return write_special(writer, value);
    }
    text = PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (text == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    rc = write_element(writer, JSONB_FLOAT, text, strlen(text));
    PyMem_Free(text);
    return rc;
}

/* -- keys ----------------------------------------------------------------------- */

/* The str that json.dumps() makes of a float as a key. */
static PyObject *
float_key(struct writer *writer, PyObject *key)
{
    double value = PyFloat_AS_DOUBLE(key);

    if (isfinite(value)) {
        return PyFloat_Type.tp_repr(key);
    }
    if (!writer->allow_nan) {
        PyErr_SetString(PyExc_ValueError, "Out of range float values are not JSON compliant");
        return NULL;
    }
    return PyUnicode_FromString(isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
}

/* Writes a key as json.dumps() does. 1; 0: it is to be skipped; or -1. */
static int
write_key(struct writer *writer, PyObject *key)
{
    PyObject *text = NULL;
    int rc;

    if (PyUnicode_Check(key)) {
        text = Py_NewRef(key);
    } else if (PyFloat_Check(key)) {
        text = float_key(writer, key);
    } else if (key == Py_True || key == Py_False || key == Py_None) {
        text = PyUnicode_FromString(key == Py_True ? "true" : key == Py_False ? "false" : "null");
    } else if (PyLong_Check(key)) {
        text = PyLong_Type.tp_repr(key);
    } else if (writer->skip_keys) {
        return 0;
    } else {
        PyErr_Format(PyExc_TypeError, "keys must be str, int, float, bool or None, not %.100s",
                     Py_TYPE(key)->tp_name);
    }
    rc = text == NULL ? -1 : write_text(writer, text);
    Py_XDECREF(text);
    return rc < 0 ? -1 : 1;
}

/* -- containers --------------------------------------------------------------- */

/* Begins a level, and takes its holder. They stand on the heap, so that the deepest ones are
 * written in the smallest stack. 0, or -1 with an exception. */
static int
begin_level(struct writer *writer, enum level_kind kind, PyObject *holder)
{
    int room = writer->room == 0 ? 16 : 2 * writer->room;
    struct level *levels = writer->levels;

    if (writer->depth == writer->room) {
        levels = PyMem_Realloc(levels, (size_t)room * sizeof *levels);
        if (levels == NULL) {
            Py_DECREF(holder);
            PyErr_NoMemory();
            return -1;
        }
        writer->levels = levels;
        writer->room = room;
    }
    levels[writer->depth++] = (struct level){kind, holder, 0, writer->size};
    return 0;
}

/* Begins an array or object, which gets a header of one byte, and takes its holder. */
static int
begin_container(struct writer *writer, enum level_kind kind, PyObject *holder)
{
    if (writer->depth >= JSONB_DEPTH) {
        Py_DECREF(holder);
        PyErr_Format(PyExc_ValueError,
                     "nested deeper than the %d levels that SQLite reads, or within itself",
                     JSONB_DEPTH);
        return -1;
    }
    if (grow(writer, 1) < 0) {
        Py_DECREF(holder);
        return -1;
    }
    if (begin_level(writer, kind, holder) < 0) {
        return -1;
    }
    writer->size++;
    return 0;
}

static int
end_container(struct writer *writer, enum jsonb_type type, size_t start)
{
    size_t size = writer->size - start - 1;
    size_t rest = header_rest(size);

    if (grow(writer, rest) < 0) {
        return -1;
    }
    if (rest > 0) {
        memmove(writer->bytes + start + 1 + rest, writer->bytes + start + 1, size);
        writer->size += rest;
    }
    fill_header(writer->bytes + start, type, size);
    return 0;
}

static int
begin_object(struct writer *writer, PyObject *value)
{
    /* A list of its own: `default` may change the dict. */
    PyObject *items = PyMapping_Items(value);

    if (items != NULL && writer->sort_keys && PyList_Sort(items) < 0) {
        Py_CLEAR(items);
    }
    return items == NULL ? -1 : begin_container(writer, LEVEL_OBJECT, items);
}

/* What JSON has no word for: the caller's `default` may know one. */
static int
begin_other(struct writer *writer, PyObject *value)
{
    PyObject *other;

    if (writer->fallback == NULL) {
        PyErr_Format(PyExc_TypeError, "Object of type %.100s is not JSON serializable",
                     Py_TYPE(value)->tp_name);
        return -1;
    }
    other = PyObject_CallOneArg(writer->fallback, value);
    if (other == NULL) {
        return -1;
    }
    /* It counts as a level, so that a `default` that never comes to an end does. */
    if (writer->depth >= JSONB_DEPTH) {
        Py_DECREF(other);
        PyErr_SetString(PyExc_ValueError, "default() leads to no end");
        return -1;
    }
    return begin_level(writer, LEVEL_OTHER, other);
}

/* Writes a value, or begins what holds others. 0, or -1 with an exception. */
static int
write_value(struct writer *writer, PyObject *value)
{
    if (PyUnicode_Check(value)) {
        return write_text(writer, value);
    }
    if (value == Py_None) {
        return write_element(writer, JSONB_NULL, NULL, 0);
    }
    if (PyBool_Check(value)) {
        return write_element(writer, value == Py_True ? JSONB_TRUE : JSONB_FALSE, NULL, 0);
    }
    if (PyLong_Check(value)) {
        return write_integer(writer, value);
    }
    if (PyFloat_Check(value)) {
        return write_float(writer, PyFloat_AS_DOUBLE(value));
    }
    if (PyList_Check(value) || PyTuple_Check(value)) {
        return begin_container(writer, LEVEL_ARRAY, Py_NewRef(value));
    }
    return PyDict_Check(value) ? begin_object(writer, value) : begin_other(writer, value);
}

/* Writes one (key, value) of a dict. */
static int
write_member(struct writer *writer, PyObject *item)
{
    int rc;

    if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
        PyErr_SetString(PyExc_ValueError, "items must return 2-tuples");
        return -1;
    }
    rc = write_key(writer, PyTuple_GET_ITEM(item, 0));
    return rc <= 0 ? rc : write_value(writer, PyTuple_GET_ITEM(item, 1));
}

/* Whether there is more in a level. A list's length is asked for each time: `default` may have
 * changed it. */
static bool
has_more(const struct level *level)
{
    return level->next <
           (level->kind == LEVEL_OTHER ? 1 : PySequence_Fast_GET_SIZE(level->holder));
}

/* Writes the next thing of the innermost level. */
static int
write_next(struct writer *writer)
{
    struct level *level = &writer->levels[writer->depth - 1];
    bool is_member = level->kind == LEVEL_OBJECT;
    PyObject *item = level->holder;
    int rc;

    if (level->kind != LEVEL_OTHER) {
        item = PySequence_Fast_GET_ITEM(item, level->next);
    }
    level->next++;
    Py_INCREF(item);
    rc = is_member ? write_member(writer, item) : write_value(writer, item);
    Py_DECREF(item);
    return rc;
}

/* Ends the innermost level, which has nothing more. */
static int
end_level(struct writer *writer)
{
    const struct level level = writer->levels[--writer->depth];

    Py_DECREF(level.holder);
    if (level.kind == LEVEL_OTHER) {
        return 0;
    }
    return end_container(writer, level.kind == LEVEL_ARRAY ? JSONB_ARRAY : JSONB_OBJECT,
                         level.start);
}

static int
write_tree(struct writer *writer, PyObject *value)
{
    int rc = write_value(writer, value);

    while (rc == 0 && writer->depth > 0) {
        rc =
            has_more(&writer->levels[writer->depth - 1]) ? write_next(writer) : end_level(writer);
    }
    while (writer->depth > 0) {
        Py_DECREF(writer->levels[--writer->depth].holder);
    }
    PyMem_Free(writer->levels);
    return rc;
}

/* -- the function ------------------------------------------------------------- */

/* Whether a flag is true; `otherwise` when it was not given. -1 with an exception. */
static int
flag(PyObject *value, int otherwise)
{
    return value == NULL ? otherwise : PyObject_IsTrue(value);
}

PyDoc_STRVAR(
    jsonb_encode_doc,
    "jsonb_encode($module, obj, *, default=None, sort_keys=False, skipkeys=False,\n"
    "             allow_nan=True)\n--\n\n"
    "Give obj as JSONB, the bytes that SQLite's jsonb() makes of its JSON.\n\n"
    "obj: None, bool, int, float, str, list, tuple or dict. default: called with any other\n"
    "object, gives one to encode in its place. sort_keys, skipkeys: as in json.dumps().\n"
    "allow_nan: an infinity becomes 9e999 and a NaN null, as SQLite has it; False: "
    "ValueError.\n\n"
    "Raises TypeError for an object or a key that JSON does not have, ValueError for what is\n"
    "nested deeper than 1000 levels, UnicodeEncodeError for a lone surrogate, OverflowError\n"
    "beyond 2 GiB. As apsw's jsonb_encode().");

static PyObject *
jsonb_encode(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"obj", "default", "sort_keys", "skipkeys", "allow_nan"};
    static const struct args_spec spec = {"jsonb_encode", 5, 1, 1, names};
    struct writer writer = {0};
    PyObject *values[5];
    PyObject *result = NULL;

    (void)module;
    if (args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    writer.fallback = values[1] == Py_None ? NULL : values[1];
    writer.sort_keys = flag(values[2], 0);
    writer.skip_keys = flag(values[3], 0);
    writer.allow_nan = flag(values[4], 1);
    if (writer.sort_keys < 0 || writer.skip_keys < 0 || writer.allow_nan < 0) {
        return NULL;
    }
    if (write_tree(&writer, values[0]) == 0) {
        result = PyBytes_FromStringAndSize((const char *)writer.bytes, (Py_ssize_t)writer.size);
    }
    PyMem_Free(writer.bytes);
    return result;
}

PyMethodDef jsonb_encode_methods[] = {
    {"jsonb_encode", (PyCFunction)(void (*)(void))jsonb_encode, ARGS_FASTCALL, jsonb_encode_doc},
    {NULL, NULL, 0, NULL},
};
