/* What SQLite asks of a virtual table (engine/vtable.h), asked of Python. Each hook is
 * one stay in the interpreter, in which a number of rows is fetched: few at first, so
 * that a LIMIT leaves the rest alone, then more, as long as they come quickly.
 *
 * The rows of an asynchronous source are fetched by a coroutine on the loop of the
 * awaiting task, some of them at a time too. */

#include "binding/vtable.h"

#include "binding/convert.h"
#include "binding/errors.h"
#include "binding/method.h"
#include "binding/vtable_table.h"
#include "engine/batch.h"
#include "engine/bounds.h"
#include "engine/clock.h"
#include "engine/native.h"

enum {
    MOST_ROWS = 64,
    /* What is asked for goes on, but no further row is asked for after so long. */
    BATCH_NANOSECONDS = 1000000,
};

struct scan {
    struct table *table;
    PyObject *rows; /* an iterator, or an asynchronous one */
    bool async;
    bool ended;
    int batch; /* how many rows are asked for next */
};

/* -- reading ------------------------------------------------------------------ */

/* Gives a dict of the parameters that are given; NULL with an exception. */
static PyObject *
named_values(const struct table *table, unsigned given, sqlite3_value **values)
{
    PyObject *named = PyDict_New();

    for (Py_ssize_t i = 0; named != NULL && i < PyTuple_GET_SIZE(table->parameters); i++) {
        PyObject *value;

        if ((given & 1u << i) == 0) {
            continue;
        }
        value = convert_value(*values++);
        if (value == NULL ||
            PyDict_SetItem(named, PyTuple_GET_ITEM(table->parameters, i), value) < 0) {
            Py_CLEAR(named);
        }
        Py_XDECREF(value);
    }
    return named;
}

/* Lets a scan read what the source gave, an iterable or an asynchronous one. */
static int
set_rows(struct scan *scan, PyObject *source)
{
    const PyAsyncMethods *methods = Py_TYPE(source)->tp_as_async;

    scan->async = methods != NULL && methods->am_aiter != NULL;
    scan->rows = scan->async ? methods->am_aiter(source) : PyObject_GetIter(source);
    if (scan->rows != NULL && scan->async) {
        methods = Py_TYPE(scan->rows)->tp_as_async;
        if (methods == NULL || methods->am_anext == NULL) {
            PyErr_Format(PyExc_TypeError, "'%.100s' object is not an async iterator",
                         Py_TYPE(scan->rows)->tp_name);
            Py_CLEAR(scan->rows);
        }
    }
    return scan->rows == NULL ? -1 : 0;
}

static void
scan_free(struct scan *scan)
{
    Py_XDECREF(scan->rows);
    PyMem_RawFree(scan);
}

/* GIL held. As begin_scan(), with an exception. */
static struct scan *
make_scan(struct table *table, unsigned given, sqlite3_value **values)
{
    struct scan *scan = PyMem_RawCalloc(1, sizeof *scan);
    PyObject *named = named_values(table, given, values);
    PyObject *none = PyTuple_New(0);
    PyObject *source = NULL;
    int rc = -1;

    if (scan == NULL) {
        PyErr_NoMemory();
    } else if (named != NULL && none != NULL) {
        scan->table = table;
        scan->batch = 1;
        source = visit_await(table->module->db, PyObject_Call(table->scan, none, named));
        source = vtable_go_on(table->module, source);
        rc = source == NULL ? -1 : set_rows(scan, source);
    }
    if (rc < 0 && scan != NULL) {
        scan_free(scan);
        scan = NULL;
    }
    Py_XDECREF(source);
    Py_XDECREF(named);
    Py_XDECREF(none);
    return scan;
}

static int
begin_scan(void *argument, unsigned given, sqlite3_value **values, void **scan, char **message)
{
    struct table *table = argument;
    struct visit visit;
    int rc = SQLITE_OK;

    vtable_begin(&visit, table->module);
    *scan = make_scan(table, given, values);
    if (*scan == NULL) {
        rc = vtable_fail(table->module, message);
    }
    visit_end(&visit);
    return rc;
}

