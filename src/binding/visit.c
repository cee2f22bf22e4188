/* A callback is called once for each row, or more often, so a visit does no more than it
 * must: one time the GIL, no tuple, and no context if the right one is entered. */

#include "binding/visit.h"

#include "bridge/await.h"
#include "engine/batch.h"

struct callback *
callback_new(struct module_state *state, struct gate *gate, struct csq_db *db, PyObject *callable)
{
    struct callback *callback = PyMem_RawCalloc(1, sizeof *callback);

    if (callback == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    csq_link_init(&callback->registered);
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
    csq_link_remove(&callback->registered);
    gate = callback->gate;
    gate_enter(gate);
    /* SQLite is in the middle of something, and letting go may run any Python code. */
    callback->db->sealed++;
    Py_XDECREF(callback->callable);
    callback->db->sealed--;
    Py_DECREF(callback->owner);
    gate_leave(gate);
    gate_put(gate);
    PyMem_RawFree(callback->name);
    PyMem_RawFree(callback);
}

/* Enters the context of the task that awaits the statement, unless it is entered. */
static void
enter(struct visit *visit)
{
    RequestObject *request = visit->db->client;
    PyObject *context = request == NULL ? NULL : request_root(request)->callback_context;

    visit->before = visit->gate->callback_context;
    visit->entered = NULL;
    if (context == NULL || context == visit->before) {
        return;
    }
    if (PyContext_Enter(context) < 0) {
        PyErr_Clear();
        return;
    }
    visit->entered = Py_NewRef(context);
    visit->gate->callback_context = context;
}

void
visit_enter(struct visit *visit, struct gate *gate, struct csq_db *db)
{
    visit->state = NULL;
    visit->gate = gate;
    visit->db = db;
    visit->callable = NULL;
    visit->bound = db->bound;
    visit->sealed = db->sealed;
    gate_enter(gate);
    enter(visit);
}

void
visit_narrow(struct visit *visit, enum csq_effect bound)
{
    if (visit->db->bound < bound) {
        visit->db->bound = bound;
    }
}

void
visit_seal(struct visit *visit)
{
    visit->db->sealed++;
}

void
visit_begin(struct visit *visit, const struct callback *callback)
{
    visit_enter(visit, callback->gate, callback->db);
    visit_narrow(visit, callback->bound);
    visit->state = callback->state;
    visit->callable = Py_XNewRef(callback->callable);
}

void
visit_end(struct visit *visit)
{
    if (visit->entered != NULL) {
        visit->gate->callback_context = visit->before;
        if (PyContext_Exit(visit->entered) < 0) {
            PyErr_WriteUnraisable(visit->callable);
        }
        Py_DECREF(visit->entered);
    }
    Py_XDECREF(visit->callable);
    visit->db->bound = visit->bound;
    visit->db->sealed = visit->sealed;
    gate_leave(visit->gate);
}

/* Refuses to await `awaitable`, which it takes, where it might wait for a task that has written in the
 * same batch: that one is told only when all of it is committed. */
static PyObject *
refuse_await(PyObject *awaitable)
{
    PyObject *closed = PyObject_CallMethod(awaitable, "close", NULL);

    PyErr_Clear(); /* a future has no such method */
    Py_XDECREF(closed);
    Py_DECREF(awaitable);
    PyErr_SetString(PyExc_RuntimeError, "the statement has to be run by itself");
    return NULL;
}

PyObject *
visit_call(struct visit *visit, PyObject *callable, PyObject **arguments, size_t count)
{
    PyObject *result =
        PyObject_Vectorcall(callable, arguments, count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);

    if (result == NULL || !await_is_for(result)) {
        return result;
    }
    return csq_batch_refuses(visit->db)
               ? refuse_await(result)
               : await_on_loop(&visit->state->bridge, visit->db->client, result);
}

PyObject *
visit_await(struct csq_db *db, PyObject *result)
{
    RequestObject *request = db->client;

    /* A generator is a source of rows here, not what types.coroutine() makes of one. */
    if (result == NULL || request == NULL || PyGen_CheckExact(result) || !await_is_for(result)) {
        return result;
    }
    return csq_batch_refuses(db) ? refuse_await(result)
                                 : await_on_loop(request->bridge, request, result);
}

PyObject *
visit_go_on(struct csq_db *db, const struct module_state *state, PyObject *result)
{
    if (db->undone && !PyErr_Occurred()) {
        Py_CLEAR(result);
        PyErr_SetString(state->OperationalError, VISIT_UNDONE);
    }
    return result;
}

/* Gives the current exception, which has been shown if that is wanted; or NULL. */
static PyObject *
take(struct visit *visit)
{
    PyObject *exception = compat_take_exception();

    if (exception != NULL && visit->state->tracebacks) {
        compat_give_exception(Py_NewRef(exception));
        PyErr_WriteUnraisable(visit->callable);
    }
    return exception;
}

void
visit_keep(struct csq_db *db, PyObject *exception)
{
    RequestObject *request = db->client;

    if (request != NULL) {
        request_forget_raised(request);
    }
    if (exception != NULL && request != NULL && request->raised == NULL) {
        request->raised = exception;
    } else {
        Py_XDECREF(exception);
    }
}

void
visit_fail(struct visit *visit)
{
    visit_keep(visit->db, take(visit));
}

void
visit_raise(struct visit *visit)
{
    PyObject *exception = compat_take_exception();

    visit->db->raised = exception != NULL && visit->db->client != NULL;
    visit_keep(visit->db, exception);
}

void
visit_ignore(struct visit *visit)
{
    Py_XDECREF(take(visit));
}
