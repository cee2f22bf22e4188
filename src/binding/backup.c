/* The worker's half of a backup outlives the object by the job that ends it, as
 * with cursors. Both connections are held until then. */

#include "binding/backup.h"

#include "binding/errors.h"
#include "binding/method.h"
#include "bridge/await.h"
#include "engine/alloc.h"
#include "engine/native.h"

struct backup_rest {
    struct csq_backup backup;
    struct csq_job farewell;
    struct csq_executor *source; /* both are held, so that the locks in them stay */
    struct csq_executor *target;
};

typedef struct {
    PyObject_HEAD
    ConnectionObject *source; /* where every part of a connection has its connection */
    ConnectionObject *target;
    PyObject *name; /* str, whose UTF-8 is lent to the backup */
    struct backup_rest *rest;
} BackupObject;

struct step_call {
    int pages;
};

static enum request_answer
step_pack(RequestObject *request)
{
    BackupObject *self = (BackupObject *)request->target;
    int pages = REQUEST_PAYLOAD(request, struct step_call)->pages;

    if (connection_use(request, CONNECTION_DEFERRED) < 0 ||
        (pages != 0 && (connection_check(self->target) < 0 ||
                        await_check_gate(request, self->target->gate) < 0))) {
        return REQUEST_FAILED;
    }
    request->job.with.copy.pages = pages;
    request->job.with.copy.backup = &self->rest->backup;
    return REQUEST_WAIT;
}

static enum request_answer
step_unpack(RequestObject *request, int64_t slice_end)
{
    BackupObject *self = (BackupObject *)request->target;
    const struct csq_backup *backup = &self->rest->backup;

    (void)slice_end;
    if (errors_check(self->source->state, request) < 0) {
        return REQUEST_FAILED;
    }
    request->result = Py_BuildValue("(iii)", backup->status, backup->remaining, backup->total);
    return request->result == NULL ? REQUEST_FAILED : REQUEST_READY;
}

PyDoc_STRVAR(step_doc,
             "step($self, pages, /)\n--\n\n"
             "Copy the next `pages` pages (negative: all; 0: end the backup here); gives\n"
             "(status, remaining, total): an SQLite result code and two page counts.");

static const struct request_hooks step_hooks = {.pack = step_pack, .unpack = step_unpack};
static const struct request_hooks last_hooks = {
    .pack = step_pack, .unpack = step_unpack, .ending = true};

static int
fill_step(RequestObject *request, PyObject *const *values)
{
    (void)values;
    if (REQUEST_PAYLOAD(request, struct step_call)->pages == 0) {
        request->hooks = &last_hooks;
    }
    return 0;
}

METHOD(backup_step) = {
    .args = ARGS_PLAIN("Backup.step", 1, "pages"),
    .hooks = &step_hooks,
    .on = ON_PART,
    .op = CSQ_BACKUP,
    .takes = {TAKE(CLAMPED, struct step_call, pages)},
    .fill = fill_step,
};

static PyObject *
backup_make(ConnectionObject *self, PyObject *args)
{
    PyTypeObject *type = self->state->backup_type;
    PyObject *target;
    PyObject *name;
    BackupObject *backup;

    if (!PyArg_ParseTuple(args, "O!U:_backup", self->state->connection_type, &target, &name)) {
        return NULL;
    }
    if (connection_check(self) < 0 || connection_check((ConnectionObject *)target) < 0) {
        return NULL;
    }
    backup = (BackupObject *)type->tp_alloc(type, 0);
    if (backup == NULL) {
        return NULL;
    }
    backup->source = (ConnectionObject *)Py_NewRef((PyObject *)self);
    backup->target = (ConnectionObject *)Py_NewRef(target);
    backup->name = Py_NewRef(name);
    backup->rest = csq_calloc(sizeof *backup->rest);
    if (backup->rest == NULL) {
        Py_DECREF(backup);
        return PyErr_NoMemory();
    }
    backup->rest->source = csq_executor_get(backup->source->executor);
    backup->rest->target = csq_executor_get(backup->target->executor);
    backup->rest->backup.target = csq_native_db(backup->target->executor);
    backup->rest->backup.name = args_text(name, "backup", "'name'");
    if (backup->rest->backup.name == NULL) {
        Py_CLEAR(backup);
    }
    return (PyObject *)backup;
}