/* The value that a mapping has for a column; one that is not there is NULL in SQL. */
static int
put_members(const struct table *table, struct csq_strip *strip, PyObject *row)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(table->names); i++) {
        PyObject *value = PyDict_GetItemWithError(row, PyTuple_GET_ITEM(table->names, i));
        int rc;

        if (value == NULL && PyErr_Occurred()) {
            return -1;
        }
        value = Py_NewRef(value == NULL ? Py_None : value);
        rc = convert_cell(table->module->state, strip, value);
        Py_DECREF(value);
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

static int
put_items(const struct table *table, struct csq_strip *strip, PyObject *items)
{
    if (PyTuple_GET_SIZE(items) != PyTuple_GET_SIZE(table->names)) {
        PyErr_Format(PyExc_ValueError, "a row has %zd values, the table %zd columns",
                     PyTuple_GET_SIZE(items), PyTuple_GET_SIZE(table->names));
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items); i++) {
        if (convert_cell(table->module->state, strip, PyTuple_GET_ITEM(items, i)) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Puts a row: a sequence of values, a dict, or for a table of one column the value
 * itself. 0, or -1 with an exception. */
static int
put_row(const struct table *table, struct csq_strip *strip, PyObject *row)
{
    bool is_value = row == Py_None || PyUnicode_Check(row) || PyObject_CheckBuffer(row) ||
                    !PySequence_Check(row);
    PyObject *items;
    int rc;

    if (PyDict_Check(row)) {
        rc = put_members(table, strip, row);
    } else if (is_value && PyTuple_GET_SIZE(table->names) == 1) {
        rc = convert_cell(table->module->state, strip, row);
    } else if (is_value) {
        PyErr_Format(PyExc_TypeError, "a row is a sequence of values or a dict, not %.100s",
                     Py_TYPE(row)->tp_name);
        rc = -1;
    } else {
        items = PySequence_Tuple(row);
        rc = items == NULL ? -1 : put_items(table, strip, items);
        Py_XDECREF(items);
    }
    strip->rows += rc == 0;
    return rc;
}

/* Asks an iterator for rows. 0, or -1 with an exception. */
static int
fill_now(struct scan *scan, struct csq_strip *strip)
{
    int64_t batch_end = csq_now() + BATCH_NANOSECONDS;
    int rc = 0;

    for (int i = 0; rc == 0 && i < scan->batch && (i == 0 || csq_now() < batch_end); i++) {
        PyObject *row = vtable_go_on(scan->table->module, PyIter_Next(scan->rows));

        if (row == NULL) {
            scan->ended = true;
            rc = PyErr_Occurred() ? -1 : 0;
            break;
        }
        rc = put_row(scan->table, strip, row);
        Py_DECREF(row);
    }
    return rc;
}

/* Asks an asynchronous iterator for rows. The coroutine gives them in a list, with
 * whether they were the last, and the exception that came behind them or None. */
static int
fill_async(struct scan *scan, struct csq_strip *strip)
{
    PyObject *collect = module_import("csqlite.tables", "collect");
    PyObject *answer = NULL;
    PyObject *list;
    PyObject *exception;
    int ended;
    int rc = -1;

    if (collect != NULL) {
        answer = PyObject_CallFunction(collect, "Oid", scan->rows, scan->batch,
                                       BATCH_NANOSECONDS * 1e-9);
        answer = visit_await(scan->table->module->db, answer);
        Py_DECREF(collect);
    }
    if (answer != NULL &&
        PyArg_ParseTuple(answer, "O!pO", &PyList_Type, &list, &ended, &exception)) {
        scan->ended = ended != 0;
        rc = 0;
        for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(list); i++) {
            rc = put_row(scan->table, strip, PyList_GET_ITEM(list, i));
        }
        if (rc == 0 && exception != Py_None) {
            PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
            rc = -1;
        }
    }
    Py_XDECREF(answer);
    return rc;
}

static int
fill_rows(void *argument, struct csq_strip *strip, char **message)
{
    struct scan *scan = argument;
    const struct module *module = scan->table->module;
    struct visit visit;
    int rc = SQLITE_OK;

    if (scan->ended) {
        return SQLITE_OK;
    }
    vtable_begin(&visit, module);
    if ((scan->async ? fill_async(scan, strip) : fill_now(scan, strip)) < 0) {
        rc = vtable_fail(module, message);
    }
    if (scan->batch < MOST_ROWS) {
        scan->batch *= 2;
    }
    visit_end(&visit);
    return rc;
}

static void
end_scan(void *argument)
{
    struct scan *scan = argument;
    const struct module *module = scan->table->module;
    struct visit visit;

    vtable_begin(&visit, module);
    visit_narrow(&visit, CSQ_CHANGES);
    scan_free(scan);
    visit_end(&visit);
}

/* -- writing ------------------------------------------------------------------ */

/* Gives a tuple of the values of a row; NULL with an exception. */
static PyObject *
row_of(const struct table *table, const struct csq_change *change)
{
    Py_ssize_t count = PyTuple_GET_SIZE(table->names);
    PyObject *row = PyTuple_New(count);

    for (Py_ssize_t i = 0; row != NULL && i < count; i++) {
        PyObject *value = convert_value(change->values[i]);

        if (value == NULL) {
            Py_CLEAR(row);
        } else {
            PyTuple_SET_ITEM(row, i, value);
        }
    }
    return row;
}

/* Calls the method of the table for a change. Gives what it returns. */
static PyObject *
call_method(const struct table *table, const struct csq_change *change)
{
    static const char *const names[] = {
        [CSQ_DELETE] = "delete", [CSQ_INSERT] = "insert", [CSQ_UPDATE] = "update"};
    PyObject *method = module_attribute(table->object, names[change->kind]);
    PyObject *rowid = change->kind == CSQ_INSERT ? NULL : convert_value(change->rowid);
    PyObject *target = change->kind == CSQ_DELETE ? NULL : convert_value(change->new_rowid);
    PyObject *row = change->kind == CSQ_DELETE ? NULL : row_of(table, change);
    PyObject *result = NULL;

    if (!PyErr_Occurred()) {
        PyObject *first = change->kind == CSQ_INSERT ? target : rowid;
        PyObject *second = change->kind == CSQ_INSERT ? row : target;

        /* The list of arguments ends with the first that there is not. */
        result = PyObject_CallFunctionObjArgs(method, first, second,
                                              change->kind == CSQ_UPDATE ? row : NULL, NULL);
    }
    Py_XDECREF(method);
    Py_XDECREF(rowid);
    Py_XDECREF(target);
    Py_XDECREF(row);
    return visit_await(table->module->db, result);
}

/* Reads the rowid that insert() has given. 0, or -1 with an exception. */
static int
read_rowid(PyObject *result, const struct csq_change *change, sqlite3_int64 *rowid)
{
    if (result != Py_None) {
        *rowid = PyLong_AsLongLong(result);
        return *rowid == -1 && PyErr_Occurred() ? -1 : 0;
    }
    if (sqlite3_value_type(change->new_rowid) != SQLITE_INTEGER) {
        PyErr_SetString(PyExc_TypeError, "insert() must give the rowid of the new row");
        return -1;
    }
    *rowid = sqlite3_value_int64(change->new_rowid);
    return 0;
}

static int
change_row(void *argument, const struct csq_change *change, sqlite3_int64 *rowid, char **message)
{
    struct table *table = argument;
    struct visit visit;
    PyObject *result;
    int rc = SQLITE_OK;

    if (csq_batch_refuses(table->module->db)) {
        return SQLITE_ERROR; /* nobody could undo it */
    }
    vtable_begin(&visit, table->module);
    visit_narrow(&visit, CSQ_CHANGES);
    result = vtable_go_on(table->module, call_method(table, change));
    if (result == NULL || (change->kind == CSQ_INSERT && read_rowid(result, change, rowid) < 0)) {
        rc = vtable_fail(table->module, message);
    }
    Py_XDECREF(result);
    visit_end(&visit);
    return rc;
}

/* -- modules ------------------------------------------------------------------ */

static void
module_release(void *argument)
{
    struct module *module = argument;
    struct gate *gate = module->gate;
    struct visit visit;

    vtable_begin(&visit, module);
    visit_seal(&visit);
    Py_DECREF(module->connect);
    Py_DECREF(module->owner);
    visit_end(&visit);
    gate_put(gate);
    PyMem_RawFree(module);
}

static const struct csq_vtable_hooks module_hooks = {
    .connect = vtable_connect,
    .disconnect = vtable_disconnect,
    .scan = begin_scan,
    .fill = fill_rows,
    .end = end_scan,
    .change = change_row,
    .release = module_release,
};

/* Worker thread. Gives a module that connects by `connect`; NULL: no memory. */
static struct module *
module_new(RequestObject *request, PyObject *connect)
{
    struct module_state *state = ((ConnectionObject *)request->owner)->state;
    struct module *module = PyMem_RawCalloc(1, sizeof *module);

    if (module != NULL) {
        module->base.hooks = &module_hooks;
        module->gate = gate_get(request->gate);
        module->db = csq_native_db(request->executor);
        module->state = state;
        gate_enter(request->gate);
        module->owner = Py_NewRef((PyObject *)state->connection_type);
        module->connect = Py_NewRef(connect);
        gate_leave(request->gate);
    }
    return module;
}

/* Statements that were prepared before know the module that was there then, and would
 * go on with it. SQLite lets go of its tables when it next prepares anything. */
static void
forget_module(struct csq_db *db)
{
    sqlite3_stmt *nothing = NULL;

    csq_cache_renew(&db->cache);
    sqlite3_prepare_v2(db->handle, "", -1, &nothing, NULL);
}

struct module_call {
    PyObject *name;
    PyObject *connect; /* NULL: it is removed */
    int kind;
};

static int
create_module(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    const struct module_call *call = REQUEST_PAYLOAD(request, struct module_call);
    struct module *module = NULL;
    int rc;

    if (csq_native_db(request->executor)->bound != CSQ_SHAPES) {
        return csq_bounds_refuse(&job->error);
    }
    if (call->connect != NULL) {
        module = module_new(request, call->connect);
        if (module == NULL) {
            return csq_error_copy(&job->error, NULL, SQLITE_NOMEM);
        }
    }
    rc = csq_vtable_register(handle, job->sql, (enum csq_vtable_kind)call->kind,
                             module == NULL ? NULL : &module->base);
    if (rc != SQLITE_OK) {
        return csq_error_copy(&job->error, handle, rc);
    }
    forget_module(csq_native_db(request->executor));
    return SQLITE_OK;
}

static const char create_module_doc[] =
    "_create_module($self, name, connect, kind, /)\n--\n\n"
    "Register a module of virtual tables; None removes it. See csqlite/tables.py.";

static int
fill_module(RequestObject *request, PyObject *const *values)
{
    int kind = REQUEST_PAYLOAD(request, struct module_call)->kind;

    (void)values;
    if (kind < CSQ_EPONYMOUS || kind > CSQ_WRITABLE) {
        PyErr_SetString(PyExc_ValueError, "no such kind of module");
        return -1;
    }
    return 0;
}

METHOD(connection_create_module) = {
    .args = ARGS_PLAIN("Connection._create_module", 3, "name", "connect", "kind"),
    .hooks = &method_simple,
    .native = true,
    .gated = true,
    .objects = 2,
    .run = create_module,
    .takes = {TAKE(NAME, struct module_call, name), TAKE(OPTIONAL, struct module_call, connect),
              TAKE(INT, struct module_call, kind)},
    .fill = fill_module,
};

PyMethodDef vtable_methods[] = {
    METHOD_ENTRY("_create_module", connection_create_module, create_module_doc),
    {NULL, NULL, 0, NULL},
};
