/* What a Python exception becomes is SQLite's business to carry: a message for a
 * function, "deny" for an authorizer, "stop" for a progress handler. The texts
 * are those of the sqlite3 module. */

#include "binding/trampolines.h"

#include "binding/convert.h"

/* Turns the current exception into the error of a function call. */
static void
fail_call(struct visit *visit, sqlite3_context *sql_call, const char *message)
{
    PyObject *type = PyErr_Occurred();

    if (type != NULL && PyErr_GivenExceptionMatches(type, PyExc_MemoryError)) {
        sqlite3_result_error_nomem(sql_call);
    } else if (type != NULL && PyErr_GivenExceptionMatches(type, PyExc_OverflowError)) {
        sqlite3_result_error_toobig(sql_call);
    } else {
        sqlite3_result_error(sql_call, message, -1);
    }
    visit_fail(visit);
}

/* The error of a call of what was removed while a statement used it. */
static void
fail_removed(sqlite3_context *sql_call, const struct callback *callback)
{
    char *message = sqlite3_mprintf("no such function: %s", callback->name);

    if (message == NULL) {
        sqlite3_result_error_nomem(sql_call);
    } else {
        sqlite3_result_error(sql_call, message, -1);
        sqlite3_free(message);
    }
}

/* Ends a call. A statement does not go on in a transaction that is not there any more. */
static void
end_call(struct visit *visit, sqlite3_context *sql_call)
{
    bool undone = visit->db->undone;

    visit_end(visit);
    if (undone) {
        sqlite3_result_error(sql_call, VISIT_UNDONE, -1);
    }
}

/* Calls `callable` with SQL values. */
static PyObject *
call_with_values(struct visit *visit, PyObject *callable, int count, sqlite3_value **values)
{
    enum { FEW = 8 };
    PyObject *few[1 + FEW];
    PyObject **all = few;
    PyObject *result = NULL;

    if (count > FEW) {
        all = PyMem_Malloc((1 + (size_t)count) * sizeof *all);
        if (all == NULL) {
            return PyErr_NoMemory();
        }
    }
    if (convert_arguments(count, values, all + 1) == 0) {
        result = visit_call(visit, callable, all + 1, (size_t)count);
        for (int i = 1; i <= count; i++) {
            Py_DECREF(all[i]);
        }
    }
    if (all != few) {
        PyMem_Free(all);
    }
    return result;
}

/* Calls `callable` without arguments. */
static PyObject *
call(struct visit *visit, PyObject *callable)
{
    PyObject *arguments[1] = {NULL};

    return visit_call(visit, callable, arguments + 1, 0);
}

void
trampoline_function(sqlite3_context *sql_call, int count, sqlite3_value **values)
{
    struct callback *callback = sqlite3_user_data(sql_call);
    struct visit visit;
    PyObject *result;

    visit_begin(&visit, callback);
    if (visit.callable == NULL) {
        fail_removed(sql_call, callback);
    } else {
        result = call_with_values(&visit, visit.callable, count, values);
        if (result == NULL || convert_result(visit.state, sql_call, result) < 0) {
            fail_call(&visit, sql_call, "user-defined function raised exception");
        }
        Py_XDECREF(result);
    }
    end_call(&visit, sql_call);
}

/* -- aggregates --------------------------------------------------------------- */

/* Calls a method of the aggregate's instance with SQL values; what it gives is of no
 * interest. `undefined` and `raised` are the two messages. */
static void
call_method(struct visit *visit, sqlite3_context *sql_call, PyObject *instance, const char *name,
            int count, sqlite3_value **values, const char *undefined, const char *raised)
{
    PyObject *method = PyObject_GetAttrString(instance, name);
    PyObject *result;

    if (method == NULL) {
        fail_call(visit, sql_call, undefined);
        return;
    }
    result = call_with_values(visit, method, count, values);
    if (result == NULL) {
        fail_call(visit, sql_call, raised);
    }
    Py_DECREF(method);
    Py_XDECREF(result);
}

/* Makes the instance, unless there is one. False: SQLite has been told why not. */
static bool
have_instance(struct visit *visit, sqlite3_context *sql_call, PyObject **instance)
{
    if (*instance != NULL) {
        return true;
    }
    if (visit->callable == NULL) {
        fail_removed(sql_call, sqlite3_user_data(sql_call));
        return false;
    }
    *instance = call(visit, visit->callable);
    if (*instance == NULL) {
        fail_call(visit, sql_call, "user-defined aggregate's '__init__' method raised error");
    }
    return *instance != NULL;
}

