/* What a loop keeps stands at a cursor of its own, which has the columns, the converters and
 * the row factory that its rows were made for, and never executes anything. */

#include "binding/iterate.h"

#include "binding/rows.h"
#include "bridge/deadline.h"
#include "bridge/ready.h"

struct iterator {
    PyObject_HEAD
    CursorObject *cursor;
    CursorObject *kept; /* whose rows come before the cursor's; NULL: none do */
    Py_ssize_t taken;   /* how many rows of what aiosqlite's list would be */
    bool ended;         /* by aclose() */
};

/* -- what is kept --------------------------------------------------------------- */

/* How many rows of the cursor's result set a loop is still to see. */
static size_t
left_over(const CursorObject *cursor)
{
    const struct iterator *loop = cursor->loop;

    if (loop == NULL || loop->kept != NULL || loop->taken == 0 ||
        loop->taken >= cursor->iter_chunk_size) {
        return 0;
    }
    return (size_t)(cursor->iter_chunk_size - loop->taken);
}

void
iterate_ask(RequestObject *request)
{
    const CursorObject *cursor = (CursorObject *)request->target;
    size_t left = left_over(cursor);

    if (left > cursor->strip.rows) {
        request->job.with.steps.keep = left - cursor->strip.rows;
        request->job.with.steps.texts = cursor->connection->detect_types != 0;
    }
}

/* Moves the result set, as far as it is here, to a cursor of its own. */
static CursorObject *
move_result(CursorObject *cursor)
{
    CursorObject *kept = cursor_new(cursor->connection);

    if (kept == NULL) {
        return NULL;
    }
    kept->plain = cursor->plain;
    kept->columns = csq_columns_get(cursor->columns);
    kept->strip = cursor->strip;
    kept->reader = cursor->reader;
    csq_strip_init(&cursor->strip);
    cursor->reader = (struct csq_reader){NULL, NULL};
    kept->description = Py_XNewRef(cursor->description);
    kept->converters = Py_XNewRef(cursor->converters);
    kept->row_cursor = Py_XNewRef(cursor->row_cursor);
    Py_XSETREF(kept->row_factory, Py_XNewRef(cursor->row_factory));
    return kept;
}

int
iterate_keep(CursorObject *cursor, struct csq_job *job)
{
    size_t left = left_over(cursor);
    size_t rows = cursor->strip.rows + (job == NULL ? 0 : job->with.steps.kept.rows);
    struct iterator *loop = cursor->loop;

    if (left == 0 || rows == 0 || cursor->columns == NULL) {
        return 0;
    }
    loop->kept = move_result(cursor);
    if (loop->kept == NULL) {
        return -1;
    }
    if (job != NULL) {
        csq_strip_move(&loop->kept->strip, &job->with.steps.kept);
    }
    /* What lies behind them is dropped with them. */
    loop->taken = (Py_ssize_t)(rows < left ? rows : left);
    return 0;
}

/* Gives an awaitable for the next row that was kept. */
static PyObject *
next_kept(struct iterator *self)
{
    CursorObject *kept = (CursorObject *)Py_NewRef((PyObject *)self->kept);
    PyObject *row = rows_take(kept, &kept->strip, &kept->reader);

    if (row != NULL && --self->taken == 0) {
        Py_CLEAR(self->kept);
    }
    Py_DECREF(kept);
    return ready_new(&self->cursor->state->bridge, row);
}

/* -- iterating ------------------------------------------------------------------ */

static PyObject *
iterator_anext(struct iterator *self)
{
    CursorObject *cursor = self->cursor;

    if (self->ended) {
        PyErr_SetNone(PyExc_StopAsyncIteration);
        return ready_new(&cursor->state->bridge, NULL);
    }
    if (self->kept != NULL && !deadline_is_past(&cursor->state->bridge)) {
        return next_kept(self);
    }
    if (self->kept == NULL) {
        cursor->loop = self;
        self->taken = self->taken >= cursor->iter_chunk_size ? 1 : self->taken + 1;
    }
    return cursor_anext(cursor);
}

PyDoc_STRVAR(aclose_doc, "aclose($self, /)\n--\n\n"
                         "End the iteration, as an async generator's aclose() does.\n\n"
                         "The rows that it has not seen stay at the cursor.");

static PyObject *
iterator_aclose(struct iterator *self, PyObject *unused)
{
    (void)unused;
    self->ended = true;
    Py_CLEAR(self->kept);
    return ready_new(&self->cursor->state->bridge, Py_NewRef(Py_None));
}

PyObject *
iterate_new(CursorObject *cursor)
{
    PyTypeObject *type = cursor->state->iterator_type;
    struct iterator *self = (struct iterator *)type->tp_alloc(type, 0);

    if (self != NULL) {
        self->cursor = (CursorObject *)Py_NewRef((PyObject *)cursor);
    }
    return (PyObject *)self;
}

/* -- the type ------------------------------------------------------------------- */

static int
iterator_traverse(struct iterator *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->cursor);
    Py_VISIT(self->kept);
    return 0;
}

/* The cursor stays until the end, as it may name this. */
static int
iterator_clear(struct iterator *self)
{
    Py_CLEAR(self->kept);
    return 0;
}

static void
iterator_dealloc(struct iterator *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    iterator_clear(self);
    if (self->cursor->loop == self) {
        self->cursor->loop = NULL;
    }
    Py_CLEAR(self->cursor);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef iterator_methods[] = {
    {"aclose", (PyCFunction)iterator_aclose, METH_NOARGS, aclose_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot iterator_slots[] = {
    {Py_tp_doc, "What `async for` goes through the rows of a cursor with."},
    {Py_tp_traverse, iterator_traverse},
    {Py_tp_clear, iterator_clear},
    {Py_tp_dealloc, iterator_dealloc},
    {Py_tp_methods, iterator_methods},
    {Py_am_aiter, PyObject_SelfIter},
    {Py_am_anext, iterator_anext},
    {0, NULL},
};

static PyType_Spec iterator_spec = {
    .name = "csqlite._csqlite.RowIterator",
    .basicsize = sizeof(struct iterator),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = iterator_slots,
};

int
iterate_init_type(struct module_state *state, PyObject *module)
{
    state->iterator_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &iterator_spec, NULL);
    if (state->iterator_type == NULL) {
        return -1;
    }
    compat_forbid_new(state->iterator_type);
    return 0;
}

enum request_answer
iterate_send(RequestObject *request)
{
    iterate_ask(request);
    return cursor_send(request);
}
