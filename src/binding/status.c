/* A job puts its answer into cells, so the worker makes no Python object; the loop
 * makes one of them. */

#include "binding/status.h"

#include "binding/errors.h"
#include "binding/method.h"
#include "engine/claim.h"
#include "engine/native.h"

/* -- what other files need ----------------------------------------------------- */

PyObject *
status_object(const struct csq_cell *cell)
{
    switch (cell->type) {
    case CSQ_INTEGER:
        return PyLong_FromLongLong(cell->value.integer);
    case CSQ_TEXT:
        return PyUnicode_DecodeUTF8(cell->value.bytes, (Py_ssize_t)cell->size, "replace");
    case CSQ_BLOB:
        return PyBytes_FromStringAndSize(cell->value.bytes, (Py_ssize_t)cell->size);
    default:
        return Py_NewRef(Py_None);
    }
}

enum request_answer
status_unpack_value(RequestObject *request, int64_t slice_end)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    struct csq_reader reader = {NULL, NULL};
    const struct csq_cell *cell;

    (void)slice_end;
    if (errors_check(self->state, request) < 0) {
        return REQUEST_FAILED;
    }
    cell = csq_strip_read(&request->job.up, &reader);
    request->result = cell == NULL ? Py_NewRef(Py_None) : status_object(cell);
    return request->result == NULL ? REQUEST_FAILED : REQUEST_READY;
}

enum request_answer
status_unpack_tuple(RequestObject *request, int64_t slice_end)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    struct csq_reader reader = {NULL, NULL};
    const struct csq_cell *cell;
    PyObject *list;

    (void)slice_end;
    if (errors_check(self->state, request) < 0) {
        return REQUEST_FAILED;
    }
    list = PyList_New(0);
    while (list != NULL && (cell = csq_strip_read(&request->job.up, &reader)) != NULL) {
        PyObject *object = status_object(cell);

        if (object == NULL || PyList_Append(list, object) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(object);
    }
    request->result = list == NULL ? NULL : PyList_AsTuple(list);
    Py_XDECREF(list);
    return request->result == NULL ? REQUEST_FAILED : REQUEST_READY;
}

const struct request_hooks status_value = {.pack = method_simple_pack,
                                           .unpack = status_unpack_value};
static const struct request_hooks tuple_hooks = {.pack = method_simple_pack,
                                                 .unpack = status_unpack_tuple};

/* There always is a schema "temp", which SQLite does not know before it is used. */
static bool
is_temp(const char *name)
{
    return sqlite3_stricmp(name, "temp") == 0;
}

int
status_check_name(struct csq_job *job, sqlite3 *handle, int rc)
{
    if (rc != SQLITE_OK && job->sql != NULL && !is_temp(job->sql) &&
        sqlite3_db_readonly(handle, job->sql) < 0) {
        return csq_error_set(&job->error, SQLITE_ERROR, "unknown database %s", job->sql);
    }
    /* What is asked about a name leaves no message with the handle. */
    return rc == SQLITE_OK ? rc : csq_error_copy(&job->error, NULL, rc);
}

static int
no_memory(struct csq_job *job)
{
    return csq_error_copy(&job->error, NULL, SQLITE_NOMEM);
}

static int
put_integer(struct csq_job *job, int64_t value)
{
    return csq_strip_put_integer(&job->up, value) ? SQLITE_OK : no_memory(job);
}

static int
put_pair(struct csq_job *job, int64_t one, int64_t two)
{
    return put_integer(job, one) == SQLITE_OK ? put_integer(job, two) : SQLITE_NOMEM;
}

struct schema_call {
    PyObject *name;
    int mode; /* of a checkpoint */
};

/* -- counters ------------------------------------------------------------------ */

struct counter_call {
    int op;
    bool reset; /* the highest value to the current one */
};

static int
run_db_status(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    const struct counter_call *call = REQUEST_PAYLOAD(request, struct counter_call);
#if SQLITE_VERSION_NUMBER >= 3051000
    sqlite3_int64 current = 0;
    sqlite3_int64 highest = 0;
    int rc = sqlite3_db_status64(handle, call->op, &current, &highest, call->reset);
#else
    int current = 0;
    int highest = 0;
    int rc = sqlite3_db_status(handle, call->op, &current, &highest, call->reset);
#endif

    if (rc != SQLITE_OK) {
        return csq_error_set(&job->error, rc, "SQLite has no status of a connection %d",
                             call->op);
    }
    return put_pair(job, current, highest);
}

