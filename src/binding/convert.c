/* Conversion. The exact built-in types come first and are asked for by pointer;
 * adapters are looked for only when the value is of another type, or when
 * somebody has registered one for a built-in type. */

#include "binding/convert.h"

#include <limits.h>

#include "binding/carray.h"
#include "engine/scan.h"

/* How many names of one statement are remembered so as not to ask a mapping
 * twice; a name beyond that may be asked for again. */
enum { NAMES_MAX = 32 };

/* As many values are packed sooner than SQL is read for whether it takes them. */
enum { ALWAYS_PACKED = 1024 };

/* -- adapters ----------------------------------------------------------------- */

void
convert_begin(struct module_state *state)
{
    uint64_t version = compat_dict_version(state->adapters);
    Py_ssize_t position = 0;
    PyObject *key;
    PyObject *adapter;

    if (version != 0 && version == state->adapters_version) {
        return;
    }
    state->adapters_version = version;
    state->base_adapted = false;
    while (PyDict_Next(state->adapters, &position, &key, &adapter)) {
        PyObject *type =
            PyTuple_Check(key) && PyTuple_GET_SIZE(key) == 2 ? PyTuple_GET_ITEM(key, 0) : NULL;

        if (type == (PyObject *)&PyLong_Type || type == (PyObject *)&PyFloat_Type ||
            type == (PyObject *)&PyUnicode_Type || type == (PyObject *)&PyBytes_Type ||
            type == (PyObject *)&PyByteArray_Type) {
            state->base_adapted = true;
        }
    }
}

/* What the registered adapter makes of `value`; NULL without an exception: there
 * is none. */
static PyObject *
adapt_registered(struct module_state *state, PyObject *value)
{
    PyObject *key = PyTuple_Pack(2, (PyObject *)Py_TYPE(value), state->prepare_protocol);
    PyObject *adapter;
    PyObject *adapted = NULL;

    if (key == NULL) {
        return NULL;
    }
    adapter = PyDict_GetItemWithError(state->adapters, key);
    Py_DECREF(key);
    if (adapter != NULL) {
        Py_INCREF(adapter);
        adapted = PyObject_CallOneArg(adapter, value);
        Py_DECREF(adapter);
    }
    return adapted;
}

/* What `value.__conform__(PrepareProtocol)` answers; NULL without an exception:
 * there is no such method, or it has no answer. */
static PyObject *
adapt_conforming(struct module_state *state, PyObject *value)
{
    PyObject *method = PyObject_GetAttr(value, state->str_conform);
    PyObject *adapted;

    if (method == NULL) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Clear();
        }
        return NULL;
    }
    adapted = PyObject_CallOneArg(method, state->prepare_protocol);
    Py_DECREF(method);
    if (adapted == Py_None) {
        Py_CLEAR(adapted);
    } else if (adapted == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
    }
    return adapted;
}

/* Gives what is to be bound in place of `value`; NULL with an exception. */
static PyObject *
adapt(struct module_state *state, PyObject *value)
{
    PyObject *adapted = adapt_registered(state, value);

    if (adapted == NULL && !PyErr_Occurred()) {
        adapted = adapt_conforming(state, value);
    }
    if (adapted == NULL && !PyErr_Occurred()) {
        adapted = Py_NewRef(value);
    }
    return adapted;
}

/* -- values down -------------------------------------------------------------- */

/* What putting a cell came to. */
enum put { PUT_FAILED = -1, PUT_DONE, PUT_POISON };

static enum put
put_integer(struct csq_strip *strip, PyObject *value)
{
    int overflow;
    long long integer = PyLong_AsLongLongAndOverflow(value, &overflow);

    if (overflow != 0) {
        PyErr_SetString(PyExc_OverflowError, "Python int too large to convert to SQLite INTEGER");
    }
    if (overflow != 0 || (integer == -1 && PyErr_Occurred())) {
        return PUT_POISON;
    }
    return csq_strip_put_integer(strip, integer) ? PUT_DONE : PUT_FAILED;
}

static enum put
put_text(struct csq_strip *strip, PyObject *value)
{
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);

    if (text == NULL) {
        return PUT_POISON;
    }
    if (size > INT_MAX) {
        PyErr_SetString(PyExc_OverflowError, "string longer than INT_MAX bytes");
        return PUT_POISON;
    }
    return csq_strip_put_text(strip, text, (size_t)size) ? PUT_DONE : PUT_FAILED;
}

static enum put
put_buffer(struct csq_strip *strip, PyObject *value)
{
    enum put put = PUT_POISON;
    Py_buffer view;

    if (PyObject_GetBuffer(value, &view, PyBUF_SIMPLE) < 0) {
        return PUT_POISON;
    }
    if (view.len > INT_MAX) {
        PyErr_SetString(PyExc_OverflowError, "BLOB longer than INT_MAX bytes");
    } else {
        put = csq_strip_put_blob(strip, view.buf, (size_t)view.len) ? PUT_DONE : PUT_FAILED;
    }
    PyBuffer_Release(&view);
    return put;
}

