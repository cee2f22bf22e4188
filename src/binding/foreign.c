/* The executor's half is a worker whose jobs call Python, all under the GIL. The methods' half
 * asks the function of csqlite/foreign.py that is named as the method what is to be called
 * there: so a wrong argument is refused by the call, and what runs later needs none. */

#include "binding/foreign.h"

#include "binding/calls.h"
#include "binding/errors.h"
#include "bridge/deadline.h"
#include "engine/alloc.h"
#include "engine/worker.h"

/* -- the executor -------------------------------------------------------------------- */

struct foreign {
    struct csq_worker worker;
    struct gate *gate;
    PyObject *object; /* what was opened; NULL: nothing, or it is closed. GIL held */
};

static struct foreign *
foreign_of(struct csq_executor *executor)
{
    return csq_item(executor, struct foreign, worker.executor);
}

/* Worker thread. */
static void
open_object(struct foreign *self, struct csq_job *job)
{
    RequestObject *request = csq_item(job, RequestObject, job);

    if (calls_run(job, NULL) == SQLITE_OK) {
        gate_enter(self->gate);
        self->object = Py_NewRef(request->result);
        gate_leave(self->gate);
    }
}

/* Worker thread, GIL held. Keeps the exception of `object`'s end for who waits for that. */
static void
fail_close(struct csq_job *job, PyObject *object)
{
    RequestObject *request = job->client;

    if (request == NULL) {
        PyErr_WriteUnraisable(object);
    } else {
        request->raised = compat_take_exception();
        csq_error_set(&job->error, CSQ_RAISED, "close() raised");
    }
}

/* Worker thread. */
static void
close_object(struct foreign *self, struct csq_job *job)
{
    PyObject *object = self->object;
    PyObject *closed;

    if (object == NULL) {
        return; /* it was not opened, so there may be no thread state yet */
    }
    gate_enter(self->gate);
    self->object = NULL;
    closed = PyObject_CallMethod(object, "close", NULL);
    if (closed == NULL) {
        fail_close(job, object);
    }
    Py_XDECREF(closed);
    Py_DECREF(object);
    gate_leave(self->gate);
}

/* Worker thread, or one that is within a job of it. */
static void
run_job(struct foreign *self, struct csq_job *job)
{
    switch (job->op) {
    case CSQ_OPEN:
        open_object(self, job);
        break;
    case CSQ_CLOSE:
        close_object(self, job);
        break;
    case CSQ_EXECUTE:
    case CSQ_EXECUTEMANY:
    case CSQ_SCRIPT:
    case CSQ_FETCH:
    case CSQ_RESET:
    case CSQ_COMMIT:
    case CSQ_ROLLBACK:
        calls_run(job, NULL);
        break;
    case CSQ_CALL:
        job->with.host.run(job, NULL);
        break;
    default:
        csq_error_set(&job->error, CSQ_USAGE, "Another module's connection cannot do that.");
    }
}

/* Worker thread. */
static bool
run(struct csq_worker *worker, struct csq_job *job, struct csq_list *behind)
{
    (void)behind;
    if (csq_worker_may_run(job)) {
        run_job(foreign_of(&worker->executor), job);
    } else {
        csq_job_refuse(job);
    }
    return true;
}

/* Only who is called there already: the other module may care what thread it is. */
static bool
run_here(struct csq_executor *executor, struct csq_job *job, const struct csq_here *here)
{
    if (!here->within) {
        return false;
    }
    here->enter(job, NULL, here->argument);
    run_job(foreign_of(executor), job);
    here->leave(job, here->argument);
    return true;
}

/* GIL held. What it raises, stays. */
static void
interrupt(struct csq_executor *executor)
{
    PyObject *object = Py_XNewRef(foreign_of(executor)->object);
    PyObject *done = object == NULL ? NULL : PyObject_CallMethod(object, "interrupt", NULL);

    Py_XDECREF(done);
    Py_XDECREF(object);
}

/* Any thread. What was opened is closed by now. */
static void
destroy(struct csq_executor *executor)
{
    struct foreign *self = foreign_of(executor);

    csq_worker_destroy(&self->worker);
    gate_put(self->gate);
    csq_free(self);
}

static const struct csq_executor_verbs verbs = {
    CSQ_WORKER_VERBS,
    .run_here = run_here,
    .interrupt = interrupt,
    .destroy = destroy,
};

struct csq_executor *
foreign_new(struct gate *gate)
{
    struct foreign *self = csq_calloc(sizeof *self);

    if (self == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    csq_worker_init(&self->worker, &verbs, run, gate_end, gate_get(gate));
    self->gate = gate_get(gate);
    gate->used = true;
    return &self->worker.executor;
}

int
foreign_traverse(struct csq_executor *executor, visitproc visit, void *arg)
{
    if (executor != NULL && executor->verbs == &verbs) {
        struct foreign *self = foreign_of(executor);

        /* Whoever tells it to stop holds the GIL. */
        if (!self->worker.stopping) {
            Py_VISIT(self->object);
        }
    }
    return 0;
}

void
foreign_take(ConnectionObject *self, RequestObject *request)
{
    if (self->executor->verbs == &verbs) {
        self->foreign = request->result;
        request->result = NULL;
        self->answers = foreign_answer;
    }
}

/* -- requests ------------------------------------------------------------------------ */

static enum request_answer
pack(RequestObject *request)
{
    bool part = request->target != NULL;

    /* As aiosqlite complains of each. */
    if (connection_use(request, part ? CONNECTION_DEFERRED : CONNECTION_DIRECT) < 0) {
        return REQUEST_FAILED;
    }
    request->line = &((ConnectionObject *)request->owner)->calls;
    return REQUEST_WAIT;
}

static enum request_answer
unpack(RequestObject *request, int64_t deadline)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;

    (void)deadline;
    return errors_check(self->state, request) < 0 ? REQUEST_FAILED : REQUEST_READY;
}

