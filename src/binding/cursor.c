/* The cursor's state, and its half that the worker uses.
 *
 * A cursor that is let go half-read tells its worker so through a job made
 * beforehand, because letting go cannot fail. */

#include "binding/cursor.h"

#include "bridge/direct.h"
#include "engine/alloc.h"

/* -- the worker's half -------------------------------------------------------- */

static int
make_rest(CursorObject *self)
{
    if (self->rest == NULL) {
        self->rest = csq_malloc(sizeof *self->rest);
        if (self->rest == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        csq_cursor_init(&self->rest->cursor);
    }
    return 0;
}

/* Worker thread, or whoever is left when there is none. */
static void
release_rest(struct csq_job *job)
{
    struct cursor_rest *rest = csq_item(job, struct cursor_rest, farewell);

    csq_job_clear(&rest->farewell);
    csq_strip_clear(&rest->cursor.rest);
    csq_free(rest);
}

/* Lets the worker's half go; it may hold a statement. */
void
cursor_drop_rest(CursorObject *self)
{
    struct cursor_rest *rest = self->rest;

    self->rest = NULL;
    if (rest == NULL || self->connection->forked) {
        return;
    }
    if (self->exhausted && !rest->cursor.abandoned) {
        csq_free(rest); /* nothing is open in it */
        return;
    }
    csq_job_init(&rest->farewell, CSQ_RESET);
    rest->farewell.cursor = &rest->cursor;
    rest->farewell.release = release_rest;
    if (!self->connection->executor->verbs->push(self->connection->executor, &rest->farewell)) {
        release_rest(&rest->farewell);
    }
}

/* -- what other files need ---------------------------------------------------- */

void
cursor_inherit(CursorObject *self)
{
    self->iter_chunk_size = self->connection->iter_chunk_size;
    Py_XSETREF(self->row_factory, Py_NewRef(self->connection->row_factory));
}

void
cursor_set_up(CursorObject *self, ConnectionObject *connection)
{
    self->connection = (ConnectionObject *)Py_NewRef((PyObject *)connection);
    self->exhausted = true;
    csq_error_init(&self->error);
    self->rowcount = self->changes = -1;
    self->arraysize = 1;
    cursor_inherit(self);
    Py_XSETREF(self->lastrowid, Py_NewRef(Py_None));
}

CursorObject *
cursor_new(ConnectionObject *connection)
{
    PyTypeObject *type = connection->state->cursor_type;
    CursorObject *self = (CursorObject *)type->tp_alloc(type, 0);

    if (self != NULL) {
        self->state = connection->state;
        line_init(&self->line);
        cursor_set_up(self, connection);
    }
    return self;
}

/* What is asked in place comes behind the jobs that are done, and, on the worker, before
 * all others. Anywhere else nobody can tell. 0, or -1 with ProgrammingError. */
static int
use_in_place(CursorObject *self)
{
    if (direct_catch_up(&self->line) &&
        (csq_list_empty(&self->line.requests) ||
         self->connection->executor->verbs->is_current(self->connection->executor))) {
        return 0;
    }
    PyErr_SetString(self->state->ProgrammingError, "Recursive use of cursors not allowed.");
    return -1;
}

int
cursor_use(RequestObject *request, enum connection_access access)
{
    CursorObject *self = (CursorObject *)request->target;

    if (connection_use(request, access) < 0) {
        return -1;
    }
    if (request->inline_run && use_in_place(self) < 0) {
        return -1;
    }
    if (self->closed && !(request->inline_run && self->closing)) {
        PyErr_SetString(self->state->ProgrammingError, "Cannot operate on a closed cursor.");
        return -1;
    }
    if (make_rest(self) < 0) {
        return -1;
    }
    request->job.cursor = &self->rest->cursor;
    request->line = &self->line;
    return 0;
}

enum request_answer
cursor_send(RequestObject *request)
{
    ((CursorObject *)request->target)->exhausted = false;
    return REQUEST_WAIT;
}

/* Rows that are here and not asked for are dropped; what describes them stays. */
void
cursor_drop_rows(CursorObject *self)
{
    csq_strip_clear(&self->strip);
    self->reader = (struct csq_reader){NULL, NULL};
    csq_error_clear(&self->error);
    Py_CLEAR(self->cause);
}

void
cursor_keep_error(CursorObject *self, RequestObject *request)
{
    request_forget_raised(request);
    csq_error_clear(&self->error);
    self->error = request->job.error;
    csq_error_init(&request->job.error);
    Py_CLEAR(self->cause);
    if (self->error.code != SQLITE_OK) {
        self->cause = request->raised;
        request->raised = NULL;
    }
}

void
cursor_forget(CursorObject *self)
{
    cursor_drop_rows(self);
    csq_columns_put(self->columns);
    self->columns = NULL;
    self->rowcount = -1;
    self->changes = -1;
    Py_CLEAR(self->description);
    Py_CLEAR(self->converters);
    Py_CLEAR(self->row_cursor);
    Py_CLEAR(self->watch);
}

int
cursor_check(CursorObject *self)
{
    if (self->connection == NULL) {
        PyErr_SetString(self->state->ProgrammingError, "Base Cursor.__init__ not called.");
        return -1;
    }
    return 0;
}

PyObject *
cursor_leave(PyObject *cursor)
{
    /* A subclass may have a say in closing. */
    return PyObject_CallMethodNoArgs(cursor, ((CursorObject *)cursor)->state->str_close);
}
