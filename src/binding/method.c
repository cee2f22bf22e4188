/* The dispatcher. The three receivers differ in where the connection stands and in what
 * the request works on; nothing else of a call depends on them. */

#include "binding/method.h"

#include "binding/cursor.h"
#include "binding/errors.h"
#include "bridge/deadline.h"

/* Whose the request is, where somebody has asked for a transaction: whoever calls this, or the
 * transaction through which the cursor or the blob was made. */
__attribute__((noinline)) static void
note_caller(RequestObject *request, ConnectionObject *connection, PyObject *target)
{
    const struct held *held = method_held(connection->state, target);

    lease_note_caller(request, &connection->lease);
    if (held != NULL) {
        request->hold = (HoldObject *)Py_XNewRef(held->hold);
    }
}

static inline RequestObject *
make(const struct method *method, ConnectionObject *connection, PyObject *target)
{
    enum csq_op op = method->run == NULL ? method->op : CSQ_APPLY;
    RequestObject *request = request_new(&connection->state->bridge, method->args.method,
                                         method->hooks, op, (PyObject *)connection, target);

    if (request != NULL) {
        request->objects = method->objects;
        if (connection->lease.used) {
            note_caller(request, connection, target);
        }
        request->job.anytime = method->anytime;
        if (method->run != NULL) {
            request->job.with.host.run = method->run;
            request->job.with.host.argument = (void *)method->argument;
        }
        if (method->gated && connection->gate != NULL) {
            connection->gate->used = true;
        }
    }
    return request;
}

RequestObject *
method_request(const struct method *method, ConnectionObject *connection, PyObject *target)
{
    return make(method, connection, target);
}

/* The same, on a cursor of its own. */
static RequestObject *
make_with_cursor(const struct method *method, ConnectionObject *connection)
{
    PyObject *cursor = (PyObject *)cursor_new(connection);
    RequestObject *request = cursor == NULL ? NULL : make(method, connection, cursor);

    Py_XDECREF(cursor);
    return request;
}

/* -- arguments ----------------------------------------------------------------- */

static int
take_truth(PyObject *value, bool *truth)
{
    int answer = PyObject_IsTrue(value);

    *truth = answer > 0;
    return answer < 0 ? -1 : 0;
}

/* Keeps a name, and lends the job its UTF-8. */
static int
take_name(RequestObject *request, const struct args_spec *spec, int i, PyObject *value)
{
    char argument[32];

    if (i < spec->nameless) {
        snprintf(argument, sizeof argument, "%d", i + 1);
    } else {
        snprintf(argument, sizeof argument, "'%s'", spec->names[i]);
    }
    request->job.sql = args_text(value, args_method(spec), argument);
    return request->job.sql == NULL ? -1 : 0;
}

/* Takes an object that is kept. */
static int
take_object(RequestObject *request, const struct method *method, int i, PyObject *value)
{
    const struct method_take *taking = &method->takes[i];
    bool named = taking->how == TAKE_NAME || taking->how == TAKE_MAIN;

    if (value == Py_None && taking->how != TAKE_OBJECT && !named) {
        return 0;
    }
    *(PyObject **)((char *)&request->payload + taking->where) = Py_NewRef(value);
    if (taking->how == TAKE_CALLABLE && !PyCallable_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "parameter must be callable");
        return -1;
    }
    return named || taking->how == TAKE_SCHEMA ? take_name(request, &method->args, i, value) : 0;
}

/* Takes an argument that was given. 0, or -1 with an exception. */
static int
take(RequestObject *request, const struct method *method, int i, PyObject *value)
{
    void *where = (char *)&request->payload + method->takes[i].where;

    switch (method->takes[i].how) {
    case TAKE_NOTHING:
        return 0;
    case TAKE_INT:
        return args_int(value, where);
    case TAKE_CLAMPED:
        return args_clamped(value, where) < 0 ? -1 : 0;
    case TAKE_TRUTH:
        return take_truth(value, where);
    case TAKE_ROWID:
        return args_rowid(value, where);
    default:
        return take_object(request, method, i, value);
    }
}

/* Fills the request. 0, or -1 with an exception. */
static int
fill(const struct method *method, RequestObject *request, PyObject *const *values)
{
    for (int i = 0; method->takes[i].how != TAKE_END; i++) {
        if (values[i] != NULL && take(request, method, i, values[i]) < 0) {
            return -1;
        }
        if (values[i] == NULL && method->takes[i].how == TAKE_MAIN) {
            request->job.sql = "main";
        }
    }
    return method->fill == NULL ? 0 : method->fill(request, values);
}

/* -- calls ---------------------------------------------------------------------- */

PyObject *
method_call(const struct method *method, PyObject *self, PyObject *const *args, Py_ssize_t nargs,
            PyObject *kwnames)
{
    bool part = method->on == ON_PART;
    ConnectionObject *connection =
        part ? ((struct part *)self)->connection : (ConnectionObject *)self;
    PyObject *values[ARGS_MAX];
    RequestObject *request;

    if (connection == NULL) {
        (void)cursor_check((CursorObject *)self);
        return NULL;
    }
    if (connection->answers != NULL && !method->common) {
        return connection->answers(method, self, args, nargs, kwnames);
    }
    if (nargs == 0 && kwnames == NULL && method->args.required == 0) {
        for (int i = 0; i < method->args.count; i++) {
            values[i] = NULL;
        }
    } else if (args_parse(&method->args, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    request = method->on == ON_NEW_CURSOR ? make_with_cursor(method, connection)
                                          : make(method, connection, part ? self : NULL);
    if (request != NULL && fill(method, request, values) < 0) {
        return request_drop(request);
    }
    return method->deadline ? deadline_limit((PyObject *)request, values[method->args.count - 1])
                            : (PyObject *)request;
}

/* -- hooks ---------------------------------------------------------------------- */

/* The dispatcher finds the connection where every part of one has it. */
_Static_assert(offsetof(CursorObject, connection) == offsetof(struct part, connection),
               "a cursor is a part of a connection");
_Static_assert(offsetof(CursorObject, hold) == offsetof(struct held, hold),
               "method_held() finds what it was made through");

enum request_answer
method_simple_pack(RequestObject *request)
{
    return connection_use(request, CONNECTION_DIRECT) < 0 ? REQUEST_FAILED : REQUEST_WAIT;
}

enum request_answer
method_simple_unpack(RequestObject *request, int64_t slice_end)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;

    (void)slice_end;
    if (errors_check(self->state, request) < 0) {
        return REQUEST_FAILED;
    }
    request->result = Py_NewRef(Py_None);
    return REQUEST_READY;
}

const struct request_hooks method_simple = {.pack = method_simple_pack,
                                            .unpack = method_simple_unpack};

/* -- types ---------------------------------------------------------------------- */

int
method_add(PyTypeObject *type, PyMethodDef *methods)
{
    for (PyMethodDef *method = methods; method->ml_name != NULL; method++) {
        PyObject *descriptor = PyDescr_NewMethod(type, method);
        int rc = -1;

        if (descriptor != NULL) {
            rc = PyObject_SetAttrString((PyObject *)type, method->ml_name, descriptor);
            Py_DECREF(descriptor);
        }
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}
