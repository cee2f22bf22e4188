/* The worker prepares and puts what it learns into cells; here they become tuples. */

#include "binding/statement.h"

#include "binding/convert.h"
#include "binding/errors.h"
#include "binding/method.h"
#include "binding/status.h"
#include "engine/describe.h"

/* -- describing ---------------------------------------------------------------- */

struct statement_call {
    PyObject *sql;
    PyObject *parameters; /* NULL: it is described */
    bool all;             /* all statements are described */
};

/* Worker thread. */
static int
run_describe(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    bool all = REQUEST_PAYLOAD(request, struct statement_call)->all;

    return csq_describe(handle, job->sql, job->sql_size, all, &job->up, &job->error);
}

/* Gives the object that the next cell stands for; NULL with an exception. */
static PyObject *
next_object(const struct csq_strip *strip, struct csq_reader *reader)
{
    return status_object(csq_strip_read(strip, reader));
}

/* Gives a tuple of as many tuples of `width` objects (0: of single objects) as the next
 * cell says. */
static PyObject *
next_tuple(const struct csq_strip *strip, struct csq_reader *reader, Py_ssize_t width)
{
    Py_ssize_t count = (Py_ssize_t)csq_strip_read(strip, reader)->value.integer;
    PyObject *tuple = PyTuple_New(count);

    for (Py_ssize_t i = 0; tuple != NULL && i < count; i++) {
        PyObject *item = width == 0 ? next_object(strip, reader) : PyTuple_New(width);

        for (Py_ssize_t j = 0; item != NULL && j < width; j++) {
            PyObject *object = next_object(strip, reader);

            if (object == NULL) {
                Py_CLEAR(item);
            } else {
                PyTuple_SET_ITEM(item, j, object);
            }
        }
        if (item == NULL) {
            Py_CLEAR(tuple);
        } else {
            PyTuple_SET_ITEM(tuple, i, item);
        }
    }
    return tuple;
}

enum { COLUMN_WIDTH = 5 };

/* Gives the tuple (begin, end, readonly, explain, normalized, parameters, columns) of
 * the next statement in the strip, whose first cell has been read. */
static PyObject *
make_statement(const struct csq_cell *first, const struct csq_strip *strip,
               struct csq_reader *reader)
{
    long long numbers[4] = {first->value.integer};
    PyObject *normalized;
    PyObject *parameters;
    PyObject *columns = NULL;

    for (int i = 1; i < 4; i++) {
        numbers[i] = csq_strip_read(strip, reader)->value.integer;
    }
    normalized = next_object(strip, reader);
    parameters = normalized == NULL ? NULL : next_tuple(strip, reader, 0);
    columns = parameters == NULL ? NULL : next_tuple(strip, reader, COLUMN_WIDTH);
    if (columns == NULL) {
        Py_XDECREF(normalized);
        Py_XDECREF(parameters);
        return NULL;
    }
    return Py_BuildValue("(LLNLNNN)", numbers[0], numbers[1], PyBool_FromLong(numbers[2] != 0),
                         numbers[3], normalized, parameters, columns);
}

static enum request_answer
describe_unpack(RequestObject *request, int64_t slice_end)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    const struct csq_strip *strip = &request->job.up;
    struct csq_reader reader = {NULL, NULL};
    const struct csq_cell *first;
    PyObject *list;

    (void)slice_end;
    if (errors_check(self->state, request) < 0) {
        return REQUEST_FAILED;
    }
    list = PyList_New(0);
    while (list != NULL && (first = csq_strip_read(strip, &reader)) != NULL) {
        PyObject *statement = make_statement(first, strip, &reader);

        if (statement == NULL || PyList_Append(list, statement) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(statement);
    }
    request->result = list;
    return list == NULL ? REQUEST_FAILED : REQUEST_READY;
}