/* Worker thread. The path is the job's SQL, the name of the schema its argument. */
static int
save(struct csq_job *job, sqlite3 *handle)
{
    return csq_backup_save(handle, job->with.host.argument, job->sql, &job->error);
}

struct save_call {
    PyObject *path;
    PyObject *name;
};

static int
fill_save(RequestObject *request, PyObject *const *values)
{
    if (!PyBytes_Check(values[0])) {
        PyErr_SetString(PyExc_TypeError, "a path must be bytes");
        return -1;
    }
    request->job.sql = PyBytes_AS_STRING(values[0]);
    request->job.with.host.argument = (void *)args_text(values[1], "_save", "2");
    return request->job.with.host.argument == NULL ? -1 : 0;
}

METHOD(connection_save) = {
    .args = ARGS_PLAIN("Connection._save", 2, "path", "name"),
    .hooks = &method_simple,
    .native = true,
    .objects = 2,
    .run = save,
    .takes = {TAKE(OBJECT, struct save_call, path), TAKE(OBJECT, struct save_call, name)},
    .fill = fill_save,
};

/* Frees it; what is unfinished is finished first, which may wait. */
static void
free_rest(struct backup_rest *rest)
{
    csq_backup_finish(&rest->backup, csq_native_db(rest->source));
    csq_executor_put(rest->source);
    csq_executor_put(rest->target);
    csq_job_clear(&rest->farewell);
    csq_free(rest);
}

/* Worker thread. While the target is busy the worker goes on with other work, and
 * comes back to this. */
static void
release_rest(struct csq_job *job)
{
    struct backup_rest *rest = csq_item(job, struct backup_rest, farewell);

    if (rest->backup.handle == NULL || !rest->source->verbs->push(rest->source, job)) {
        free_rest(rest);
    }
}

static void
drop_rest(BackupObject *self)
{
    struct backup_rest *rest = self->rest;

    self->rest = NULL;
    if (rest == NULL || self->source->forked) {
        return;
    }
    csq_job_init(&rest->farewell, CSQ_BACKUP);
    rest->farewell.with.copy.backup = &rest->backup;
    rest->farewell.with.copy.pages = 0;
    rest->farewell.release = release_rest;
    if (rest->backup.handle == NULL ||
        !rest->source->verbs->push(rest->source, &rest->farewell)) {
        Py_BEGIN_ALLOW_THREADS free_rest(rest);
        Py_END_ALLOW_THREADS
    }
}

static int
backup_traverse(BackupObject *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->source);
    Py_VISIT(self->target);
    return 0;
}

static void
backup_dealloc(BackupObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    drop_rest(self);
    Py_CLEAR(self->source);
    Py_CLEAR(self->target);
    Py_CLEAR(self->name);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef type_methods[] = {
    METHOD_ENTRY("step", backup_step, step_doc),
    {NULL, NULL, 0, NULL},
};

static PyType_Slot backup_slots[] = {
    {Py_tp_doc, "One online backup under way; see Connection.backup()."},
    {Py_tp_traverse, backup_traverse},
    {Py_tp_dealloc, backup_dealloc},
    {Py_tp_methods, type_methods},
    {0, NULL},
};

static PyType_Spec backup_spec = {
    .name = "csqlite._csqlite.Backup",
    .basicsize = sizeof(BackupObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = backup_slots,
};

int
backup_init_type(struct module_state *state, PyObject *module)
{
    state->backup_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &backup_spec, NULL);
    if (state->backup_type == NULL) {
        return -1;
    }
    compat_forbid_new(state->backup_type);
    return 0;
}

PyDoc_STRVAR(backup_doc, "_backup($self, target, name, /)\n--\n\n"
                         "Give a Backup into another csqlite connection.");
PyDoc_STRVAR(save_doc, "_save($self, path, name, /)\n--\n\n"
                       "Copy a schema into the file `path`, bytes, in one go.");

PyMethodDef backup_methods[] = {
    {"_backup", (PyCFunction)backup_make, METH_VARARGS, backup_doc},
    METHOD_ENTRY("_save", connection_save, save_doc),
    {NULL, NULL, 0, NULL},
};
