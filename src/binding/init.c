/* The module: types, constants, and what happens at exit and after a fork.
 *
 * All state is the module's, so every interpreter that imports it has its own. */

#include "binding/args.h"
#include "binding/backup.h"
#include "binding/blob.h"
#include "binding/carray.h"
#include "binding/change.h"
#include "binding/changes.h"
#include "binding/changeset.h"
#include "binding/codes.h"
#include "binding/connection.h"
#include "binding/constants.h"
#include "binding/cursor.h"
#include "binding/errors.h"
#include "binding/handle.h"
#include "binding/hold.h"
#include "binding/iterate.h"
#include "binding/jsonb.h"
#include "binding/library.h"
#include "binding/locks.h"
#include "binding/module.h"
#include "binding/numbers.h"
#include "binding/pool_call.h"
#include "binding/pool_object.h"
#include "binding/pooled.h"
#include "binding/session.h"
#include "binding/signature.h"
#include "binding/watch.h"
#include "bridge/bridge.h"
#include "bridge/deadline.h"
#include "bridge/reactor.h"
#include "engine/clock.h"
#include "engine/fork.h"

/* How long the end of the interpreter waits for queued writes of a connection
 * that was not closed. */
enum { EXIT_SECONDS = 60 };

/* After so many of them it looks whether a signal has come. */
static const double EXIT_SLICE = 0.05;

/* Gives all executors that may run, each with a reference, and their number; NULL: no
 * memory, or none. */
static struct csq_executor **
executors_of(struct module_state *state, size_t *count)
{
    struct csq_executor **executors;
    struct csq_link *link;
    size_t most = 0;

    *count = 0;
    for (link = state->connections.head.next; link != &state->connections.head;
         link = link->next) {
        most++;
    }
    for (link = state->leaving.head.next; link != &state->leaving.head; link = link->next) {
        most++;
    }
    executors = PyMem_Calloc(most + 1, sizeof *executors);
    for (link = state->connections.head.next;
         executors != NULL && link != &state->connections.head; link = link->next) {
        ConnectionObject *connection = csq_item(link, ConnectionObject, all);

        if (!connection->forked) {
            executors[(*count)++] = csq_executor_get(connection->executor);
        }
    }
    while (executors != NULL && (link = csq_list_shift(&state->leaving)) != NULL) {
        executors[(*count)++] = csq_item(link, struct csq_executor, kept);
    }
    return executors;
}

/* Waits until the executor has ended, or for as long as it may take. 0, or -1 with what a
 * signal handler raised: somebody presses Ctrl-C. */
static int
wait_for_end(struct csq_executor *executor)
{
    int64_t end = csq_now() + (int64_t)EXIT_SECONDS * 1000000000;
    bool ended;

    do {
        Py_BEGIN_ALLOW_THREADS ended = executor->verbs->join(executor, EXIT_SLICE);
        Py_END_ALLOW_THREADS if (!ended && PyErr_CheckSignals() < 0)
        {
            return -1;
        }
    } while (!ended && csq_now() < end);
    return 0;
}

PyDoc_STRVAR(at_exit_doc, "_at_exit($module, /)\n--\n\n"
                          "Close what is open: reads end, queued writes finish.");

static PyObject *
at_exit(PyObject *module, PyObject *unused)
{
    struct module_state *state = PyModule_GetState(module);
    size_t count;
    struct csq_executor **executors = executors_of(state, &count);
    int rc = 0;

    (void)unused;
    state->bridge.exiting = PyThread_get_thread_ident();
    for (size_t i = 0; i < count; i++) {
        executors[i]->verbs->quit(executors[i]);
    }
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = wait_for_end(executors[i]);
    }
    for (size_t i = 0; i < count; i++) {
        csq_executor_put(executors[i]);
    }
    PyMem_Free(executors);
    if (rc < 0) {
        return NULL;
    }
    reactor_sweep(&state->bridge);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(after_fork_doc, "_after_fork($module, /)\n--\n\n"
                             "In a forked child: the parent's connections are not ours.");

