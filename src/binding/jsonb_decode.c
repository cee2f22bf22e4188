/* Decoding. Every size is checked against what is left of the element around it
 * before a byte is looked at, and every payload against its grammar: what is not
 * JSONB is a ValueError, whatever the bytes. */

#include "binding/jsonb.h"

#include <stdbool.h>

#include "binding/args.h"

/* An array or object that is being read. */
struct level {
    PyObject *holder; /* owned: a list or dict */
    PyObject *key;    /* owned: that of the value to come; NULL in an array */
    Py_ssize_t end;
    bool is_object;
};

struct reader {
    const unsigned char *bytes;
    struct level *levels; /* the outermost first */
    int depth;            /* how many there are */
    int room;
    PyObject *object_hook; /* each of these NULL: none */
    PyObject *pairs_hook;
    PyObject *parse_int;
    PyObject *parse_float;
};

struct element {
    enum jsonb_type type;
    Py_ssize_t start; /* of the header */
    Py_ssize_t body;  /* of the payload */
    Py_ssize_t end;
};

/* Reads the header at `at`, whose element must end by `end`. 0, or -1 with ValueError. */
static int
read_header(const struct reader *reader, Py_ssize_t at, Py_ssize_t end, struct element *element)
{
    unsigned code;
    Py_ssize_t rest;
    uint64_t size = 0;

    if (at >= end) {
        jsonb_malformed(at, "an element is missing");
        return -1;
    }
    code = reader->bytes[at] >> 4;
    rest = code <= 11 ? 0 : (Py_ssize_t)1 << (code - 12);
    if (rest >= end - at) {
        jsonb_malformed(at, "the header is cut off");
        return -1;
    }
    for (Py_ssize_t i = 1; i <= rest; i++) {
        size = size << 8 | reader->bytes[at + i];
    }
    if (code <= 11) {
        size = code;
    }
    if (size > (uint64_t)(end - at - 1 - rest)) {
        jsonb_malformed(at, "the element is longer than what holds it");
        return -1;
    }
    element->type = (enum jsonb_type)(reader->bytes[at] & 0x0f);
    element->start = at;
    element->body = at + 1 + rest;
    element->end = element->body + (Py_ssize_t)size;
    return 0;
}

/* -- numbers ------------------------------------------------------------------ */

/* Moves *at behind the digits there, and gives how many there are. */
static Py_ssize_t
skip_digits(const unsigned char **at, const unsigned char *end)
{
    const unsigned char *start = *at;

    while (*at < end && jsonb_is_digit(**at)) {
        ++*at;
    }
    return *at - start;
}

/* A whole number as JSON has it: no zero in front of other digits. */
static bool
is_integer(const unsigned char *at, const unsigned char *end)
{
    at += at < end && *at == '-';
    if (end - at > 1 && *at == '0') {
        return false;
    }
    return skip_digits(&at, end) > 0 && at == end;
}

static bool
is_hexadecimal(const unsigned char *at, const unsigned char *end)
{
    at += at < end && *at == '-';
    if (end - at < 3 || at[0] != '0' || (at[1] | 0x20) != 'x') {
        return false;
    }
    for (at += 2; at < end && jsonb_is_hex(*at); at++) {
    }
    return at == end;
}

/* A number with a point or an exponent. JSON5 lets digits be missing on one side of
 * the point, and zeros stand in front. */
static bool
is_real(const unsigned char *at, const unsigned char *end, bool json5)
{
    Py_ssize_t whole;
    Py_ssize_t fraction = 0;
    bool point = false;
    bool zero;

    at += at < end && *at == '-';
    zero = at < end && *at == '0';
    whole = skip_digits(&at, end);
    if (at < end && *at == '.') {
        at++;
        point = true;
        fraction = skip_digits(&at, end);
    }
    if (whole + fraction == 0 ||
        (!json5 && (whole == 0 || (zero && whole > 1) || (point && fraction == 0)))) {
        return false;
    }
    if (at < end && (*at | 0x20) == 'e') {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        return skip_digits(&at, end) > 0 && at == end;
    }
    return point && at == end;
}

/* Gives `hook(text)`, or with no hook the int or float that the text is. */
static PyObject *
read_number(PyObject *hook, bool real, const unsigned char *bytes, Py_ssize_t size, int base)
{
    PyObject *text = PyUnicode_FromStringAndSize((const char *)bytes, size);
    PyObject *number = NULL;

    if (text == NULL) {
        return NULL;
    }
    if (hook != NULL) {
        number = PyObject_CallOneArg(hook, text);
    } else if (real) {
        number = PyFloat_FromString(text);
    } else {
        number = PyLong_FromUnicodeObject(text, base);
    }
    Py_DECREF(text);
    return number;
}

