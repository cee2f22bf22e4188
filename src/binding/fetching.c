/* fetch_one() and fetch_optional() are execute_fetchall() that looks at how many rows there are;
 * fetch_scalar() reads no more than the first. */

#include "binding/fetching.h"

#include "binding/cursor.h"
#include "binding/errors.h"
#include "binding/execute.h"
#include "binding/iterate.h"
#include "binding/rows.h"

/* -- fetch_all ------------------------------------------------------------------ */

PyDoc_STRVAR(all_doc,
             "fetch_all($self, sql, parameters=None, *, deadline=None)\n--\n\n"
             "Execute a query and return all its rows, a list.\n\n"
             "The same as execute_fetchall(). parameters: a sequence or a dict. deadline: "
             "seconds, as\nof execute().");

static const struct request_hooks all_hooks = {
    .pack = execute_pack_all, .unpack = execute_unpack_all, .sql = execute_sql};

METHOD(connection_fetch_all) = {
    .args = ARGS("Connection.fetch_all", 1, 2, 0, "sql", "parameters", "deadline"),
    .hooks = &all_hooks,
    .on = ON_NEW_CURSOR,
    .op = CSQ_EXECUTE,
    .objects = EXECUTE_OBJECTS,
    .deadline = true,
    .fill = execute_fill,
};

/* -- fetch_one, fetch_optional -------------------------------------------------- */

/* Raises RowCountError. REQUEST_FAILED. */
static enum request_answer
refuse(RequestObject *request, const char *wanted, Py_ssize_t rows)
{
    PyObject *type = module_import("csqlite.fetching", "RowCountError");
    PyObject *error = type == NULL ? NULL
                                   : PyObject_CallFunction(type, "snO", wanted, rows,
                                                           execute_call(request)->sql);

    if (error != NULL) {
        PyErr_SetObject(type, error);
    }
    Py_XDECREF(error);
    Py_XDECREF(type);
    return REQUEST_FAILED;
}

/* Lets the request end with the only row of the list that it would end with; `wanted` says
 * which others there may be. */
static enum request_answer
take_one(RequestObject *request, const char *wanted, bool optional)
{
    PyObject *rows = request->result;
    Py_ssize_t count = PyList_GET_SIZE(rows);
    enum request_answer answer = REQUEST_READY;

    request->result = NULL;
    if (count == 1) {
        request->result = Py_NewRef(PyList_GET_ITEM(rows, 0));
    } else if (count == 0 && optional) {
        request->result = Py_NewRef(Py_None);
    } else {
        answer = refuse(request, wanted, count);
    }
    Py_DECREF(rows);
    return answer;
}

static enum request_answer
one_unpack(RequestObject *request, int64_t slice_end)
{
    enum request_answer answer = execute_unpack_all(request, slice_end);

    return answer == REQUEST_READY ? take_one(request, "one row", false) : answer;
}

static enum request_answer
optional_unpack(RequestObject *request, int64_t slice_end)
{
    enum request_answer answer = execute_unpack_all(request, slice_end);

    return answer == REQUEST_READY ? take_one(request, "one row or none", true) : answer;
}

PyDoc_STRVAR(one_doc, "fetch_one($self, sql, parameters=None, *, deadline=None)\n--\n\n"
                      "Execute a query and return its row, which must be the only one.\n\n"
                      "Raises RowCountError, a DataError, where there is none or more than one; "
                      "its `rows` says\nhow many. Arguments as of fetch_all().");

static const struct request_hooks one_hooks = {
    .pack = execute_pack_all, .unpack = one_unpack, .sql = execute_sql};

METHOD(connection_fetch_one) = {
    .args = ARGS("Connection.fetch_one", 1, 2, 0, "sql", "parameters", "deadline"),
    .hooks = &one_hooks,
    .on = ON_NEW_CURSOR,
    .op = CSQ_EXECUTE,
    .objects = EXECUTE_OBJECTS,
    .deadline = true,
    .fill = execute_fill,
};

PyDoc_STRVAR(optional_doc,
             "fetch_optional($self, sql, parameters=None, *, deadline=None)\n--\n\n"
             "Execute a query and return its row, or None where there is none.\n\n"
             "Raises RowCountError, a DataError, where there is more than one. Arguments as of\n"
             "fetch_all().");

static const struct request_hooks optional_hooks = {
    .pack = execute_pack_all, .unpack = optional_unpack, .sql = execute_sql};

METHOD(connection_fetch_optional) = {
    .args = ARGS("Connection.fetch_optional", 1, 2, 0, "sql", "parameters", "deadline"),
    .hooks = &optional_hooks,
    .on = ON_NEW_CURSOR,
    .op = CSQ_EXECUTE,
    .objects = EXECUTE_OBJECTS,
    .deadline = true,
    .fill = execute_fill,
};

/* -- fetch_scalar --------------------------------------------------------------- */