static PyObject *
after_fork(PyObject *module, PyObject *unused)
{
    struct module_state *state = PyModule_GetState(module);
    struct csq_link *link;

    (void)unused;
    for (link = state->connections.head.next; link != &state->connections.head;
         link = link->next) {
        ConnectionObject *connection = csq_item(link, ConnectionObject, all);

        connection->forked = true;
        connection->gate->forked = true;
    }
    while (csq_list_shift(&state->leaving) != NULL) {
    }
    /* Nor is its crew, which stays what it was when the parent forked. */
    state->crew = csq_crew_new();
    if (state->crew == NULL) {
        return PyErr_NoMemory();
    }
    /* Nor are its reactors, whose locks a worker may have held. */
    reactor_after_fork(&state->bridge);
    Py_RETURN_NONE;
}

/* Lets `function` of `module` be called by what `registry` names. */
static int
register_with(PyObject *module, const char *registry, const char *method, const char *function,
              const char *keyword)
{
    PyObject *add = module_import(registry, method);
    PyObject *callable = PyObject_GetAttrString(module, function);
    PyObject *kwargs = NULL;
    PyObject *args = NULL;
    PyObject *result = NULL;

    if (add == NULL || callable == NULL) {
        goto done;
    }
    if (keyword == NULL) {
        args = PyTuple_Pack(1, callable);
    } else {
        args = PyTuple_New(0);
        kwargs = Py_BuildValue("{sO}", keyword, callable);
    }
    if (args != NULL && (keyword == NULL || kwargs != NULL)) {
        result = PyObject_Call(add, args, kwargs);
    }

done:
    Py_XDECREF(add);
    Py_XDECREF(callable);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* -- making it ---------------------------------------------------------------- */

static int
take_sqlite3(struct module_state *state)
{
    const struct {
        PyObject **where;
        const char *name;
    } names[] = {
        {&state->InterfaceError, "InterfaceError"},
        {&state->DatabaseError, "DatabaseError"},
        {&state->DataError, "DataError"},
        {&state->OperationalError, "OperationalError"},
        {&state->IntegrityError, "IntegrityError"},
        {&state->InternalError, "InternalError"},
        {&state->NotSupportedError, "NotSupportedError"},
        {&state->ProgrammingError, "ProgrammingError"},
        {&state->adapters, "adapters"},
        {&state->converters, "converters"},
        {&state->prepare_protocol, "PrepareProtocol"},
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        *names[i].where = module_import("sqlite3", names[i].name);
        if (*names[i].where == NULL) {
            return -1;
        }
    }
    if (!PyDict_Check(state->adapters) || !PyDict_Check(state->converters)) {
        PyErr_SetString(PyExc_TypeError, "sqlite3.adapters and sqlite3.converters must be dicts");
        return -1;
    }
    return 0;
}

static int
add_codes(PyObject *module, const struct code *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (PyModule_AddIntConstant(module, table[i].name, table[i].value) < 0) {
            return -1;
        }
    }
    return 0;
}

/* The words that SQLite's parser knows, in its order. */
static PyObject *
make_keywords(void)
{
    PyObject *keywords = PyTuple_New(sqlite3_keyword_count());

    for (int i = 0; keywords != NULL && i < (int)PyTuple_GET_SIZE(keywords); i++) {
        const char *name = "";
        int size = 0;
        PyObject *keyword;

        sqlite3_keyword_name(i, &name, &size);
        keyword = PyUnicode_FromStringAndSize(name, size);
        if (keyword == NULL) {
            Py_CLEAR(keywords);
        } else {
            PyTuple_SET_ITEM(keywords, i, keyword);
        }
    }
    return keywords;
}

static int
add_constants(PyObject *module)
{
    PyObject *keywords = make_keywords();

    if (keywords == NULL || PyModule_AddObject(module, "SQLITE_KEYWORDS", keywords) < 0) {
        Py_XDECREF(keywords);
        return -1;
    }
    if (add_codes(module, codes, codes_count) < 0 ||
        add_codes(module, constants, constants_count) < 0 ||
        add_codes(module, numbers, numbers_count) < 0) {
        return -1;
    }
    return PyModule_AddStringConstant(module, "sqlite_version", sqlite3_libversion());
}