PyDoc_STRVAR(db_status_doc,
             "db_status($self, op, reset=False)\n--\n\n"
             "Give a tuple (current, highest) of one of SQLite's counters of the connection.\n\n"
             "op: SQLITE_DBSTATUS_... reset: set the highest value to the current one. Raises\n"
             "OperationalError for an op that SQLite does not know. As apsw's\n"
             "Connection.status(). sqlite3_db_status().");

METHOD(connection_db_status) = {
    .args = ARGS("Connection.db_status", 1, 2, 0, "op", "reset"),
    .hooks = &tuple_hooks,
    .run = run_db_status,
    .takes = {TAKE(CLAMPED, struct counter_call, op), TAKE(TRUTH, struct counter_call, reset)},
};

/* Limits by number, in the order of SQLite's numbers. */
static const char *const limits[] = {
    "SQLITE_LIMIT_LENGTH",
    "SQLITE_LIMIT_SQL_LENGTH",
    "SQLITE_LIMIT_COLUMN",
    "SQLITE_LIMIT_EXPR_DEPTH",
    "SQLITE_LIMIT_COMPOUND_SELECT",
    "SQLITE_LIMIT_VDBE_OP",
    "SQLITE_LIMIT_FUNCTION_ARG",
    "SQLITE_LIMIT_ATTACHED",
    "SQLITE_LIMIT_LIKE_PATTERN_LENGTH",
    "SQLITE_LIMIT_VARIABLE_NUMBER",
    "SQLITE_LIMIT_TRIGGER_DEPTH",
    "SQLITE_LIMIT_WORKER_THREADS",
    "SQLITE_LIMIT_PARSER_DEPTH",
};

enum { LIMITS = sizeof limits / sizeof *limits };

static int
run_limits(struct csq_job *job, sqlite3 *handle)
{
    int rc = SQLITE_OK;

    for (int limit = 0; limit < LIMITS && rc == SQLITE_OK; limit++) {
        rc = put_integer(job, sqlite3_limit(handle, limit, -1));
    }
    return rc;
}

/* Puts what stands in cells into a dict, by name. Negative: there is no such thing. */
static PyObject *
make_dict(const struct csq_strip *strip, const char *const *names)
{
    struct csq_reader reader = {NULL, NULL};
    const struct csq_cell *cell;
    PyObject *dict = PyDict_New();

    while (dict != NULL && (cell = csq_strip_read(strip, &reader)) != NULL) {
        PyObject *value = PyLong_FromLongLong(cell->value.integer);

        if (value == NULL ||
            (cell->value.integer >= 0 && PyDict_SetItemString(dict, *names, value) < 0)) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(value);
        names++;
    }
    return dict;
}

static enum request_answer
unpack_dict(RequestObject *request, const char *const *names)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;

    if (errors_check(self->state, request) < 0) {
        return REQUEST_FAILED;
    }
    request->result = make_dict(&request->job.up, names);
    return request->result == NULL ? REQUEST_FAILED : REQUEST_READY;
}

static enum request_answer
limits_unpack(RequestObject *request, int64_t slice_end)
{
    (void)slice_end;
    return unpack_dict(request, limits);
}

PyDoc_STRVAR(limits_doc,
             "limits($self, /)\n--\n\n"
             "Give the limits that hold for the connection: dict of SQLITE_LIMIT_... name to\n"
             "int. sqlite3_limit(), asked for each.");

static const struct request_hooks limits_hooks = {.pack = method_simple_pack,
                                                  .unpack = limits_unpack};

METHOD(connection_limits) = {
    .args = ARGS_NONE("Connection.limits"),
    .hooks = &limits_hooks,
    .run = run_limits,
};

/* -- the log and the cache of pages --------------------------------------------- */

/* Lets the handle find out whether its databases have a log by now. One that has read
 * nothing yet, or nothing since another connection has made the log, does not know, and a
 * checkpoint would answer that there is none. A blob is opened for it, because that runs
 * no SQL of which a handler of the user's would hear; whether there is such a row does
 * not matter. `name`: of the schema, NULL for all. */
static void
look_for_logs(sqlite3 *handle, const char *name)
{
    for (int i = 0; i == 0 || name == NULL; i++) {
#if SQLITE_VERSION_NUMBER >= 3039000
        const char *schema = name != NULL ? name : sqlite3_db_name(handle, i);
#else
        const char *schema = name != NULL ? name : i == 0 ? "main" : NULL;
#endif
        sqlite3_blob *blob = NULL;

        if (schema == NULL) {
            break;
        }
        /* That of temporary tables has no log, nor a file before there are some. */
        if (sqlite3_stricmp(schema, "temp") != 0) {
            sqlite3_blob_open(handle, schema, "sqlite_master", "type", 1, 0, &blob);
            sqlite3_blob_close(blob);
        }
    }
}

