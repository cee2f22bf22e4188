/* The loop's side of the mailbox.
 *
 * A turn of the reactor is bounded by time, not by rows: first all that is new,
 * each in a short slice, so that a large result never delays a small one; then
 * the large ones in turn, until the turn's budget is used up. What is left goes
 * on in the next iteration of the loop.
 *
 * A worker that is awake answers a small query within a few microseconds: sooner
 * than the loop could go to its selector, come back and wake the task. When the loop
 * has nothing else to do, nobody loses by waiting for that; and after a while it
 * goes all the same, for the sake of what the selector would bring. Where the loop
 * takes long to come when it is woken, because a Python thread or a task keeps it,
 * each time counts for more: all budgets grow with that.
 *
 * The loop owns a Waker, and the Waker the reactor. When the loop is closed it
 * drops its readers, so the Waker dies: that is how a reactor learns that nobody
 * listens any more, without a hook into any kind of loop. Jobs that come back
 * after that are dropped by reactor_sweep(). */

#include "bridge/reactor.h"

#include "bridge/await.h"
#include "bridge/loop.h"
#include "bridge/ready.h"
#include "bridge/request.h"
#include "bridge/waiter.h"
#include "engine/clock.h"

enum {
    SLICE_NANOSECONDS = 100 * 1000, /* for one request with news */
    TURN_NANOSECONDS = 150 * 1000,  /* for all of them, before the loop goes on */
    TURN_MOST = 1000 * 1000,
    WAIT_NANOSECONDS = 20 * 1000, /* for an answer, instead of going to the selector */
    WAIT_MOST = 200 * 1000,
    AWAKE_NANOSECONDS = 250 * 1000, /* for all such waiting at a stretch */
    AWAKE_MOST = 5 * 1000 * 1000,
    SLOW_NANOSECONDS = 1000 * 1000, /* from here on a loop is slow to come */
    LATENCY_MOST = 20 * 1000 * 1000, /* what is longer says no more */
    MISSES_MAX = 3,
};

typedef struct {
    PyObject_HEAD
    ReactorObject *reactor;
} WakerObject;

PyObject *
reactor_future(ReactorObject *reactor)
{
    return PyObject_CallNoArgs(reactor->create_future);
}

/* -- taking mail -------------------------------------------------------------- */

static void
collect(ReactorObject *reactor)
{
    struct csq_job *job;

    while ((job = csq_mailbox_take(&reactor->mailbox)) != NULL) {
        RequestObject *request = csq_item(job, RequestObject, job);

        /* News for one that still stands in a list joins the older news. */
        if (csq_link_alone(&request->news)) {
            csq_list_append(&reactor->fresh, &request->news);
        }
    }
}

/* Lets the first of `list` have a slice and gives it; what is left over goes to
 * `large`. */
static RequestObject *
advance_first(ReactorObject *reactor, struct csq_list *list, int64_t now)
{
    RequestObject *request = csq_item(csq_list_shift(list), RequestObject, news);

    Py_INCREF(request);
    if (request_advance(request, now + SLICE_NANOSECONDS) == REQUEST_AGAIN &&
        csq_link_alone(&request->news)) {
        csq_list_append(&reactor->large, &request->news);
    }
    return request;
}

/* Lets the loop come back for what is left. Where call_soon() fails, for want of memory or
 * because a signal handler has raised something, it comes because the descriptor is
 * readable. 0, or -1 with what the handler raised; an exception that is set stays. */
static int
resume_soon(ReactorObject *reactor)
{
    PyObject *exception;
    PyObject *handle;

    if (reactor->resumption != NULL || reactor->waker == NULL) {
        return 0;
    }
    exception = compat_take_exception();
    handle = PyObject_CallMethodObjArgs(reactor->loop, reactor->bridge->str_call_soon,
                                        reactor->waker, Py_True, NULL);
    if (handle == NULL) {
        csq_mailbox_ring(&reactor->mailbox);
        if (exception == NULL && !PyErr_ExceptionMatches(PyExc_MemoryError)) {
            return -1;
        }
        PyErr_Clear();
    } else {
        reactor->resumption = handle; /* only to be known again: the loop owns it */
        Py_DECREF(handle);
    }
    if (exception != NULL) {
        compat_give_exception(exception);
    }
    return 0;
}

int
reactor_deliver(ReactorObject *reactor, struct csq_link *news)
{
    if (csq_link_alone(news)) {
        csq_list_append(&reactor->fresh, news);
    }
    return resume_soon(reactor);
}

/* Takes in what there is, new news before old, until `end`. 0, or -1 with what the
 * step of a task raised. */