static int
module_exec(PyObject *module)
{
    struct module_state *state = PyModule_GetState(module);

    csq_list_init(&state->leaving);
    csq_list_init(&state->connections);
    state->crew = csq_crew_new();
    if (state->crew == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    /* Before any file is opened. Whoever forks while another thread initializes SQLite
     * would find that unfinished. */
    if (sqlite3_initialize() != SQLITE_OK || csq_fork_watch() != 0) {
        PyErr_NoMemory();
        return -1;
    }
    if (bridge_init(&state->bridge, module) < 0 || take_sqlite3(state) < 0) {
        return -1;
    }
    state->bridge.raise = errors_raise_request;
    state->row_cursors = PyDict_New();
    state->str_conform = PyUnicode_InternFromString("__conform__");
    state->str_upper = PyUnicode_InternFromString("upper");
    state->str_close = PyUnicode_InternFromString("close");
    if (state->row_cursors == NULL || state->str_conform == NULL || state->str_upper == NULL ||
        state->str_close == NULL) {
        return -1;
    }
    if (connection_init_type(state, module) < 0 || cursor_init_type(state, module) < 0 ||
        iterate_init_type(state, module) < 0 || backup_init_type(state, module) < 0 ||
        blob_init_type(state, module) < 0 || handle_init_type(state, module) < 0 ||
        changes_init_type(state, module) < 0 || library_init(module) < 0 ||
        locks_init(module) < 0 || add_constants(module) < 0) {
        return -1;
    }
    if (carray_init_type(state, module) < 0 || change_init_types(state, module) < 0 ||
        changeset_init_types(state, module) < 0 || session_init_type(state, module) < 0 ||
        hold_init_type(state, module) < 0 || watch_init_type(state, module) < 0 ||
        pooled_init_types(state, module) < 0 || pool_call_init_type(state, module) < 0 ||
        pool_object_init_type(state, module) < 0 || signature_init(state, module) < 0 ||
        PyModule_AddFunctions(module, jsonb_encode_methods) < 0 ||
        PyModule_AddFunctions(module, jsonb_decode_methods) < 0) {
        return -1;
    }
    if (register_with(module, "atexit", "register", "_at_exit", NULL) < 0) {
        return -1;
    }
    return register_with(module, "os", "register_at_fork", "_after_fork", "after_in_child");
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct module_state *state = PyModule_GetState(module);

    Py_VISIT(state->connection_type);
    Py_VISIT(state->cursor_type);
    Py_VISIT(state->iterator_type);
    Py_VISIT(state->backup_type);
    Py_VISIT(state->blob_type);
    Py_VISIT(state->carray_type);
    Py_VISIT(state->change_type);
    Py_VISIT(state->changes_type);
    Py_VISIT(state->hold_type);
    Py_VISIT(state->watch_type);
    Py_VISIT(state->member_type);
    Py_VISIT(state->shelf_type);
    Py_VISIT(state->pool_type);
    Py_VISIT(state->pool_call_type);
    Py_VISIT(state->session_type);
    Py_VISIT(state->handle_type);
    Py_VISIT(state->hook_changes_type);
    Py_VISIT(state->adapters);
    Py_VISIT(state->converters);
    Py_VISIT(state->no_change);
    Py_VISIT(state->row_cursors);
    return bridge_traverse(&state->bridge, visit, arg);
}

static int
module_clear(PyObject *module)
{
    struct module_state *state = PyModule_GetState(module);

    Py_CLEAR(state->connection_type);
    Py_CLEAR(state->cursor_type);
    Py_CLEAR(state->iterator_type);
    Py_CLEAR(state->backup_type);
    Py_CLEAR(state->blob_type);
    Py_CLEAR(state->carray_type);
    Py_CLEAR(state->change_type);
    Py_CLEAR(state->changes_type);
    Py_CLEAR(state->hold_type);
    Py_CLEAR(state->watch_type);
    Py_CLEAR(state->member_type);
    Py_CLEAR(state->shelf_type);
    Py_CLEAR(state->pool_type);
    Py_CLEAR(state->pool_call_type);
    Py_CLEAR(state->session_type);
    Py_CLEAR(state->handle_type);
    Py_CLEAR(state->hook_changes_type);
    Py_CLEAR(state->InterfaceError);
    Py_CLEAR(state->DatabaseError);
    Py_CLEAR(state->DataError);
    Py_CLEAR(state->OperationalError);
    Py_CLEAR(state->IntegrityError);
    Py_CLEAR(state->InternalError);
    Py_CLEAR(state->NotSupportedError);
    Py_CLEAR(state->ProgrammingError);
    Py_CLEAR(state->adapters);
    Py_CLEAR(state->converters);
    Py_CLEAR(state->prepare_protocol);
    Py_CLEAR(state->no_change);
    Py_CLEAR(state->row_cursors);
    Py_CLEAR(state->str_conform);
    Py_CLEAR(state->str_upper);
    Py_CLEAR(state->str_close);
    bridge_clear(&state->bridge);
    return 0;
}

static void
module_free(void *module)
{
    struct module_state *state = PyModule_GetState(module);

    module_clear(module);
    csq_crew_dismiss(state->crew);
}

static const char complete_statement_doc[] =
    "complete_statement($module, /, statement)\n--\n\n"
    "Whether a str ends one or more complete SQL statements, as far as quotes, comments and\n"
    "semicolons tell. As sqlite3's complete_statement(); sqlite3_complete().";

static PyObject *
complete_statement(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"statement"};
    static const struct args_spec spec = {"complete_statement", 1, 1, 1, names, 0};
    PyObject *value;
    const char *statement;

    (void)module;
    if (args_parse(&spec, args, nargs, kwnames, &value) < 0) {
        return NULL;
    }
    statement = args_text(value, "complete_statement", "'statement'");
    return statement == NULL ? NULL : PyBool_FromLong(sqlite3_complete(statement));
}

