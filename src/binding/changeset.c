/* Functions of bytes to bytes, which SQLite computes without a connection. The GIL is
 * released meanwhile, so a large changeset can be given to a thread. */

#include "binding/changeset.h"

#include <limits.h>

#include "binding/args.h"
#include "binding/change.h"
#include "binding/errors.h"

/* -- what all have in common -------------------------------------------------- */

PyObject *
changeset_bytes(PyObject *data)
{
    PyObject *bytes;

    if (!PyObject_CheckBuffer(data)) {
        return PyErr_Format(PyExc_TypeError, "a bytes-like object is required, not '%.100s'",
                            Py_TYPE(data)->tp_name);
    }
    /* Other buffers may be written to while SQLite reads. */
    bytes = PyBytes_CheckExact(data) ? Py_NewRef(data) : PyBytes_FromObject(data);
    if (bytes != NULL && PyBytes_GET_SIZE(bytes) > INT_MAX) {
        Py_CLEAR(bytes);
        PyErr_SetString(PyExc_OverflowError, "changeset longer than INT_MAX bytes");
    }
    return bytes;
}

PyObject *
changeset_fail(struct module_state *state, int rc)
{
    struct csq_error error;

    csq_error_init(&error);
    if (rc == SQLITE_CORRUPT) {
        csq_error_set(&error, rc, "malformed changeset");
    } else if (rc == SQLITE_SCHEMA) {
        csq_error_set(&error, rc, "the changesets are of tables that do not match");
    } else if (rc == SQLITE_ERROR) {
        csq_error_set(&error, rc, "a changeset and a patchset cannot be combined");
    } else {
        csq_error_copy(&error, NULL, rc);
    }
    errors_raise(state, &error, NULL);
    csq_error_clear(&error);
    return NULL;
}

int
changeset_check(struct module_state *state)
{
#ifdef SQLITE_ENABLE_SESSION
    (void)state;
    return 0;
#else
    PyErr_SetString(state->NotSupportedError,
                    "csqlite was built with an SQLite without sessions (SQLITE_ENABLE_SESSION)");
    return -1;
#endif
}

#ifdef SQLITE_ENABLE_SESSION

/* Gives bytes with what SQLite has made, which it takes. */
static PyObject *
take_output(void *output, int size)
{
    PyObject *bytes = PyBytes_FromStringAndSize(output, size);

    sqlite3_free(output);
    return bytes;
}

/* -- iterating ---------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    struct module_state *state;
    PyObject *data; /* bytes, which SQLite reads */
    sqlite3_changeset_iter *changes; /* NULL: at its end */
    bool running; /* a collection of garbage may ask for the next one meanwhile */
} IteratorObject;

/* Ends the iterator. Gives what SQLite says of the whole. */
static int
iterator_end(IteratorObject *self)
{
    int rc = self->changes == NULL ? SQLITE_OK : sqlite3changeset_finalize(self->changes);

    self->changes = NULL;
    return rc;
}

static PyObject *
iterator_next(IteratorObject *self)
{
    PyObject *change = NULL;
    int rc;

    if (self->running) {
        PyErr_SetString(PyExc_ValueError, "iterator already executing");
        return NULL;
    }
    if (self->changes == NULL) {
        return NULL;
    }
    self->running = true;
    rc = sqlite3changeset_next(self->changes);
    if (rc == SQLITE_ROW) {
        change = change_new(self->state, self->changes, 0);
    } else {
        iterator_end(self);
        if (rc != SQLITE_DONE) {
            changeset_fail(self->state, rc);
        }
    }
    self->running = false;
    return change;
}

static void
iterator_dealloc(IteratorObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    iterator_end(self);
    Py_XDECREF(self->data);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot iterator_slots[] = {
    {Py_tp_doc, "What Changeset.iter() gives: the changes, one after the other."},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iterator_next},
    {Py_tp_dealloc, iterator_dealloc},
    {0, NULL},
};

