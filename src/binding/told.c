/* What a watch was told, as Python has it. */

#include "binding/told.h"

#include <sqlite3.h>
#include <string.h>

/* Gives (operation, database, table, rowid), and takes the rowid; NULL with an exception. */
static PyObject *
make_row(int operation, PyObject *database, PyObject *table, PyObject *rowid)
{
    PyObject *row =
        rowid == NULL ? NULL : Py_BuildValue("(iOOO)", operation, database, table, rowid);

    Py_XDECREF(rowid);
    return row;
}

int
told_append(PyObject *list, PyObject *item)
{
    int rc = item == NULL ? -1 : PyList_Append(list, item);

    Py_XDECREF(item);
    return rc;
}

static PyObject *
decode(const char *text)
{
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

/* The names of the tables, None in place of those that are not wanted. `database`: of which
 * schema; NULL: of any. `join`: whose wants count; NULL: all are wanted. */
static PyObject *
wanted_names(const struct csq_changes *changes, const struct csq_join *join, const char *database)
{
    PyObject *names = PyTuple_New((Py_ssize_t)changes->tables_count);

    for (uint32_t i = 0; names != NULL && i < changes->tables_count; i++) {
        const struct csq_changed_table *table = &changes->tables[i];
        bool wanted = (database == NULL || strcmp(table->database, database) == 0) &&
                      (join == NULL || csq_join_wants(join, table->name));
        PyObject *name = wanted ? decode(table->name) : Py_NewRef(Py_None);

        if (name == NULL) {
            Py_CLEAR(names);
        } else {
            PyTuple_SET_ITEM(names, (Py_ssize_t)i, name);
        }
    }
    return names;
}

/* Rows that were remembered one by one. 0, or -1 with an exception. */
static int
append_rows(PyObject *list, const struct csq_changes *changes, PyObject *names, PyObject *label)
{
    for (size_t i = 0; i < changes->count; i++) {
        const struct csq_row_change *change = &changes->items[i];
        PyObject *name = PyTuple_GET_ITEM(names, change->table);
        PyObject *rowid;

        if (name == Py_None) {
            continue;
        }
        rowid = change->any ? Py_NewRef(Py_None) : PyLong_FromLongLong(change->rowid);
        if (told_append(list, make_row(change->operation, label, name, rowid)) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Those beyond the limit. `label`: the name of the schema; NULL: each table's own. */
static int
append_beyond(PyObject *list, const struct csq_changes *changes, PyObject *names, PyObject *label)
{
    static const int operations[] = {SQLITE_INSERT, SQLITE_UPDATE, SQLITE_DELETE};

    for (uint32_t i = 0; i < 3 * changes->tables_count; i++) {
        const struct csq_changed_table *table = &changes->tables[i / 3];
        PyObject *name = PyTuple_GET_ITEM(names, i / 3);
        const int operation = operations[i % 3];
        PyObject *database;
        int rc = -1;

        if (name == Py_None || !(table->beyond & csq_changes_bit(operation))) {
            continue;
        }
        database = label == NULL ? decode(table->database) : Py_NewRef(label);
        if (database != NULL) {
            rc = told_append(list, make_row(operation, database, name, Py_NewRef(Py_None)));
        }
        Py_XDECREF(database);
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

PyObject *
told_news(const struct csq_news *news)
{
    const struct csq_changes *changes = &news->commit->changes;
    PyObject *names = wanted_names(changes, news->join, news->database);
    PyObject *label = decode(news->join->name);
    PyObject *list = PyList_New(0);
    PyObject *given = NULL;

    if (names != NULL && label != NULL && list != NULL && news->database != NULL &&
        (append_rows(list, changes, names, label) < 0 ||
         append_beyond(list, changes, names, label) < 0)) {
        Py_CLEAR(list);
    }
    if (names != NULL && label != NULL && list != NULL) {
        given = Py_BuildValue("(IO)", news->commit->what, list);
    }
    Py_XDECREF(list);
    Py_XDECREF(label);
    Py_XDECREF(names);
    return given;
}

PyObject *
told_sum(const struct csq_changes *sum, unsigned what)
{
    PyObject *names = wanted_names(sum, NULL, NULL);
    PyObject *list = names == NULL ? NULL : PyList_New(0);
    PyObject *given = NULL;

    if (list != NULL && append_beyond(list, sum, names, NULL) == 0) {
        given = Py_BuildValue("(IO)", what, list);
    }
    Py_XDECREF(list);
    Py_XDECREF(names);
    return given;
}
