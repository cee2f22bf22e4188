/* A call stands on another coroutine, the connection's request or Python's, and hands on what it
 * is sent. What was lent is given back before the result is: who awaits may use the pool at once. */

#include "binding/pool_call.h"

enum call_stage { CALL_NEW, CALL_RUNNING, CALL_DONE };

struct call_object {
    PyObject_HEAD
    PoolObject *pool;
    enum fetching_kind kind;
    enum call_stage stage;
    bool running;     /* it is being sent something */
    bool refused;     /* its caller holds the writer */
    PyObject *sql;
    PyObject *parameters; /* NULL: none were given */
    PyObject *deadline;   /* NULL: none was given */
    ShelfObject *shelf;   /* from which it has … */
    MemberObject *member; /* … this one; NULL: Python takes it */
    PyObject *inner;      /* what it stands on while it runs */
};

static const char *const names[] = {
    [FETCH_ALL] = "fetch_all",
    [FETCH_ONE] = "fetch_one",
    [FETCH_OPTIONAL] = "fetch_optional",
    [FETCH_SCALAR] = "fetch_scalar",
};

/* -- its beginning and its end ------------------------------------------------------- */

/* Whether the running loop is the pool's; -1 with RuntimeError where none runs. */
static int
is_at_home(const PoolObject *pool)
{
    struct host *host = pool->state->bridge.host;
    PyObject *loop = host->verbs->find(host);
    bool same = loop == pool->loop;

    Py_XDECREF(loop);
    return loop == NULL ? -1 : same;
}

/* Takes a connection in the quick way, if that can be. 0, or -1 with an exception. */
static int
lend(struct call_object *self)
{
    PoolObject *pool = self->pool;
    PyObject *shelf = NULL;
    int home;

    if (pool->loop != NULL && PyUnicode_CheckExact(self->sql)) {
        shelf = PyDict_GetItemWithError(pool->routes, self->sql);
    }
    if (shelf == NULL || !PyObject_TypeCheck(shelf, pool->state->shelf_type)) {
        return PyErr_Occurred() != NULL ? -1 : 0;
    }
    home = is_at_home(pool);
    if (home <= 0) {
        return home;
    }
    Py_XSETREF(self->shelf, (ShelfObject *)Py_NewRef(shelf));
    return pooled_take(self->shelf, (PyObject *)self, &self->member);
}

/* Gives the connection's own request; NULL with an exception. */
static PyObject *
request(struct call_object *self)
{
    PyObject *args[] = {self->sql, self->parameters == NULL ? Py_None : self->parameters,
                        self->deadline};
    PyObject *keyword = self->deadline == NULL ? NULL : Py_BuildValue("(s)", "deadline");
    PyObject *made = NULL;

    if (self->deadline == NULL || keyword != NULL) {
        made = method_call(fetching_method(self->kind), self->member->db, args, 2, keyword);
    }
    Py_XDECREF(keyword);
    return made;
}

/* Gives what Python does in its place; NULL with an exception. */
static PyObject *
ask_python(struct call_object *self)
{
    return PyObject_CallMethod((PyObject *)self->pool, "_fetch", "sOOOO", names[self->kind],
                               self->sql, self->parameters == NULL ? Py_None : self->parameters,
                               self->deadline == NULL ? Py_None : self->deadline,
                               self->refused ? Py_True : Py_False);
}

/* Lets go of what it stood on, and of the connection, whatever came of it. */
static void
end(struct call_object *self)
{
    MemberObject *member = self->member;

    self->stage = CALL_DONE;
    self->member = NULL;
    Py_CLEAR(self->inner);
    if (member != NULL) {
        pooled_give_back(self->shelf, member);
    }
    Py_CLEAR(self->shelf);
}

/* -- the coroutine --------------------------------------------------------------------- */

#if PY_VERSION_HEX < 0x030A0000

/* Takes the value out of the StopIteration that is set. */
static PySendResult
take_value(PyObject **result)
{
    PyObject *stop = compat_take_exception();

    *result = PyObject_GetAttrString(stop, "value");
    Py_DECREF(stop);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

#endif

static PySendResult
send_on(PyObject *inner, PyObject **result)
{
#if PY_VERSION_HEX >= 0x030A0000
    return PyIter_Send(inner, Py_None, result);
#else
    *result = PyObject_CallMethod(inner, "send", "O", Py_None);
    if (*result != NULL) {
        return PYGEN_NEXT;
    }
    return PyErr_ExceptionMatches(PyExc_StopIteration) ? take_value(result) : PYGEN_ERROR;
#endif
}

/* -1 with an exception when it is not to be sent anything. */
static int
check(const struct call_object *self)
{
    if (self->running) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
        return -1;
    }
    if (self->stage == CALL_DONE) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return -1;
    }
    return 0;
}

