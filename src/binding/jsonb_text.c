/* Texts: each of the four ways in which JSONB writes one is held to its grammar. */

#include "binding/jsonb.h"

#include <stdbool.h>

PyObject *
jsonb_malformed(Py_ssize_t offset, const char *reason)
{
    return PyErr_Format(PyExc_ValueError, "malformed JSONB at byte %zd: %s", offset, reason);
}

/* The value of a hexadecimal digit. */
static unsigned
hex(unsigned char c)
{
    return jsonb_is_digit(c) ? c - (unsigned)'0' : (c | 0x20u) - 'a' + 10u;
}

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
        if (!jsonb_is_hex(at[i])) {
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
        return end - at > 1 && jsonb_is_digit(at[1]) ? 0 : 1;
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
