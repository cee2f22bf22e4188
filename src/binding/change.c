/* A change is copied as a whole: what SQLite lends is gone with the next step of the
 * iterator, or with the end of the conflict handler. */

#include "binding/change.h"

#include <structmember.h>

#include "binding/convert.h"
#include "binding/errors.h"

/* -- no_change ---------------------------------------------------------------- */

static PyObject *
no_change_repr(PyObject *self)
{
    (void)self;
    return PyUnicode_FromString("csqlite.no_change");
}

static int
no_change_bool(PyObject *self)
{
    (void)self;
    return 0;
}

/* The module's state holds it, and its type holds the module: a cycle that only a
 * tracked object shows. */
static int
no_change_traverse(PyObject *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    return 0;
}

static void
no_change_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(
    no_change_doc,
    "The value of a column that an UPDATE has not changed, in a Change: csqlite.no_change.");

static PyType_Slot no_change_slots[] = {
    {Py_tp_doc, (void *)no_change_doc}, {Py_tp_repr, no_change_repr},
    {Py_nb_bool, no_change_bool},       {Py_tp_traverse, no_change_traverse},
    {Py_tp_dealloc, no_change_dealloc}, {0, NULL},
};

static PyType_Spec no_change_spec = {
    .name = "csqlite._csqlite.NoChange",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = no_change_slots,
};

/* -- Change ------------------------------------------------------------------- */

enum change_field {
    CHANGE_TABLE,
    CHANGE_OP,
    CHANGE_OPCODE,
    CHANGE_OLD,
    CHANGE_NEW,
    CHANGE_PRIMARY_KEY,
    CHANGE_INDIRECT,
    CHANGE_CONFLICT,
    CHANGE_FK_CONFLICTS,
    CHANGE_FIELDS,
};

static const PyStructSequence_Field change_fields[] = {
    {"table", "Name of the table."},
    {"op", "\"INSERT\", \"UPDATE\" or \"DELETE\"."},
    {"opcode", "The same as SQLITE_INSERT, SQLITE_UPDATE or SQLITE_DELETE."},
    {"old", "The values before, a tuple; None of an INSERT. Of an UPDATE, columns that are\n"
            "neither changed nor part of the primary key are no_change."},
    {"new", "The values after, a tuple; None of a DELETE. Of an UPDATE, columns that are not\n"
            "changed are no_change."},
    {"primary_key", "One bool a column: whether it is part of the primary key."},
    {"indirect", "Whether a trigger or a foreign key action made it, or the session was set so."},
    {"conflict", "In a conflict handler, the row that is in the way; else None."},
    {"fk_conflicts", "In a conflict handler, how many foreign keys are violated; else None."},
    {NULL, NULL},
};

PyDoc_STRVAR(change_doc,
             "One change of a changeset or patchset, a named tuple.\n\n"
             "Given by Changeset.iter() and to the conflict handler of apply_changeset(). A\n"
             "patchset has of the values before only those of the primary key.");

#ifdef SQLITE_ENABLE_SESSION

typedef int (*column_function)(sqlite3_changeset_iter *changes, int column,
                               sqlite3_value **value);

/* What `get` says of a column; NULL with an exception. */
static PyObject *
value_of(struct module_state *state, sqlite3_changeset_iter *changes, int column,
         column_function get)
{
    sqlite3_value *value = NULL;
    int rc = get(changes, column, &value);
    PyObject *item;

    if (rc != SQLITE_OK) {
        return PyErr_Format(state->DatabaseError, "column %d of a change cannot be read: %s",
                            column, sqlite3_errstr(rc));
    }
    item = value == NULL ? Py_NewRef(state->no_change) : convert_value(value);
    if (item == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        compat_replace_exception(state->DatabaseError,
                                 "a change cannot be read: its text is not UTF-8");
    }
    return item;
}

/* Gives a tuple of what `get` says of each column; NULL with an exception. */
static PyObject *
values_of(struct module_state *state, sqlite3_changeset_iter *changes, int columns,
          column_function get)
{
    PyObject *values = PyTuple_New(columns);

    for (int i = 0; values != NULL && i < columns; i++) {
        PyObject *item = value_of(state, changes, i, get);

        if (item == NULL) {
            Py_CLEAR(values);
        } else {
            PyTuple_SET_ITEM(values, i, item);
        }
    }
    return values;
}

/* As values_of(), or None where there are no such values. */
static PyObject *
values_if(bool there, struct module_state *state, sqlite3_changeset_iter *changes, int columns,
          column_function get)
{
    return there ? values_of(state, changes, columns, get) : Py_NewRef(Py_None);
}

static PyObject *
primary_key_of(sqlite3_changeset_iter *changes, int columns)
{
    unsigned char *flags = NULL;
    PyObject *key = PyTuple_New(columns);
    int count = 0;

    if (key != NULL) {
        sqlite3changeset_pk(changes, &flags, &count);
    }
    for (int i = 0; key != NULL && i < columns; i++) {
        PyTuple_SET_ITEM(key, i, PyBool_FromLong(i < count && flags[i] != 0));
    }
    return key;
}

/* Sets a field to what `value` is, which it takes. 0, or -1 when that is NULL. */
static int
set(PyObject *change, enum change_field field, PyObject *value)
{
    if (value == NULL) {
        return -1;
    }
    PyStructSequence_SetItem(change, (Py_ssize_t)field, value);
    return 0;
}

/* Fills in what is said of foreign keys: they are violated by the changeset as a
 * whole, so there is no change to speak of. */
