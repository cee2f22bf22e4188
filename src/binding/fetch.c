/* Fetching. Rows that were stepped ahead are taken without a crossing, unless a
 * job of the same cursor is under way: then the order of calls decides, and the
 * fetch queues behind it. */

#include "binding/cursor.h"
#include "binding/errors.h"
#include "binding/method.h"
#include "binding/notes.h"
#include "binding/rows.h"
#include "bridge/deadline.h"
#include "bridge/ready.h"

/* A list is made for the rows at once only when they are few. */
enum { SMALL_FETCH = 256 };

/* -- how many rows at a time --------------------------------------------------- */

enum { CHUNK_GROWTH = 16 }; /* how many times larger than the first chunk one may become */

size_t
cursor_first_chunk(CursorObject *self)
{
    self->chunk = self->iter_chunk_size > 0 ? self->iter_chunk_size : 1;
    return (size_t)self->chunk;
}

size_t
cursor_next_chunk(CursorObject *self)
{
    Py_ssize_t before = self->chunk;
    Py_ssize_t first = (Py_ssize_t)cursor_first_chunk(self);

    if (first > 1 && before >= first && first <= PY_SSIZE_T_MAX / CHUNK_GROWTH) {
        self->chunk = Py_MIN(2 * before, CHUNK_GROWTH * first);
    }
    return (size_t)self->chunk;
}

struct fetch_call {
    Py_ssize_t rows; /* 0: all */
};

static PyObject *
cursor_sql(RequestObject *request)
{
    return ((CursorObject *)request->target)->sql;
}

/* -- one row ------------------------------------------------------------------ */

/* The error that the worker met behind the last row here; 0 when there is none,
 * else -1 with it raised. */
static int
raise_pending(CursorObject *self)
{
    PyObject *cause;

    if (self->error.code == SQLITE_OK) {
        return 0;
    }
    cause = self->cause;
    self->cause = NULL;
    errors_raise(self->state, &self->error, cause);
    notes_of_error(self->connection, self->sql, &self->error);
    csq_error_clear(&self->error);
    csq_strip_clear(&self->strip);
    self->reader = (struct csq_reader){NULL, NULL};
    return -1;
}

/* Gives the next row that is here; NULL without an exception when none is. As in
 * the sqlite3 module, an error takes the place of the row before it, and DML's
 * rowcount is there with the last row; or with its end, where the last row ends a chunk. */
static PyObject *
take_one(CursorObject *self)
{
    if (self->strip.rows <= 1 && raise_pending(self) < 0) {
        return NULL;
    }
    if (self->strip.rows <= 1 && self->exhausted) {
        self->rowcount = self->changes;
    }
    if (self->strip.rows == 0) {
        return NULL;
    }
    return rows_take(self, &self->strip, &self->reader);
}

/* Whether what the job has read belongs to what the cursor knows. Who has begun that result
 * set may have given it up, or failed to take it in: its rows are nobody's. */
static bool
is_of_result(const CursorObject *self, struct csq_job *job)
{
    return atomic_load_explicit(&job->result, memory_order_relaxed) == self->result;
}

/* Whether the cursor's rows are where they seem to be. `request`: whose pack hook asks, or NULL;
 * for one that runs in place, cursor_use() has seen to it. */
static bool
is_idle(const CursorObject *self, const RequestObject *request)
{
    return (request != NULL && request->inline_run) || cursor_is_idle(self);
}

/* Whether rows can be taken here and now, without asking the worker. */
static bool
is_served_here(const CursorObject *self, const RequestObject *request, size_t rows)
{
    return self->connection->stage == CONNECTION_OPEN && !self->connection->forked &&
           is_idle(self, request) && (self->strip.rows >= rows || self->exhausted);
}

/* Notes whether the worker has more of what the job has read. */
static void
note_end(CursorObject *self, RequestObject *request)
{
    struct csq_job *job = &request->job;

    if (!is_of_result(self, job)) {
        csq_strip_clear(&job->up);
    }
    self->exhausted = job->with.steps.exhausted;
    if (job->with.steps.exhausted && job->with.steps.changes >= 0) {
        self->changes = job->with.steps.changes;
    }
}

/* Moves what a fetch of a chunk has brought to the cursor. 0, or -1 with its
 * exception when it brought nothing else. */
static int
take_chunk(CursorObject *self, RequestObject *request)
{
    struct csq_job *job = &request->job;

    note_end(self, request);
    if (job->error.code != SQLITE_OK && job->up.rows == 0) {
        self->exhausted = true;
        return errors_check(self->state, request);
    }
    csq_strip_move(&self->strip, &job->up);
    cursor_keep_error(self, request);
    return 0;
}

/* Lets the request end with the next row that is here; without one, with None, or
 * with StopAsyncIteration when it iterates. */
