/* Decoding. Every size is checked against what is left of the element around it
 * before a byte is looked at, and every payload against its grammar: what is not
 * JSONB is a ValueError, whatever the bytes. */

#include "binding/jsonb.h"

#include <stdbool.h>

#include "binding/args.h"

struct reader {
    const unsigned char *bytes;
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

static PyObject *read_value(struct reader *reader, Py_ssize_t at, Py_ssize_t end, int depth,
                            Py_ssize_t *next);

PyObject *
jsonb_malformed(Py_ssize_t offset, const char *reason)
{
    return PyErr_Format(PyExc_ValueError, "malformed JSONB at byte %zd: %s", offset, reason);
}

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

static bool
is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static bool
is_hex(unsigned char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* The value of a hexadecimal digit. */
static unsigned
hex(unsigned char c)
{
    return is_digit(c) ? c - (unsigned)'0' : (c | 0x20u) - 'a' + 10u;
}

/* Moves *at behind the digits there, and gives how many there are. */
static Py_ssize_t
skip_digits(const unsigned char **at, const unsigned char *end)
{
    const unsigned char *start = *at;

    while (*at < end && is_digit(**at)) {
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
    for (at += 2; at < end && is_hex(*at); at++) {
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

/* -- texts -------------------------------------------------------------------- */

/* Puts a character as UTF-8, a surrogate too; gives where it ends. */
static unsigned char *
put_character(unsigned char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (unsigned char)c;
        return out;
    }
    if (c < 0x800) {
        *out++ = (unsigned char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *out++ = (unsigned char)(0xe0 | c >> 12);
        } else {
            *out++ = (unsigned char)(0xf0 | c >> 18);
            *out++ = (unsigned char)(0x80 | (c >> 12 & 0x3f));
        }
        *out++ = (unsigned char)(0x80 | (c >> 6 & 0x3f));
    }
    *out++ = (unsigned char)(0x80 | (c & 0x3f));
    return out;
}

/* Reads the `digits` hexadecimal digits at `at`. */
static bool
read_hex(const unsigned char *at, const unsigned char *end, int digits, uint32_t *value)
{
    *value = 0;
    if (end - at < digits) {
        return false;
    }
    for (int i = 0; i < digits; i++) {
        if (!is_hex(at[i])) {
            return false;
        }
        *value = *value << 4 | hex(at[i]);
    }
    return true;
}

/* \uXXXX, and the second half of a pair where there is one. Gives how many bytes
 * follow the backslash; 0: malformed. */
static Py_ssize_t
read_unicode(const unsigned char *at, const unsigned char *end, uint32_t *c)
{
    uint32_t low;

    if (!read_hex(at + 1, end, 4, c)) {
        return 0;
    }
    if ((*c & 0xfc00) == 0xd800 && end - at >= 11 && at[5] == '\\' && at[6] == 'u' &&
        read_hex(at + 7, end, 4, &low) && (low & 0xfc00) == 0xdc00) {
        *c = ((*c & 0x3ff) << 10) + (low & 0x3ff) + 0x10000;
        return 11;
    }
    return 5;
}

/* Reads the escape behind a backslash. Gives how many bytes it has; 0: malformed.
 * *c is the character, or nothing (UINT32_MAX) where JSON5 continues a line. */
static Py_ssize_t
read_escape(const unsigned char *at, const unsigned char *end, bool json5, uint32_t *c)
{
    static const char named[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    const char *found = at < end && *at != '\0' ? strchr(named, *at) : NULL;

    *c = UINT32_MAX;
    if (found != NULL) {
        *c = (unsigned char)meant[found - named];
        return 1;
    }
    if (at < end && *at == 'u') {
        return read_unicode(at, end, c);
    }
    if (at == end || !json5) {
        return 0;
    }
    switch (*at) {
    case '\'':
        *c = '\'';
        return 1;
    case 'v':
        *c = '\v';
        return 1;
    case '0':
        *c = 0;
        return end - at > 1 && is_digit(at[1]) ? 0 : 1;
    case 'x':
        return read_hex(at + 1, end, 2, c) ? 3 : 0;
    case '\n':
        return 1;
    case '\r':
        return end - at > 1 && at[1] == '\n' ? 2 : 1;
    case 0xe2:
        return end - at > 2 && at[1] == 0x80 && (at[2] | 1) == 0xa9 ? 3 : 0;
    default:
        return 0;
    }
}

/* Writes what the escapes mean into `out`, which has room for `size` bytes: no
 * escape is shorter than its character. Gives the end, or NULL with ValueError. */
static unsigned char *
unescape(enum jsonb_type type, const unsigned char *bytes, Py_ssize_t size, Py_ssize_t offset,
         unsigned char *out, bool *surrogates)
{
    const unsigned char *at = bytes;
    const unsigned char *end = bytes + size;

    while (at < end) {
        uint32_t c;
        Py_ssize_t length;

        if (type == JSONB_TEXTJ && (*at < 0x20 || *at == '"')) {
            jsonb_malformed(offset + (at - bytes), "a character that must be escaped");
            return NULL;
        }
        if (*at != '\\') {
            *out++ = *at++;
            continue;
        }
        at++;
        length = read_escape(at, end, type == JSONB_TEXT5, &c);
        if (length == 0) {
            jsonb_malformed(offset + (at - bytes) - 1, "no such escape");
            return NULL;
        }
        at += length;
        if (c != UINT32_MAX) {
            *surrogates = *surrogates || (c & 0xfffff800) == 0xd800;
            out = put_character(out, c);
        }
    }
    return out;
}

/* As jsonb_text(), of a text with escapes. */
static PyObject *
escaped_text(enum jsonb_type type, const unsigned char *bytes, Py_ssize_t size, Py_ssize_t offset)
{
    unsigned char *buffer = PyMem_Malloc((size_t)size + 1);
    unsigned char *end;
    PyObject *text = NULL;
    bool surrogates = false;

    if (buffer == NULL) {
        return PyErr_NoMemory();
    }
    end = unescape(type, bytes, size, offset, buffer, &surrogates);
    if (end != NULL && surrogates) {
        /* Half a pair may be written as an escape, and nowhere else. */
        text = PyUnicode_DecodeUTF8((const char *)bytes, size, NULL);
        Py_XDECREF(text);
        end = text == NULL ? NULL : end;
    }
    text = NULL;
    if (end != NULL) {
        text = PyUnicode_DecodeUTF8((const char *)buffer, end - buffer,
                                    surrogates ? "surrogatepass" : NULL);
    }
    PyMem_Free(buffer);
    return text;
}

PyObject *
jsonb_text(enum jsonb_type type, const unsigned char *bytes, Py_ssize_t size, Py_ssize_t offset)
{
    if (type == JSONB_TEXTJ || type == JSONB_TEXT5) {
        return escaped_text(type, bytes, size, offset);
    }
    for (Py_ssize_t i = 0; i < size && type == JSONB_TEXT; i++) {
        if (bytes[i] < 0x20 || bytes[i] == '"' || bytes[i] == '\\') {
            return jsonb_malformed(offset + i, "a character that must be escaped");
        }
    }
    return PyUnicode_DecodeUTF8((const char *)bytes, size, NULL);
}

static PyObject *
read_text(const struct reader *reader, const struct element *element)
{
    return jsonb_text(element->type, reader->bytes + element->body, element->end - element->body,
                      element->body);
}

/* -- containers --------------------------------------------------------------- */

static PyObject *
read_array(struct reader *reader, const struct element *element, int depth)
{
    PyObject *list = PyList_New(0);
    Py_ssize_t at = element->body;

    while (list != NULL && at < element->end) {
        PyObject *item = read_value(reader, at, element->end, depth, &at);

        if (item == NULL || PyList_Append(list, item) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(item);
    }
    return list;
}

/* Reads a key and its value from `*at`. 0, or -1 with an exception. */
static int
read_member(struct reader *reader, const struct element *element, int depth, Py_ssize_t *at,
            PyObject **key, PyObject **value)
{
    struct element label;

    *key = NULL;
    *value = NULL;
    if (read_header(reader, *at, element->end, &label) < 0) {
        return -1;
    }
    if (label.type < JSONB_TEXT || label.type > JSONB_TEXTRAW) {
        jsonb_malformed(label.start, "a key that is no text");
        return -1;
    }
    *key = read_text(reader, &label);
    if (*key != NULL) {
        *value = read_value(reader, label.end, element->end, depth, at);
    }
    return *value == NULL ? -1 : 0;
}

/* What the hooks make of an object's members, which it takes. */
static PyObject *
finish_object(const struct reader *reader, PyObject *members)
{
    PyObject *hook = reader->pairs_hook != NULL ? reader->pairs_hook : reader->object_hook;
    PyObject *result;

    if (members == NULL || hook == NULL) {
        return members;
    }
    result = PyObject_CallOneArg(hook, members);
    Py_DECREF(members);
    return result;
}

static PyObject *
read_object(struct reader *reader, const struct element *element, int depth)
{
    bool pairs = reader->pairs_hook != NULL;
    PyObject *members = pairs ? PyList_New(0) : PyDict_New();
    Py_ssize_t at = element->body;

    while (members != NULL && at < element->end) {
        PyObject *key;
        PyObject *value;
        int rc = read_member(reader, element, depth, &at, &key, &value);

        if (rc == 0 && pairs) {
            PyObject *pair = PyTuple_Pack(2, key, value);

            rc = pair == NULL ? -1 : PyList_Append(members, pair);
            Py_XDECREF(pair);
        } else if (rc == 0) {
            rc = PyDict_SetItem(members, key, value);
        }
        Py_XDECREF(key);
        Py_XDECREF(value);
        if (rc < 0) {
            Py_CLEAR(members);
        }
    }
    return finish_object(reader, members);
}

/* Reads the element at `at`; *next is where it ends. NULL with an exception. */
static PyObject *
read_value(struct reader *reader, Py_ssize_t at, Py_ssize_t end, int depth, Py_ssize_t *next)
{
    struct element element;

    if (read_header(reader, at, end, &element) < 0) {
        return NULL;
    }
    *next = element.end;
    switch (element.type) {
    case JSONB_NULL:
    case JSONB_TRUE:
    case JSONB_FALSE:
        if (element.end - element.start != 1) {
            return jsonb_malformed(element.start, "a constant with a payload");
        }
        return Py_NewRef(element.type == JSONB_NULL   ? Py_None
                         : element.type == JSONB_TRUE ? Py_True
                                                      : Py_False);
    case JSONB_INT:
    case JSONB_INT5:
        return read_integer(reader, &element);
    case JSONB_FLOAT:
    case JSONB_FLOAT5:
        return read_real(reader, &element);
    case JSONB_TEXT:
    case JSONB_TEXTJ:
    case JSONB_TEXT5:
    case JSONB_TEXTRAW:
        return read_text(reader, &element);
    case JSONB_ARRAY:
    case JSONB_OBJECT:
        if (depth >= JSONB_DEPTH) {
            return jsonb_malformed(element.start, "nested too deeply");
        }
        return element.type == JSONB_ARRAY ? read_array(reader, &element, depth + 1)
                                           : read_object(reader, &element, depth + 1);
    default:
        return jsonb_malformed(element.start, "no such type");
    }
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
    struct reader reader;
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
    result = read_value(&reader, 0, view.len, 0, &end);
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
