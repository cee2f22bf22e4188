/* executemany(): rows of parameters are packed in slices, each while the worker
 * executes the one before, so that neither a long list nor a slow generator holds up
 * the event loop. */

#include "binding/execute.h"

#include "binding/convert.h"
#include "binding/iterate.h"
#include "binding/method.h"
#include "engine/clock.h"

enum {
    SLICE_BYTES = 128 * 1024, /* of rows packed at once … */
    SLICE_NANOSECONDS = 500 * 1000,
    ROWS_BETWEEN_LOOKS = 8,
};

/* Packs rows from the iterator of the request until the slice is full. Exceptions,
 * of the iterator or of a value, are held and end it: rows before still count. */
static int
pack_slice(RequestObject *request, struct csq_strip *slice, int64_t slice_end, bool *more)
{
    CursorObject *self = (CursorObject *)request->target;

    *more = true;
    while (slice->bytes < SLICE_BYTES || request->inline_run) {
        PyObject *row = PyIter_Next(execute_call(request)->rows);
        int rc;

        if (row == NULL) {
            request->held = compat_take_exception();
            *more = false;
            break;
        }
        rc = convert_parameters(self->state, slice, execute_call(request)->sql, row,
                                &request->held);
        Py_DECREF(row);
        if (rc < 0) {
            return -1;
        }
        if (request->held != NULL) {
            *more = false;
            break;
        }
        if (slice->rows % ROWS_BETWEEN_LOOKS == 0 && csq_now() >= slice_end) {
            break;
        }
    }
    return 0;
}

/* Packs the next slice and lets the worker have it, unless it has all. */
static int
feed(RequestObject *request, int64_t slice_end)
{
    struct csq_strip slice;
    bool more;

    if (execute_call(request)->rows == NULL) {
        return 0;
    }
    csq_strip_init(&slice);
    convert_begin(((CursorObject *)request->target)->state);
    if (pack_slice(request, &slice, slice_end, &more) < 0) {
        csq_strip_clear(&slice);
        return -1;
    }
    csq_flow_put(&request->job.flow, &slice);
    if (!more) {
        csq_flow_end(&request->job.flow);
        Py_CLEAR(execute_call(request)->rows);
    }
    return 0;
}

static int
fill(RequestObject *request, PyObject *const *values)
{
    execute_call(request)->sql = Py_NewRef(values[0]);
    execute_call(request)->parameters = values[1] == Py_None ? NULL : Py_NewRef(values[1]);
    return 0;
}

/* The exception of iter() is set. Since Python 3.12 sqlite3 lets go of the rows, too, for
 * any failure, and here of nothing that describes them. */
static enum request_answer
refuse_rows(RequestObject *request)
{
#if PY_VERSION_HEX >= 0x030C0000
    execute_call(request)->described = true;
    return execute_reset(request);
#else
    return execute_refuse(request);
#endif
}

static enum request_answer
many_pack(RequestObject *request)
{
    int64_t slice_end = request->inline_run ? INT64_MAX : csq_now() + SLICE_NANOSECONDS;

    if (cursor_use(request, CONNECTION_DEFERRED) < 0) {
        return execute_refuse(request);
    }
    execute_call(request)->rows = PyObject_GetIter(
        execute_call(request)->parameters == NULL ? Py_None : execute_call(request)->parameters);
    if (execute_call(request)->rows == NULL) {
        return refuse_rows(request);
    }
    if (execute_prepare(request, "executemany") < 0) {
        Py_CLEAR(execute_call(request)->rows);
        return execute_reset(request);
    }
    csq_job_stream(&request->job);
    /* An iterator is not touched before the statement is known to be good. */
    if (execute_call(request)->rows == execute_call(request)->parameters &&
        !request->inline_run) {
        return iterate_send(request);
    }
    return feed(request, slice_end) < 0 ? REQUEST_FAILED : iterate_send(request);
}

static enum request_answer
many_unpack(RequestObject *request, int64_t slice_end)
{
    CursorObject *self = (CursorObject *)request->target;
    struct csq_job *job = &request->job;

    (void)slice_end;
    Py_XSETREF(self->sql, Py_XNewRef(execute_call(request)->sql));
    if (iterate_keep(self, job) < 0) {
        return REQUEST_FAILED;
    }
    if (execute_call(request)->described) {
        cursor_drop_rows(self);
        self->rowcount = self->changes = -1;
    } else {
        cursor_forget(self);
    }
    self->exhausted = true;
    if (execute_check(request) < 0 || execute_warn(request) < 0) {
        return REQUEST_FAILED;
    }
    self->changes = job->with.steps.changes;
    self->rowcount = job->with.steps.changes;
    return execute_give_cursor(request);
}

