/* Arguments of a vectorcall method, by position or by name. */

#ifndef CSQ_ARGS_H
#define CSQ_ARGS_H

#include "bridge/compat.h"

/* The flags of a method that parses its arguments with args_parse(). */
#define ARGS_FASTCALL (METH_FASTCALL | METH_KEYWORDS)

/* What a method takes. */
struct args_spec {
    const char *method;       /* for messages */
    int count;                /* how many arguments there are, at most ARGS_MAX */
    int required;             /* the first so many must be given */
    int positional;           /* the first so many may be given by position */
    const char *const *names; /* all `count` of them */
};

enum { ARGS_MAX = 8 };

/* Fills values[count] with borrowed references, NULL where nothing was given.
 * 0, or -1 with TypeError. */
int args_parse(const struct args_spec *spec, PyObject *const *args, Py_ssize_t nargs,
               PyObject *kwnames, PyObject **values);

/* Calls `function` of the Python module csqlite.foreign with `self` in front of
 * the arguments: what serves a connection that is not csqlite's own. */
PyObject *args_forward(const char *function, PyObject *self, PyObject *const *args,
                       Py_ssize_t nargs, PyObject *kwnames);

#endif
