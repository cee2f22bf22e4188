#include "binding/vtable_table.h"

#include "binding/errors.h"

/* -- errors ------------------------------------------------------------------- */

int
vtable_fail(const struct module *module, char **message)
{
    struct module_state *state = module->state;
    PyObject *exception = compat_take_exception();
    PyObject *text = exception == NULL ? NULL : PyObject_Str(exception);
    const char *utf8 = text == NULL ? NULL : PyUnicode_AsUTF8(text);
    int rc = SQLITE_ERROR;

    PyErr_Clear();
    if (exception != NULL && PyErr_GivenExceptionMatches(exception, PyExc_MemoryError)) {
        rc = SQLITE_NOMEM;
    } else if (exception != NULL) {
        if (PyErr_GivenExceptionMatches(exception, state->IntegrityError)) {
            rc = SQLITE_CONSTRAINT;
        }
        *message =
            sqlite3_mprintf("%s: %s", Py_TYPE(exception)->tp_name, utf8 == NULL ? "?" : utf8);
    }
    Py_XDECREF(text);
    visit_keep(module->db, exception);
    return rc;
}

/* -- visits -------------------------------------------------------------------- */

void
vtable_begin(struct visit *visit, const struct module *module)
{
    visit_enter(visit, module->gate, module->db);
}

PyObject *
vtable_go_on(const struct module *module, PyObject *result)
{
    return visit_go_on(module->db, module->state, result);
}

/* -- tables ------------------------------------------------------------------- */

static void
table_free(struct table *table)
{
    Py_XDECREF(table->object);
    Py_XDECREF(table->scan);
    Py_XDECREF(table->names);
    Py_XDECREF(table->parameters);
    PyMem_RawFree(table);
}

/* Gives a tuple of the texts that CREATE VIRTUAL TABLE has as arguments. */
static PyObject *
texts(const char *const *arguments, int count)
{
    PyObject *all = PyTuple_New(count);

    for (int i = 0; all != NULL && i < count; i++) {
        PyObject *text = PyUnicode_FromString(arguments[i]);

        if (text == NULL) {
            Py_CLEAR(all);
        } else {
            PyTuple_SET_ITEM(all, i, text);
        }
    }
    return all;
}

/* Reads what a Table says of itself. 0, or -1 with an exception. */
static int
read_shape(struct table *table, struct csq_shape *shape)
{
    PyObject *description = module_attribute(table->object, "description");
    const char *sql;
    int rc = -1;

    /* The columns' declarations, names, parameters, index of the rowid, directonly. */
    if (description != NULL &&
        PyArg_ParseTuple(description, "sO!O!ip", &sql, &PyTuple_Type, &table->names,
                         &PyTuple_Type, &table->parameters, &shape->rowid, &rc)) {
        Py_INCREF(table->names);
        Py_INCREF(table->parameters);
        shape->directonly = rc != 0;
        shape->columns = (int)PyTuple_GET_SIZE(table->names);
        shape->parameters = (int)PyTuple_GET_SIZE(table->parameters);
        shape->sql = sqlite3_mprintf("%s", sql);
        rc = shape->sql == NULL ? -1 : 0;
        if (rc < 0) {
            PyErr_NoMemory();
        }
    } else {
        table->names = NULL;
        table->parameters = NULL;
        rc = -1;
    }
    Py_XDECREF(description);
    return rc;
}

/* GIL held. As vtable_connect(), with an exception. */
static struct table *
make_table(struct module *module, const char *const *arguments, int count,
           struct csq_shape *shape)
{
    struct table *table = PyMem_RawCalloc(1, sizeof *table);
    PyObject *all = texts(arguments, count);
    int rc = -1;

    if (table == NULL) {
        PyErr_NoMemory();
    } else if (all != NULL) {
        table->module = module;
        table->object = vtable_go_on(
            module, visit_await(module->db, PyObject_Call(module->connect, all, NULL)));
        if (table->object != NULL) {
            table->scan = module_attribute(table->object, "scan");
        }
        rc = table->scan == NULL ? -1 : read_shape(table, shape);
    }
    if (rc < 0 && table != NULL) {
        table_free(table);
        table = NULL;
    }
    Py_XDECREF(all);
    return table;
}

int
vtable_connect(void *argument, const char *const *arguments, int count, struct csq_shape *shape,
               void **table, char **message)
{
    struct module *module = argument;
    struct visit visit;
    int rc = SQLITE_OK;

    vtable_begin(&visit, module);
    visit_narrow(&visit, CSQ_CHANGES);
    *table = make_table(module, arguments, count, shape);
    if (*table == NULL) {
        rc = vtable_fail(module, message);
    }
    visit_end(&visit);
    return rc;
}

void
vtable_disconnect(void *argument)
{
    struct table *table = argument;
    struct visit visit;

    vtable_begin(&visit, table->module);
    visit_seal(&visit);
    table_free(table);
    visit_end(&visit);
}
