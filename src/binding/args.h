/* Arguments of a vectorcall method, by position or by name. */

#ifndef CSQ_ARGS_H
#define CSQ_ARGS_H

#include <stdbool.h>

#include "bridge/compat.h"

/* The flags of a method that parses its arguments with args_parse(). */
#define ARGS_FASTCALL (METH_FASTCALL | METH_KEYWORDS)

/* What a method takes. */
struct args_spec {
    const char *method;       /* for messages, which leave out what stands before a dot */
    int count;                /* how many arguments there are, at most ARGS_MAX */
    int required;             /* the first so many must be given */
    int positional;           /* the first so many may be given by position */
    const char *const *names; /* all `count` of them */
    int nameless;             /* the first so many cannot be given by name */
    bool plain;               /* none can; CPython counts arguments in other words then */
};

/* The spec of a method with these names, the first of which must be given, may be given by
 * position, and cannot be given by name. */
#define ARGS(method, required, positional, nameless, ...) \
    {(method),                                            \
     ARGS_COUNT(__VA_ARGS__),                             \
     (required),                                          \
     (positional),                                        \
     (const char *const[]){__VA_ARGS__},                  \
     (nameless),                                          \
     false}
#define ARGS_COUNT(...) (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* The spec of a method whose arguments all have no names. */
#define ARGS_PLAIN(method, required, ...) \
    {(method),                            \
     ARGS_COUNT(__VA_ARGS__),             \
     (required),                          \
     ARGS_COUNT(__VA_ARGS__),             \
     (const char *const[]){__VA_ARGS__},  \
     ARGS_COUNT(__VA_ARGS__),             \
     true}

/* The spec of a method that takes nothing, or nothing but `deadline`. */
#define ARGS_NONE(method) {(method), 0, 0, 0, NULL, 0, false}
#define ARGS_DEADLINE(method) ARGS(method, 0, 0, 0, "deadline")

/* Lends the name of the method without its class. */
const char *args_method(const struct args_spec *spec);

enum { ARGS_MAX = 8 };

/* Fills values[count] with borrowed references, NULL where nothing was given.
 * 0, or -1 with TypeError. */
int args_parse(const struct args_spec *spec, PyObject *const *args, Py_ssize_t nargs,
               PyObject *kwnames, PyObject **values);

/* Reads an integer that fits into a C int. 0, or -1 with TypeError or OverflowError. */
int args_int(PyObject *value, int *number);

/* Reads a rowid. 0, or -1 with TypeError or OverflowError. */
int args_rowid(PyObject *value, int64_t *rowid);

/* Lends the UTF-8 of a str without NUL, which is `argument` ("1", "'name'") of
 * `method`. NULL with TypeError, ValueError or UnicodeEncodeError. */
const char *args_text(PyObject *value, const char *method, const char *argument);

/* Gives what holds the bytes of a contiguous bytes-like object: itself, or a
 * memoryview that keeps it from being resized. NULL with TypeError or BufferError. */
PyObject *args_buffer(PyObject *value);

/* Lends the bytes that such an object holds. */
void args_lend(PyObject *buffer, const char **bytes, size_t *size);

/* Calls `function` of the Python module csqlite.foreign with `self` in front of
 * the arguments: what serves a connection that is not csqlite's own. */
PyObject *args_forward(const char *function, PyObject *self, PyObject *const *args,
                       Py_ssize_t nargs, PyObject *kwnames);

/* The same of another module. */
PyObject *args_forward_to(const char *module, const char *function, PyObject *self,
                          PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);

/* Reads an int; one that no C int holds becomes the nearest that one does, which is 1.
 * 0, or -1 with TypeError. */
int args_clamped(PyObject *value, int *number);

#endif
