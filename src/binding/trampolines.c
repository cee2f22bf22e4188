/* What a Python exception becomes is SQLite's business to carry: a message for a
 * function, "deny" for an authorizer, "stop" for a progress handler. The texts
 * are those of the sqlite3 module. */

#include "binding/trampolines.h"

#include "binding/convert.h"

struct callback *
callback_new(struct module_state *state, struct gate *gate, const struct csq_db *db,
             PyObject *callable)
{
    struct callback *callback = PyMem_RawMalloc(sizeof *callback);

    if (callback == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    callback->gate = gate_get(gate);
    callback->db = db;
    callback->state = state;
    callback->owner = Py_NewRef((PyObject *)state->connection_type);
    callback->callable = Py_NewRef(callable);
    return callback;
}

void
callback_free(void *argument)
{
    struct callback *callback = argument;
    struct gate *gate;

    if (callback == NULL) {
        return;
    }
    gate = callback->gate;
    gate_enter(gate);
    Py_DECREF(callback->callable);
    Py_DECREF(callback->owner);
    gate_leave(gate);
    gate_put(gate);
    PyMem_RawFree(callback);
}

/* What a trampoline holds while it is in Python: a handler may remove itself, and
 * then its callback is gone before the trampoline is. */
struct visit {
    struct gate *gate;
    PyObject *callable;
    PyObject *variables; /* the context that was entered; NULL: none */
};

static void
enter(struct visit *visit, const struct callback *callback)
{
    visit->gate = gate_get(callback->gate);
    gate_enter(visit->gate);
    visit->callable = Py_NewRef(callback->callable);
    visit->variables = Py_XNewRef(callback->db->context);
    if (visit->variables != NULL && PyContext_Enter(visit->variables) < 0) {
        /* A callback within a callback is in it already. */
        PyErr_Clear();
        Py_CLEAR(visit->variables);
    }
}

static void
leave(struct visit *visit)
{
    if (visit->variables != NULL && PyContext_Exit(visit->variables) < 0) {
        PyErr_WriteUnraisable(visit->callable);
    }
    Py_XDECREF(visit->variables);
    Py_DECREF(visit->callable);
    gate_leave(visit->gate);
    gate_put(visit->gate);
}

/* Turns the current exception into the error of a function call. */
static void
fail_call(sqlite3_context *context, const char *message)
{
    PyObject *type = PyErr_Occurred();

    if (type != NULL && PyErr_GivenExceptionMatches(type, PyExc_MemoryError)) {
        sqlite3_result_error_nomem(context);
    } else if (type != NULL && PyErr_GivenExceptionMatches(type, PyExc_OverflowError)) {
        sqlite3_result_error_toobig(context);
    } else {
        sqlite3_result_error(context, message, -1);
    }
    PyErr_Clear();
}

/* Lets what `callable(*values)` returns be the result. GIL held. */
static int
call_for_result(sqlite3_context *context, PyObject *callable, PyObject *arguments)
{
    PyObject *result = arguments == NULL ? NULL : PyObject_Call(callable, arguments, NULL);
    int rc = result == NULL ? -1 : convert_result(context, result);

    Py_XDECREF(arguments);
    Py_XDECREF(result);
    return rc;
}

void
trampoline_function(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct callback *callback = sqlite3_user_data(context);
    struct visit visit;

    enter(&visit, callback);
    if (call_for_result(context, visit.callable, convert_arguments(count, values)) < 0) {
        fail_call(context, "user-defined function raised exception");
    }
    leave(&visit);
}

/* -- aggregates --------------------------------------------------------------- */

void
trampoline_step(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct callback *callback = sqlite3_user_data(context);
    struct visit visit;
    PyObject **instance = sqlite3_aggregate_context(context, sizeof(PyObject *));
    PyObject *arguments = NULL;
    PyObject *step = NULL;
    PyObject *result = NULL;

    enter(&visit, callback);
    if (instance == NULL) {
        sqlite3_result_error_nomem(context);
        goto done;
    }
    if (*instance == NULL) {
        *instance = PyObject_CallNoArgs(visit.callable);
        if (*instance == NULL) {
            fail_call(context, "user-defined aggregate's '__init__' method raised error");
            goto done;
        }
    }
    step = PyObject_GetAttrString(*instance, "step");
    if (step == NULL) {
        fail_call(context, PyErr_ExceptionMatches(PyExc_AttributeError)
                               ? "user-defined aggregate's 'step' method not defined"
                               : "user-defined aggregate's 'step' method raised error");
        goto done;
    }
    arguments = convert_arguments(count, values);
    result = arguments == NULL ? NULL : PyObject_Call(step, arguments, NULL);
    if (result == NULL) {
        fail_call(context, "user-defined aggregate's 'step' method raised error");
    }

done:
    Py_XDECREF(arguments);
    Py_XDECREF(step);
    Py_XDECREF(result);
    leave(&visit);
}

void
trampoline_final(sqlite3_context *context)
{
    struct callback *callback = sqlite3_user_data(context);
    struct visit visit;
    PyObject **instance = sqlite3_aggregate_context(context, 0);
    PyObject *finalize;

    /* No row was seen, or the instance could not be made. */
    if (instance == NULL || *instance == NULL) {
        return;
    }
    enter(&visit, callback);
    finalize = PyObject_GetAttrString(*instance, "finalize");
    if (finalize == NULL) {
        fail_call(context, PyErr_ExceptionMatches(PyExc_AttributeError)
                               ? "user-defined aggregate's 'finalize' method not defined"
                               : "user-defined aggregate's 'finalize' method raised error");
    } else {
        if (call_for_result(context, finalize, PyTuple_New(0)) < 0) {
            fail_call(context, "user-defined aggregate's 'finalize' method raised error");
        }
        Py_DECREF(finalize);
    }
    Py_CLEAR(*instance);
    leave(&visit);
}

/* -- the rest ----------------------------------------------------------------- */

int
trampoline_collation(void *argument, int size_a, const void *a, int size_b, const void *b)
{
    struct callback *callback = argument;
    struct visit visit;
    PyObject *result = NULL;
    int order = 0;

    enter(&visit, callback);
    result = PyObject_CallFunction(visit.callable, "s#s#", a, (Py_ssize_t)size_a, b,
                                   (Py_ssize_t)size_b);
    if (result != NULL && PyLong_Check(result)) {
        int overflow;
        long value = PyLong_AsLongAndOverflow(result, &overflow);

        order = overflow != 0 ? overflow : (value > 0) - (value < 0);
    }
    /* There is no way to fail here: what cannot be compared is equal. */
    PyErr_Clear();
    Py_XDECREF(result);
    leave(&visit);
    return order;
}

int
trampoline_authorizer(void *argument, int action, const char *a, const char *b,
                      const char *database, const char *trigger)
{
    struct callback *callback = argument;
    struct visit visit;
    PyObject *result;
    int answer = SQLITE_DENY;

    enter(&visit, callback);
    result = PyObject_CallFunction(visit.callable, "issss", action, a, b, database, trigger);
    if (result != NULL && PyLong_Check(result)) {
        long value = PyLong_AsLong(result);

        answer = value == -1 && PyErr_Occurred() ? SQLITE_DENY : (int)value;
    }
    PyErr_Clear();
    Py_XDECREF(result);
    leave(&visit);
    return answer;
}

int
trampoline_progress(void *argument)
{
    struct callback *callback = argument;
    struct visit visit;
    PyObject *result;
    int stop;

    enter(&visit, callback);
    result = PyObject_CallNoArgs(visit.callable);
    stop = result == NULL ? 1 : PyObject_IsTrue(result);
    PyErr_Clear();
    Py_XDECREF(result);
    leave(&visit);
    return stop != 0;
}

int
trampoline_trace(unsigned event, void *argument, void *statement, void *sql)
{
    struct callback *callback = argument;
    struct visit visit;
    const char *text = sql;
    char *expanded = NULL;
    PyObject *result = NULL;
    PyObject *string;

    if (event != SQLITE_TRACE_STMT) {
        return 0;
    }
    /* A trigger's program is given as a comment; anything else with its values. */
    if (strncmp(text, "--", 2) != 0) {
        expanded = sqlite3_expanded_sql(statement);
        text = expanded == NULL ? text : expanded;
    }
    enter(&visit, callback);
    string = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
    if (string != NULL) {
        result = PyObject_CallOneArg(visit.callable, string);
        Py_DECREF(string);
    }
    PyErr_Clear();
    Py_XDECREF(result);
    leave(&visit);
    sqlite3_free(expanded);
    return 0;
}