PyDoc_STRVAR(enable_callback_tracebacks_doc,
             "_enable_callback_tracebacks($module, flag, /)\n--\n\n"
             "Show exceptions of callbacks through sys.unraisablehook, or do not.");

static PyObject *
enable_callback_tracebacks(PyObject *module, PyObject *flag)
{
    struct module_state *state = PyModule_GetState(module);
    int on = PyObject_IsTrue(flag);

    if (on < 0) {
        return NULL;
    }
    state->tracebacks = on;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(deadline_after_doc, "_deadline_after($module, seconds, /)\n--\n\n"
                                 "Give the time in so many seconds, as `_deadline` holds it.");

static PyObject *
module_deadline_after(PyObject *module, PyObject *seconds)
{
    struct module_state *state = PyModule_GetState(module);

    return deadline_after(&state->bridge, seconds);
}

PyDoc_STRVAR(deadline_left_doc, "_deadline_left($module, when, /)\n--\n\n"
                                "Give how many seconds it is until then; negative: since.");

static PyObject *
module_deadline_left(PyObject *module, PyObject *when)
{
    int64_t time = PyLong_AsLongLong(when);

    (void)module;
    if (time == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return PyFloat_FromDouble((double)(time - csq_now()) / 1e9);
}

static PyMethodDef module_methods[] = {
    {"_deadline_after", module_deadline_after, METH_O, deadline_after_doc},
    {"_deadline_left", module_deadline_left, METH_O, deadline_left_doc},
    {"complete_statement", (PyCFunction)(void (*)(void))complete_statement, ARGS_FASTCALL,
     complete_statement_doc},
    {"_enable_callback_tracebacks", enable_callback_tracebacks, METH_O,
     enable_callback_tracebacks_doc},
    {"_at_exit", at_exit, METH_NOARGS, at_exit_doc},
    {"_after_fork", after_fork, METH_NOARGS, after_fork_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "csqlite._csqlite",
    .m_doc = "SQLite on native threads, for asyncio.",
    .m_size = sizeof(struct module_state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC
PyInit__csqlite(void)
{
    return PyModuleDef_Init(&module_def);
}