void
trampoline_step(sqlite3_context *sql_call, int count, sqlite3_value **values)
{
    PyObject **instance = sqlite3_aggregate_context(sql_call, sizeof(PyObject *));
    struct visit visit;

    if (instance == NULL) {
        sqlite3_result_error_nomem(sql_call);
        return;
    }
    visit_begin(&visit, sqlite3_user_data(sql_call));
    if (have_instance(&visit, sql_call, instance)) {
        call_method(&visit, sql_call, *instance, "step", count, values,
                    "user-defined aggregate's 'step' method not defined",
                    "user-defined aggregate's 'step' method raised error");
    }
    end_call(&visit, sql_call);
}

void
trampoline_inverse(sqlite3_context *sql_call, int count, sqlite3_value **values)
{
    PyObject **instance = sqlite3_aggregate_context(sql_call, sizeof(PyObject *));
    struct visit visit;

    /* Never without a step before; but memory may be short. */
    if (instance == NULL || *instance == NULL) {
        sqlite3_result_error_nomem(sql_call);
        return;
    }
    visit_begin(&visit, sqlite3_user_data(sql_call));
    call_method(&visit, sql_call, *instance, "inverse", count, values,
                "user-defined aggregate's 'inverse' method not defined",
                "user-defined aggregate's 'inverse' method raised error");
    end_call(&visit, sql_call);
}

/* Lets what a method of the instance gives be the result. As in the sqlite3 module, an
 * AttributeError of whatever origin means that the method is not defined. */
static void
answer(struct visit *visit, sqlite3_context *sql_call, PyObject *instance, const char *name,
       const char *undefined, const char *raised, const char *unfit)
{
    PyObject *method = PyObject_GetAttrString(instance, name);
    PyObject *result = method == NULL ? NULL : call(visit, method);

    if (result == NULL) {
        fail_call(visit, sql_call,
                  PyErr_ExceptionMatches(PyExc_AttributeError) ? undefined : raised);
    } else if (convert_result(visit->state, sql_call, result) < 0) {
        fail_call(visit, sql_call, unfit);
    }
    Py_XDECREF(method);
    Py_XDECREF(result);
}

void
trampoline_value(sqlite3_context *sql_call)
{
    PyObject **instance = sqlite3_aggregate_context(sql_call, sizeof(PyObject *));
    struct visit visit;

    if (instance == NULL) {
        sqlite3_result_error_nomem(sql_call);
        return;
    }
    visit_begin(&visit, sqlite3_user_data(sql_call));
    /* Of a window without rows, too, SQLite asks for the value. */
    if (have_instance(&visit, sql_call, instance)) {
        answer(&visit, sql_call, *instance, "value",
               "user-defined aggregate's 'value' method not defined",
               "user-defined aggregate's 'value' method raised error",
               "unable to set result from user-defined aggregate's 'value' method");
    }
    end_call(&visit, sql_call);
}

void
trampoline_final(sqlite3_context *sql_call)
{
    PyObject **instance = sqlite3_aggregate_context(sql_call, 0);
    struct visit visit;

    /* No row was seen, or the instance could not be made. */
    if (instance == NULL || *instance == NULL) {
        return;
    }
    visit_begin(&visit, sqlite3_user_data(sql_call));
    answer(&visit, sql_call, *instance, "finalize",
           "user-defined aggregate's 'finalize' method not defined",
           "user-defined aggregate's 'finalize' method raised error",
           "user-defined aggregate's 'finalize' method raised error");
    Py_CLEAR(*instance);
    end_call(&visit, sql_call);
}

/* -- the rest ----------------------------------------------------------------- */

/* Gives callable(a, b) as an int of three values; 0 with an exception set, or for what
 * is no int. */
static int
compare(struct visit *visit, int size_a, const void *a, int size_b, const void *b)
{
    PyObject *arguments[3] = {NULL, PyUnicode_FromStringAndSize(a, size_a),
                              PyUnicode_FromStringAndSize(b, size_b)};
    PyObject *result = NULL;
    int overflow;
    long value;
    int order = 0;

    if (arguments[1] != NULL && arguments[2] != NULL) {
        result = visit_call(visit, visit->callable, arguments + 1, 2);
    }
    if (result != NULL && PyLong_Check(result)) {
        value = PyLong_AsLongAndOverflow(result, &overflow);
        order = overflow != 0 ? overflow : (value > 0) - (value < 0);
    }
    Py_XDECREF(arguments[1]);
    Py_XDECREF(arguments[2]);
    Py_XDECREF(result);
    return order;
}

