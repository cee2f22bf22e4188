/* Executing one statement, or a script: on a cursor, or on a connection, which makes
 * the cursor itself. Parameters are packed when the request is first awaited, and
 * what cannot be packed is raised in its turn (convert.h). */

#include "binding/execute.h"

#include "binding/convert.h"
#include "binding/cursor.h"
#include "binding/errors.h"
#include "binding/iterate.h"
#include "binding/method.h"
#include "binding/notes.h"
#include "binding/rows.h"
#include "binding/watchdog.h"
#include "engine/scan.h"

/* -- what all have in common -------------------------------------------------- */

/* Lends the job the SQL and what the connection says about how
 * to run it. */
int
execute_prepare(RequestObject *request, const char *method)
{
    CursorObject *self = (CursorObject *)request->target;
    struct csq_job *job = &request->job;
    Py_ssize_t size;

    job->sql = convert_sql(self->state, execute_call(request)->sql, method, &size);
    if (job->sql == NULL) {
        return -1;
    }
    job->sql_size = (size_t)size;
    job->with.steps.begin = self->connection->begin;
    job->with.steps.texts = self->connection->detect_types != 0;
#if PY_VERSION_HEX >= 0x030E0000
    job->with.steps.refuse_names = true;
#endif
    return 0;
}

static int
pack_parameters(RequestObject *request)
{
    struct module_state *state = ((CursorObject *)request->target)->state;

    convert_begin(state);
    return convert_parameters(state, &request->job.down, execute_call(request)->sql,
                              execute_call(request)->parameters, &request->held);
}

int
execute_pack_one(RequestObject *request)
{
    return execute_prepare(request, "execute") < 0 ? -1 : pack_parameters(request);
}

/* SQL that is no str is refused by sqlite3 before it looks at the cursor. */
enum request_answer
execute_refuse(RequestObject *request)
{
    if (PyUnicode_Check(execute_call(request)->sql)) {
        ((CursorObject *)request->target)->rowcount = -1;
    }
    return REQUEST_FAILED;
}

/* The worker lets the old result go, as it does for SQL that it cannot prepare. */
enum request_answer
execute_reset(RequestObject *request)
{
    if (!PyUnicode_Check(execute_call(request)->sql)) {
        return REQUEST_FAILED;
    }
    request->held = compat_take_exception();
    request->job.op = CSQ_RESET;
    return iterate_send(request);
}

/* What a job without rows has failed with, or what has made it a reset. */
int
execute_check(RequestObject *request)
{
    PyObject *held = request->held;

    if (errors_check(((CursorObject *)request->target)->state, request) < 0) {
        return -1;
    }
    if (held == NULL) {
        return 0;
    }
    request->held = NULL;
    compat_give_exception(held);
    if (request->job.op == CSQ_RESET) {
        notes_of_request(request); /* else it is that of an iterator of parameters */
    }
    return -1;
}

/* Warns, where the running Python's sqlite3 module does, of a sequence bound to
 * named placeholders. 0, or -1 when the warning is an error. */
int
execute_warn(RequestObject *request)
{
#if PY_VERSION_HEX >= 0x030C0000
    const char *sql = request->job.sql;
    const char *name = "";
    size_t size = 0;

    if (request->job.with.steps.first_name == 0) {
        return 0;
    }
    csq_scan_parameter(&sql, request->job.sql + request->job.sql_size, &name, &size);
    return PyErr_WarnFormat(
        PyExc_DeprecationWarning, 1,
        "Binding %d ('%.*s') is a named parameter, but you supplied a "
        "sequence which requires nameless (qmark) placeholders. Starting with "
        "Python 3.14 an sqlite3.ProgrammingError will be raised.",
        request->job.with.steps.first_name, size == 0 ? 0 : (int)size + 1,
        size == 0 ? "" : name - 1);
#else
    (void)request;
    return 0;
#endif
}

static int
take_last_rowid(CursorObject *self, const struct csq_job *job)
{
    PyObject *last;

    if (job->with.steps.empty) {
        return 0;
    }
    last = PyLong_FromLongLong(job->with.steps.last_rowid);
    if (last == NULL) {
        return -1;
    }
    Py_XSETREF(self->lastrowid, last);
    return 0;
}

