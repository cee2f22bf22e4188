/* JSONB, SQLite's binary form of JSON (sqlite.org/jsonb.html), to and from Python.
 *
 * Any thread, GIL held. Nothing here asks SQLite: encoding and decoding need no
 * connection. */

#ifndef CSQ_JSONB_H
#define CSQ_JSONB_H

#include <stdbool.h>

#include "bridge/compat.h"

/* The type of an element, the low four bits of its first byte. */
enum jsonb_type {
    JSONB_NULL,
    JSONB_TRUE,
    JSONB_FALSE,
    JSONB_INT,
    JSONB_INT5, /* hexadecimal, as JSON5 has it */
    JSONB_FLOAT,
    JSONB_FLOAT5,  /* begins or ends with its point */
    JSONB_TEXT,    /* holds nothing that JSON escapes */
    JSONB_TEXTJ,   /* holds JSON's escapes */
    JSONB_TEXT5,   /* holds JSON5's escapes */
    JSONB_TEXTRAW, /* holds what JSON would have to escape */
    JSONB_ARRAY,
    JSONB_OBJECT,
};

/* What SQLite reads: arrays and objects within one another, the outermost included. */
enum { JSONB_DEPTH = 1000 };

static inline bool
jsonb_is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static inline bool
jsonb_is_hex(unsigned char c)
{
    return jsonb_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Gives the str that the payload of a text element means; NULL with ValueError. It
 * begins `offset` bytes into the whole, for the message. */
PyObject *jsonb_text(enum jsonb_type type, const unsigned char *bytes, Py_ssize_t size,
                     Py_ssize_t offset);

/* Raises the ValueError of an element that begins or breaks at byte `offset`. NULL. */
PyObject *jsonb_malformed(Py_ssize_t offset, const char *reason);

/* The functions jsonb_encode and jsonb_decode. */
extern PyMethodDef jsonb_encode_methods[];
extern PyMethodDef jsonb_decode_methods[];

#endif