static int
advance_all(ReactorObject *reactor, int64_t now, int64_t end)
{
    struct csq_list *const lists[] = {&reactor->fresh, &reactor->large};

    for (int i = 0; i < 2; i++) {
        while (!csq_list_empty(lists[i]) && now < end) {
            if (request_wake(advance_first(reactor, lists[i], now)) < 0) {
                return -1;
            }
            now = csq_now();
        }
    }
    return 0;
}

/* -- waiting without the loop ------------------------------------------------- */

/* A budget of time that is `part` of what it takes the loop to come. */
static int64_t
budget(const ReactorObject *reactor, int64_t least, int part, int64_t most)
{
    int64_t nanoseconds = reactor->latency / part;

    return nanoseconds < least ? least : nanoseconds > most ? most : nanoseconds;
}

/* Whether the loop may be kept from going on. When it would go to its selector now,
 * that is nobody's loss. When others are to run, it is theirs; but where the loop is
 * slow to come back, a little of their time saves a task all of that. */
static bool
may_wait(ReactorObject *reactor)
{
    int64_t awake = AWAKE_NANOSECONDS;
    Py_ssize_t others;

    if (reactor->ready == NULL || reactor->resumption != NULL || reactor->gated > 0 ||
        !csq_list_empty(&reactor->fresh) || !csq_list_empty(&reactor->large)) {
        return false;
    }
    others = PyObject_Size(reactor->ready);
    if (others < 0) {
        PyErr_Clear();
    } else if (others == 0) {
        awake = budget(reactor, AWAKE_NANOSECONDS, 1, AWAKE_MOST);
    }
    if (csq_now() - reactor->turned > awake ||
        (others != 0 && reactor->latency < SLOW_NANOSECONDS)) {
        return false;
    }
    if (reactor->skips > 0) {
        reactor->skips--;
        return false;
    }
    return true;
}

/* After csq_mailbox_attend(). Whether something has come; it is collected. */
static bool
wait(ReactorObject *reactor)
{
    if (csq_mailbox_wait(&reactor->mailbox, budget(reactor, WAIT_NANOSECONDS, 2, WAIT_MOST))) {
        reactor->misses = 0;
        collect(reactor);
        return true;
    }
    if (reactor->latency < SLOW_NANOSECONDS) {
        reactor->misses += reactor->misses < MISSES_MAX;
        reactor->skips = (1u << reactor->misses) - 1;
    }
    return false;
}

bool
reactor_attend(ReactorObject *reactor)
{
    if (!csq_list_empty(&reactor->under_way) || !may_wait(reactor)) {
        return false;
    }
    return csq_mailbox_attend(&reactor->mailbox);
}

int
reactor_wait(ReactorObject *reactor)
{
    int rc = 0;

    if (!wait(reactor)) {
        return 0;
    }
    while (!csq_list_empty(&reactor->fresh)) {
        Py_DECREF(advance_first(reactor, &reactor->fresh, csq_now()));
    }
    if (!csq_list_empty(&reactor->large)) {
        rc = resume_soon(reactor);
    }
    if (rc == 0 && reactor->bridge->silent > 0) {
        reactor_sweep(reactor->bridge);
    }
    return rc < 0 ? -1 : 1;
}

/* -- a turn ------------------------------------------------------------------- */

/* Takes in what there is, and what comes while the loop has nothing else to do. 0, or
 * -1 with what the step of a task raised. */
static int
advance(ReactorObject *reactor)
{
    int64_t turn = budget(reactor, TURN_NANOSECONDS, 2, TURN_MOST);
    int64_t now = reactor->turned;
    /* What comes while it waits does not make the turn as long again. */
    int64_t end = now + (turn > AWAKE_NANOSECONDS ? turn : AWAKE_NANOSECONDS);

    do {
        if (advance_all(reactor, now, now + turn < end ? now + turn : end) < 0) {
            return -1;
        }
        if (csq_list_empty(&reactor->under_way) || !may_wait(reactor)) {
            return 0;
        }
        if (!csq_mailbox_attend(&reactor->mailbox)) {
            collect(reactor);
        } else if (!wait(reactor)) {
            return 0;
        }
        now = csq_now();
    } while (true);
}

/* What the loop calls when the descriptor is readable, and for what was left. */
static PyObject *
turn(ReactorObject *reactor)
{
    PyObject *exception = NULL;

    reactor->turned = csq_now();
    collect(reactor);
    if (advance(reactor) < 0) {
        exception = compat_take_exception();
    }
    if ((!csq_list_empty(&reactor->fresh) || !csq_list_empty(&reactor->large)) &&
        resume_soon(reactor) < 0) {
        Py_XSETREF(exception, compat_take_exception());
    }
    if (reactor->bridge->silent > 0) {
        reactor_sweep(reactor->bridge);
    }
    if (exception != NULL) {
        compat_give_exception(exception);
        return NULL;
    }
    Py_RETURN_NONE;
}