/* Puts a value that needs no adapting (any more). */
static enum put
put_plain(struct module_state *state, struct csq_strip *strip, PyObject *value, int number)
{
    struct csq_array *array;

    if (value == Py_None) {
        return csq_strip_put_null(strip) ? PUT_DONE : PUT_FAILED;
    }
    if (PyLong_Check(value)) {
        return put_integer(strip, value);
    }
    if (PyFloat_Check(value)) {
        return csq_strip_put_float(strip, PyFloat_AS_DOUBLE(value)) ? PUT_DONE : PUT_FAILED;
    }
    if (PyUnicode_Check(value)) {
        return put_text(strip, value);
    }
    if (PyObject_CheckBuffer(value)) {
        return put_buffer(strip, value);
    }
    array = carray_of(state, value);
    if (array != NULL) {
        return csq_strip_put_array(strip, array) ? PUT_DONE : PUT_FAILED;
    }
    PyErr_Format(state->ProgrammingError,
                 "Error binding parameter %d: type '%s' is not supported", number,
                 Py_TYPE(value)->tp_name);
    return PUT_POISON;
}

int
convert_cell(struct module_state *state, struct csq_strip *strip, PyObject *value)
{
    enum put put;

    if (value != Py_None && !PyLong_Check(value) && !PyFloat_Check(value) &&
        !PyUnicode_Check(value) && !PyObject_CheckBuffer(value)) {
        PyErr_Format(PyExc_TypeError, "a value of type '%.100s' is not supported",
                     Py_TYPE(value)->tp_name);
        return -1;
    }
    put = put_plain(state, strip, value, 0);
    if (put == PUT_FAILED) {
        PyErr_NoMemory();
    }
    return put == PUT_DONE ? 0 : -1;
}

static bool
is_plain(PyObject *value)
{
    return value == Py_None || PyLong_CheckExact(value) || PyUnicode_CheckExact(value) ||
           PyFloat_CheckExact(value) || PyBytes_CheckExact(value) ||
           PyByteArray_CheckExact(value);
}

/* Keeps the current exception, if it is the first, and poisons the cell. */
static enum put
poison(struct csq_strip *strip, PyObject **held)
{
    PyObject *exception = compat_take_exception();

    if (*held == NULL) {
        *held = exception;
    } else {
        Py_XDECREF(exception);
    }
    return csq_strip_put_mark(strip, CSQ_POISON) ? PUT_DONE : PUT_FAILED;
}

static enum put
put_value(struct module_state *state, struct csq_strip *strip, PyObject *value, int number,
          PyObject **held)
{
    PyObject *adapted = NULL;
    enum put put = PUT_POISON;

    if (is_plain(value) && !state->base_adapted) {
        put = put_plain(state, strip, value, number);
    } else {
        adapted = adapt(state, value);
        if (adapted != NULL) {
            put = put_plain(state, strip, adapted, number);
        }
        Py_XDECREF(adapted);
    }
    return put == PUT_POISON ? poison(strip, held) : put;
}

/* -- parameters --------------------------------------------------------------- */

/* Whether a sequence of `size` values may be as many as `sql` takes. sqlite3 compares the
 * lengths before it touches a value; here the statement is prepared afterwards, by the
 * worker, so that only too many for any statement with this text are told now. */
static bool
is_bindable(struct module_state *state, PyObject *sql, Py_ssize_t size)
{
    const char *text;
    Py_ssize_t length;

    if (size <= ALWAYS_PACKED) {
        return true;
    }
    text = PyUnicode_AsUTF8AndSize(sql, &length);
    return size <= state->most_parameters && size <= csq_scan_most(text, text + length);
}

static enum put
put_sequence(struct module_state *state, struct csq_strip *strip, struct csq_cell *head,
             PyObject *sql, PyObject *parameters, PyObject **held)
{
    bool tuple = PyTuple_CheckExact(parameters);
    Py_ssize_t size = tuple ? PyTuple_GET_SIZE(parameters) : PySequence_Size(parameters);
    enum put put = PUT_DONE;

    if (size < 0) {
        return PUT_POISON;
    }
    csq_head_set(head, size, false);
    if (!is_bindable(state, sql, size)) {
        return PUT_DONE;
    }
    for (Py_ssize_t i = 0; i < size && put == PUT_DONE; i++) {
        PyObject *value = tuple ? Py_NewRef(PyTuple_GET_ITEM(parameters, i))
                                : PySequence_GetItem(parameters, i);

        if (value == NULL) {
            put = poison(strip, held);
        } else {
            put = put_value(state, strip, value, (int)i + 1, held);
            Py_DECREF(value);
        }
    }
    return put;
}