static int
run_wal_checkpoint(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    int mode = REQUEST_PAYLOAD(request, struct schema_call)->mode;
    int log = -1;
    int done = -1;
    int rc;

    /* What is passive waits for nobody. */
    csq_native_db(request->executor)->patient = mode > SQLITE_CHECKPOINT_PASSIVE;
    look_for_logs(handle, job->sql);
    csq_native_db(request->executor)->patient = true;
    csq_claim_perhaps(csq_native_db(request->executor), "wal_checkpoint()");
    rc = sqlite3_wal_checkpoint_v2(handle, job->sql, mode, &log, &done);
    if (rc != SQLITE_OK) {
        return csq_error_copy(&job->error, handle, rc);
    }
    return put_pair(job, log, done);
}

PyDoc_STRVAR(
    wal_checkpoint_doc,
    "wal_checkpoint($self, mode=0, name=None)\n--\n\n"
    "Copy the log of a database in WAL mode into the database file.\n\n"
    "mode: SQLITE_CHECKPOINT_PASSIVE (0, what can be done without waiting), _FULL,\n"
    "_RESTART, _TRUNCATE, which wait as long as connect(timeout=) says, or _NOOP. name:\n"
    "of the schema, None for all. Gives (frames in the log, frames copied), both -1\n"
    "where there is no log. Raises OperationalError (\"database is locked\", \"database\n"
    "table is locked\" within a transaction of its own). As apsw's\n"
    "Connection.wal_checkpoint(), whose arguments stand the other way round.\n"
    "sqlite3_wal_checkpoint_v2().");

METHOD(connection_wal_checkpoint) = {
    .args = ARGS("Connection.wal_checkpoint", 0, 2, 0, "mode", "name"),
    .hooks = &tuple_hooks,
    .objects = 1,
    .run = run_wal_checkpoint,
    .takes = {TAKE(CLAMPED, struct schema_call, mode), TAKE(SCHEMA, struct schema_call, name)},
};

/* -- schemas ------------------------------------------------------------------- */

static int
run_txn_state(struct csq_job *job, sqlite3 *handle)
{
    int state = sqlite3_txn_state(handle, job->sql);

    return state < 0 ? status_check_name(job, handle, SQLITE_ERROR) : put_integer(job, state);
}

PyDoc_STRVAR(txn_state_doc,
             "txn_state($self, schema=None)\n--\n\n"
             "Give SQLITE_TXN_NONE, SQLITE_TXN_READ or SQLITE_TXN_WRITE: what the connection\n"
             "holds of a database, or at most of any of them.\n\n"
             "Unlike in_transaction, it tells a transaction that BEGIN has announced from one\n"
             "that holds a lock. Raises OperationalError (\"unknown database ...\"). As apsw's\n"
             "Connection.txn_state(). sqlite3_txn_state().");

METHOD(connection_txn_state) = {
    .args = ARGS("Connection.txn_state", 0, 1, 0, "schema"),
    .hooks = &status_value,
    .objects = 1,
    .run = run_txn_state,
    .takes = {TAKE(SCHEMA, struct schema_call, name)},
};

static int
run_readonly(struct csq_job *job, sqlite3 *handle)
{
    int readonly = sqlite3_db_readonly(handle, job->sql);

    if (readonly < 0 && is_temp(job->sql)) {
        readonly = 0;
    }
    return readonly < 0 ? status_check_name(job, handle, SQLITE_ERROR)
                        : put_integer(job, readonly);
}

static enum request_answer
readonly_unpack(RequestObject *request, int64_t slice_end)
{
    enum request_answer answer = status_unpack_value(request, slice_end);

    if (answer == REQUEST_READY) {
        int readonly = PyObject_IsTrue(request->result);

        Py_SETREF(request->result, PyBool_FromLong(readonly));
    }
    return answer;
}

PyDoc_STRVAR(
    readonly_doc,
    "readonly($self, name='main')\n--\n\n"
    "Give whether a database cannot be written to: opened so, or not permitted.\n\n"
    "name: of the schema. Raises OperationalError (\"unknown database ...\"). As apsw's\n"
    "Connection.readonly(). sqlite3_db_readonly().");

