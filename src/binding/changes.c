/* The changes stay in the form in which the worker has written them. A tuple is made
 * when it is asked for: a callback that only wants to know which tables have changed
 * does not pay for a hundred thousand of them. */

#include "binding/changes.h"

typedef struct {
    PyObject_HEAD
    struct csq_changes changes;
    PyObject *tables; /* tuple of (database, table), by csq_row_change.table */
    PyObject *beyond; /* tuple of what stands behind the changes that have a rowid */
} ChangesObject;

static const int operations[] = {SQLITE_INSERT, SQLITE_UPDATE, SQLITE_DELETE};

enum { OPERATIONS = sizeof operations / sizeof *operations };

/* Gives (operation, database, table, rowid), and takes the rowid; NULL with an
 * exception. */
static PyObject *
make_change(PyObject *tables, int operation, uint32_t table, PyObject *rowid)
{
    PyObject *names = PyTuple_GET_ITEM(tables, table);
    PyObject *code = PyLong_FromLong(operation);
    PyObject *change = PyTuple_New(4);

    if (code == NULL || change == NULL || rowid == NULL) {
        Py_XDECREF(code);
        Py_XDECREF(change);
        Py_XDECREF(rowid);
        return NULL;
    }
    PyTuple_SET_ITEM(change, 0, code);
    PyTuple_SET_ITEM(change, 1, Py_NewRef(PyTuple_GET_ITEM(names, 0)));
    PyTuple_SET_ITEM(change, 2, Py_NewRef(PyTuple_GET_ITEM(names, 1)));
    PyTuple_SET_ITEM(change, 3, rowid);
    /* Nothing in it can be part of a cycle. */
    PyObject_GC_UnTrack(change);
    return change;
}

static PyObject *
make_tables(const struct csq_changes *changes)
{
    PyObject *tables = PyTuple_New((Py_ssize_t)changes->tables_count);

    for (uint32_t i = 0; tables != NULL && i < changes->tables_count; i++) {
        const struct csq_changed_table *table = &changes->tables[i];
        const size_t sizes[] = {strlen(table->database), strlen(table->name)};
        PyObject *database =
            PyUnicode_DecodeUTF8(table->database, (Py_ssize_t)sizes[0], "replace");
        PyObject *name = PyUnicode_DecodeUTF8(table->name, (Py_ssize_t)sizes[1], "replace");
        PyObject *names = NULL;

        if (database != NULL && name != NULL) {
            names = PyTuple_Pack(2, database, name);
        }
        Py_XDECREF(database);
        Py_XDECREF(name);
        if (names == NULL) {
            Py_CLEAR(tables);
        } else {
            PyTuple_SET_ITEM(tables, (Py_ssize_t)i, names);
        }
    }
    return tables;
}

