/* Each reactor has a list of the requests under way that have a deadline, and one timer of
 * its loop, set for the earliest of them. It is left alone when that request is done: when it
 * goes off it is set for the earliest of those that are left, so that calls with the same
 * timeout, one after the other, set one timer together.
 *
 * A job that has not begun is the loop's to end. One that runs is the worker's, who alone
 * knows what has become of it; the timer only tells it where it waits for the loop. */

#include "bridge/deadline.h"

#include <math.h>

#include "bridge/lease.h"
#include "engine/clock.h"

static const int64_t LIFETIME = INT64_MAX / 4; /* in nanoseconds */

/* What the loop calls when the time has come. */
typedef struct {
    PyObject_HEAD
    ReactorObject *reactor;
} AlarmObject;

/* -- finding it --------------------------------------------------------------- */

int
deadline_read(PyObject *seconds, int64_t *nanoseconds)
{
    const double most = (double)LIFETIME / 1e9;
    PyNumberMethods *number = Py_TYPE(seconds)->tp_as_number;
    double value;

    /* Before Python 3.10 a complex number has an nb_float, which raises. */
    if (number == NULL || (number->nb_float == NULL && number->nb_index == NULL) ||
        PyComplex_Check(seconds)) {
        PyErr_Format(PyExc_TypeError,
                     "a deadline must be a number of seconds or None, not %.100s",
                     Py_TYPE(seconds)->tp_name);
        return -1;
    }
    value = PyFloat_AsDouble(seconds);
    if (value == -1.0 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            return -1;
        }
        PyErr_Clear(); /* an int that no float holds */
        value = most;
    }
    if (isnan(value)) {
        PyErr_SetString(PyExc_ValueError, "a deadline cannot be NaN");
        return -1;
    }
    *nanoseconds = value >= most ? LIFETIME : value <= -most ? -LIFETIME : (int64_t)(value * 1e9);
    if (value < 0 && *nanoseconds == 0) {
        *nanoseconds = -1; /* less than a nanosecond ago, and negative all the same */
    }
    return 0;
}

PyObject *
deadline_after(struct bridge *bridge, PyObject *seconds)
{
    int64_t nanoseconds;
    int64_t when;

    if (deadline_read(seconds, &nanoseconds) < 0) {
        return NULL;
    }
    bridge->deadlines = true;
    when = nanoseconds <= 0 ? 1 : csq_now() + nanoseconds;
    return PyLong_FromLongLong(when);
}

PyObject *
deadline_set(PyObject *object, PyObject *seconds)
{
    RequestObject *request = (RequestObject *)object;
    int64_t nanoseconds;

    if (object == NULL || seconds == Py_None) {
        return object;
    }
    if (deadline_read(seconds, &nanoseconds) == 0 && nanoseconds < 0) {
        PyErr_SetString(PyExc_ValueError, "a deadline cannot be negative");
    }
    if (PyErr_Occurred()) {
        request->stage = REQUEST_DONE;
        Py_DECREF(request);
        return NULL;
    }
    request->bridge->deadlines = true;
    request->limit = nanoseconds + 1;
    return object;
}

/* Gives the deadline of this context, 0 when it has none. 0, or -1 with an exception. */
static int
find_contextual(struct bridge *bridge, int64_t *when)
{
    PyObject *value = NULL;

    *when = 0;
    if (PyContextVar_Get(bridge->deadline, Py_None, &value) < 0) {
        return -1;
    }
    if (value != Py_None) {
        *when = PyLong_AsLongLong(value);
    }
    Py_DECREF(value);
    return *when == -1 && PyErr_Occurred() ? -1 : 0;
}

bool
deadline_has_passed(struct bridge *bridge)
{
    int64_t when;

    if (find_contextual(bridge, &when) < 0) {
        PyErr_Clear();
        return false;
    }
    return when != 0 && when <= csq_now();
}

