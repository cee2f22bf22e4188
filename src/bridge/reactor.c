/* The loop owns a Waker, and the Waker the reactor. When the loop is closed it
 * drops its readers, so the Waker dies: that is how a reactor learns that nobody
 * listens any more, without a hook into any kind of loop. Jobs that come back
 * after that are dropped by reactor_sweep().
 *
 * A loop calls its readers in the context in which they were added, and keeps that context
 * as long as the reader: so it is an empty one. It is left while the reactor turns. Each
 * request takes in its news in the context in which it was awaited, each task is woken in its
 * own; and a loop that is run within a task's step, which some programs do, can call the
 * waker again, which it could not while the waker's context is entered. */

#include "bridge/reactor.h"

#include "bridge/context.h"

typedef struct {
    PyObject_HEAD
    ReactorObject *reactor;
} WakerObject;

/* -- turns -------------------------------------------------------------------- */

long
reactor_others(struct csq_turn *turn)
{
    ReactorObject *reactor = csq_item(turn, ReactorObject, turn);

    return (long)reactor->loop.host->verbs->others(&reactor->loop);
}

/* In a forked child the descriptor is the parent's as well. */
void
reactor_deliver(ReactorObject *reactor, struct csq_link *news)
{
    if (!reactor->forked) {
        csq_turn_deliver(&reactor->turn, news);
    }
}

void
reactor_collect(ReactorObject *reactor)
{
    if (!reactor->forked) {
        csq_turn_collect(&reactor->turn);
    }
}

bool
reactor_wait(ReactorObject *reactor, struct csq_link *news)
{
    bool come = csq_turn_wait(&reactor->turn, news);

    if (reactor->bridge->silent > 0) {
        reactor_sweep(reactor->bridge);
    }
    return come;
}

/* What the loop calls when the descriptor is readable. 0, or -1 with what the step of a task
 * raised. */
static int
turn(ReactorObject *reactor)
{
    PyObject *outside = context_step_out();
    PyObject *exception;

    stretch_begin(&reactor->bridge->stretch);
    exception = csq_turn_run(&reactor->turn) ? NULL : compat_take_exception();
    if (reactor->bridge->silent > 0) {
        reactor_sweep(reactor->bridge);
    }
    context_step_in(outside);
    if (exception != NULL) {
        compat_give_exception(exception);
        return -1;
    }
    return 0;
}

/* -- loops that are gone ------------------------------------------------------ */

/* Nobody listens any more: what waits for the loop is released. */
static void
silence(ReactorObject *reactor)
{
    const struct csq_list *under_way = &reactor->turn.under_way;
    struct csq_link *link;

    reactor->waker = NULL;
    Py_CLEAR(reactor->timer);
    if (reactor->forked) {
        return;
    }
    reactor->silent = true;
    reactor->bridge->silent++;
    for (link = under_way->head.next; link != &under_way->head; link = link->next) {
        reactor->bridge->reactor_calls->silence(link);
    }
}

/* Drops what has come back to a silent reactor. */
static void
drop_mail(ReactorObject *reactor)
{
    struct csq_link *link;

    while ((link = csq_turn_drop(&reactor->turn)) != NULL) {
        reactor->bridge->reactor_calls->forsake(link);
    }
}

/* Gives a silent reactor that has mail, or NULL. */
static ReactorObject *
find_mail(struct bridge *bridge)
{
    struct csq_link *link;

    for (link = bridge->reactors.head.next; link != &bridge->reactors.head; link = link->next) {
        ReactorObject *reactor = csq_item(link, ReactorObject, all);

        if (reactor->silent && !csq_turn_idle(&reactor->turn)) {
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

        csq_mailbox_forsake(&reactor->turn.mailbox);
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
    reactor->loop.host = bridge->host;
    reactor->loop.object = Py_NewRef(loop);
    csq_list_init(&reactor->timed);
    csq_list_append(&bridge->reactors, &reactor->all);
    if (csq_turn_init(&reactor->turn, &bridge->reactor_calls->turn) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        goto fail;
    }
    if (bridge->host->verbs->open(&reactor->loop) < 0) {
        goto fail;
    }
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
    int rc;

    if (waker == NULL) {
        return -1;
    }
    waker->reactor = (ReactorObject *)Py_NewRef((PyObject *)reactor);
    reactor->waker = (PyObject *)waker;
    rc = reactor->loop.host->verbs->watch(&reactor->loop, reactor->turn.mailbox.wake_read,
                                          (PyObject *)waker);
    Py_DECREF(waker);
    return rc;
}

ReactorObject *
reactor_get(struct bridge *bridge)
{
    PyObject *loop = bridge->host->verbs->find(bridge->host);
    ReactorObject *reactor = NULL;
    struct csq_link *link;

    if (loop == NULL) {
        return NULL;
    }
    for (link = bridge->reactors.head.next; link != &bridge->reactors.head; link = link->next) {
        reactor = csq_item(link, ReactorObject, all);
        if (reactor->loop.object == loop && reactor->waker != NULL) {
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
    Py_VISIT(self->timer);
    return host_loop_traverse(&self->loop, visit, arg);
}

static int
reactor_clear(ReactorObject *self)
{
    host_loop_clear(&self->loop);
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
    csq_turn_destroy(&self->turn);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
waker_call(WakerObject *self, PyObject *args, PyObject *kwargs)
{
    ReactorObject *reactor = self->reactor;
    int rc;

    (void)args;
    (void)kwargs;
    /* The descriptor is the parent's as well: to read from it would be to steal. */
    if (reactor->forked) {
        Py_RETURN_NONE;
    }
    /* A task that is woken may let the loop forget this waker. */
    Py_INCREF(reactor);
    rc = turn(reactor);
    Py_DECREF(reactor);
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
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