/* The value for a name; NULL without an exception: the mapping has none. */
static PyObject *
look_up(PyObject *mapping, PyObject *key)
{
    PyObject *value;

    if (PyDict_CheckExact(mapping)) {
        return Py_XNewRef(PyDict_GetItemWithError(mapping, key));
    }
    value = PyObject_GetItem(mapping, key);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_LookupError)) {
        PyErr_Clear();
    }
    return value;
}

static enum put
put_pair(struct module_state *state, struct csq_strip *strip, PyObject *mapping, const char *name,
         size_t size, int number, PyObject **held)
{
    PyObject *key;
    PyObject *value;
    enum put put;

    if (!csq_strip_put_text(strip, name, size)) {
        return PUT_FAILED;
    }
    key = PyUnicode_FromStringAndSize(name, (Py_ssize_t)size);
    if (key == NULL) {
        return poison(strip, held);
    }
    value = look_up(mapping, key);
    if (value != NULL) {
        put = put_value(state, strip, value, number, held);
    } else if (PyErr_Occurred()) {
        put = poison(strip, held);
    } else {
        put = csq_strip_put_mark(strip, CSQ_MISSING) ? PUT_DONE : PUT_FAILED;
    }
    Py_DECREF(key);
    Py_XDECREF(value);
    return put;
}

/* Asks the mapping for every name in the SQL, each once. */
static enum put
put_mapping(struct module_state *state, struct csq_strip *strip, struct csq_cell *head,
            PyObject *sql, PyObject *mapping, PyObject **held)
{
    struct {
        const char *name;
        size_t size;
    } seen[NAMES_MAX];
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(sql, &length);
    const char *end = text + length;
    const char *name;
    size_t size;
    int width = 0;
    enum put put = PUT_DONE;

    while (put == PUT_DONE && csq_scan_parameter(&text, end, &name, &size)) {
        int i = 0;

        while (i < width && i < NAMES_MAX &&
               !(seen[i].size == size && memcmp(seen[i].name, name, size) == 0)) {
            i++;
        }
        if (i < width && i < NAMES_MAX) {
            continue;
        }
        if (width < NAMES_MAX) {
            seen[width].name = name;
            seen[width].size = size;
        }
        width++;
        put = put_pair(state, strip, mapping, name, size, width, held);
    }
    csq_head_set(head, width, true);
    return put;
}

/* A dict, or what has keys() and is neither a tuple nor a list: a class of one's
 * own that has __getitem__ passes for a sequence as well. */
static bool
is_mapping(PyObject *parameters)
{
    if (PyTuple_Check(parameters) || PyList_Check(parameters)) {
        return false;
    }
    return PyDict_Check(parameters) ||
           (PyMapping_Check(parameters) && PyObject_HasAttrString(parameters, "keys"));
}

int
convert_parameters(struct module_state *state, struct csq_strip *strip, PyObject *sql,
                   PyObject *parameters, PyObject **held)
{
    struct csq_cell *head = csq_strip_put_head(strip);
    enum put put = PUT_FAILED;

    if (head == NULL) {
        goto done;
    }
    if (parameters == NULL) {
        put = PUT_DONE;
    } else if (is_mapping(parameters)) {
        put = put_mapping(state, strip, head, sql, parameters, held);
    } else if (PySequence_Check(parameters)) {
        put = put_sequence(state, strip, head, sql, parameters, held);
    } else {
        PyErr_SetString(state->ProgrammingError, "parameters are of unsupported type");
        put = PUT_POISON;
    }
    if (put == PUT_POISON) {
        put = poison(strip, held);
        head->type = CSQ_POISON;
    }
    strip->rows++;

done:
    if (put == PUT_FAILED && !PyErr_Occurred()) {
        PyErr_NoMemory();
    }
    return put == PUT_DONE ? 0 : -1;
}

const char *
convert_sql(struct module_state *state, PyObject *sql, const char *method, Py_ssize_t *size)
{
    const char *text;

    if (!PyUnicode_Check(sql)) {
        PyErr_Format(PyExc_TypeError, "%s() argument 1 must be str, not %.50s", method,
                     sql == Py_None ? "None" : Py_TYPE(sql)->tp_name);
        return NULL;
    }
    text = PyUnicode_AsUTF8AndSize(sql, size);
    if (text != NULL && strlen(text) != (size_t)*size) {
        PyErr_SetString(state->ProgrammingError, "the query contains a null character");
        return NULL;
    }
    return text;
}

/* -- values up ---------------------------------------------------------------- */