int
deadline_begin(RequestObject *request)
{
    int64_t now = csq_now();
    int64_t when;

    if (find_contextual(request->bridge, &when) < 0) {
        return -1;
    }
    if (request->limit > 0 && (when == 0 || now + request->limit - 1 < when)) {
        when = now + request->limit - 1;
    }
    if (when == 0 || (request->hooks->ending && when <= now)) {
        return 0;
    }
    request->awaited_since = now;
    if (when <= now) {
        deadline_raise(request, "it was not begun");
        return -1;
    }
    csq_link_init(&request->timed);
    request->deadline = when;
    if (!request->hooks->ending) {
        request->job.deadline = when;
    }
    return 0;
}

/* -- saying so ---------------------------------------------------------------- */

/* Gives what runs, as far as it is SQL that may be shown: ": " and its beginning, or "". */
static PyObject *
describe(const RequestObject *request)
{
    const enum csq_op op = request->job.op;
    PyObject *sql = request->payload.objects[0];
    PyObject *module;
    PyObject *shown;
    PyObject *text = NULL;

    if ((op != CSQ_EXECUTE && op != CSQ_EXECUTEMANY && op != CSQ_SCRIPT) || sql == NULL ||
        !PyUnicode_Check(sql)) {
        return PyUnicode_FromString("");
    }
    module = PyImport_ImportModule("csqlite.notes");
    shown = module == NULL ? NULL : PyObject_CallMethod(module, "beginning", "O", sql);
    if (shown != NULL && PyUnicode_Check(shown)) {
        text = PyUnicode_FromFormat("%s%U", PyUnicode_GET_LENGTH(shown) > 0 ? ": " : "", shown);
    }
    Py_XDECREF(module);
    Py_XDECREF(shown);
    return text;
}

void
deadline_raise(RequestObject *request, const char *detail)
{
    const bool more = detail != NULL && detail[0] != '\0';
    PyObject *module = PyImport_ImportModule("csqlite.deadlines");
    PyObject *class = module == NULL ? NULL : PyObject_GetAttrString(module, "DeadlineExceeded");
    PyObject *what = class == NULL ? NULL : describe(request);
    PyObject *text = NULL;
    char seconds[32];

    if (what != NULL && request->awaited_since == 0) {
        text = PyUnicode_FromFormat("%s() finds its cursor ended: a deadline had come (%s)",
                                    request->name, more ? detail : "");
    } else if (what != NULL) {
        PyOS_snprintf(seconds, sizeof seconds, "%.3f",
                      (double)(csq_now() - request->awaited_since) / 1e9);
        text = PyUnicode_FromFormat("%s() exceeded its deadline after %s s%s%s%s%U",
                                    request->name, seconds, more ? " (" : "", more ? detail : "",
                                    more ? ")" : "", what);
    }
    if (text != NULL) {
        PyErr_SetObject(class, text);
    }
    Py_XDECREF(module);
    Py_XDECREF(class);
    Py_XDECREF(what);
    Py_XDECREF(text);
}

/* -- the timer ---------------------------------------------------------------- */

static int
cancel_timer(ReactorObject *reactor)
{
    struct host *host = reactor->loop.host;
    PyObject *timer = reactor->timer;

    reactor->timer = NULL;
    reactor->timer_at = 0;
    return timer == NULL ? 0 : host->verbs->cancel(host, timer);
}

/* Sets the timer, unless it goes off before `when` anyhow. */
static int
set_timer(ReactorObject *reactor, int64_t when)
{
    PyTypeObject *type = reactor->bridge->alarm_type;
    struct host_loop *loop = &reactor->loop;
    AlarmObject *alarm;

    if (reactor->timer != NULL && reactor->timer_at <= when) {
        return 0;
    }
    alarm = (AlarmObject *)type->tp_alloc(type, 0);
    if (alarm == NULL) {
        return -1;
    }
    alarm->reactor = (ReactorObject *)Py_NewRef((PyObject *)reactor);
    if (cancel_timer(reactor) == 0) {
        reactor->timer = loop->host->verbs->at(loop, when, (PyObject *)alarm);
        reactor->timer_at = when;
    }
    Py_DECREF(alarm);
    return reactor->timer == NULL ? -1 : 0;
}