static PyType_Spec iterator_spec = {
    .name = "csqlite._csqlite.ChangesetIterator",
    .basicsize = sizeof(IteratorObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = iterator_slots,
};

/* -- Changeset ---------------------------------------------------------------- */

/* The state behind a static method, which is handed the type. */
static struct module_state *
state_of(PyObject *class)
{
    return module_state_of_type((PyTypeObject *)class);
}

static PyObject *
changeset_iter(PyObject *class, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"changeset", "flags"};
    static const struct args_spec spec = {"iter", 2, 1, 1, names};
    struct module_state *state = state_of(class);
    IteratorObject *iterator;
    PyObject *values[2];
    long flags = 0;
    int rc;

    if (state == NULL || args_parse(&spec, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    flags = values[1] == NULL ? 0 : PyLong_AsLong(values[1]);
    if (flags == -1 && PyErr_Occurred()) {
        return NULL;
    }
    iterator = (IteratorObject *)state->changes_type->tp_alloc(state->changes_type, 0);
    if (iterator == NULL) {
        return NULL;
    }
    iterator->state = state;
    iterator->data = changeset_bytes(values[0]);
    if (iterator->data == NULL) {
        Py_DECREF(iterator);
        return NULL;
    }
    rc = sqlite3changeset_start_v2(&iterator->changes, (int)PyBytes_GET_SIZE(iterator->data),
                                   PyBytes_AS_STRING(iterator->data), (int)flags);
    if (rc != SQLITE_OK) {
        iterator->changes = NULL;
        Py_DECREF(iterator);
        return changeset_fail(state, rc);
    }
    return (PyObject *)iterator;
}

static PyObject *
changeset_invert(PyObject *class, PyObject *data)
{
    struct module_state *state = state_of(class);
    PyObject *bytes = state == NULL ? NULL : changeset_bytes(data);
    void *output = NULL;
    int size = 0;
    int rc;

    if (bytes == NULL) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    rc = sqlite3changeset_invert((int)PyBytes_GET_SIZE(bytes), PyBytes_AS_STRING(bytes), &size,
                                 &output);
    Py_END_ALLOW_THREADS;
    Py_DECREF(bytes);
    return rc == SQLITE_OK ? take_output(output, size) : changeset_fail(state, rc);
}

/* Puts together all that is in `all`, a tuple of bytes. GIL not held. */
static int
combine(PyObject *all, int *size, void **output)
{
    sqlite3_changegroup *group = NULL;
    int rc = sqlite3changegroup_new(&group);

    for (Py_ssize_t i = 0; rc == SQLITE_OK && i < PyTuple_GET_SIZE(all); i++) {
        PyObject *bytes = PyTuple_GET_ITEM(all, i);

        rc =
            sqlite3changegroup_add(group, (int)PyBytes_GET_SIZE(bytes), PyBytes_AS_STRING(bytes));
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3changegroup_output(group, size, output);
    }
    sqlite3changegroup_delete(group);
    return rc;
}

static PyObject *
changeset_concat(PyObject *class, PyObject *args)
{
    struct module_state *state = state_of(class);
    PyObject *all = state == NULL ? NULL : PyTuple_New(PyTuple_GET_SIZE(args));
    void *output = NULL;
    int size = 0;
    int rc;

    for (Py_ssize_t i = 0; all != NULL && i < PyTuple_GET_SIZE(args); i++) {
        PyObject *bytes = changeset_bytes(PyTuple_GET_ITEM(args, i));

        if (bytes == NULL) {
            Py_CLEAR(all);
        } else {
            PyTuple_SET_ITEM(all, i, bytes);
        }
    }
    if (all == NULL) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    rc = combine(all, &size, &output);
    Py_END_ALLOW_THREADS;
    Py_DECREF(all);
    return rc == SQLITE_OK ? take_output(output, size) : changeset_fail(state, rc);
}

/* -- Rebaser ------------------------------------------------------------------ */

typedef struct {
    PyObject_HEAD
    struct module_state *state;
    sqlite3_rebaser *rebaser;
    bool running; /* a thread is in SQLite with it, without the GIL */
} RebaserObject;

static PyObject *
rebaser_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {NULL};
    struct module_state *state = module_state_of_type(type);
    RebaserObject *self;
    int rc;

    if (state == NULL || !PyArg_ParseTupleAndKeywords(args, kwargs, ":Rebaser", keywords)) {
        return NULL;
    }
    self = (RebaserObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->state = state;
    rc = sqlite3rebaser_create(&self->rebaser);
    if (rc != SQLITE_OK) {
        self->rebaser = NULL;
        Py_DECREF(self);
        return changeset_fail(state, rc);
    }
    return (PyObject *)self;
}

/* Marks the rebaser as in use. 0, or -1 with ProgrammingError. */
static int
rebaser_enter(RebaserObject *self)
{
    if (self->running) {
        PyErr_SetString(self->state->ProgrammingError,
                        "The Rebaser is in use by another thread.");
        return -1;
    }
    self->running = true;
    return 0;
}

static PyObject *
rebaser_configure(RebaserObject *self, PyObject *data)
{
    PyObject *bytes = changeset_bytes(data);
    int rc;

    if (bytes == NULL || rebaser_enter(self) < 0) {
        Py_XDECREF(bytes);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    rc = sqlite3rebaser_configure(self->rebaser, (int)PyBytes_GET_SIZE(bytes),
                                  PyBytes_AS_STRING(bytes));
    Py_END_ALLOW_THREADS;
    self->running = false;
    Py_DECREF(bytes);
    if (rc != SQLITE_OK) {
        return changeset_fail(self->state, rc);
    }
    Py_RETURN_NONE;
}

static PyObject *
rebaser_rebase(RebaserObject *self, PyObject *data)
{
    PyObject *bytes = changeset_bytes(data);
    void *output = NULL;
    int size = 0;
    int rc;

    if (bytes == NULL || rebaser_enter(self) < 0) {
        Py_XDECREF(bytes);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    rc = sqlite3rebaser_rebase(self->rebaser, (int)PyBytes_GET_SIZE(bytes),
                               PyBytes_AS_STRING(bytes), &size, &output);
    Py_END_ALLOW_THREADS;
    self->running = false;
    Py_DECREF(bytes);
    return rc == SQLITE_OK ? take_output(output, size) : changeset_fail(self->state, rc);
}

static void
rebaser_dealloc(RebaserObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    if (self->rebaser != NULL) {
        sqlite3rebaser_delete(self->rebaser);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

#else

typedef struct {
    PyObject_HEAD
} RebaserObject;

static PyObject *
changeset_iter(PyObject *class, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    struct module_state *state = module_state_of_type((PyTypeObject *)class);

    (void)args;
    (void)nargs;
    (void)kwnames;
    if (state != NULL) {
        changeset_check(state);
    }
    return NULL;
}

static PyObject *
changeset_invert(PyObject *class, PyObject *data)
{
    (void)data;
    return changeset_iter(class, NULL, 0, NULL);
}

static PyObject *
changeset_concat(PyObject *class, PyObject *args)
{
    (void)args;
    return changeset_iter(class, NULL, 0, NULL);
}

static PyObject *
rebaser_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    return changeset_iter((PyObject *)type, NULL, 0, NULL);
}

static PyObject *
rebaser_configure(RebaserObject *self, PyObject *data)
{
    return changeset_invert((PyObject *)Py_TYPE(self), data);
}

static PyObject *
rebaser_rebase(RebaserObject *self, PyObject *data)
{
    return changeset_invert((PyObject *)Py_TYPE(self), data);
}

static void
rebaser_dealloc(RebaserObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    type->tp_free(self);
    Py_DECREF(type);
}

#endif

/* -- the types ---------------------------------------------------------------- */

PyDoc_STRVAR(
    iter_doc,
    "iter($type, changeset, *, flags=0)\n--\n\n"
    "Give an iterator of the changes in a changeset or patchset, each a Change.\n\n"
    "changeset: bytes-like. flags: SQLITE_CHANGESETSTART_INVERT reads it as if inverted.\n"
    "Raises DatabaseError where it is malformed. sqlite3changeset_start_v2(), as apsw's.");
PyDoc_STRVAR(invert_doc,
             "invert($type, changeset, /)\n--\n\n"
             "Give the changeset that undoes this one.\n\n"
             "A patchset cannot be inverted: DatabaseError. It blocks while it computes, but\n"
             "releases the GIL. sqlite3changeset_invert(), as apsw's.");
PyDoc_STRVAR(concat_doc,
             "concat($type, *changesets)\n--\n\n"
             "Give the changeset that does what these do, one after the other.\n\n"
             "All are changesets or all patchsets, else OperationalError; so is what does not\n"
             "match in its tables. It blocks while it computes, but releases the GIL.\n"
             "sqlite3changegroup_add(); apsw's takes two.");

static PyMethodDef changeset_methods[] = {
    {"iter", (PyCFunction)(void (*)(void))changeset_iter, ARGS_FASTCALL | METH_CLASS, iter_doc},
    {"invert", (PyCFunction)changeset_invert, METH_O | METH_CLASS, invert_doc},
    {"concat", (PyCFunction)changeset_concat, METH_VARARGS | METH_CLASS, concat_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot changeset_slots[] = {
    {Py_tp_doc,
     "Functions of changesets and patchsets, which are bytes; of this class there are\n"
     "no objects. They are made by Session, and applied by Connection.apply_changeset()."},
    {Py_tp_methods, changeset_methods},
    {0, NULL},
};

static PyType_Spec changeset_spec = {
    .name = "csqlite._csqlite.Changeset",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = changeset_slots,
};

PyDoc_STRVAR(configure_doc,
             "configure($self, rebase, /)\n--\n\n"
             "Tell how conflicts were resolved: what apply_changeset(rebase=True) gave.\n\n"
             "In the order in which the changesets were applied. sqlite3rebaser_configure().");

PyDoc_STRVAR(rebase_doc,
             "rebase($self, changeset, /)\n--\n\n"
             "Give the changeset as it has to be for where those conflicts were resolved.\n\n"
             "sqlite3rebaser_rebase().");

static PyMethodDef rebaser_methods[] = {
    {"configure", (PyCFunction)rebaser_configure, METH_O, configure_doc},
    {"rebase", (PyCFunction)rebaser_rebase, METH_O, rebase_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(rebaser_doc,
             "Rebaser()\n--\n\n"
             "Rewrites changesets of one who works on a copy of what others have changed.\n\n"
             "Give configure() what apply_changeset(rebase=True) gave when their changes were\n"
             "applied here, then rebase() one's own changeset, and send that. Both block while\n"
             "they compute, but release the GIL. sqlite3_rebaser, as apsw's Rebaser.");

static PyType_Slot rebaser_slots[] = {
    {Py_tp_doc, (void *)rebaser_doc},
    {Py_tp_new, rebaser_new},
    {Py_tp_dealloc, rebaser_dealloc},
    {Py_tp_methods, rebaser_methods},
    {0, NULL},
};

static PyType_Spec rebaser_spec = {
    .name = "csqlite._csqlite.Rebaser",
    .basicsize = sizeof(RebaserObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = rebaser_slots,
};

/* Makes a type and adds it to the module; NULL with an exception. */
static PyTypeObject *
add_type(PyObject *module, PyType_Spec *spec)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);

    if (type != NULL && PyModule_AddObject(module, strrchr(spec->name, '.') + 1,
                                           Py_NewRef((PyObject *)type)) < 0) {
        Py_CLEAR(type);
    }
    return type;
}

int
changeset_init_types(struct module_state *state, PyObject *module)
{
    PyTypeObject *changeset = add_type(module, &changeset_spec);
    PyTypeObject *rebaser = add_type(module, &rebaser_spec);

    int rc = changeset == NULL || rebaser == NULL ? -1 : 0;

    if (changeset != NULL) {
        compat_forbid_new(changeset);
    }
#ifdef SQLITE_ENABLE_SESSION
    state->changes_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &iterator_spec, NULL);
    if (state->changes_type == NULL) {
        rc = -1;
    } else {
        compat_forbid_new(state->changes_type);
    }
#else
    (void)state;
#endif
    Py_XDECREF(changeset);
    Py_XDECREF(rebaser);
    return rc;
}
