/* The watch itself is the engine's, and told by the workers without the GIL. What is waited for
 * is a request to an executor of its own, so that nothing stands in its way on the connection. */

#include "binding/watch.h"

#include <string.h>

#include "binding/errors.h"
#include "binding/method.h"
#include "binding/registry.h"
#include "binding/status.h"
#include "binding/told.h"
#include "engine/alloc.h"
#include "engine/look.h"
#include "engine/native.h"
#include "engine/shadow.h"
#include "engine/watcher.h"

typedef struct {
    PyObject_HEAD
    ConnectionObject *connection;
    struct csq_executor *executor; /* the watcher */
    struct gate *gate;             /* which nobody enters: its lease has no holds */
    struct lease lease;
    struct csq_reads reads; /* of the connection, while _collect() says so */
} WatchObject;

struct collect_call {
    bool on;
};

static struct csq_watch *
watch_of(WatchObject *self)
{
    return csq_watcher_watch(self->executor);
}

/* -- what was told -------------------------------------------------------------------- */

PyDoc_STRVAR(take_doc,
             "_take($self, /)\n--\n\n"
             "Give what was told, oldest first: (what, rows), bits and a list of tuples\n"
             "(operation, database, table, rowid), the rowid None where any may be meant.\n"
             "None: there is nothing.");

static PyObject *
watch_take(WatchObject *self, PyObject *unused)
{
    struct csq_news *news;
    struct csq_changes sum;
    unsigned what;
    PyObject *given;

    (void)unused;
    if (!csq_watch_take(watch_of(self), &news, &sum, &what)) {
        Py_RETURN_NONE;
    }
    if (news != NULL) {
        given = told_news(news);
        csq_news_free(news);
    } else {
        given = told_sum(&sum, what);
        csq_changes_clear(&sum);
    }
    return given;
}

/* -- what it watches --------------------------------------------------------------------- */

/* Reads (database, name), each a str or None; lent. 0, or -1 with an exception. */
static int
read_table(PyObject *pair, struct csq_table *table)
{
    const char **texts[] = {&table->database, &table->name};

    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
        PyErr_SetString(PyExc_TypeError, "expected pairs of a database and a table");
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        PyObject *text = PyTuple_GET_ITEM(pair, i);

        *texts[i] = text == Py_None ? NULL : PyUnicode_AsUTF8(text);
        if (*texts[i] == NULL && text != Py_None) {
            return -1;
        }
    }
    return 0;
}

PyDoc_STRVAR(want_doc,
             "_want($self, tables, /)\n--\n\n"
             "Watch these tables and no others: a tuple of (database, table); None for\n"
             "any database, or for all tables.");