static int
fill_foreign_keys(PyObject *change, sqlite3_changeset_iter *changes)
{
    int count = 0;

    sqlite3changeset_fk_conflicts(changes, &count);
    if (set(change, CHANGE_TABLE, PyUnicode_FromString("")) < 0 ||
        set(change, CHANGE_OP, PyUnicode_FromString("")) < 0 ||
        set(change, CHANGE_OPCODE, PyLong_FromLong(0)) < 0 ||
        set(change, CHANGE_OLD, Py_NewRef(Py_None)) < 0 ||
        set(change, CHANGE_NEW, Py_NewRef(Py_None)) < 0 ||
        set(change, CHANGE_PRIMARY_KEY, PyTuple_New(0)) < 0 ||
        set(change, CHANGE_INDIRECT, Py_NewRef(Py_False)) < 0 ||
        set(change, CHANGE_CONFLICT, Py_NewRef(Py_None)) < 0) {
        return -1;
    }
    return set(change, CHANGE_FK_CONFLICTS, PyLong_FromLong(count));
}

static int
fill(struct module_state *state, PyObject *change, sqlite3_changeset_iter *changes, int conflict)
{
    bool in_the_way = conflict == SQLITE_CHANGESET_DATA || conflict == SQLITE_CHANGESET_CONFLICT;
    const char *table = "";
    const char *op;
    int columns = 0;
    int opcode = 0;
    int indirect = 0;
    int rc = sqlite3changeset_op(changes, &table, &columns, &opcode, &indirect);

    if (rc != SQLITE_OK) {
        PyErr_Format(state->DatabaseError, "a change cannot be read: %s", sqlite3_errstr(rc));
        return -1;
    }
    op = opcode == SQLITE_INSERT ? "INSERT" : opcode == SQLITE_UPDATE ? "UPDATE" : "DELETE";
    if (set(change, CHANGE_TABLE,
            PyUnicode_DecodeUTF8(table, (Py_ssize_t)strlen(table), "replace")) < 0 ||
        set(change, CHANGE_OP, PyUnicode_InternFromString(op)) < 0 ||
        set(change, CHANGE_OPCODE, PyLong_FromLong(opcode)) < 0 ||
        set(change, CHANGE_OLD,
            values_if(opcode != SQLITE_INSERT, state, changes, columns, sqlite3changeset_old)) <
            0 ||
        set(change, CHANGE_NEW,
            values_if(opcode != SQLITE_DELETE, state, changes, columns, sqlite3changeset_new)) <
            0 ||
        set(change, CHANGE_PRIMARY_KEY, primary_key_of(changes, columns)) < 0 ||
        set(change, CHANGE_INDIRECT, PyBool_FromLong(indirect)) < 0 ||
        set(change, CHANGE_CONFLICT,
            values_if(in_the_way, state, changes, columns, sqlite3changeset_conflict)) < 0) {
        return -1;
    }
    return set(change, CHANGE_FK_CONFLICTS, Py_NewRef(Py_None));
}

PyObject *
change_new(struct module_state *state, sqlite3_changeset_iter *changes, int conflict)
{
    PyObject *change = PyStructSequence_New(state->change_type);
    int rc = -1;

    if (change != NULL) {
        rc = conflict == SQLITE_CHANGESET_FOREIGN_KEY ? fill_foreign_keys(change, changes)
                                                      : fill(state, change, changes, conflict);
    }
    if (rc < 0) {
        Py_CLEAR(change);
    }
    return change;
}

#endif

/* -- registering -------------------------------------------------------------- */

/* With their numbers written out: the names are there without the extension, too. */
static const struct {
    const char *name;
    int value;
} constants[] = {
    {"SQLITE_CHANGESET_DATA", 1},
    {"SQLITE_CHANGESET_NOTFOUND", 2},
    {"SQLITE_CHANGESET_CONFLICT", 3},
    {"SQLITE_CHANGESET_CONSTRAINT", 4},
    {"SQLITE_CHANGESET_FOREIGN_KEY", 5},
    {"SQLITE_CHANGESET_OMIT", 0},
    {"SQLITE_CHANGESET_REPLACE", 1},
    {"SQLITE_CHANGESET_ABORT", 2},
    {"SQLITE_CHANGESETSTART_INVERT", 2},
    {"SQLITE_CHANGESETAPPLY_NOSAVEPOINT", 1},
    {"SQLITE_CHANGESETAPPLY_INVERT", 2},
    {"SQLITE_CHANGESETAPPLY_IGNORENOOP", 4},
    {"SQLITE_CHANGESETAPPLY_FKNOACTION", 8},
    {"SQLITE_CHANGESETAPPLY_NOUPDATELOOP", 16},
};

int
change_init_types(struct module_state *state, PyObject *module)
{
    /* CPython writes to neither, and takes both without const. */
    PyStructSequence_Desc change_desc = {
        .name = "csqlite.Change",
        .doc = change_doc,
        .fields = (PyStructSequence_Field *)change_fields,
        .n_in_sequence = CHANGE_FIELDS,
    };
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &no_change_spec, NULL);

    if (type == NULL) {
        return -1;
    }
    compat_forbid_new(type);
    state->no_change = type->tp_alloc(type, 0);
    state->change_type = PyStructSequence_NewType(&change_desc);
    if (state->no_change == NULL || state->change_type == NULL ||
        PyModule_AddObject(module, "NoChange", (PyObject *)type) < 0 ||
        PyModule_AddObject(module, "no_change", Py_NewRef(state->no_change)) < 0 ||
        PyModule_AddObject(module, "Change", Py_NewRef((PyObject *)state->change_type)) < 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        if (PyModule_AddIntConstant(module, constants[i].name, constants[i].value) < 0) {
            return -1;
        }
    }
    return 0;
}