/* SQLite has no way to hear of a failure: the comparison comes out as "equal", and the
 * step of the statement fails when SQLite is done with it. */
int
trampoline_collation(void *argument, int size_a, const void *a, int size_b, const void *b)
{
    struct callback *callback = argument;
    struct csq_db *db = callback->db;
    struct visit visit;
    int order = 0;

    if (db->raised) {
        return 0;
    }
    db->sealed++;
    visit_begin(&visit, callback);
    if (visit.callable == NULL) {
        PyErr_Format(visit.state->OperationalError, "no such collation sequence: %s",
                     callback->name);
    } else {
        order = compare(&visit, size_a, a, size_b, b);
    }
    visit_raise(&visit);
    visit_end(&visit);
    db->sealed--;
    return order;
}

/* Gives a str, or None for NULL; NULL with an exception. */
static PyObject *
text_of(const char *text)
{
    return text == NULL ? Py_NewRef(Py_None) : PyUnicode_FromString(text);
}

/* Gives what the authorizer answers; SQLITE_DENY, maybe with an exception, for what is no
 * int of C. */
static int
authorize(struct visit *visit, int action, const char *const *names)
{
    PyObject *arguments[6] = {NULL, PyLong_FromLong(action)};
    PyObject *result = NULL;
    bool complete = arguments[1] != NULL;
    int overflow;
    long value;
    int answer = SQLITE_DENY;

    for (int i = 0; i < 4; i++) {
        arguments[2 + i] = complete ? text_of(names[i]) : NULL;
        complete = arguments[2 + i] != NULL;
    }
    if (complete) {
        result = visit_call(visit, visit->callable, arguments + 1, 5);
    }
    if (result != NULL && PyLong_Check(result)) {
        value = PyLong_AsLongAndOverflow(result, &overflow);
        if (overflow != 0 || value > INT_MAX || value < INT_MIN) {
            PyErr_SetString(PyExc_OverflowError, "Python int too large to convert to C int");
        } else {
            answer = (int)value;
        }
    }
    for (int i = 1; i < 6; i++) {
        Py_XDECREF(arguments[i]);
    }
    Py_XDECREF(result);
    return answer;
}

int
trampoline_authorizer(void *argument, int action, const char *a, const char *b,
                      const char *database, const char *trigger)
{
    const char *const names[4] = {a, b, database, trigger};
    struct callback *callback = argument;
    struct csq_db *db;
    struct visit visit;
    int answer;

    if (callback == NULL) {
        return SQLITE_OK;
    }
    db = callback->db;
    db->sealed++;
    visit_begin(&visit, callback);
    answer = authorize(&visit, action, names);
    visit_fail(&visit);
    visit_end(&visit);
    db->sealed--;
    return answer;
}

int
trampoline_progress(void *argument)
{
    struct callback *callback = argument;
    struct csq_db *db = callback->db;
    struct visit visit;
    PyObject *result;
    int stop;

    db->sealed++;
    visit_begin(&visit, callback);
    result = call(&visit, visit.callable);
    stop = result == NULL ? 1 : PyObject_IsTrue(result);
    Py_XDECREF(result);
    visit_fail(&visit);
    visit_end(&visit);
    db->sealed--;
    return stop != 0;
}

int
trampoline_trace(unsigned event, void *argument, void *statement, void *sql)
{
    struct callback *callback = argument;
    struct visit visit;
    const char *text = sql;
    char *expanded = NULL;
    PyObject *arguments[2] = {NULL};
    PyObject *result = NULL;

    if (event != SQLITE_TRACE_STMT || callback == NULL) {
        return 0;
    }
    /* A trigger's program is given as a comment; anything else with its values. */
    if (strncmp(text, "--", 2) != 0) {
        expanded = sqlite3_expanded_sql(statement);
        text = expanded == NULL ? text : expanded;
    }
    visit_begin(&visit, callback);
    arguments[1] = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
    if (arguments[1] != NULL) {
        result = visit_call(&visit, visit.callable, arguments + 1, 1);
        Py_DECREF(arguments[1]);
    }
    Py_XDECREF(result);
    visit_ignore(&visit);
    visit_end(&visit);
    sqlite3_free(expanded);
    return 0;
}