/* A step of `async for`: there are no more rows when there is none. */
static enum request_answer
unpack_step(RequestObject *request, int64_t deadline)
{
    enum request_answer answer = unpack(request, deadline);

    if (answer == REQUEST_READY && request->result == Py_None) {
        PyErr_SetNone(PyExc_StopAsyncIteration);
        answer = REQUEST_FAILED;
    }
    return answer;
}

/* `async with` closes what it was entered with. */
static PyObject *
leave(PyObject *result)
{
    return PyObject_CallMethod(result, "close", NULL);
}

/* What of a method's own hooks holds for any executor. */
static const struct request_hooks *
hooks_of(const struct method *method)
{
    static const struct request_hooks plain = {.pack = pack, .unpack = unpack};
    static const struct request_hooks ending = {.pack = pack, .unpack = unpack, .ending = true};
    static const struct request_hooks entered = {.pack = pack, .unpack = unpack, .leave = leave};
    static const struct request_hooks step = {
        .pack = pack, .unpack = unpack_step, .iterates = true};

    if (method->hooks->iterates) {
        return &step;
    }
    if (method->hooks->leave != NULL) {
        return &entered;
    }
    return method->hooks->ending ? &ending : &plain;
}

/* What is plain data is the same for any executor; the rest is a call. */
static enum csq_op
op_of(const struct method *method)
{
    return method->run == NULL && method->op >= CSQ_EXECUTE && method->op <= CSQ_ROLLBACK
               ? method->op
               : CSQ_CALL;
}

/* Gives `self` and the arguments by position; *kwargs has the others, NULL: there are none.
 * NULL with an exception. */
static PyObject *
gather(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
       PyObject **kwargs)
{
    Py_ssize_t keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    PyObject *all = PyTuple_New(nargs + 1);

    if (all == NULL) {
        return NULL;
    }
    PyTuple_SET_ITEM(all, 0, Py_NewRef(self));
    for (Py_ssize_t i = 0; i < nargs; i++) {
        PyTuple_SET_ITEM(all, i + 1, Py_NewRef(args[i]));
    }
    *kwargs = keywords == 0 ? NULL : PyDict_New();
    for (Py_ssize_t i = 0; i < keywords; i++) {
        if (*kwargs == NULL ||
            PyDict_SetItem(*kwargs, PyTuple_GET_ITEM(kwnames, i), args[nargs + i]) < 0) {
            Py_CLEAR(all);
            break;
        }
    }
    return all;
}

/* Moves `deadline=` out of the arguments: a new reference, or NULL. -1: an exception. */
static int
take_deadline(const struct method *method, PyObject *kwargs, PyObject **deadline)
{
    *deadline = NULL;
    if (!method->deadline || kwargs == NULL) {
        return 0;
    }
    *deadline = Py_XNewRef(PyDict_GetItemString(kwargs, "deadline"));
    return *deadline == NULL ? 0 : PyDict_DelItemString(kwargs, "deadline");
}

/* Gives what the worker is to call; NULL with an exception. */
static PyObject *
ask(const struct method *method, PyObject *args, PyObject *kwargs)
{
    char name[64];
    PyObject *function;
    PyObject *work;

    snprintf(name, sizeof name, "%s%s", method->on == ON_PART ? "cursor_" : "",
             args_method(&method->args));
    function = module_import("csqlite.foreign", name);
    work = function == NULL ? NULL : PyObject_Call(function, args, kwargs);
    Py_XDECREF(function);
    return work;
}

/* Gives the request; NULL with an exception. Takes the work. */
static PyObject *
make(const struct method *method, ConnectionObject *connection, PyObject *target, PyObject *work)
{
    RequestObject *request =
        request_new(&connection->state->bridge, method->args.method, hooks_of(method),
                    op_of(method), (PyObject *)connection, target);

    if (request == NULL) {
        Py_DECREF(work);
        return NULL;
    }
    request->objects = CALL_OBJECTS;
    REQUEST_PAYLOAD(request, struct call)->callable = work;
    if (request->job.op == CSQ_CALL) {
        request->job.with.host.run = calls_run;
    }
    return (PyObject *)request;
}

PyObject *
foreign_answer(const struct method *method, PyObject *self, PyObject *const *args,
               Py_ssize_t nargs, PyObject *kwnames)
{
    bool part = method->on == ON_PART;
    ConnectionObject *connection =
        part ? ((struct part *)self)->connection : (ConnectionObject *)self;
    PyObject *request = NULL;
    PyObject *kwargs = NULL;
    PyObject *deadline = NULL;
    PyObject *all;
    PyObject *work;

    if (method->native) {
        char what[64];

        snprintf(what, sizeof what, "%s()", args_method(&method->args));
        foreign_refuse(connection, what);
        return NULL;
    }
    all = gather(self, args, nargs, kwnames, &kwargs);
    if (all != NULL && take_deadline(method, kwargs, &deadline) == 0) {
        work = ask(method, all, kwargs);
        request = work == NULL ? NULL : make(method, connection, part ? self : NULL, work);
    }
    if (deadline != NULL) {
        request = deadline_limit(request, deadline);
    }
    Py_XDECREF(deadline);
    Py_XDECREF(kwargs);
    Py_XDECREF(all);
    return request;
}

int
foreign_refuse(ConnectionObject *connection, const char *what)
{
    PyObject *text = PyUnicode_FromString(what);
    PyObject *refused =
        text == NULL ? NULL : args_forward("refuse", (PyObject *)connection, &text, 1, NULL);

    Py_XDECREF(text);
    Py_XDECREF(refused);
    return -1;
}