/* The rows among a call's arguments, lent; NULL: none were given. */
static PyObject *
find_rows(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);

    for (Py_ssize_t i = 0; i < keywords; i++) {
        if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, i), "parameters") == 0) {
            return args[nargs + i];
        }
    }
    return nargs > 1 ? args[1] : NULL;
}

/* Whether rows have to be awaited. */
static bool
is_async(PyObject *rows)
{
    const PyAsyncMethods *methods = Py_TYPE(rows)->tp_as_async;

    return methods != NULL && methods->am_aiter != NULL && Py_TYPE(rows)->tp_iter == NULL;
}

/* Rows that have to be awaited are gathered first (gathering.py). */
static PyObject *
call(const struct method *method, PyObject *self, PyObject *const *args, Py_ssize_t nargs,
     PyObject *kwnames)
{
    PyObject *rows = find_rows(args, nargs, kwnames);

    if (rows == NULL || !is_async(rows)) {
        return method_call(method, self, args, nargs, kwnames);
    }
    return args_forward_to("csqlite.gathering", "executemany", self, args, nargs, kwnames);
}

/* As METHOD(). */
#define EXECUTEMANY(function)                                                          \
    static const struct method function##_row;                                         \
    static PyObject *function(PyObject *self, PyObject *const *args, Py_ssize_t nargs, \
                              PyObject *kwnames)                                       \
    {                                                                                  \
        return call(&function##_row, self, args, nargs, kwnames);                      \
    }                                                                                  \
    static const struct method function##_row

PyDoc_STRVAR(cursor_executemany_doc,
             "executemany($self, sql, parameters, *, deadline=None)\n--\n\n"
             "Execute a DML statement once for each row of `parameters`; give the cursor "
             "itself.\n\nSee Connection.executemany().");

static const struct request_hooks cursor_hooks = {.pack = many_pack,
                                                  .feed = feed,
                                                  .unpack = many_unpack,
                                                  .sql = execute_sql,
                                                  .abandon = cursor_abandon};

EXECUTEMANY(cursor_executemany) = {
    .args = ARGS("Cursor.executemany", 2, 2, 0, "sql", "parameters", "deadline"),
    .hooks = &cursor_hooks,
    .on = ON_PART,
    .op = CSQ_EXECUTEMANY,
    .objects = EXECUTE_OBJECTS,
    .deadline = true,
    .fill = fill,
};

static enum request_answer
connection_many_pack(RequestObject *request)
{
    return execute_on_own(request, many_pack);
}

PyDoc_STRVAR(connection_executemany_doc,
             "executemany($self, sql, parameters, *, deadline=None)\n--\n\n"
             "Execute a DML statement once for each row of `parameters` (any iterable).\n\n"
             "Rows are drained in slices, so a long iterable does not stall the event loop.\n"
             "Those of an async iterable are gathered before the first is executed.\n"
             "Rows executed before an error stay in the transaction, as in sqlite3.");

static const struct request_hooks connection_hooks = {.pack = connection_many_pack,
                                                      .feed = feed,
                                                      .unpack = many_unpack,
                                                      .sql = execute_sql,
                                                      .leave = cursor_leave};

EXECUTEMANY(connection_executemany) = {
    .args = ARGS("Connection.executemany", 2, 2, 0, "sql", "parameters", "deadline"),
    .hooks = &connection_hooks,
    .on = ON_NEW_CURSOR,
    .op = CSQ_EXECUTEMANY,
    .objects = EXECUTE_OBJECTS,
    .deadline = true,
    .fill = fill,
};

PyMethodDef executemany_cursor_methods[] = {
    METHOD_ENTRY("executemany", cursor_executemany, cursor_executemany_doc),
    {NULL, NULL, 0, NULL},
};

PyMethodDef executemany_connection_methods[] = {
    METHOD_ENTRY("executemany", connection_executemany, connection_executemany_doc),
    {NULL, NULL, 0, NULL},
};