PyObject *
execute_sql(RequestObject *request)
{
    return execute_call(request)->sql;
}

/* What the request ends with: its cursor. */
enum request_answer
execute_give_cursor(RequestObject *request)
{
    request->result = Py_NewRef(request->target);
    return REQUEST_READY;
}

/* A failed execution leaves no result set. */
static enum request_answer
fail(CursorObject *self)
{
    cursor_forget(self);
    return REQUEST_FAILED;
}

/* -- execute ------------------------------------------------------------------ */

static enum request_answer
execute_pack(RequestObject *request)
{
    CursorObject *self = (CursorObject *)request->target;

    if (cursor_use(request, CONNECTION_DEFERRED) < 0) {
        return execute_refuse(request);
    }
    if (execute_prepare(request, "execute") < 0) {
        return execute_reset(request);
    }
    if (pack_parameters(request) < 0) {
        return REQUEST_FAILED;
    }
    request->job.with.steps.rows = cursor_first_chunk(self);
    return iterate_send(request);
}

/* Takes in the first chunk. Rows that came before an error are still rows: the
 * error waits behind them. */
static enum request_answer
execute_unpack(RequestObject *request, int64_t slice_end)
{
    CursorObject *self = (CursorObject *)request->target;
    struct csq_job *job = &request->job;

    (void)slice_end;
    Py_XSETREF(self->sql, Py_XNewRef(execute_call(request)->sql));
    self->exhausted = job->with.steps.exhausted || job->error.code != SQLITE_OK;
    if (iterate_keep(self, job) < 0) {
        return fail(self);
    }
    if (job->up.rows == 0 && execute_check(request) < 0) {
        return fail(self);
    }
    if (rows_take_result(self, request) < 0 || execute_warn(request) < 0 ||
        take_last_rowid(self, job) < 0) {
        return fail(self);
    }
    csq_strip_move(&self->strip, &job->up);
    cursor_keep_error(self, request);
    self->changes = job->with.steps.changes;
    self->rowcount = job->with.steps.changes;
    if (self->strip.rows > 0 && job->with.steps.changes > 0) {
        self->rowcount = 0; /* RETURNING: known when the last row is taken */
    }
    if (execute_call(request)->place != NULL && !self->exhausted) {
        watchdog_begin(request);
    }
    return execute_give_cursor(request);
}

/* For those who ask what is executed. Apart, so that others do not pay for it. */
__attribute__((noinline)) static int
note_sql(RequestObject *request)
{
    ConnectionObject *connection = (ConnectionObject *)request->owner;

    if (connection->notes_sql) {
        Py_XSETREF(connection->last_sql, Py_NewRef(execute_call(request)->sql));
    }
    return connection->reader_warning == NULL ? 0 : watchdog_note(request);
}

int
execute_fill(RequestObject *request, PyObject *const *values)
{
    struct execute_call *call = execute_call(request);
    ConnectionObject *connection = (ConnectionObject *)request->owner;

    call->sql = Py_NewRef(values[0]);
    call->parameters = values[1] == Py_None ? NULL : Py_XNewRef(values[1]);
    return connection->reader_warning == NULL && !connection->notes_sql ? 0 : note_sql(request);
}

PyDoc_STRVAR(cursor_execute_doc,
             "execute($self, sql, parameters=None, *, deadline=None)\n--\n\n"
             "Execute one statement and give the cursor itself; what was open in it is ended.\n\n"
             "See Connection.execute().");

static const struct request_hooks cursor_hooks = {.pack = execute_pack,
                                                  .unpack = execute_unpack,
                                                  .sql = execute_sql,
                                                  .abandon = cursor_abandon};

METHOD(cursor_execute) = {
    .args = ARGS("Cursor.execute", 1, 2, 0, "sql", "parameters", "deadline"),
    .hooks = &cursor_hooks,
    .on = ON_PART,
    .op = CSQ_EXECUTE,
    .objects = EXECUTE_OBJECTS,
    .deadline = true,
    .fill = execute_fill,
};