/* The exception for bytes that are not UTF-8, in place of UnicodeDecodeError. */
static void
raise_undecodable(struct module_state *state, const struct csq_cell *cell, const char *column)
{
    char message[199];
    int most = cell->size < sizeof message ? (int)cell->size : (int)sizeof message;
    int size;
    PyObject *text;

    if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        return;
    }
    PyErr_Clear();
    size = snprintf(message, sizeof message,
                    "Could not decode to UTF-8 column '%s' with text '%.*s'", column, most,
                    cell->value.bytes);
    /* As the sqlite3 module words it: as much as fits, and of that the ASCII. */
    size = size < (int)sizeof message ? size : (int)sizeof message - 1;
    text = PyUnicode_DecodeASCII(message, size, "replace");
    if (text != NULL) {
        PyErr_SetObject(state->OperationalError, text);
        Py_DECREF(text);
    }
}

PyObject *
convert_text(struct module_state *state, const struct csq_cell *cell, PyObject *factory,
             const char *column)
{
    const char *bytes = cell->value.bytes;
    Py_ssize_t size = (Py_ssize_t)cell->size;
    PyObject *text;

    if (factory == (PyObject *)&PyBytes_Type) {
        return PyBytes_FromStringAndSize(bytes, size);
    }
    if (factory == (PyObject *)&PyByteArray_Type) {
        return PyByteArray_FromStringAndSize(bytes, size);
    }
    if (factory != (PyObject *)&PyUnicode_Type) {
        /* It may replace itself while it is called. */
        Py_INCREF(factory);
        text = PyObject_CallFunction(factory, "y#", bytes, size);
        Py_DECREF(factory);
        return text;
    }
    if (cell->ascii && size > 0) {
        text = PyUnicode_New(size, 127);
        if (text != NULL) {
            memcpy(PyUnicode_1BYTE_DATA(text), bytes, (size_t)size);
        }
        return text;
    }
    text = PyUnicode_DecodeUTF8(bytes, size, NULL);
    if (text == NULL) {
        raise_undecodable(state, cell, column);
    }
    return text;
}

PyObject *
convert_value(sqlite3_value *value)
{
    switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
        return PyLong_FromLongLong(sqlite3_value_int64(value));
    case SQLITE_FLOAT:
        return PyFloat_FromDouble(sqlite3_value_double(value));
    case SQLITE_TEXT: {
        const char *text = (const char *)sqlite3_value_text(value);

        return PyUnicode_FromStringAndSize(text, sqlite3_value_bytes(value));
    }
    case SQLITE_BLOB: {
        const char *blob = sqlite3_value_blob(value);

        return PyBytes_FromStringAndSize(blob, sqlite3_value_bytes(value));
    }
    default:
        return Py_NewRef(Py_None);
    }
}

int
convert_arguments(int count, sqlite3_value **values, PyObject **arguments)
{
    for (int i = 0; i < count; i++) {
        arguments[i] = convert_value(values[i]);
        if (arguments[i] == NULL) {
            while (i-- > 0) {
                Py_DECREF(arguments[i]);
            }
            return -1;
        }
    }
    return 0;
}

static int
result_buffer(sqlite3_context *sql_call, PyObject *value)
{
    Py_buffer view;

    if (PyObject_GetBuffer(value, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    sqlite3_result_blob64(sql_call, view.buf, (sqlite3_uint64)view.len, SQLITE_TRANSIENT);
    PyBuffer_Release(&view);
    return 0;
}

int
convert_result(struct module_state *state, sqlite3_context *sql_call, PyObject *value)
{
    if (value == Py_None) {
        sqlite3_result_null(sql_call);
        return 0;
    }
    if (PyLong_Check(value)) {
        int overflow;
        long long integer = PyLong_AsLongLongAndOverflow(value, &overflow);

        if (overflow != 0) {
            PyErr_SetString(PyExc_OverflowError,
                            "Python int too large to convert to SQLite INTEGER");
            return -1;
        }
        sqlite3_result_int64(sql_call, integer);
        return 0;
    }
    if (PyFloat_Check(value)) {
        sqlite3_result_double(sql_call, PyFloat_AS_DOUBLE(value));
        return 0;
    }
    if (PyUnicode_Check(value)) {
        Py_ssize_t size;
        const char *text = PyUnicode_AsUTF8AndSize(value, &size);

        if (text == NULL) {
            return -1;
        }
        sqlite3_result_text64(sql_call, text, (sqlite3_uint64)size, SQLITE_TRANSIENT,
                              SQLITE_UTF8);
        return 0;
    }
    if (PyObject_CheckBuffer(value)) {
        return result_buffer(sql_call, value);
    }
    PyErr_Format(state->ProgrammingError,
                 "User-defined functions cannot return '%s' values to SQLite",
                 Py_TYPE(value)->tp_name);
    return -1;
}
