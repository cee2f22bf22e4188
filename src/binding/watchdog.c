/* The stuck-reader watchdog: its timers and its words are csqlite/readers.py's. Here is when
 * to call that, and the one question that only the worker can answer: whether a
 * statement is still open in the cursor. The loop cannot know, because what was cancelled,
 * rolled back or reset ends on the worker. */

#include "binding/watchdog.h"

#include "binding/method.h"

int
watchdog_set(ConnectionObject *self, PyObject *value)
{
    PyObject *function = module_import("csqlite.readers", "seconds");
    PyObject *seconds = function == NULL ? NULL : PyObject_CallOneArg(function, value);

    Py_XDECREF(function);
    if (seconds == NULL) {
        return -1;
    }
    if (seconds == Py_None) {
        Py_CLEAR(seconds);
    }
    Py_XSETREF(self->reader_warning, seconds);
    return 0;
}

int
watchdog_note(RequestObject *request)
{
    PyObject *function = module_import("csqlite.readers", "place");

    if (function != NULL) {
        execute_call(request)->place = PyObject_CallNoArgs(function);
        Py_DECREF(function);
    }
    return execute_call(request)->place == NULL ? -1 : 0;
}

/* Gives a watch of csqlite/readers.py, or NULL with an exception. */
static PyObject *
make_watch(RequestObject *request)
{
    ConnectionObject *connection = (ConnectionObject *)request->owner;
    PyObject *seconds = Py_NewRef(connection->reader_warning);
    PyObject *function = module_import("csqlite.readers", "watch");
    PyObject *watch = NULL;

    if (function != NULL) {
        watch = PyObject_CallFunctionObjArgs(function, request->reactor->loop.object,
                                             request->target, execute_call(request)->sql,
                                             execute_call(request)->place, seconds, NULL);
        Py_DECREF(function);
    }
    Py_DECREF(seconds);
    return watch;
}

void
watchdog_begin(RequestObject *request)
{
    CursorObject *self = (CursorObject *)request->target;
    PyObject *watch;

    /* The synchronous view has no loop. None may have been set since the call. */
    if (request->reactor == NULL || self->connection->reader_warning == NULL) {
        return;
    }
    watch = make_watch(request);
    if (watch == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
        return;
    }
    Py_XSETREF(self->watch, watch);
}

/* -- when its time has come --------------------------------------------------- */

struct look_call {
    PyObject *watch;
    bool open; /* a statement is still open */
};

static struct look_call *
look_call(RequestObject *request)
{
    return REQUEST_PAYLOAD(request, struct look_call);
}

/* Worker thread. A statement that reads no table keeps no transaction. */
static int
run_look(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    const struct csq_cursor *cursor = &((CursorObject *)request->target)->rest->cursor;

    look_call(request)->open = (cursor->stmt != NULL || cursor->dump != NULL) &&
                               sqlite3_txn_state(handle, NULL) != SQLITE_TXN_NONE;
    return SQLITE_OK;
}

static enum request_answer
look_pack(RequestObject *request)
{
    CursorObject *self = (CursorObject *)request->target;

    if (connection_use(request, CONNECTION_DIRECT) < 0) {
        return REQUEST_FAILED;
    }
    /* Not the job's cursor, which a job that is given up resets. */
    request->line = &self->line;
    return REQUEST_WAIT;
}

static enum request_answer
look_unpack(RequestObject *request, int64_t slice_end)
{
    CursorObject *self = (CursorObject *)request->target;
    PyObject *told;

    (void)slice_end;
    if (look_call(request)->open && self->watch == look_call(request)->watch) {
        told = PyObject_CallMethod(self->watch, "tell", NULL);
        if (told == NULL) {
            PyErr_WriteUnraisable((PyObject *)self);
        }
        Py_XDECREF(told);
    }
    request->result = Py_NewRef(Py_None);
    return REQUEST_READY;
}

const char cursor_tell_doc[] = "_tell_if_open($self, watch, /)\n--\n\n"
                               "Call watch.tell() soon, if a statement is still open then.";

PyObject *
cursor_tell_if_open(CursorObject *self, PyObject *watch)
{
    static const struct request_hooks hooks = {.pack = look_pack, .unpack = look_unpack};
    static const struct method look = {.args = ARGS_NONE("Cursor._tell_if_open"),
                                       .hooks = &hooks,
                                       .objects = 1,
                                       .run = run_look};
    RequestObject *request;
    PyObject *future;

    if (self->watch != watch || self->closed || self->exhausted || self->rest == NULL ||
        self->connection->stage != CONNECTION_OPEN || self->connection->forked ||
        self->connection->reader_warning == NULL) {
        Py_RETURN_NONE;
    }
    request = method_request(&look, self->connection, (PyObject *)self);
    if (request == NULL) {
        return NULL;
    }
    look_call(request)->watch = Py_NewRef(watch);
    future = request_start(request);
    Py_DECREF(request);
    if (future == NULL) {
        return NULL;
    }
    Py_DECREF(future);
    Py_RETURN_NONE;
}