int
deadline_watch(RequestObject *request)
{
    csq_list_append(&request->reactor->timed, &request->timed);
    return set_timer(request->reactor, request->deadline);
}

/* Lets the awaiting task hear of it now, whatever the worker does. Takes the request. */
static int
settle(RequestObject *request, const char *detail)
{
    deadline_raise(request, detail);
    request_fail(request);
    request->stage = REQUEST_SETTLED;
    request_abandon(request);
    return request_wake(request);
}

/* The deadline of a request under way has come. An answer that is here is one in time.
 * Takes the request. */
static int
expire(RequestObject *request)
{
    bool unbegun;

    if (request->stage != REQUEST_PENDING || request->job.done) {
        Py_DECREF(request);
        return 0;
    }
    if (request->hooks->ending) {
        return settle(request, "it goes on");
    }
    unbegun = csq_job_expire(&request->job);
    if (request->callback_task != NULL) {
        callback_task_cancel(request->callback_task);
    }
    if (unbegun) {
        (void)lease_leave(request);
        return settle(request, "it was not begun");
    }
    Py_DECREF(request);
    return 0;
}

/* Sets the timer for the earliest of what is left. */
static int
set_next(ReactorObject *reactor)
{
    struct csq_link *link;
    int64_t earliest = 0;

    for (link = reactor->timed.head.next; link != &reactor->timed.head; link = link->next) {
        int64_t when = csq_item(link, RequestObject, timed)->deadline;

        earliest = earliest == 0 || when < earliest ? when : earliest;
    }
    return earliest == 0 ? 0 : set_timer(reactor, earliest);
}

/* Takes out one that is due; NULL: none is. */
static RequestObject *
shift_due(ReactorObject *reactor, int64_t now)
{
    struct csq_link *link;

    for (link = reactor->timed.head.next; link != &reactor->timed.head; link = link->next) {
        RequestObject *request = csq_item(link, RequestObject, timed);

        if (request->deadline <= now) {
            csq_link_remove(&request->timed);
            return request;
        }
    }
    return NULL;
}

/* A task that is woken may end others of these, which then leave the list; and it may run the
 * loop itself, which is why the timer is set for what is left before that. */
static int
ring(ReactorObject *reactor)
{
    int64_t now = csq_now();
    RequestObject *request;
    int rc = 0;

    Py_CLEAR(reactor->timer);
    while (rc == 0 && (request = shift_due(reactor, now)) != NULL) {
        Py_INCREF(request);
        if (reactor->timer == NULL && set_next(reactor) < 0) {
            PyErr_WriteUnraisable((PyObject *)reactor);
        }
        rc = expire(request);
    }
    return rc == 0 ? set_next(reactor) : rc;
}

/* -- the type ----------------------------------------------------------------- */

static PyObject *
alarm_call(AlarmObject *self, PyObject *args, PyObject *kwargs)
{
    ReactorObject *reactor = (ReactorObject *)Py_NewRef((PyObject *)self->reactor);
    int rc = ring(reactor);

    (void)args;
    (void)kwargs;
    Py_DECREF(reactor);
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static int
alarm_traverse(AlarmObject *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->reactor);
    return 0;
}

static void
alarm_dealloc(AlarmObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->reactor);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot alarm_slots[] = {
    {Py_tp_doc, "What an event loop calls when a deadline has come."},
    {Py_tp_call, alarm_call},
    {Py_tp_traverse, alarm_traverse},
    {Py_tp_dealloc, alarm_dealloc},
    {0, NULL},
};

static PyType_Spec alarm_spec = {
    .name = "csqlite._csqlite.Alarm",
    .basicsize = sizeof(AlarmObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = alarm_slots,
};

int
deadline_init(struct bridge *bridge, PyObject *module)
{
    bridge->alarm_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &alarm_spec, NULL);
    bridge->deadline = PyContextVar_New("csqlite_deadline", NULL);
    if (bridge->alarm_type == NULL || bridge->deadline == NULL) {
        return -1;
    }
    compat_forbid_new(bridge->alarm_type);
    return PyModule_AddObject(module, "_deadline", Py_NewRef(bridge->deadline));
}