/* Nobody else has the cursor, so there is no order to be kept. */
static enum request_answer
pack_own(RequestObject *request, enum request_answer (*pack)(RequestObject *request))
{
    enum request_answer answer;

    cursor_inherit((CursorObject *)request->target);
    answer = pack(request);
    request->line = NULL;
    return answer;
}

/* aiosqlite complains of a connection that is not open before a cursor could. */
enum request_answer
execute_on_own(RequestObject *request, enum request_answer (*pack)(RequestObject *request))
{
    return connection_use(request, CONNECTION_DIRECT) < 0 ? REQUEST_FAILED
                                                          : pack_own(request, pack);
}

static enum request_answer
connection_execute_pack(RequestObject *request)
{
    return execute_on_own(request, execute_pack);
}

PyDoc_STRVAR(
    connection_execute_doc,
    "execute($self, sql, parameters=None, *, deadline=None)\n--\n\n"
    "Execute one statement on a new cursor and give the cursor.\n\n"
    "sql: str, one statement. parameters: a sequence for `?`, a mapping for `:name`.\n"
    "DML has run and a query's first rows are there when it returns. `async with`\n"
    "closes the cursor at the end. Raises what sqlite3's Connection.execute() raises.\n\n"
    "deadline: seconds from when it is awaited, 0: at once. What has not ended by then is\n"
    "stopped and raises DeadlineExceeded; see csqlite.timeout().");

static const struct request_hooks connection_hooks = {.pack = connection_execute_pack,
                                                      .unpack = execute_unpack,
                                                      .sql = execute_sql,
                                                      .leave = cursor_leave};

METHOD(connection_execute) = {
    .args = ARGS("Connection.execute", 1, 2, 0, "sql", "parameters", "deadline"),
    .hooks = &connection_hooks,
    .on = ON_NEW_CURSOR,
    .op = CSQ_EXECUTE,
    .objects = EXECUTE_OBJECTS,
    .deadline = true,
    .fill = execute_fill,
};

/* -- execute_insert ----------------------------------------------------------- */

static enum request_answer
pack_insert(RequestObject *request)
{
    if (cursor_use(request, CONNECTION_DEFERRED) < 0 || execute_pack_one(request) < 0) {
        return REQUEST_FAILED;
    }
    request->job.with.steps.rows = 1;
    return iterate_send(request);
}

static enum request_answer
insert_pack(RequestObject *request)
{
    return pack_own(request, pack_insert);
}

static enum request_answer
insert_unpack(RequestObject *request, int64_t slice_end)
{
    CursorObject *self = (CursorObject *)request->target;
    PyObject *names;
    PyObject *values;

    (void)slice_end;
    self->exhausted = request->job.with.steps.exhausted || request->job.error.code != SQLITE_OK;
    if (errors_check(self->state, request) < 0 || execute_warn(request) < 0) {
        return REQUEST_FAILED;
    }
    names = Py_BuildValue("(s)", "last_insert_rowid()");
    values = names == NULL ? NULL
                           : Py_BuildValue("(L)", (long long)request->job.with.steps.last_rowid);
    request->result = rows_make(self->state, self->row_factory, names, values);
    Py_XDECREF(names);
    return request->result == NULL ? REQUEST_FAILED : REQUEST_READY;
}

PyDoc_STRVAR(connection_execute_insert_doc,
             "execute_insert($self, sql, parameters=None, *, deadline=None)\n--\n\n"
             "Execute an INSERT and give a row of one value: last_insert_rowid().");

static const struct request_hooks insert_hooks = {
    .pack = insert_pack, .unpack = insert_unpack, .sql = execute_sql};

METHOD(connection_execute_insert) = {
    .args = ARGS("Connection.execute_insert", 1, 2, 0, "sql", "parameters", "deadline"),
    .hooks = &insert_hooks,
    .on = ON_NEW_CURSOR,
    .op = CSQ_EXECUTE,
    .objects = EXECUTE_OBJECTS,
    .deadline = true,
    .fill = execute_fill,
};

/* -- execute_fetchall --------------------------------------------------------- */