static enum request_answer
pack_scalar(RequestObject *request)
{
    CursorObject *self = (CursorObject *)request->target;

    Py_SETREF(self->row_factory, Py_NewRef(Py_None));
    if (cursor_use(request, CONNECTION_DEFERRED) < 0 || execute_pack_one(request) < 0) {
        return REQUEST_FAILED;
    }
    request->job.with.steps.first = true;
    return iterate_send(request);
}

static enum request_answer
scalar_pack(RequestObject *request)
{
    return execute_on_own(request, pack_scalar);
}

static enum request_answer
scalar_unpack(RequestObject *request, int64_t slice_end)
{
    CursorObject *self = (CursorObject *)request->target;
    PyObject *row;

    (void)slice_end;
    self->exhausted = true;
    if (errors_check(self->state, request) < 0 || rows_take_result(self, request) < 0 ||
        execute_warn(request) < 0) {
        return REQUEST_FAILED;
    }
    csq_strip_move(&request->strip, &request->job.up);
    if (request->strip.rows == 0) {
        request->result = Py_NewRef(Py_None);
        return REQUEST_READY;
    }
    row = rows_take(self, &request->strip, &request->reader);
    if (row == NULL) {
        return REQUEST_FAILED;
    }
    request->result = PySequence_GetItem(row, 0);
    Py_DECREF(row);
    return request->result == NULL ? REQUEST_FAILED : REQUEST_READY;
}

PyDoc_STRVAR(scalar_doc,
             "fetch_scalar($self, sql, parameters=None, *, deadline=None)\n--\n\n"
             "Execute a query and return the first value of its first row, None where there is "
             "none.\n\n"
             "Whatever the row factory is: no row is made. Other rows are not read. Arguments as "
             "of\nfetch_all(); asyncpg's fetchval().");

static const struct request_hooks scalar_hooks = {
    .pack = scalar_pack, .unpack = scalar_unpack, .sql = execute_sql};

METHOD(connection_fetch_scalar) = {
    .args = ARGS("Connection.fetch_scalar", 1, 2, 0, "sql", "parameters", "deadline"),
    .hooks = &scalar_hooks,
    .on = ON_NEW_CURSOR,
    .op = CSQ_EXECUTE,
    .objects = EXECUTE_OBJECTS,
    .deadline = true,
    .fill = execute_fill,
};

/* -- without rows --------------------------------------------------------------- */

static enum request_answer
pack_through(RequestObject *request)
{
    if (cursor_use(request, CONNECTION_DEFERRED) < 0 || execute_pack_one(request) < 0) {
        return REQUEST_FAILED;
    }
    request->job.with.steps.first = true;
    return iterate_send(request);
}

static enum request_answer
through_pack(RequestObject *request)
{
    return execute_on_own(request, pack_through);
}

static enum request_answer
through_unpack(RequestObject *request, int64_t slice_end)
{
    CursorObject *self = (CursorObject *)request->target;
    const struct csq_steps *steps = &request->job.with.steps;
    PyObject *last;

    (void)slice_end;
    self->exhausted = true;
    if (errors_check(self->state, request) < 0 || execute_warn(request) < 0) {
        return REQUEST_FAILED;
    }
    last = steps->empty ? Py_NewRef(Py_None) : PyLong_FromLongLong(steps->last_rowid);
    request->result =
        last == NULL ? NULL : Py_BuildValue("(LN)", (long long)steps->changes, last);
    return request->result == NULL ? REQUEST_FAILED : REQUEST_READY;
}

PyDoc_STRVAR(through_doc,
             "_execute_through($self, sql, parameters=None, *, deadline=None)\n--\n\n"
             "Execute a statement to its end and give (rowcount, lastrowid).\n\n"
             "Rows are not kept; of a query no more than the first is read.");

static const struct request_hooks through_hooks = {
    .pack = through_pack, .unpack = through_unpack, .sql = execute_sql};

METHOD(connection_through) = {
    .args = ARGS("Connection._execute_through", 1, 2, 0, "sql", "parameters", "deadline"),
    .hooks = &through_hooks,
    .on = ON_NEW_CURSOR,
    .op = CSQ_EXECUTE,
    .objects = EXECUTE_OBJECTS,
    .deadline = true,
    .native = true,
    .fill = execute_fill,
};

const struct method *
fetching_method(enum fetching_kind kind)
{
    static const struct method *const methods[] = {
        &connection_fetch_all_row, &connection_fetch_one_row, &connection_fetch_optional_row,
        &connection_fetch_scalar_row};

    return methods[kind];
}

PyMethodDef fetching_methods[] = {
    METHOD_ENTRY("fetch_all", connection_fetch_all, all_doc),
    METHOD_ENTRY("fetch_one", connection_fetch_one, one_doc),
    METHOD_ENTRY("fetch_optional", connection_fetch_optional, optional_doc),
    METHOD_ENTRY("fetch_scalar", connection_fetch_scalar, scalar_doc),
    METHOD_ENTRY("_execute_through", connection_through, through_doc),
    {NULL, NULL, 0, NULL},
};