static enum request_answer
give_row(CursorObject *self, RequestObject *request)
{
    request->result = take_one(self);
    if (request->result == NULL && !PyErr_Occurred()) {
        if (request->hooks->iterates) {
            PyErr_SetNone(PyExc_StopAsyncIteration);
        } else {
            request->result = Py_NewRef(Py_None);
        }
    }
    return request->result == NULL ? REQUEST_FAILED : REQUEST_READY;
}

static enum request_answer
row_pack(RequestObject *request)
{
    CursorObject *self = (CursorObject *)request->target;

    if (cursor_use(request, CONNECTION_DEFERRED) < 0) {
        return REQUEST_FAILED;
    }
    if (is_served_here(self, request, 1)) {
        return give_row(self, request);
    }
    request->job.with.steps.rows = cursor_next_chunk(self);
    request->job.with.steps.texts = self->connection->detect_types != 0;
    return cursor_send(request);
}

static enum request_answer
row_unpack(RequestObject *request, int64_t slice_end)
{
    CursorObject *self = (CursorObject *)request->target;

    (void)slice_end;
    return take_chunk(self, request) < 0 ? REQUEST_FAILED : give_row(self, request);
}

static const struct request_hooks row_hooks = {
    .pack = row_pack, .unpack = row_unpack, .sql = cursor_sql, .abandon = cursor_abandon};

PyDoc_STRVAR(fetchone_doc, "fetchone($self, *, deadline=None)\n--\n\n"
                           "Give the next row, or None when there are no more.\n\n"
                           "It suspends only when no row has been fetched ahead.\n"
                           "deadline: see Connection.execute().");

METHOD(cursor_fetchone) = {
    .args = ARGS_DEADLINE("Cursor.fetchone"),
    .hooks = &row_hooks,
    .on = ON_PART,
    .op = CSQ_FETCH,
    .deadline = true,
};

/* -- async for ---------------------------------------------------------------- */

static const struct request_hooks anext_hooks = {.pack = row_pack,
                                                 .unpack = row_unpack,
                                                 .sql = cursor_sql,
                                                 .abandon = cursor_abandon,
                                                 .iterates = true};

static const struct method anext_row = {
    .args = ARGS_NONE("Cursor.__anext__"),
    .hooks = &anext_hooks,
    .on = ON_PART,
    .op = CSQ_FETCH,
};

/* The awaitable for the next row; NULL with an exception. */
static PyObject *
next_row(CursorObject *self)
{
    PyObject *row;

    if (self->connection == NULL || self->closed || !is_served_here(self, NULL, 1) ||
        deadline_is_past(&self->state->bridge) || stretch_count(&self->state->bridge.stretch)) {
        return method_call(&anext_row, (PyObject *)self, NULL, 0, NULL);
    }
    row = take_one(self);
    if (row == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_SetNone(PyExc_StopAsyncIteration);
        }
        return NULL;
    }
    return ready_new(&self->state->bridge, row);
}

/* An exception is raised by awaiting, never here: anext(cursor, default) of CPython
 * does not look whether it got an awaitable. */
PyObject *
cursor_anext(CursorObject *self)
{
    PyObject *awaitable = next_row(self);

    return awaitable == NULL ? ready_new(&self->state->bridge, NULL) : awaitable;
}

/* -- many rows ---------------------------------------------------------------- */

/* How many rows the request still wants. */
static Py_ssize_t
wanted(RequestObject *request)
{
    Py_ssize_t rows = REQUEST_PAYLOAD(request, struct fetch_call)->rows;

    return rows == 0 ? PY_SSIZE_T_MAX : rows;
}

/* The worker has reset the cursor, or is about to; but a job that was refused, or is
 * too late to begin, has touched nothing: what was there goes on. */
void
cursor_abandon(RequestObject *request)
{
    CursorObject *self = (CursorObject *)request->target;

    /* One that had its turn already may have others behind it, whose rows these are by now. */
    if (atomic_load(&request->job.cancelled) == CSQ_GIVEN_UP &&
        (request->given_up || is_of_result(self, &request->job))) {
        cursor_drop_rows(self);
        self->result = CURSOR_NOTHING; /* nor does anybody get what comes behind them */
    }
}

/* The rows that are not in the list are the cursor's again. */
static void
give_back(CursorObject *self, RequestObject *request)
{
    request->decoding = false;
    self->strip = request->strip;
    self->reader = request->reader;
    csq_strip_init(&request->strip);
    request->reader = (struct csq_reader){NULL, NULL};
}

/* All that was wanted is in the list. */
static enum request_answer
finish_many(CursorObject *self, RequestObject *request)
{
    give_back(self, request);
    if (self->strip.rows == 0 && self->exhausted) {
        self->rowcount = self->changes;
    }
    request->result = request->rows;
    request->rows = NULL;
    return REQUEST_READY;
}

/* Fills the list from what has come so far. */
static enum request_answer
fill(CursorObject *self, RequestObject *request, bool complete, int64_t slice_end)
{
    if (rows_fill(self, &request->strip, &request->reader, request->rows, wanted(request),
                  slice_end) < 0) {
        /* While the worker still steps, what it has yet to give could not follow them. */
        if (complete) {
            give_back(self, request);
        }
        return REQUEST_FAILED;
    }
    if (request->strip.rows == 0 || PyList_GET_SIZE(request->rows) >= wanted(request)) {
        return complete ? finish_many(self, request) : REQUEST_WAIT;
    }
    return REQUEST_AGAIN;
}