static enum request_answer
pack_fetchall(RequestObject *request)
{
    if (cursor_use(request, CONNECTION_DEFERRED) < 0 || execute_pack_one(request) < 0) {
        return REQUEST_FAILED;
    }
    request->rows = PyList_New(0);
    if (request->rows == NULL) {
        return REQUEST_FAILED;
    }
    request->job.with.steps.rows = SIZE_MAX;
    request->job.with.steps.whole = true;
    if (!request->inline_run) {
        csq_job_stream(&request->job);
    }
    return iterate_send(request);
}

enum request_answer
execute_pack_all(RequestObject *request)
{
    return pack_own(request, pack_fetchall);
}

enum request_answer
execute_unpack_all(RequestObject *request, int64_t slice_end)
{
    CursorObject *self = (CursorObject *)request->target;
    struct csq_job *job = &request->job;

    if (job->streaming) {
        csq_flow_take(&job->flow, &request->strip);
    }
    if (job->done) {
        csq_strip_move(&request->strip, &job->up);
        if (errors_check(self->state, request) < 0) {
            return REQUEST_FAILED;
        }
    }
    if (self->columns == NULL && job->columns != NULL &&
        (rows_take_result(self, request) < 0 || execute_warn(request) < 0)) {
        return REQUEST_FAILED;
    }
    if (rows_fill(self, &request->strip, &request->reader, request->rows, PY_SSIZE_T_MAX,
                  slice_end) < 0) {
        return REQUEST_FAILED;
    }
    if (request->strip.rows > 0) {
        return REQUEST_AGAIN;
    }
    if (!job->done) {
        return REQUEST_WAIT;
    }
    self->exhausted = true;
    request->result = request->rows;
    request->rows = NULL;
    return REQUEST_READY;
}

PyDoc_STRVAR(connection_execute_fetchall_doc,
             "execute_fetchall($self, sql, parameters=None, *, deadline=None)\n--\n\n"
             "Execute a query and give the list of all its rows.");

static const struct request_hooks fetchall_hooks = {
    .pack = execute_pack_all, .unpack = execute_unpack_all, .sql = execute_sql};

METHOD(connection_execute_fetchall) = {
    .args = ARGS("Connection.execute_fetchall", 1, 2, 0, "sql", "parameters", "deadline"),
    .hooks = &fetchall_hooks,
    .on = ON_NEW_CURSOR,
    .op = CSQ_EXECUTE,
    .objects = EXECUTE_OBJECTS,
    .deadline = true,
    .fill = execute_fill,
};

/* -- executescript ------------------------------------------------------------ */

static enum request_answer
script_pack(RequestObject *request)
{
    PyObject *script = execute_call(request)->sql;
    Py_ssize_t size;

    if (cursor_use(request, CONNECTION_DEFERRED) < 0) {
        return REQUEST_FAILED;
    }
    if (!PyUnicode_Check(script)) {
        PyErr_Format(PyExc_TypeError, "executescript() argument must be str, not %.50s",
                     script == Py_None ? "None" : Py_TYPE(script)->tp_name);
        return REQUEST_FAILED;
    }
    request->job.sql = PyUnicode_AsUTF8AndSize(script, &size);
    if (request->job.sql == NULL) {
        return REQUEST_FAILED;
    }
    if (strlen(request->job.sql) != (size_t)size) {
        PyErr_SetString(PyExc_ValueError, "embedded null character");
        return REQUEST_FAILED;
    }
    request->job.sql_size = (size_t)size;
    return cursor_send(request);
}

/* As in the sqlite3 module, what the cursor was reading goes on. */
static enum request_answer
script_unpack(RequestObject *request, int64_t slice_end)
{
    CursorObject *self = (CursorObject *)request->target;

    (void)slice_end;
    return errors_check(self->state, request) < 0 ? REQUEST_FAILED : execute_give_cursor(request);
}

static int
script_fill(RequestObject *request, PyObject *const *values)
{
    execute_call(request)->sql = Py_NewRef(values[0]);
    return 0;
}

PyDoc_STRVAR(cursor_executescript_doc,
             "executescript($self, sql_script, *, deadline=None)\n--\n\n"
             "Execute the statements of a script; give the cursor itself.\n\n"
             "See Connection.executescript().");

