/* What a hook is called with is made here, and its answer read. Names come from the
 * schema, whose text need not be valid. */

#include "binding/hook_calls.h"

#include "binding/changes.h"
#include "binding/codes.h"
#include "binding/convert.h"

struct hook *
hook_new(struct module_state *state, struct gate *gate, struct csq_db *db, PyObject *callable,
         PyObject *id, PyObject *factory)
{
    struct hook *hook = PyMem_RawMalloc(sizeof *hook);

    if (hook == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    hook->callback = callback_new(state, gate, db, callable);
    if (hook->callback == NULL) {
        PyMem_RawFree(hook);
        return NULL;
    }
    hook->id = Py_XNewRef(id);
    hook->factory = Py_XNewRef(factory);
    return hook;
}

void
hook_free(void *argument)
{
    struct hook *hook = argument;

    if (hook == NULL) {
        return;
    }
    if (hook->id != NULL || hook->factory != NULL) {
        gate_enter(hook->callback->gate);
        /* As in callback_free(). */
        hook->callback->db->sealed++;
        Py_XDECREF(hook->id);
        Py_XDECREF(hook->factory);
        hook->callback->db->sealed--;
        gate_leave(hook->callback->gate);
    }
    callback_free(hook->callback);
    PyMem_RawFree(hook);
}

static PyObject *
decode(const char *text)
{
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

/* Calls the visited callable with `arguments`, a tuple, which it takes (NULL: with the
 * exception for which there is none). Gives what it gives, or NULL with an exception. */
static PyObject *
call(struct visit *visit, PyObject *arguments)
{
    enum { MOST = 4 };
    PyObject *all[1 + MOST] = {NULL};
    PyObject *result;

    if (arguments == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(arguments); i++) {
        all[1 + i] = PyTuple_GET_ITEM(arguments, i);
    }
    result = visit_call(visit, visit->callable, all + 1, (size_t)PyTuple_GET_SIZE(arguments));
    Py_DECREF(arguments);
    return result;
}

/* Tells of the current exception where no statement can. */
static void
report(struct visit *visit)
{
    PyErr_WriteUnraisable(visit->callable);
}

/* Calls where SQLite asks for no answer. */
static void
tell(struct visit *visit, PyObject *arguments)
{
    PyObject *result = call(visit, arguments);

    if (result == NULL) {
        report(visit);
    }
    Py_XDECREF(result);
}

/* Calls where a true answer stops something, and so does an exception. */
static bool
ask(struct visit *visit, PyObject *arguments)
{
    PyObject *result = call(visit, arguments);
    int answer = result == NULL ? -1 : PyObject_IsTrue(result);

    if (answer < 0) {
        report(visit);
    }
    Py_XDECREF(result);
    return answer != 0;
}

/* -- changes ------------------------------------------------------------------- */

void
hook_update(void *argument, int operation, const char *database, const char *table, int64_t rowid)
{
    const struct hook *hook = argument;
    struct visit visit;

    visit_begin(&visit, hook->callback);
    tell(&visit,
         Py_BuildValue("(iNNL)", operation, decode(database), decode(table), (long long)rowid));
    visit_end(&visit);
}

void
hook_changes(void *argument, struct csq_changes *changes)
{
    const struct hook *hook = argument;
    struct visit visit;

    visit_begin(&visit, hook->callback);
    tell(&visit, Py_BuildValue("(N)", changes_new(hook->callback->state, changes)));
    visit_end(&visit);
}

#ifdef SQLITE_ENABLE_PREUPDATE_HOOK

static PyObject *
tuple_of(int count, sqlite3_value **values)
{
    PyObject **objects = PyMem_Calloc((size_t)(count > 0 ? count : 1), sizeof *objects);
    PyObject *tuple = NULL;

    if (objects == NULL) {
        return PyErr_NoMemory();
    }
    if (convert_arguments(count, values, objects) == 0) {
        tuple = PyTuple_New(count);
        for (int i = 0; i < count; i++) {
            if (tuple != NULL) {
                PyTuple_SET_ITEM(tuple, i, objects[i]);
            } else {
                Py_DECREF(objects[i]);
            }
        }
    }
    PyMem_Free(objects);
    return tuple;
}

/* Gives a tuple of the row's values before or after, None where there are none. */
static PyObject *
preupdate_values(sqlite3 *handle, int (*read)(sqlite3 *, int, sqlite3_value **))
{
    int count = sqlite3_preupdate_count(handle);
    sqlite3_value **values = PyMem_New(sqlite3_value *, (size_t)(count > 0 ? count : 1));
    PyObject *tuple = NULL;
    int rc = SQLITE_OK;

    for (int i = 0; values != NULL && i < count && rc == SQLITE_OK; i++) {
        rc = read(handle, i, &values[i]);
    }
    if (values == NULL || rc == SQLITE_NOMEM) {
        PyErr_NoMemory();
    } else if (rc != SQLITE_OK) {
        tuple = Py_NewRef(Py_None);
    } else {
        tuple = tuple_of(count, values);
    }
    PyMem_Free(values);
    return tuple;
}

static PyObject *
make_preupdate(const struct hook *hook, const struct csq_preupdate *change)
{
    sqlite3 *handle = change->handle;
    int blob = -1;

#if SQLITE_VERSION_NUMBER >= 3036000
    blob = sqlite3_preupdate_blobwrite(handle);
#endif
    return PyObject_CallFunction(
        hook->factory, "iNNLLiNNi", change->operation, decode(change->database),
        decode(change->table), (long long)change->rowid, (long long)change->new_rowid,
        sqlite3_preupdate_depth(handle),
        change->operation == SQLITE_INSERT ? Py_NewRef(Py_None)
                                           : preupdate_values(handle, sqlite3_preupdate_old),
        change->operation == SQLITE_DELETE ? Py_NewRef(Py_None)
                                           : preupdate_values(handle, sqlite3_preupdate_new),
        blob);
}

void
hook_preupdate(void *argument, const struct csq_preupdate *change)
{
    const struct hook *hook = argument;
    struct visit visit;

    visit_begin(&visit, hook->callback);
    tell(&visit, Py_BuildValue("(N)", make_preupdate(hook, change)));
    visit_end(&visit);
}

#else

void
hook_preupdate(void *argument, const struct csq_preupdate *change)
{
    (void)argument;
    (void)change;
}

#endif

/* -- transactions -------------------------------------------------------------- */

bool
hook_commit(void *argument)
{
    const struct hook *hook = argument;
    struct visit visit;
    bool undo;

    visit_begin(&visit, hook->callback);
    undo = ask(&visit, PyTuple_New(0));
    visit_end(&visit);
    return undo;
}

void
hook_rollback(void *argument)
{
    const struct hook *hook = argument;
    struct visit visit;

    visit_begin(&visit, hook->callback);
    tell(&visit, PyTuple_New(0));
    visit_end(&visit);
}

/* The result code that an answer stands for; -1 with an exception. Codes that SQLite
 * does not know, or that are no errors, would have results that it leaves undefined. */
static int
read_code(PyObject *answer)
{
    long code = 0;

    if (answer != Py_None) {
        code = PyLong_AsLong(answer);
        if (code == -1 && PyErr_Occurred()) {
            return -1;
        }
    }
    if (code < 0 || code > INT_MAX || code == SQLITE_ROW || code == SQLITE_DONE ||
        codes_name((int)code) == NULL) {
        PyErr_Format(PyExc_ValueError, "%ld is not the code of an error", code);
        return -1;
    }
    return (int)code;
}

/* The transaction is committed by now: an exception does not make a failure of it. */
int
hook_wal(void *argument, const char *database, int pages)
{
    const struct hook *hook = argument;
    struct visit visit;
    PyObject *result;
    int code;

    visit_begin(&visit, hook->callback);
    visit.db->bound = visit.db->around; /* the statement has done what it was to do */
    result = call(&visit, Py_BuildValue("(Ni)", decode(database), pages));
    code = result == NULL ? -1 : read_code(result);
    if (code < 0) {
        report(&visit);
    }
    Py_XDECREF(result);
    visit_end(&visit);
    return code < 0 ? SQLITE_OK : code;
}

/* -- statements ---------------------------------------------------------------- */

static const struct {
    const char *name;
    int code;
    bool reset; /* when a statement begins, so that it counts one run */
} counters[] = {
    {"SQLITE_STMTSTATUS_FULLSCAN_STEP", 1, true}, {"SQLITE_STMTSTATUS_SORT", 2, true},
    {"SQLITE_STMTSTATUS_AUTOINDEX", 3, true},     {"SQLITE_STMTSTATUS_VM_STEP", 4, true},
    {"SQLITE_STMTSTATUS_REPREPARE", 5, false}, /* the engine compares it: csq_stmt_refresh() */
    {"SQLITE_STMTSTATUS_RUN", 6, false},          {"SQLITE_STMTSTATUS_FILTER_MISS", 7, true},
    {"SQLITE_STMTSTATUS_FILTER_HIT", 8, true},    {"SQLITE_STMTSTATUS_MEMUSED", 99, false},
};

enum { COUNTERS = sizeof counters / sizeof *counters };

static PyObject *
make_counters(sqlite3_stmt *statement)
{
    PyObject *dict = PyDict_New();

    for (int i = 0; dict != NULL && i < COUNTERS; i++) {
        PyObject *value = PyLong_FromLong(sqlite3_stmt_status(statement, counters[i].code, 0));

        if (value == NULL || PyDict_SetItemString(dict, counters[i].name, value) < 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(value);
    }
    return dict;
}

static void
reset_counters(sqlite3_stmt *statement)
{
    for (int i = 0; i < COUNTERS; i++) {
        if (counters[i].reset) {
            sqlite3_stmt_status(statement, counters[i].code, 1);
        }
    }
}

static PyObject *
statement_text(sqlite3_stmt *statement)
{
    const char *sql = sqlite3_sql(statement);

    return decode(sql == NULL ? "" : sql);
}

static long long
changes_of(sqlite3_stmt *statement)
{
#if SQLITE_VERSION_NUMBER >= 3037000
    return sqlite3_total_changes64(sqlite3_db_handle(statement));
#else
    return sqlite3_total_changes(sqlite3_db_handle(statement));
#endif
}

/* Whether it is the statement that begins, and not a trigger or another statement
 * within it: in front of the text of those, SQLite puts "-- ". */
static bool
is_whole(sqlite3_stmt *statement, const char *text)
{
    const char *sql = sqlite3_sql(statement);

    return sql != NULL && strcmp(sql, text) == 0;
}

static PyObject *
make_begin(sqlite3_stmt *statement, const char *text)
{
    bool within = !is_whole(statement, text);

    if (within && strncmp(text, "-- ", 3) == 0) {
        text += 3;
    }
    return Py_BuildValue("{sisNsNsOsL}", "code", SQLITE_TRACE_STMT, "id",
                         PyLong_FromVoidPtr(statement), "sql", decode(text), "trigger",
                         within ? Py_True : Py_False, "total_changes", changes_of(statement));
}

static PyObject *
make_event(unsigned event, void *p, void *x)
{
    switch (event) {
    case SQLITE_TRACE_STMT:
        return make_begin(p, x);
    case SQLITE_TRACE_PROFILE:
        return Py_BuildValue("{sisNsNsLsLsN}", "code", SQLITE_TRACE_PROFILE, "id",
                             PyLong_FromVoidPtr(p), "sql", statement_text(p), "total_changes",
                             changes_of(p), "nanoseconds", *(long long *)x, "stmt_status",
                             make_counters(p));
    case SQLITE_TRACE_ROW:
        return Py_BuildValue("{sisN}", "code", SQLITE_TRACE_ROW, "id", PyLong_FromVoidPtr(p));
    default:
        return Py_BuildValue("{si}", "code", (int)event);
    }
}

void
hook_trace(void *argument, unsigned event, void *p, void *x)
{
    const struct hook *hook = argument;
    struct visit visit;

    if (event == SQLITE_TRACE_STMT && is_whole(p, x)) {
        reset_counters(p);
    }
    visit_begin(&visit, hook->callback);
    tell(&visit, Py_BuildValue("(N)", make_event(event, p, x)));
    visit_end(&visit);
}

void
hook_profile(void *argument, unsigned event, void *p, void *x)
{
    const struct hook *hook = argument;
    struct visit visit;

    (void)event;
    visit_begin(&visit, hook->callback);
    tell(&visit, Py_BuildValue("(NL)", statement_text(p), *(long long *)x));
    visit_end(&visit);
}

bool
hook_progress(void *argument)
{
    const struct hook *hook = argument;

    return trampoline_progress(hook->callback) != 0;
}