static PyObject *
watch_want(WatchObject *self, PyObject *tables)
{
    Py_ssize_t count;
    struct csq_table *read;
    int rc = 0;

    if (!PyTuple_Check(tables)) {
        PyErr_SetString(PyExc_TypeError, "expected a tuple");
        return NULL;
    }
    count = PyTuple_GET_SIZE(tables);
    read = csq_malloc((size_t)count * sizeof *read);
    if (read == NULL) {
        return PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; i < count && rc == 0; i++) {
        rc = read_table(PyTuple_GET_ITEM(tables, i), &read[i]);
    }
    if (rc == 0) {
        csq_watch_want(watch_of(self), read, (size_t)count);
    }
    csq_free(read);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

/* Worker thread. Lends the next text of the strip; NULL: it is null. */
static const char *
next_text(const struct csq_strip *strip, struct csq_reader *reader)
{
    const struct csq_cell *cell = csq_strip_read(strip, reader);

    return cell->type == CSQ_TEXT ? cell->value.bytes : NULL;
}

/* Worker thread. Watches what stands in the job. */
static bool
want_what_is_asked(struct csq_job *job, struct csq_watch *watch)
{
    struct csq_reader reader = {NULL, NULL};
    const size_t count = job->down.rows;
    struct csq_table *tables = csq_malloc(count * sizeof *tables);

    for (size_t i = 0; tables != NULL && i < count; i++) {
        tables[i].database = next_text(&job->down, &reader);
        tables[i].name = next_text(&job->down, &reader);
    }
    if (tables != NULL) {
        csq_watch_want(watch, tables, count);
    }
    csq_free(tables);
    return tables != NULL;
}

/* Worker thread. */
static int
run_begin(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    WatchObject *self = (WatchObject *)request->target;
    struct csq_db *db = csq_native_db(request->executor);

    if (!csq_record_admit(&db->recorder, handle, watch_of(self)) ||
        !want_what_is_asked(job, watch_of(self))) {
        return csq_error_copy(&job->error, NULL, SQLITE_NOMEM);
    }
    csq_look(db);
    return SQLITE_OK;
}

static bool
put_text(struct csq_strip *strip, const char *text)
{
    return text == NULL ? csq_strip_put_null(strip)
                        : csq_strip_put_text(strip, text, strlen(text) + 1);
}

/* Lets the job have what is asked for. */
static int
fill_begin(RequestObject *request, PyObject *const *values)
{
    struct csq_strip *strip = &request->job.down;

    if (!PyTuple_Check(values[0])) {
        PyErr_SetString(PyExc_TypeError, "expected a tuple");
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(values[0]); i++) {
        struct csq_table table;

        if (read_table(PyTuple_GET_ITEM(values[0], i), &table) < 0) {
            return -1;
        }
        if (!put_text(strip, table.database) || !put_text(strip, table.name)) {
            PyErr_NoMemory();
            return -1;
        }
        strip->rows++;
    }
    return 0;
}

PyDoc_STRVAR(begin_doc, "_begin($self, tables, /)\n--\n\n"
                        "Begin to watch tables of the connection's databases, as _want().");

METHOD(watch_begin) = {
    .args = ARGS_PLAIN("Watch._begin", 1, "tables"),
    .hooks = &method_simple,
    .on = ON_PART,
    .native = true,
    .run = run_begin,
    .takes = {{TAKE_NOTHING, 0}},
    .fill = fill_begin,
};

/* Worker thread. Puts three names for each shadow table. */
static int
run_shadows(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    const struct csq_recorder *recorder = &csq_native_db(request->executor)->recorder;
    int rc = SQLITE_OK;

    for (int i = 0; i < recorder->databases.count && rc == SQLITE_OK; i++) {
        rc = csq_shadow_list(handle, recorder->databases.items[i].name, &job->up, &job->error);
    }
    return rc;
}

static const struct request_hooks tuple_hooks = {.pack = method_simple_pack,
                                                 .unpack = status_unpack_tuple};

PyDoc_STRVAR(shadows_doc,
             "_shadows($self, /)\n--\n\n"
             "Give a tuple of three str for each table that a virtual table has: the name of\n"
             "its database, its own, and that of the virtual table.");

METHOD(watch_shadows) = {
    .args = ARGS_NONE("Watch._shadows"),
    .hooks = &tuple_hooks,
    .on = ON_PART,
    .native = true,
    .run = run_shadows,
};

/* -- other processes ----------------------------------------------------------------------- */

/* Worker thread. Nothing that is locked is waited for: it is looked again. */
static int
run_look(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    struct csq_db *db = csq_native_db(request->executor);
    const bool patient = db->patient;

    db->patient = false;
    csq_recorded_look(&db->recorder.databases, handle);
    db->patient = patient;
    return SQLITE_OK;
}

static const struct method look_row = {
    .args = ARGS_NONE("Watch._look"),
    .hooks = &method_simple,
    .on = ON_PART,
    .native = true,
    .run = run_look,
};

PyDoc_STRVAR(look_doc,
             "_look($self, /)\n--\n\n"
             "Look whether other processes have committed, whoever waits for it; gives a\n"
             "future. What has come of it is told.");

static PyObject *
watch_look(WatchObject *self, PyObject *unused)
{
    RequestObject *request = method_request(&look_row, self->connection, (PyObject *)self);
    PyObject *future;

    (void)unused;
    if (request == NULL) {
        return NULL;
    }
    future = request_start(request);
    Py_DECREF(request);
    return future;
}

/* -- what is read -------------------------------------------------------------------------- */

/* Worker thread. */
static int
run_collect(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    WatchObject *self = (WatchObject *)request->target;
    struct csq_db *db = csq_native_db(request->executor);

    (void)handle;
    if (REQUEST_PAYLOAD(request, struct collect_call)->on) {
        csq_reads_begin(&self->reads, &db->recorder.reads);
    } else {
        csq_reads_end(&self->reads);
    }
    registry_tell_authorizer(db, db->handlers[CSQ_AUTHORIZER].argument);
    return SQLITE_OK;
}

PyDoc_STRVAR(collect_doc, "_collect($self, on, /)\n--\n\n"
                          "Begin, or end, to note which tables the connection reads.");

METHOD(watch_collect) = {
    .args = ARGS_PLAIN("Watch._collect", 1, "on"),
    .hooks = &method_simple,
    .on = ON_PART,
    .native = true,
    .run = run_collect,
    .takes = {TAKE(TRUTH, struct collect_call, on)},
};

PyDoc_STRVAR(
    reads_doc,
    "_reads($self, /)\n--\n\n"
    "Give what was noted, pairs of a database (\"\": any) and a table, when _collect() has\n"
    "ended; None where memory was short.");

static PyObject *
watch_reads(WatchObject *self, PyObject *unused)
{
    const struct csq_changes *tables = &self->reads.tables;
    PyObject *list;

    (void)unused;
    if (self->reads.lost) {
        Py_RETURN_NONE;
    }
    list = PyList_New(0);
    for (uint32_t i = 0; list != NULL && i < tables->tables_count; i++) {
        const struct csq_changed_table *table = &tables->tables[i];

        if (told_append(list, Py_BuildValue("(ss)", table->database, table->name)) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

PyDoc_STRVAR(end_doc, "_end($self, /)\n--\n\n"
                      "Watch nothing any more; whoever waits is told that it is over.");

static PyObject *
watch_end(WatchObject *self, PyObject *unused)
{
    (void)unused;
    csq_watch_end(watch_of(self));
    csq_watch_leave(watch_of(self));
    Py_RETURN_NONE;
}

/* -- waiting ------------------------------------------------------------------------------- */

static enum request_answer
wait_pack(RequestObject *request)
{
    WatchObject *self = (WatchObject *)request->target;

    if (self->connection->forked) {
        PyErr_SetString(PyExc_RuntimeError, "what is watched belongs to the parent process");
        return REQUEST_FAILED;
    }
    request->executor = self->executor;
    request->gate = self->gate;
    return REQUEST_WAIT;
}

static enum request_answer
wait_unpack(RequestObject *request, int64_t slice_end)
{
    WatchObject *self = (WatchObject *)request->target;

    (void)slice_end;
    if (errors_check(self->connection->state, request) < 0) {
        return REQUEST_FAILED;
    }
    request->result = Py_NewRef(Py_None);
    return REQUEST_READY;
}

static const struct request_hooks wait_hooks = {.pack = wait_pack, .unpack = wait_unpack};

PyDoc_STRVAR(wait_doc,
             "_wait($self, /)\n--\n\n"
             "Wait until there is something to take, or it is over. One task at a time.");

METHOD(watch_wait) = {
    .args = ARGS_NONE("Watch._wait"),
    .hooks = &wait_hooks,
    .on = ON_PART,
    .op = CSQ_APPLY,
    .common = true,
};

/* -- the object ---------------------------------------------------------------------------- */

PyDoc_STRVAR(connection_watch_doc,
             "_watch($self, rows, most, /)\n--\n\n"
             "Give a Watch that watches nothing yet. rows: whether it tells rows, or only that\n"
             "there were any. most: how many commits may wait to be taken one by one.");

static PyObject *
connection_watch(PyObject *object, PyObject *args)
{
    ConnectionObject *connection = (ConnectionObject *)object;
    PyTypeObject *type = connection->state->watch_type;
    Py_ssize_t most;
    WatchObject *self;
    int rows;

    if (!PyArg_ParseTuple(args, "pn:_watch", &rows, &most)) {
        return NULL;
    }
    self = (WatchObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->connection = (ConnectionObject *)Py_NewRef(object);
    lease_init(&self->lease);
    csq_reads_init(&self->reads);
    self->executor = csq_watcher_new(rows != 0, most < 1 ? 1 : (size_t)most);
    self->gate = self->executor == NULL ? NULL : gate_new();
    if (self->gate == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->gate->lease = &self->lease;
    return (PyObject *)self;
}

PyMethodDef watch_methods[] = {
    {"_watch", connection_watch, METH_VARARGS, connection_watch_doc},
    {NULL, NULL, 0, NULL},
};

static PyObject *
watch_get_over(WatchObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(csq_watch_is_over(watch_of(self)));
}

static PyGetSetDef watch_getset[] = {
    {"_over", (getter)watch_get_over, NULL, "Whether there will be nothing new.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
    METHOD_ENTRY("_begin", watch_begin, begin_doc),
    METHOD_ENTRY("_shadows", watch_shadows, shadows_doc),
    METHOD_ENTRY("_wait", watch_wait, wait_doc),
    {"_look", (PyCFunction)watch_look, METH_NOARGS, look_doc},
    {"_want", (PyCFunction)watch_want, METH_O, want_doc},
    {"_take", (PyCFunction)watch_take, METH_NOARGS, take_doc},
    METHOD_ENTRY("_collect", watch_collect, collect_doc),
    {"_reads", (PyCFunction)watch_reads, METH_NOARGS, reads_doc},
    {"_end", (PyCFunction)watch_end, METH_NOARGS, end_doc},
    {NULL, NULL, 0, NULL},
};

static int
watch_traverse(WatchObject *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->connection);
    return 0;
}

/* The connection is lent to the requests until the end. */
static void
watch_dealloc(WatchObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    csq_reads_end(&self->reads);
    csq_reads_clear(&self->reads);
    if (self->executor != NULL) {
        csq_executor_put(self->executor);
    }
    gate_put(self->gate);
    Py_CLEAR(self->connection);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot slots[] = {
    {Py_tp_doc, "What csqlite.live watches the databases of a connection with."},
    {Py_tp_traverse, watch_traverse},
    {Py_tp_dealloc, watch_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, watch_getset},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "csqlite._csqlite.Watch",
    .basicsize = sizeof(WatchObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int
watch_init_type(struct module_state *state, PyObject *module)
{
    state->watch_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    if (state->watch_type == NULL) {
        return -1;
    }
    compat_forbid_new(state->watch_type);
    return PyModule_AddObject(module, "Watch", Py_NewRef((PyObject *)state->watch_type));
}