/* The descriptor was readable: how long ago was it written to? One long pause counts
 * little, several in a row soon do. */
static void
note_latency(ReactorObject *reactor)
{
    int64_t rung_at = atomic_load_explicit(&reactor->mailbox.rung_at, memory_order_relaxed);
    int64_t latency = csq_now() - rung_at;

    reactor->latency += (Py_MIN(latency, LATENCY_MOST) - reactor->latency) / 4;
}

/* -- loops that are gone ------------------------------------------------------ */

/* Nobody listens any more: what waits for the loop is released. */
static void
silence(ReactorObject *reactor)
{
    struct csq_link *link;

    reactor->waker = NULL;
    Py_CLEAR(reactor->timer);
    if (reactor->forked) {
        return;
    }
    reactor->silent = true;
    reactor->bridge->silent++;
    for (link = reactor->under_way.head.next; link != &reactor->under_way.head;
         link = link->next) {
        RequestObject *request = csq_item(link, RequestObject, under_way);

        if (request->job.streaming) {
            csq_flow_abandon(&request->job.flow);
        }
        if (request->awaiting != NULL) {
            await_forsake(request->awaiting);
        }
    }
}

/* Drops what has come back to a silent reactor. */
static void
drop_mail(ReactorObject *reactor)
{
    struct csq_link *link;

    collect(reactor);
    csq_list_move(&reactor->fresh, &reactor->large);
    while ((link = csq_list_shift(&reactor->fresh)) != NULL) {
        request_forsake(csq_item(link, RequestObject, news));
    }
}

/* Gives a silent reactor that has mail, or NULL. */
static ReactorObject *
find_mail(struct bridge *bridge)
{
    struct csq_link *link;

    for (link = bridge->reactors.head.next; link != &bridge->reactors.head; link = link->next) {
        ReactorObject *reactor = csq_item(link, ReactorObject, all);

        if (reactor->silent &&
            !(csq_mailbox_empty(&reactor->mailbox) && csq_list_empty(&reactor->fresh) &&
              csq_list_empty(&reactor->large))) {
            Py_INCREF(reactor);
            return reactor;
        }
    }
    return NULL;
}

void
reactor_sweep(struct bridge *bridge)
{
    ReactorObject *reactor;

    /* Dropping a request may free any reactor, so the search begins anew. */
    while ((reactor = find_mail(bridge)) != NULL) {
        drop_mail(reactor);
        Py_DECREF(reactor);
    }
}

void
reactor_after_fork(struct bridge *bridge)
{
    struct csq_link *link;

    while ((link = csq_list_shift(&bridge->reactors)) != NULL) {
        ReactorObject *reactor = csq_item(link, ReactorObject, all);

        csq_mailbox_forsake(&reactor->mailbox);
        reactor->forked = true;
        reactor->silent = false;
    }
    bridge->silent = 0;
}

/* -- finding the reactor ------------------------------------------------------ */

static ReactorObject *
reactor_new(struct bridge *bridge, PyObject *loop)
{
    PyTypeObject *type = bridge->reactor_type;
    ReactorObject *reactor = (ReactorObject *)type->tp_alloc(type, 0);

    if (reactor == NULL) {
        return NULL;
    }
    reactor->bridge = bridge;
    reactor->loop = Py_NewRef(loop);
    csq_list_init(&reactor->under_way);
    csq_list_init(&reactor->fresh);
    csq_list_init(&reactor->large);
    csq_list_init(&reactor->timed);
    csq_list_append(&bridge->reactors, &reactor->all);
    if (csq_mailbox_init(&reactor->mailbox) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        goto fail;
    }
    reactor->create_future = PyObject_GetAttr(loop, bridge->str_create_future);
    if (reactor->create_future == NULL) {
        goto fail;
    }
    reactor->ready = PyObject_GetAttr(loop, bridge->str_ready);
    PyErr_Clear(); /* not asyncio's own loop */
    return reactor;

fail:
    Py_DECREF(reactor);
    return NULL;
}

/* Lets the loop watch the mailbox. */
static int
watch(ReactorObject *reactor)
{
    PyTypeObject *type = reactor->bridge->waker_type;
    WakerObject *waker = (WakerObject *)type->tp_alloc(type, 0);
    PyObject *descriptor = NULL;
    PyObject *added = NULL;
    int rc = -1;

    if (waker == NULL) {
        goto done;
    }
    waker->reactor = (ReactorObject *)Py_NewRef((PyObject *)reactor);
    reactor->waker = (PyObject *)waker;
    descriptor = PyLong_FromLong(reactor->mailbox.wake_read);
    if (descriptor == NULL) {
        goto done;
    }
    added = PyObject_CallMethodObjArgs(reactor->loop, reactor->bridge->str_add_reader, descriptor,
                                       (PyObject *)waker, NULL);
    rc = added == NULL ? -1 : 0;

done:
    Py_XDECREF(added);
    Py_XDECREF(descriptor);
    Py_XDECREF(waker);
    return rc;
}

