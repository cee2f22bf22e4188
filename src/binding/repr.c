/* What repr() says: for a connection its file and what state it is in, for a cursor its SQL and
 * the rows that are waiting. */

#include "binding/repr.h"

#include "binding/notes.h"

/* Whether a type of this module is one that the package exports. */
static bool
is_own(PyObject *module)
{
    const char *name = PyUnicode_Check(module) ? PyUnicode_AsUTF8(module) : NULL;

    if (name == NULL) {
        PyErr_Clear();
        return false;
    }
    return strncmp(name, "csqlite.", sizeof "csqlite." - 1) == 0;
}

PyObject *
repr_type(PyObject *self)
{
    PyObject *type = (PyObject *)Py_TYPE(self);
    PyObject *module = PyObject_GetAttrString(type, "__module__");
    PyObject *name = PyObject_GetAttrString(type, "__qualname__");
    PyObject *text = NULL;

    if (module != NULL && name != NULL) {
        text = is_own(module) ? PyUnicode_FromFormat("csqlite.%S", name)
                              : PyUnicode_FromFormat("%S.%S", module, name);
    }
    Py_XDECREF(module);
    Py_XDECREF(name);
    return text;
}

PyObject *
repr_database(ConnectionObject *self)
{
    PyObject *text;
    int rc = Py_ReprEnter((PyObject *)self);

    /* A connector may be anything, also a method of the connection itself. */
    if (rc != 0 || self->connector == NULL) {
        return rc < 0 ? NULL : PyUnicode_FromString("...");
    }
    text = PyObject_Repr(self->connector);
    Py_ReprLeave((PyObject *)self);
    return text;
}

/* Lends the words for the connection's state. */
static const char *
state_of(const ConnectionObject *self)
{
    static const char *const stages[] = {"not opened", "opening", "open", "closing", "closed"};

    if (self->forked) {
        return "the parent process's";
    }
    if (self->stage == CONNECTION_OPEN && self->executor->published != NULL &&
        atomic_load(&self->executor->published->in_transaction)) {
        return "open, in transaction";
    }
    return stages[self->stage];
}

PyObject *
connection_repr(ConnectionObject *self)
{
    PyObject *type = repr_type((PyObject *)self);
    PyObject *database = type == NULL ? NULL : repr_database(self);
    PyObject *text = NULL;

    if (database != NULL) {
        text = PyUnicode_FromFormat("<%U %U, %s, at %p>", type, database, state_of(self), self);
    }
    Py_XDECREF(type);
    Py_XDECREF(database);
    return text;
}

/* Gives the words for what the cursor has. */
static PyObject *
rows_of(const CursorObject *self)
{
    bool more = !self->exhausted;

    if (self->closed) {
        return PyUnicode_FromString("closed");
    }
    if (self->sql == NULL) {
        return PyUnicode_FromString("nothing executed");
    }
    if (self->columns == NULL) {
        return PyUnicode_FromString("no result");
    }
    return PyUnicode_FromFormat("%zu row%s waiting%s", self->strip.rows,
                                self->strip.rows == 1 ? "" : "s", more ? ", perhaps more" : "");
}

PyObject *
cursor_repr(CursorObject *self)
{
    PyObject *type = repr_type((PyObject *)self);
    PyObject *sql = notes_excerpt(self->sql == NULL ? Py_None : self->sql);
    PyObject *state = NULL;
    PyObject *text = NULL;

    if (self->foreign != NULL) {
        state = PyUnicode_FromFormat("of %R", self->foreign);
    } else if (self->connection == NULL) {
        state = PyUnicode_FromString("not initialized");
    } else {
        state = rows_of(self);
    }
    if (type != NULL && sql != NULL && state != NULL) {
        text = PyUnicode_FromFormat(PyUnicode_GET_LENGTH(sql) == 0 ? "<%U%U %U, at %p>"
                                                                   : "<%U %U, %U, at %p>",
                                    type, sql, state, self);
    }
    Py_XDECREF(type);
    Py_XDECREF(sql);
    Py_XDECREF(state);
    return text;
}