static PyObject *
read_integer(const struct reader *reader, const struct element *element)
{
    const unsigned char *at = reader->bytes + element->body;
    const unsigned char *end = reader->bytes + element->end;
    bool negative = at < end && *at == '-';
    long long value = 0;

    if (element->type == JSONB_INT5) {
        return is_hexadecimal(at, end) ? read_number(reader->parse_int, false, at, end - at, 16)
                                       : jsonb_malformed(element->start, "not a number");
    }
    if (!is_integer(at, end)) {
        return jsonb_malformed(element->start, "not a number");
    }
    if (reader->parse_int != NULL || end - at > 18) {
        return read_number(reader->parse_int, false, at, end - at, 10);
    }
    for (at += negative; at < end; at++) {
        value = 10 * value + (*at - '0');
    }
    return PyLong_FromLongLong(negative ? -value : value);
}

static PyObject *
read_real(const struct reader *reader, const struct element *element)
{
    const unsigned char *at = reader->bytes + element->body;
    const unsigned char *end = reader->bytes + element->end;

    if (!is_real(at, end, element->type == JSONB_FLOAT5)) {
        return jsonb_malformed(element->start, "not a number");
    }
    return read_number(reader->parse_float, true, at, end - at, 0);
}

/* -- constants ---------------------------------------------------------------- */

static PyObject *
read_constant(const struct element *element)
{
    if (element->end - element->start != 1) {
        return jsonb_malformed(element->start, "a constant with a payload");
    }
    return Py_NewRef(element->type == JSONB_NULL   ? Py_None
                     : element->type == JSONB_TRUE ? Py_True
                                                   : Py_False);
}

/* -- texts -------------------------------------------------------------------- */

static PyObject *
read_text(const struct reader *reader, const struct element *element)
{
    return jsonb_text(element->type, reader->bytes + element->body, element->end - element->body,
                      element->body);
}

/* -- containers --------------------------------------------------------------- */