static const struct request_hooks cursor_script_hooks = {
    .pack = script_pack, .unpack = script_unpack, .sql = execute_sql, .abandon = cursor_abandon};

METHOD(cursor_executescript) = {
    .args = ARGS("Cursor.executescript", 1, 1, 0, "sql_script", "deadline"),
    .hooks = &cursor_script_hooks,
    .on = ON_PART,
    .op = CSQ_SCRIPT,
    .objects = EXECUTE_OBJECTS,
    .deadline = true,
    .fill = script_fill,
};

static enum request_answer
connection_script_pack(RequestObject *request)
{
    return execute_on_own(request, script_pack);
}

PyDoc_STRVAR(connection_executescript_doc,
             "executescript($self, sql_script, *, deadline=None)\n--\n\n"
             "Execute the statements of a script, after committing an open transaction (but\n"
             "not when autocommit is True or False), as sqlite3's executescript().");

static const struct request_hooks connection_script_hooks = {.pack = connection_script_pack,
                                                             .unpack = script_unpack,
                                                             .sql = execute_sql,
                                                             .leave = cursor_leave};

METHOD(connection_executescript) = {
    .args = ARGS("Connection.executescript", 1, 1, 0, "sql_script", "deadline"),
    .hooks = &connection_script_hooks,
    .on = ON_NEW_CURSOR,
    .op = CSQ_SCRIPT,
    .objects = EXECUTE_OBJECTS,
    .deadline = true,
    .fill = script_fill,
};

/* -- dump --------------------------------------------------------------------- */

static enum request_answer
dump_pack(RequestObject *request)
{
    CursorObject *self = (CursorObject *)request->target;

    if (cursor_use(request, CONNECTION_DEFERRED) < 0) {
        return REQUEST_FAILED;
    }
    if (execute_call(request)->parameters != NULL) {
        request->job.sql = args_text(execute_call(request)->parameters, "iterdump", "'filter'");
        if (request->job.sql == NULL) {
            return REQUEST_FAILED;
        }
    }
    request->job.with.steps.rows = cursor_first_chunk(self);
    return iterate_send(request);
}

static int
dump_fill(RequestObject *request, PyObject *const *values)
{
    CursorObject *cursor = (CursorObject *)request->target;

    cursor->plain = true;
    Py_SETREF(cursor->row_factory, Py_NewRef(Py_None));
    execute_call(request)->sql = Py_NewRef(Py_None);
    execute_call(request)->parameters = values[0] == Py_None ? NULL : Py_NewRef(values[0]);
    return cursor->connection->reader_warning == NULL ? 0 : watchdog_note(request);
}

static const struct request_hooks dump_hooks = {
    .pack = dump_pack, .unpack = execute_unpack, .leave = cursor_leave};

PyDoc_STRVAR(dump_doc, "_dump($self, condition, /)\n--\n\n"
                       "Give a cursor over the lines of a dump, each a row of one text.");

METHOD(connection_dump) = {
    .args = ARGS_PLAIN("Connection._dump", 1, "condition"),
    .hooks = &dump_hooks,
    .on = ON_NEW_CURSOR,
    .op = CSQ_DUMP,
    .objects = EXECUTE_OBJECTS,
    .native = true,
    .fill = dump_fill,
};

PyMethodDef execute_cursor_methods[] = {
    METHOD_ENTRY("execute", cursor_execute, cursor_execute_doc),
    METHOD_ENTRY("executescript", cursor_executescript, cursor_executescript_doc),
    {NULL, NULL, 0, NULL},
};

PyMethodDef execute_connection_methods[] = {
    METHOD_ENTRY("execute", connection_execute, connection_execute_doc),
    METHOD_ENTRY("execute_insert", connection_execute_insert, connection_execute_insert_doc),
    METHOD_ENTRY("execute_fetchall", connection_execute_fetchall,
                 connection_execute_fetchall_doc),
    METHOD_ENTRY("executescript", connection_executescript, connection_executescript_doc),
    METHOD_ENTRY("_dump", connection_dump, dump_doc),
    {NULL, NULL, 0, NULL},
};
