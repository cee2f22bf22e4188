/* Properties of an object that may stand for a foreign one: a Connection over another
 * DB-API module, a Cursor of such a connection. Where there is a foreign object, its
 * attribute of that name is read and set; else the object's own functions are called.
 *
 * Loop thread, GIL held. */

#ifndef CSQ_ATTRIBUTES_H
#define CSQ_ATTRIBUTES_H

#include "bridge/compat.h"

/* 0, or -1 with an exception when the object cannot be asked. */
typedef int (*attribute_check)(PyObject *self);

/* What the closure of a PyGetSetDef points to. */
struct attribute {
    const char *name;      /* the foreign object's */
    size_t foreign;        /* where in the object the pointer to the foreign one stands */
    attribute_check check; /* before anything else; NULL: nothing */
    getter get;            /* called without a closure, when there is no foreign object … */
    setter set;            /* … and with a value that is not NULL; NULL: never called */
};

/* A getter and a setter. Deleting raises AttributeError. */
PyObject *attribute_get(PyObject *self, void *closure);
int attribute_set(PyObject *self, PyObject *value, void *closure);

#endif