static const struct request_hooks readonly_hooks = {.pack = method_simple_pack,
                                                    .unpack = readonly_unpack};

METHOD(connection_readonly) = {
    .args = ARGS("Connection.readonly", 0, 1, 0, "name"),
    .hooks = &readonly_hooks,
    .objects = 1,
    .run = run_readonly,
    .takes = {TAKE(MAIN, struct schema_call, name)},
};

static int
run_db_filename(struct csq_job *job, sqlite3 *handle)
{
    const char *path = sqlite3_db_filename(handle, job->sql);

    if (path == NULL && !is_temp(job->sql) && sqlite3_db_readonly(handle, job->sql) < 0) {
        return status_check_name(job, handle, SQLITE_ERROR);
    }
    path = path == NULL ? "" : path;
    return csq_strip_put_text(&job->up, path, strlen(path)) ? SQLITE_OK : no_memory(job);
}

static enum request_answer
db_filename_unpack(RequestObject *request, int64_t slice_end)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    struct csq_reader reader = {NULL, NULL};
    const struct csq_cell *cell;

    (void)slice_end;
    if (errors_check(self->state, request) < 0) {
        return REQUEST_FAILED;
    }
    cell = csq_strip_read(&request->job.up, &reader);
    request->result = PyUnicode_DecodeFSDefaultAndSize(cell->value.bytes, (Py_ssize_t)cell->size);
    return request->result == NULL ? REQUEST_FAILED : REQUEST_READY;
}

PyDoc_STRVAR(db_filename_doc,
             "db_filename($self, name='main')\n--\n\n"
             "Give the absolute path of a database file; \"\" for one in memory or temporary.\n\n"
             "name: of the schema. Raises OperationalError (\"unknown database ...\"), where\n"
             "apsw's Connection.db_filename() gives None. sqlite3_db_filename().");

static const struct request_hooks db_filename_hooks = {.pack = method_simple_pack,
                                                       .unpack = db_filename_unpack};

METHOD(connection_db_filename) = {
    .args = ARGS("Connection.db_filename", 0, 1, 0, "name"),
    .hooks = &db_filename_hooks,
    .objects = 1,
    .run = run_db_filename,
    .takes = {TAKE(MAIN, struct schema_call, name)},
};

/* -- the connection as a whole --------------------------------------------------- */

static int
run_cache_stats(struct csq_job *job, sqlite3 *handle)
{
    const RequestObject *request = csq_item(job, RequestObject, job);
    const struct csq_cache *cache = &csq_native_db(request->executor)->cache;

    (void)handle;
    if (put_pair(job, cache->hits, cache->misses) != SQLITE_OK ||
        put_pair(job, cache->evictions, cache->count) != SQLITE_OK) {
        return job->error.code;
    }
    return put_integer(job, cache->limit);
}

static enum request_answer
cache_stats_unpack(RequestObject *request, int64_t slice_end)
{
    static const char *const names[] = {"hits", "misses", "evictions", "size", "max"};

    (void)slice_end;
    return unpack_dict(request, names);
}

PyDoc_STRVAR(cache_stats_doc,
             "cache_stats($self, /)\n--\n\n"
             "Give what the cache of prepared statements has done: a dict of\n"
             "`hits`, `misses` and `evictions` since the connection was opened, `size`, the\n"
             "statements in it now (those in use are not), and `max`, cached_statements.\n\n"
             "csqlite's own BEGIN, COMMIT and ROLLBACK are counted too. After apsw's\n"
             "Connection.cache_stats(), where `size` is what is `max` here.");

static const struct request_hooks cache_stats_hooks = {.pack = method_simple_pack,
                                                       .unpack = cache_stats_unpack};

METHOD(connection_cache_stats) = {
    .args = ARGS_NONE("Connection.cache_stats"),
    .hooks = &cache_stats_hooks,
    .run = run_cache_stats,
};

PyMethodDef status_methods[] = {
    METHOD_ENTRY("db_status", connection_db_status, db_status_doc),
    METHOD_ENTRY("limits", connection_limits, limits_doc),
    METHOD_ENTRY("wal_checkpoint", connection_wal_checkpoint, wal_checkpoint_doc),
    METHOD_ENTRY("txn_state", connection_txn_state, txn_state_doc),
    METHOD_ENTRY("readonly", connection_readonly, readonly_doc),
    METHOD_ENTRY("db_filename", connection_db_filename, db_filename_doc),
    METHOD_ENTRY("cache_stats", connection_cache_stats, cache_stats_doc),
    {NULL, NULL, 0, NULL},
};