/* 0, or -1 with an exception. */
static int
begin(struct call_object *self)
{
    self->stage = CALL_RUNNING;
    if (!self->refused && lend(self) < 0) {
        return -1;
    }
    self->inner = self->member == NULL ? ask_python(self) : request(self);
    return self->inner == NULL ? -1 : 0;
}

static PySendResult
call_send(struct call_object *self, PyObject *value, PyObject **result)
{
    PySendResult answer = PYGEN_ERROR;

    (void)value;
    *result = NULL;
    if (check(self) < 0) {
        return PYGEN_ERROR;
    }
    self->running = true;
    if (self->stage != CALL_NEW || begin(self) == 0) {
        answer = send_on(self->inner, result);
    }
    self->running = false;
    if (answer != PYGEN_NEXT) {
        end(self);
    }
    return answer;
}

/* As send() of a generator: a return becomes StopIteration. */
static PyObject *
give_next(PySendResult answer, PyObject *result)
{
    if (answer == PYGEN_RETURN) {
        /* An instance: a tuple as result would be taken for its arguments. */
        PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result);

        if (stop != NULL) {
            PyErr_SetObject(PyExc_StopIteration, stop);
            Py_DECREF(stop);
        }
        Py_CLEAR(result);
    }
    return result;
}

static PyObject *
call_send_method(struct call_object *self, PyObject *value)
{
    PyObject *result;
    PySendResult answer = call_send(self, value, &result);

    return give_next(answer, result);
}

static PyObject *
call_iternext(struct call_object *self)
{
    PyObject *result;
    PySendResult answer = call_send(self, Py_None, &result);

    if (answer == PYGEN_RETURN && result == Py_None) {
        Py_DECREF(result); /* an iteration that just ends gives None */
        return NULL;
    }
    return give_next(answer, result);
}

PyDoc_STRVAR(throw_doc, "throw($self, type, value=None, traceback=None, /)\n--\n\n"
                        "Raise an exception where it is awaited; its query is stopped.");

static PyObject *
call_throw(struct call_object *self, PyObject *args)
{
    PyObject *result;
    PyObject *method;

    if (check(self) < 0) {
        return NULL;
    }
    if (self->inner == NULL) {
        /* It was never begun: what it would have done throws the exception for it. */
        self->inner = ask_python(self);
        if (self->inner == NULL) {
            self->stage = CALL_DONE;
            return NULL;
        }
    }
    self->stage = CALL_RUNNING;
    self->running = true;
    method = PyObject_GetAttrString(self->inner, "throw");
    result = method == NULL ? NULL : PyObject_CallObject(method, args);
    Py_XDECREF(method);
    self->running = false;
    if (result == NULL) {
        end(self);
    }
    return result;
}

PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\nGive it up; a query on its way is stopped.");

static PyObject *
call_close(struct call_object *self, PyObject *unused)
{
    PyObject *closed = Py_NewRef(Py_None);

    (void)unused;
    if (self->stage == CALL_DONE) {
        return closed;
    }
    if (check(self) < 0) {
        Py_DECREF(closed);
        return NULL;
    }
    if (self->inner != NULL) {
        self->running = true;
        Py_SETREF(closed, PyObject_CallMethod(self->inner, "close", NULL));
        self->running = false;
    }
    end(self);
    return closed;
}

static PyObject *
call_await(PyObject *self)
{
    return Py_NewRef(self);
}

/* -- the type of calls ----------------------------------------------------------------- */

/* One that was not awaited says so; one that nobody will go on with is closed. */
static void
call_finalize(struct call_object *self)
{
    PyObject *exception = compat_take_exception();
    PyObject *closed;

    if (self->stage == CALL_NEW && self->pool != NULL &&
        PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine 'Pool.%s' was never awaited",
                         names[self->kind]) < 0) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    closed = call_close(self, NULL);
    if (closed == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(closed);
    if (exception != NULL) {
        compat_give_exception(exception);
    }
}

static int
call_traverse(struct call_object *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->pool);
    Py_VISIT(self->sql);
    Py_VISIT(self->parameters);
    Py_VISIT(self->deadline);
    Py_VISIT(self->shelf);
    Py_VISIT(self->member);
    Py_VISIT(self->inner);
    return 0;
}

static int
call_clear(struct call_object *self)
{
    Py_CLEAR(self->pool);
    Py_CLEAR(self->sql);
    Py_CLEAR(self->parameters);
    Py_CLEAR(self->deadline);
    Py_CLEAR(self->shelf);
    Py_CLEAR(self->member);
    Py_CLEAR(self->inner);
    return 0;
}

