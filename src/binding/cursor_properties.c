/* The properties of a cursor. Those of sqlite3's cursor are the foreign one's where there
 * is one (attributes.h). */

#include "binding/attributes.h"
#include "binding/cursor.h"
#include "binding/rows.h"

static PyObject *
get_description(CursorObject *self, void *closure)
{
    (void)closure;
    return rows_description(self);
}

static PyObject *
get_rowcount(CursorObject *self, void *closure)
{
    (void)closure;
    return PyLong_FromLongLong(self->rowcount);
}

static PyObject *
get_lastrowid(CursorObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef(self->lastrowid == NULL ? Py_None : self->lastrowid);
}

static PyObject *
get_row_factory(CursorObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef(self->row_factory == NULL ? Py_None : self->row_factory);
}

static int
set_row_factory(CursorObject *self, PyObject *value, void *closure)
{
    (void)closure;
    Py_XSETREF(self->row_factory, Py_NewRef(value));
    return 0;
}

static PyObject *
get_arraysize(CursorObject *self, void *closure)
{
    (void)closure;
    return PyLong_FromSsize_t(self->arraysize);
}

static int
set_arraysize(CursorObject *self, PyObject *value, void *closure)
{
    Py_ssize_t size = PyNumber_AsSsize_t(value, PyExc_OverflowError);

    (void)closure;
    if (size == -1 && PyErr_Occurred()) {
        return -1;
    }
    self->arraysize = size;
    return 0;
}

/* -- what a foreign cursor does not have -------------------------------------- */

/* What made it. The sqlite3 cursor's is of its own kind, too: that is RawCursor's. */
static PyObject *
get_connection(CursorObject *self, void *closure)
{
    (void)closure;
    return cursor_check(self) < 0 ? NULL : Py_NewRef((PyObject *)self->connection);
}

static PyObject *
get_conn(CursorObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef(self->connection == NULL ? Py_None : (PyObject *)self->connection);
}

static PyObject *
get_cursor(CursorObject *self, void *closure)
{
    PyObject *view;
    PyObject *raw;

    (void)closure;
    if (self->foreign != NULL) {
        return Py_NewRef(self->foreign);
    }
    view = module_import("csqlite.raw", "RawCursor");
    if (view == NULL) {
        return NULL;
    }
    raw = PyObject_CallOneArg(view, (PyObject *)self);
    Py_DECREF(view);
    return raw;
}

/* -- the table ---------------------------------------------------------------- */

#define ATTRIBUTE(name, set)                                                                  \
    static const struct attribute name##_attribute = {#name, offsetof(CursorObject, foreign), \
                                                      NULL, (getter)get_##name, (setter)(set)}

ATTRIBUTE(description, NULL);
ATTRIBUTE(rowcount, NULL);
ATTRIBUTE(lastrowid, NULL);
ATTRIBUTE(row_factory, set_row_factory);
ATTRIBUTE(arraysize, set_arraysize);

PyGetSetDef cursor_getset[] = {
    {"description", attribute_get, NULL,
     "One 7-tuple a column, the name first; None when there is no result set.",
     (void *)&description_attribute},
    {"rowcount", attribute_get, NULL, "Rows changed by the last DML statement; -1 for any other.",
     (void *)&rowcount_attribute},
    {"lastrowid", attribute_get, NULL,
     "last_insert_rowid() after the last execute(); None before.", (void *)&lastrowid_attribute},
    {"row_factory", attribute_get, attribute_set, "As Connection.row_factory, for this cursor.",
     (void *)&row_factory_attribute},
    {"arraysize", attribute_get, attribute_set, "How many rows fetchmany() gives by default.",
     (void *)&arraysize_attribute},
    {"connection", (getter)get_connection, NULL, "The connection.", NULL},
    {"_conn", (getter)get_conn, NULL, "The connection.", NULL},
    {"_cursor", (getter)get_cursor, NULL, "The synchronous view of the cursor.", NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