/* Lends the job the SQL. */
static int
lend_sql(RequestObject *request, const char *method)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    PyObject *sql = REQUEST_PAYLOAD(request, struct statement_call)->sql;
    Py_ssize_t size;

    request->job.sql = convert_sql(self->state, sql, method, &size);
    request->job.sql_size = (size_t)size;
    return request->job.sql == NULL ? -1 : 0;
}

static enum request_answer
describe_pack(RequestObject *request)
{
    bool all = REQUEST_PAYLOAD(request, struct statement_call)->all;

    if (connection_use(request, CONNECTION_DIRECT) < 0 ||
        lend_sql(request, all ? "script_info" : "statement_info") < 0) {
        return REQUEST_FAILED;
    }
    return REQUEST_WAIT;
}

PyDoc_STRVAR(describe_doc,
             "_describe($self, sql, all)\n--\n\n"
             "Give a list of tuples, one for the first statement of `sql`, or for `all`: see\n"
             "csqlite/statement.py.");

static const struct request_hooks describe_hooks = {.pack = describe_pack,
                                                    .unpack = describe_unpack};

METHOD(connection_describe) = {
    .args = ARGS("Connection._describe", 2, 2, 0, "sql", "all"),
    .hooks = &describe_hooks,
    .native = true,
    .objects = 2,
    .run = run_describe,
    .takes = {TAKE(OBJECT, struct statement_call, sql), TAKE(TRUTH, struct statement_call, all)},
};

/* -- expanding ----------------------------------------------------------------- */

/* Worker thread. Prepares apart from the cache, whose counters are the user's. */
static int
run_expand(struct csq_job *job, sqlite3 *handle)
{
    struct csq_reader reader = {NULL, NULL};
    struct csq_cache cache;
    struct csq_stmt *stmt;
    char *text = NULL;

    csq_cache_init(&cache, 0);
    stmt = csq_stmt_get(&cache, handle, job->sql, job->sql_size, &job->error);
    if (stmt == NULL) {
        return job->error.code;
    }
    if (csq_stmt_bind(stmt, &job->down, &reader, &job->error) == SQLITE_OK) {
        text = stmt->handle == NULL ? NULL : sqlite3_expanded_sql(stmt->handle);
        if (text == NULL && stmt->handle != NULL) {
            csq_error_set(&job->error, SQLITE_TOOBIG, "string or blob too big");
        } else if (text != NULL && !csq_strip_put_text(&job->up, text, strlen(text))) {
            csq_error_copy(&job->error, NULL, SQLITE_NOMEM);
        }
    }
    sqlite3_free(text);
    csq_stmt_put(&cache, stmt);
    return job->error.code;
}

static enum request_answer
expand_pack(RequestObject *request)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    struct statement_call *call = REQUEST_PAYLOAD(request, struct statement_call);

    if (connection_use(request, CONNECTION_DIRECT) < 0 || lend_sql(request, "expanded_sql") < 0) {
        return REQUEST_FAILED;
    }
    convert_begin(self->state);
    if (convert_parameters(self->state, &request->job.down, call->sql, call->parameters,
                           &request->held) < 0) {
        return REQUEST_FAILED;
    }
    return REQUEST_WAIT;
}

PyDoc_STRVAR(expand_doc, "_expand($self, sql, parameters)\n--\n\n"
                         "Give a statement with its parameters filled in: see\n"
                         "csqlite/statement.py.");

static const struct request_hooks expand_hooks = {.pack = expand_pack,
                                                  .unpack = status_unpack_value};

METHOD(connection_expand) = {
    .args = ARGS("Connection._expand", 2, 2, 0, "sql", "parameters"),
    .hooks = &expand_hooks,
    .native = true,
    .objects = 2,
    .run = run_expand,
    .takes = {TAKE(OBJECT, struct statement_call, sql),
              TAKE(OBJECT, struct statement_call, parameters)},
};

PyMethodDef statement_methods[] = {
    METHOD_ENTRY("_describe", connection_describe, describe_doc),
    METHOD_ENTRY("_expand", connection_expand, expand_doc),
    {NULL, NULL, 0, NULL},
};