ReactorObject *
reactor_get(struct bridge *bridge)
{
    PyObject *loop = PyObject_CallNoArgs(bridge->get_running_loop);
    ReactorObject *reactor = NULL;
    struct csq_link *link;

    if (loop == NULL) {
        return NULL;
    }
    for (link = bridge->reactors.head.next; link != &bridge->reactors.head; link = link->next) {
        reactor = csq_item(link, ReactorObject, all);
        if (reactor->loop == loop && reactor->waker != NULL) {
            Py_INCREF(reactor);
            goto done;
        }
    }
    reactor_sweep(bridge);
    reactor = reactor_new(bridge, loop);
    if (reactor != NULL && watch(reactor) < 0) {
        Py_CLEAR(reactor);
    }

done:
    Py_DECREF(loop);
    return reactor;
}

/* -- types -------------------------------------------------------------------- */

static int
reactor_traverse(ReactorObject *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->loop);
    Py_VISIT(self->create_future);
    Py_VISIT(self->ready);
    Py_VISIT(self->timer);
    return 0;
}

static int
reactor_clear(ReactorObject *self)
{
    Py_CLEAR(self->loop);
    Py_CLEAR(self->create_future);
    Py_CLEAR(self->ready);
    Py_CLEAR(self->timer);
    return 0;
}

static void
reactor_dealloc(ReactorObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    csq_link_remove(&self->all);
    if (self->silent) {
        self->bridge->silent--;
    }
    reactor_clear(self);
    csq_mailbox_destroy(&self->mailbox);
    type->tp_free(self);
    Py_DECREF(type);
}

/* With an argument it is the call that resume_soon() asked for; without, the
 * descriptor is readable. Both can come in one iteration of the loop, which has
 * time for one turn: the other only lets the mail in. */
static PyObject *
waker_call(WakerObject *self, PyObject *args, PyObject *kwargs)
{
    ReactorObject *reactor = self->reactor;
    PyObject *answer;

    (void)kwargs;
    /* The descriptor is the parent's as well: to read from it would be to steal. */
    if (reactor->forked) {
        Py_RETURN_NONE;
    }
    if (PyTuple_GET_SIZE(args) > 0) {
        reactor->resumption = NULL;
    } else {
        note_latency(reactor);
        /* What a signal handler raises can make asyncio's loop lose a call. */
        if (reactor->resumption != NULL && reactor->ready != NULL &&
            !loop_has(reactor->ready, reactor->resumption)) {
            reactor->resumption = NULL;
        }
        if (reactor->resumption != NULL) {
            collect(reactor);
            Py_RETURN_NONE;
        }
    }
    /* A task that is woken may let the loop forget this waker. */
    Py_INCREF(reactor);
    answer = turn(reactor);
    Py_DECREF(reactor);
    return answer;
}

static int
waker_traverse(WakerObject *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->reactor);
    return 0;
}

static int
waker_clear(WakerObject *self)
{
    if (self->reactor != NULL && self->reactor->waker == (PyObject *)self) {
        silence(self->reactor);
    }
    Py_CLEAR(self->reactor);
    return 0;
}

static void
waker_dealloc(WakerObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    waker_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot reactor_slots[] = {
    {Py_tp_doc, "The mailbox of one event loop."},
    {Py_tp_traverse, reactor_traverse},
    {Py_tp_clear, reactor_clear},
    {Py_tp_dealloc, reactor_dealloc},
    {0, NULL},
};

static PyType_Spec reactor_spec = {
    .name = "csqlite._csqlite.Reactor",
    .basicsize = sizeof(ReactorObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = reactor_slots,
};

static PyType_Slot waker_slots[] = {
    {Py_tp_doc, "What an event loop calls when a mailbox has mail."},
    {Py_tp_call, waker_call},
    {Py_tp_traverse, waker_traverse},
    {Py_tp_clear, waker_clear},
    {Py_tp_dealloc, waker_dealloc},
    {0, NULL},
};

static PyType_Spec waker_spec = {
    .name = "csqlite._csqlite.Waker",
    .basicsize = sizeof(WakerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = waker_slots,
};

int
reactor_init(struct bridge *bridge, PyObject *module)
{
    csq_list_init(&bridge->reactors);
    bridge->reactor_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &reactor_spec, NULL);
    bridge->waker_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &waker_spec, NULL);
    if (bridge->reactor_type == NULL || bridge->waker_type == NULL) {
        return -1;
    }
    compat_forbid_new(bridge->reactor_type);
    compat_forbid_new(bridge->waker_type);
    return 0;
}