/* A tuple of the changes whose rowids were too many to be remembered. */
static PyObject *
make_beyond(const struct csq_changes *changes, PyObject *tables)
{
    PyObject *list = PyList_New(0);
    PyObject *beyond;

    for (uint32_t i = 0; list != NULL && i < changes->tables_count * OPERATIONS; i++) {
        uint32_t table = i / OPERATIONS;
        int operation = operations[i % OPERATIONS];
        PyObject *change;

        if (!(changes->tables[table].beyond & csq_changes_bit(operation))) {
            continue;
        }
        change = make_change(tables, operation, table, Py_NewRef(Py_None));
        if (change == NULL || PyList_Append(list, change) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(change);
    }
    beyond = list == NULL ? NULL : PyList_AsTuple(list);
    Py_XDECREF(list);
    return beyond;
}

PyObject *
changes_new(struct module_state *state, struct csq_changes *changes)
{
    PyTypeObject *type = state->hook_changes_type;
    ChangesObject *self = (ChangesObject *)type->tp_alloc(type, 0);

    if (self == NULL) {
        return NULL;
    }
    csq_changes_init(&self->changes, 0);
    self->tables = make_tables(changes);
    self->beyond = self->tables == NULL ? NULL : make_beyond(changes, self->tables);
    if (self->beyond == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    csq_changes_take(changes, &self->changes);
    return (PyObject *)self;
}

static Py_ssize_t
changes_length(ChangesObject *self)
{
    return (Py_ssize_t)self->changes.count + PyTuple_GET_SIZE(self->beyond);
}

static PyObject *
changes_item(ChangesObject *self, Py_ssize_t index)
{
    Py_ssize_t count = (Py_ssize_t)self->changes.count;
    const struct csq_row_change *change;

    if (index < 0 || index >= changes_length(self)) {
        PyErr_SetString(PyExc_IndexError, "index out of range");
        return NULL;
    }
    if (index >= count) {
        return Py_NewRef(PyTuple_GET_ITEM(self->beyond, index - count));
    }
    change = &self->changes.items[index];
    return make_change(self->tables, change->operation, change->table,
                       PyLong_FromLongLong(change->rowid));
}

/* Gives the list that a slice stands for. */
static PyObject *
make_slice(ChangesObject *self, PyObject *slice)
{
    Py_ssize_t start;
    Py_ssize_t stop;
    Py_ssize_t step;
    Py_ssize_t length;
    PyObject *list;

    if (PySlice_Unpack(slice, &start, &stop, &step) < 0) {
        return NULL;
    }
    length = PySlice_AdjustIndices(changes_length(self), &start, &stop, step);
    list = PyList_New(length);
    for (Py_ssize_t i = 0; list != NULL && i < length; i++) {
        PyObject *item = changes_item(self, start + i * step);

        if (item == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, i, item);
        }
    }
    return list;
}

static PyObject *
changes_subscript(ChangesObject *self, PyObject *key)
{
    Py_ssize_t index;

    if (PySlice_Check(key)) {
        return make_slice(self, key);
    }
    index = PyNumber_AsSsize_t(key, PyExc_IndexError);
    if (index == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return changes_item(self, index < 0 ? index + changes_length(self) : index);
}

static PyObject *
changes_repr(ChangesObject *self)
{
    return PyUnicode_FromFormat("<csqlite.hooks.Changes of length %zd, %R>", changes_length(self),
                                self->tables);
}

static void
changes_dealloc(ChangesObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    csq_changes_clear(&self->changes);
    Py_CLEAR(self->tables);
    Py_CLEAR(self->beyond);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
get_tables(ChangesObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef(self->tables);
}

static PyGetSetDef changes_getset[] = {
    {"tables", (getter)get_tables, NULL,
     "The tables in it: a tuple of (database, table), in the order of their first change.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(changes_doc,
             "What a batched update hook is called with: a sequence of tuples\n"
             "(operation, database, table, rowid), made as they are asked for.\n\n"
             "It may be kept, and used in any thread. A slice gives a list. Beyond 1,048,576\n"
             "changes of one transaction there is one tuple a table and operation, with None\n"
             "for a rowid. See Connection.set_update_hook().");

static PyType_Slot changes_slots[] = {
    {Py_tp_doc, (void *)changes_doc},     {Py_tp_repr, changes_repr},
    {Py_tp_dealloc, changes_dealloc},     {Py_tp_getset, changes_getset},
    {Py_tp_iter, PySeqIter_New},          {Py_sq_length, changes_length},
    {Py_sq_item, changes_item},           {Py_mp_length, changes_length},
    {Py_mp_subscript, changes_subscript}, {0, NULL},
};

static PyType_Spec changes_spec = {
    .name = "csqlite._csqlite.Changes",
    .basicsize = sizeof(ChangesObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = changes_slots,
};

int
changes_init_type(struct module_state *state, PyObject *module)
{
    state->hook_changes_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &changes_spec, NULL);
    if (state->hook_changes_type == NULL) {
        return -1;
    }
    compat_forbid_new(state->hook_changes_type);
    return PyModule_AddObject(module, "Changes", Py_NewRef((PyObject *)state->hook_changes_type));
}