/* The levels stand on the heap, so that the deepest ones read in the smallest stack. */
static int
begin_level(struct reader *reader, const struct element *element)
{
    bool is_object = element->type == JSONB_OBJECT;
    struct level *level;

    if (reader->depth >= JSONB_DEPTH) {
        jsonb_malformed(element->start, "nested too deeply");
        return -1;
    }
    if (reader->depth == reader->room) {
        int room = reader->room == 0 ? 16 : 2 * reader->room;

        level = PyMem_Realloc(reader->levels, (size_t)room * sizeof *level);
        if (level == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        reader->levels = level;
        reader->room = room;
    }
    level = &reader->levels[reader->depth];
    *level = (struct level){.end = element->end, .is_object = is_object};
    level->holder = is_object && reader->pairs_hook == NULL ? PyDict_New() : PyList_New(0);
    if (level->holder == NULL) {
        return -1;
    }
    reader->depth++;
    return 0;
}

/* Reads the key at *at, and moves behind it. 0, or -1 with an exception. */
static int
read_key(const struct reader *reader, struct level *level, Py_ssize_t *at)
{
    struct element label;

    if (read_header(reader, *at, level->end, &label) < 0) {
        return -1;
    }
    if (label.type < JSONB_TEXT || label.type > JSONB_TEXTRAW) {
        jsonb_malformed(label.start, "a key that is no text");
        return -1;
    }
    level->key = read_text(reader, &label);
    *at = label.end;
    return level->key == NULL ? -1 : 0;
}

static int
put_value(const struct reader *reader, struct level *level, PyObject *value)
{
    PyObject *pair;
    int rc;

    if (!level->is_object) {
        return PyList_Append(level->holder, value);
    }
    if (reader->pairs_hook == NULL) {
        rc = PyDict_SetItem(level->holder, level->key, value);
    } else {
        pair = PyTuple_Pack(2, level->key, value);
        rc = pair == NULL ? -1 : PyList_Append(level->holder, pair);
        Py_XDECREF(pair);
    }
    Py_CLEAR(level->key);
    return rc;
}

/* Ends the innermost level. Gives what the hooks make of it. */
static PyObject *
end_level(struct reader *reader)
{
    const struct level *level = &reader->levels[--reader->depth];
    PyObject *hook = reader->pairs_hook != NULL ? reader->pairs_hook : reader->object_hook;
    PyObject *holder = level->holder;
    PyObject *result;

    if (!level->is_object || hook == NULL) {
        return holder;
    }
    result = PyObject_CallOneArg(hook, holder);
    Py_DECREF(holder);
    return result;
}

/* Reads the element at *at, which ends by `end`, and moves behind it: *value; or begins the
 * array or object there, and moves into it. 0, or -1 with an exception. */
static int
read_element(struct reader *reader, Py_ssize_t *at, Py_ssize_t end, PyObject **value)
{
    struct element element;

    if (read_header(reader, *at, end, &element) < 0) {
        return -1;
    }
    *at = element.end;
    switch (element.type) {
    case JSONB_NULL:
    case JSONB_TRUE:
    case JSONB_FALSE:
        *value = read_constant(&element);
        break;
    case JSONB_INT:
    case JSONB_INT5:
        *value = read_integer(reader, &element);
        break;
    case JSONB_FLOAT:
    case JSONB_FLOAT5:
        *value = read_real(reader, &element);
        break;
    case JSONB_TEXT:
    case JSONB_TEXTJ:
    case JSONB_TEXT5:
    case JSONB_TEXTRAW:
        *value = read_text(reader, &element);
        break;
    case JSONB_ARRAY:
    case JSONB_OBJECT:
        *at = element.body;
        return begin_level(reader, &element);
    default:
        *value = jsonb_malformed(element.start, "no such type");
    }
    return *value == NULL ? -1 : 0;
}

/* Puts *value, unless it is NULL, into what holds it, and ends the levels that end at *at.
 * Afterwards *value is the whole, or NULL: there is more to read. 0, or -1 with an exception. */
static int
settle(struct reader *reader, Py_ssize_t *at, PyObject **value)
{
    while (reader->depth > 0) {
        struct level *level = &reader->levels[reader->depth - 1];
        int rc = *value == NULL ? 0 : put_value(reader, level, *value);

        Py_CLEAR(*value);
        if (rc < 0) {
            return -1;
        }
        if (*at < level->end) {
            return level->is_object ? read_key(reader, level, at) : 0;
        }
        *value = end_level(reader);
        if (*value == NULL) {
            return -1;
        }
    }
    return 0;
}

/* Reads what the `size` bytes begin with; *end is where it ends. NULL with an exception. */
static PyObject *
read_tree(struct reader *reader, Py_ssize_t size, Py_ssize_t *end)
{
    PyObject *value = NULL;
    int rc;

    *end = 0;
    do {
        Py_ssize_t limit = reader->depth == 0 ? size : reader->levels[reader->depth - 1].end;

        rc = read_element(reader, end, limit, &value);
        if (rc == 0) {
            rc = settle(reader, end, &value);
        }
    } while (rc == 0 && value == NULL);
    while (reader->depth > 0) {
        reader->depth--;
        Py_XDECREF(reader->levels[reader->depth].key);
        Py_DECREF(reader->levels[reader->depth].holder);
    }
    PyMem_Free(reader->levels);
    return value;
}

/* -- the function ------------------------------------------------------------- */

PyDoc_STRVAR(
    jsonb_decode_doc,
    "jsonb_decode($module, data, *, object_hook=None, object_pairs_hook=None, parse_int=None,\n"
    "             parse_float=None)\n--\n\n"
    "Give the object that JSONB means: a BLOB that jsonb() or jsonb_encode() has made.\n\n"
    "data: bytes, or anything else with a buffer. object_hook, object_pairs_hook, parse_int,\n"
    "parse_float: as in json.loads(); numbers are handed over as they stand in the JSON.\n"
    "JSON5's numbers and escapes are understood. Of a key that comes twice the last value\n"
    "counts.\n\n"
    "Raises ValueError when the bytes are not JSONB, or nested deeper than 1000 levels. It is\n"
    "as strict as json_valid(data, 8), and strict about UTF-8 and zeros in front of numbers,\n"
    "too. As apsw's jsonb_decode().");

static PyObject *
given(PyObject *value)
{
    return value == Py_None ? NULL : value;
}

static PyObject *
jsonb_decode(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"data", "object_hook", "object_pairs_hook", "parse_int",
                                        "parse_float"};
    static const struct args_spec spec = {"jsonb_decode", 5, 1, 1, names};
    struct reader reader = {NULL};
    PyObject *values[5];
    PyObject *result;
    Py_ssize_t end;
    Py_buffer view;

    (void)module;
    if (args_parse(&spec, args, nargs, kwnames, values) < 0 ||
        PyObject_GetBuffer(values[0], &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    reader.bytes = view.buf;
    reader.object_hook = given(values[1]);
    reader.pairs_hook = given(values[2]);
    reader.parse_int = given(values[3]);
    reader.parse_float = given(values[4]);
    result = read_tree(&reader, view.len, &end);
    if (result != NULL && end != view.len) {
        Py_CLEAR(result);
        jsonb_malformed(end, "more bytes than the element has");
    }
    PyBuffer_Release(&view);
    return result;
}

PyMethodDef jsonb_decode_methods[] = {
    {"jsonb_decode", (PyCFunction)(void (*)(void))jsonb_decode, ARGS_FASTCALL, jsonb_decode_doc},
    {NULL, NULL, 0, NULL},
};