static void
call_dealloc(struct call_object *self)
{
    PyTypeObject *type = Py_TYPE(self);

    if (self->stage != CALL_DONE && PyObject_CallFinalizerFromDealloc((PyObject *)self) < 0) {
        return;
    }
    PyObject_GC_UnTrack(self);
    call_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
call_get_name(struct call_object *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(names[self->kind]);
}

static PyObject *
call_get_qualname(struct call_object *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromFormat("Pool.%s", names[self->kind]);
}

/* The task that waits for it, as far as that is known. */
static PyObject *
call_get_task(struct call_object *self, void *closure)
{
    struct bridge *bridge = &self->pool->state->bridge;
    RequestObject *request = (RequestObject *)self->inner;
    PyObject *task = NULL;

    (void)closure;
    if (request != NULL && Py_TYPE(request) == bridge->request_type && request->waiter != NULL) {
        task = bridge->host->verbs->sleeper(request->waiter);
    }
    return task == NULL ? Py_NewRef(Py_None) : task;
}

static PyObject *
call_repr(struct call_object *self)
{
    static const char *const stages[] = {"not awaited", "running", "done"};

    return PyUnicode_FromFormat("<csqlite call Pool.%s, %s>", names[self->kind],
                                stages[self->stage]);
}

PyDoc_STRVAR(send_doc, "send($self, value, /)\n--\n\nGo on, as a coroutine does.");

static PyMethodDef call_methods[] = {
    {"send", (PyCFunction)call_send_method, METH_O, send_doc},
    {"throw", (PyCFunction)call_throw, METH_VARARGS, throw_doc},
    {"close", (PyCFunction)call_close, METH_NOARGS, close_doc},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "See PEP 585."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef call_getset[] = {
    {"__name__", (getter)call_get_name, NULL, "The method that made it.", NULL},
    {"__qualname__", (getter)call_get_qualname, NULL, "The method that made it.", NULL},
    {"task", (getter)call_get_task, NULL, "The task that waits for it, or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(call_doc, "What methods of a pool return that fetch rows: await it, once.");

static PyType_Slot call_slots[] = {
    {Py_tp_doc, (void *)call_doc},
    {Py_tp_repr, call_repr},
    {Py_tp_traverse, call_traverse},
    {Py_tp_clear, call_clear},
    {Py_tp_dealloc, call_dealloc},
    {Py_tp_finalize, call_finalize},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, call_iternext},
    {Py_tp_methods, call_methods},
    {Py_tp_getset, call_getset},
    {Py_am_await, call_await},
#if PY_VERSION_HEX >= 0x030A0000
    {Py_am_send, call_send},
#endif
    {0, NULL},
};

static PyType_Spec call_spec = {
    .name = "csqlite._csqlite.PoolCall",
    .basicsize = sizeof(struct call_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = call_slots,
};

/* -- making one -------------------------------------------------------------------------- */

/* Whether the caller holds the writer. */
static bool
is_within(const PoolObject *pool)
{
    struct host *host = pool->state->bridge.host;
    PyObject *task = host->verbs->task(host);
    int found = task == NULL ? 0 : PySet_Contains(pool->within, task);

    Py_XDECREF(task);
    if (found < 0) {
        PyErr_Clear();
    }
    return found > 0;
}

PyObject *
pool_call_make(PoolObject *pool, enum fetching_kind kind, PyObject *const *args, Py_ssize_t nargs,
               PyObject *kwnames)
{
    const struct method *method = fetching_method(kind);
    PyTypeObject *type = pool->state->pool_call_type;
    PyObject *values[ARGS_MAX];
    struct call_object *self;

    if (args_parse(&method->args, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    self = (struct call_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->pool = (PoolObject *)Py_NewRef((PyObject *)pool);
    self->kind = kind;
    self->sql = Py_NewRef(values[0]);
    self->parameters = values[1] == Py_None ? NULL : Py_XNewRef(values[1]);
    self->deadline = values[2] == Py_None ? NULL : Py_XNewRef(values[2]);
    self->refused = PySet_GET_SIZE(pool->within) > 0 && is_within(pool);
    return (PyObject *)self;
}

int
pool_call_init_type(struct module_state *state, PyObject *module)
{
    state->pool_call_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &call_spec, NULL);
    if (state->pool_call_type == NULL) {
        return -1;
    }
    compat_forbid_new(state->pool_call_type);
    return PyModule_AddObject(module, "PoolCall", Py_NewRef((PyObject *)state->pool_call_type));
}