/* Takes the cursor's rows into the request, so that no other fetch gets them. */
static void
begin_decoding(CursorObject *self, RequestObject *request)
{
    request->decoding = true;
    request->strip = self->strip;
    request->reader = self->reader;
    csq_strip_init(&self->strip);
    self->reader = (struct csq_reader){NULL, NULL};
}

static enum request_answer
many_pack(RequestObject *request)
{
    CursorObject *self = (CursorObject *)request->target;

    if (cursor_use(request, CONNECTION_DEFERRED) < 0) {
        return REQUEST_FAILED;
    }
    request->rows = PyList_New(0);
    if (request->rows == NULL) {
        return REQUEST_FAILED;
    }
    if (is_served_here(self, request, (size_t)wanted(request)) &&
        self->strip.rows <= SMALL_FETCH) {
        if (self->exhausted && self->strip.rows <= (size_t)wanted(request) &&
            raise_pending(self) < 0) {
            return REQUEST_FAILED;
        }
        begin_decoding(self, request);
        return fill(self, request, true, INT64_MAX);
    }
    request->job.with.steps.whole = true;
    request->job.with.steps.texts = self->connection->detect_types != 0;
    request->job.with.steps.rows = (size_t)wanted(request);
    if (is_idle(self, request) && request->job.with.steps.rows != (size_t)PY_SSIZE_T_MAX) {
        request->job.with.steps.rows -=
            self->strip.rows < request->job.with.steps.rows ? self->strip.rows : 0;
    }
    if (!request->inline_run) {
        csq_job_stream(&request->job);
    }
    return cursor_send(request);
}

/* Takes what the worker has handed over so far, as note_end() does. */
static void
take_flow(CursorObject *self, RequestObject *request)
{
    struct csq_strip strip;

    csq_strip_init(&strip);
    csq_flow_take(&request->job.flow, &strip);
    if (!is_of_result(self, &request->job)) {
        csq_strip_clear(&strip);
    }
    csq_strip_move(&request->strip, &strip);
}

static enum request_answer
many_unpack(RequestObject *request, int64_t slice_end)
{
    CursorObject *self = (CursorObject *)request->target;
    struct csq_job *job = &request->job;

    if (!request->decoding) {
        begin_decoding(self, request);
    }
    if (job->streaming) {
        take_flow(self, request);
    }
    if (job->done) {
        note_end(self, request);
        csq_strip_move(&request->strip, &job->up);
        if (errors_check(self->state, request) < 0 || raise_pending(self) < 0) {
            return REQUEST_FAILED;
        }
    }
    return fill(self, request, job->done, slice_end);
}

static const struct request_hooks many_hooks = {
    .pack = many_pack, .unpack = many_unpack, .sql = cursor_sql, .abandon = cursor_abandon};

PyDoc_STRVAR(fetchall_doc, "fetchall($self, *, deadline=None)\n--\n\n"
                           "Give a list of all remaining rows.\n\n"
                           "deadline: see Connection.execute().");

METHOD(cursor_fetchall) = {
    .args = ARGS_DEADLINE("Cursor.fetchall"),
    .hooks = &many_hooks,
    .on = ON_PART,
    .op = CSQ_FETCH,
    .deadline = true,
};

static int
fill_many(RequestObject *request, PyObject *const *values)
{
    Py_ssize_t rows = ((CursorObject *)request->target)->arraysize;
    int number;

    if (values[0] != NULL && values[0] != Py_None) {
        if (args_int(values[0], &number) < 0) {
            return -1;
        }
        rows = number;
    }
    /* As in the sqlite3 module, none or fewer is all of them. */
    REQUEST_PAYLOAD(request, struct fetch_call)->rows = rows <= 0 ? 0 : rows;
    return 0;
}

PyDoc_STRVAR(fetchmany_doc,
             "fetchmany($self, size=None, *, deadline=None)\n--\n\n"
             "Give a list of the next `size` rows (default: arraysize), shorter at the end.\n\n"
             "deadline: see Connection.execute().");

METHOD(cursor_fetchmany) = {
    .args = ARGS("Cursor.fetchmany", 0, 1, 0, "size", "deadline"),
    .hooks = &many_hooks,
    .on = ON_PART,
    .op = CSQ_FETCH,
    .deadline = true,
    .fill = fill_many,
};

PyMethodDef fetch_methods[] = {
    METHOD_ENTRY("fetchone", cursor_fetchone, fetchone_doc),
    METHOD_ENTRY("fetchmany", cursor_fetchmany, fetchmany_doc),
    METHOD_ENTRY("fetchall", cursor_fetchall, fetchall_doc),
    {NULL, NULL, 0, NULL},
};
