/* Who waits stands in the list of one hold, and is looked at anew when that ends: it is pushed,
 * or it waits for the end of the next. As a list is gone through in order and the first in it
 * that begins a hold makes all behind it wait for that, nobody overtakes.
 *
 * A request that waits is under way, as one that the worker has: it stands in its cursor's
 * line and can be cancelled. */

#include "bridge/lease.h"

void
lease_init(struct lease *lease)
{
    lease->used = false;
    lease->closed = false;
    lease->top = NULL;
    lease->transactions = 0;
    lease->beginner = NULL;
    csq_list_init(&lease->patient);
}

/* -- whose a request is --------------------------------------------------------- */

PyObject *
lease_caller(struct bridge *bridge)
{
    PyObject *task = bridge->host->verbs->task(bridge->host);
    PyObject *other;

    if (task == NULL || PyDict_GET_SIZE(bridge->acting) == 0) {
        return task;
    }
    other = Py_XNewRef(PyDict_GetItemWithError(bridge->acting, task));
    PyErr_Clear();
    if (other != NULL) {
        Py_SETREF(task, other);
    }
    return task;
}

PyObject *
lease_act(struct bridge *bridge, PyObject *task)
{
    PyObject *running = bridge->host->verbs->task(bridge->host);
    PyObject *before = NULL;
    int rc = 0;

    if (running != NULL) {
        before = Py_XNewRef(PyDict_GetItemWithError(bridge->acting, running));
        if (task != NULL) {
            rc = PyDict_SetItem(bridge->acting, running, task);
        } else if (before != NULL) {
            rc = PyDict_DelItem(bridge->acting, running);
        }
        Py_DECREF(running);
    }
    if (rc < 0) {
        Py_CLEAR(before);
        return NULL;
    }
    return before == NULL ? Py_NewRef(Py_None) : before;
}

PyObject *
lease_sleeper(const RequestObject *request)
{
    PyObject *task =
        request->waiter == NULL ? NULL : request->bridge->host->verbs->sleeper(request->waiter);

    return task == NULL ? Py_XNewRef(request->caller) : task;
}

void
lease_note_caller(RequestObject *request, struct lease *lease)
{
    const HoldObject *hold;

    request->caller = lease_caller(request->bridge);
    hold = lease_of_task(lease, request->caller);
    request->job.within = hold == NULL ? 0 : hold->number;
}

void
lease_note_began(RequestObject *request)
{
    PyObject *task;

    if (request->job.op == CSQ_HOLD) {
        return;
    }
    task = request->caller == NULL ? lease_sleeper(request) : Py_NewRef(request->caller);
    if (task == NULL) {
        task = lease_caller(request->bridge);
    }
    Py_XSETREF(request->gate->lease->beginner,
               task == NULL ? NULL : PyWeakref_NewRef(task, NULL));
    PyErr_Clear();
    Py_XDECREF(task);
}

bool
lease_is_beginner(struct lease *lease, PyObject *task)
{
    PyObject *beginner = lease->beginner == NULL ? NULL : PyObject_CallNoArgs(lease->beginner);
    bool same = beginner != NULL && beginner == task;

    PyErr_Clear();
    Py_XDECREF(beginner);
    return same;
}

bool
hold_stands(const HoldObject *hold)
{
    return hold->stage != HOLD_NEW && hold->stage != HOLD_OVER;
}

/* Whether `hold` stands on `outer`, directly or not, or is it. */
static bool
is_within(const HoldObject *hold, const HoldObject *outer)
{
    while (hold != NULL && hold != outer) {
        hold = hold->outer;
    }
    return hold != NULL;
}

/* Whether the request belongs to `hold`. */
static bool
belongs(const RequestObject *request, const HoldObject *hold)
{
    if (request->hold == hold) {
        return true;
    }
    return request->caller != NULL && request->caller == hold->task &&
           (request->hold == NULL || is_within(hold, request->hold));
}

HoldObject *
lease_of_task(struct lease *lease, PyObject *task)
{
    HoldObject *hold = lease->top;

    while (hold != NULL && (task == NULL || hold->task != task)) {
        hold = hold->outer;
    }
    return hold;
}

void
lease_tell_closed(RequestObject *request)
{
    csq_error_set(&request->job.error, CSQ_CLOSED, "Cannot operate on a closed database.");
    request->job.done = true;
    reactor_deliver(request->reactor, &request->news);
}

static void
submit(RequestObject *request)
{
    if (!request->executor->verbs->push(request->executor, &request->job)) {
        lease_tell_closed(request);
    }
}

/* -- waiting ---------------------------------------------------------------------- */

/* Ends it with an error, which is set in its job. */
static void
refuse(RequestObject *request)
{
    request->job.refused = true;
    request->job.done = true;
    reactor_deliver(request->reactor, &request->news);
}

/* Lends what it has to wait for; NULL: nothing. */
static HoldObject *
obstacle_of(const RequestObject *request)
{
    HoldObject *hold = request->gate->lease->top;

    if (hold == NULL || belongs(request, hold)) {
        return NULL;
    }
    while (hold->outer != NULL && !belongs(request, hold->outer)) {
        hold = hold->outer;
    }
    return hold;
}

/* The link is memory that decoding is to find empty. */
static void
stop_waiting(RequestObject *request)
{
    request->waits = false;
    request->reader = (struct csq_reader){NULL, NULL};
}

/* Somebody begins to wait for the hold, or it does. */
static void
tell_watch(HoldObject *hold)
{
    PyObject *answer;

    if (hold->watch == NULL || hold->watched) {
        return;
    }
    hold->watched = hold_stands(hold);
    answer = PyObject_CallFunctionObjArgs(hold->watch, (PyObject *)hold, NULL);
    if (answer == NULL) {
        PyErr_WriteUnraisable(hold->watch);
    }
    Py_XDECREF(answer);
}

static void
wait_in(RequestObject *request, struct csq_list *list)
{
    request->waits = true;
    csq_list_append(list, &request->queued);
}

/* What ends something of its own accord, or nothing of a transaction, does not wait. */
static bool
passes(const RequestObject *request)
{
    const struct csq_job *job = &request->job;

    return job->op == CSQ_RESET || job->op == CSQ_CLOSE ||
           (job->op == CSQ_HOLD && job->with.hold.action == CSQ_HOLD_ROLLBACK) ||
           (job->op == CSQ_BACKUP && job->with.copy.pages == 0) ||
           (job->op == CSQ_BLOB_TASK && job->with.blob.action == CSQ_BLOB_CLOSE);
}

/* It is made through a hold that does not stand any more, or was called in a transaction that
 * is over. */
static bool
is_late(const RequestObject *request)
{
    const HoldObject *top = request->gate->lease->top;
    const HoldObject *hold = request->hold;
    const struct csq_job *job = &request->job;

    if (job->op == CSQ_HOLD) {
        return false;
    }
    if (hold == NULL) {
        return job->within != 0 && (top == NULL || top->number != job->within);
    }
    return hold->stage == HOLD_OVER || hold->stage == HOLD_ENDING;
}

/* Lets it begin the hold that it is for. */
static void
begin_hold(RequestObject *request, HoldObject *hold)
{
    struct lease *lease = request->gate->lease;

    hold->outer = (HoldObject *)Py_XNewRef((PyObject *)lease->top);
    hold->number = hold->outer == NULL ? ++lease->transactions : hold->outer->number;
    hold->stage = HOLD_OPENING;
    lease->top = hold;
}

/* Whether a transaction is open that nobody holds, as far as is known here. */
static bool
is_taken(const struct csq_executor *executor)
{
    const struct csq_published *published = executor->published;

    return published != NULL && atomic_load(&published->in_transaction) &&
           atomic_load(&published->autocommit) != CSQ_MANUAL;
}

/* Whether it is to begin while another task's statement has a transaction open. It is asked for
 * where nothing is held. */
static bool
is_early(const RequestObject *request)
{
    const struct csq_job *job = &request->job;

    return job->op == CSQ_HOLD && job->with.hold.action == CSQ_HOLD_BEGIN &&
           is_taken(request->executor) &&
           !lease_is_beginner(request->gate->lease, ((HoldObject *)request->target)->task);
}

/* A request that does something with a hold is pushed: the hold knows. False: it must not. */
static bool
act(RequestObject *request)
{
    struct csq_job *job = &request->job;
    HoldObject *hold = (HoldObject *)request->target;

    switch (job->with.hold.action) {
    case CSQ_HOLD_BEGIN:
        if (request->gate->lease->top != NULL) {
            csq_error_set(&job->error, CSQ_OPENED,
                          "cannot start a transaction within a transaction");
            return false;
        }
        begin_hold(request, hold);
        break;
    case CSQ_HOLD_SAVE:
        if (request->gate->lease->top == NULL) {
            csq_error_set(&job->error, CSQ_OVER, "The transaction is over.");
            return false;
        }
        begin_hold(request, hold);
        break;
    default:
        if (!hold_stands(hold)) {
            csq_error_set(&job->error, CSQ_OVER, "The transaction is over.");
            return false;
        }
        hold->stage = HOLD_ENDING;
        break;
    }
    job->within = hold->number;
    return true;
}

/* Looks at all that wait in the list, in order. */
static void
let_go(struct csq_list *waiting)
{
    struct csq_list list;
    struct csq_link *link;

    csq_list_init(&list);
    csq_list_move(&list, waiting); /* some may wait there anew */
    while ((link = csq_list_shift(&list)) != NULL) {
        RequestObject *request = csq_item(link, RequestObject, queued);

        stop_waiting(request);
        if (request->gate->lease->closed) {
            submit(request);
        } else {
            lease_enter(request);
        }
    }
}

/* The connection is closed behind what was pushed: nobody waits for anything but that. */
static void
close_lease(struct lease *lease)
{
    lease->closed = true;
    while (lease->top != NULL) {
        hold_ended(lease->top);
    }
    let_go(&lease->patient);
}

void
lease_enter(RequestObject *request)
{
    struct lease *lease = request->gate->lease;
    HoldObject *obstacle;

    if (request->caller == NULL) {
        lease_note_caller(request, lease);
    }
    if (passes(request)) {
        request->job.within = 0;
        if (request->job.op == CSQ_HOLD && !act(request)) {
            refuse(request);
            return;
        }
        submit(request);
        if (request->job.op == CSQ_CLOSE) {
            close_lease(lease);
        }
        return;
    }
    if (is_late(request)) {
        if (request->job.op != CSQ_FETCH) {
            csq_error_set(&request->job.error, CSQ_OVER, "The transaction is over.");
            refuse(request);
            return;
        }
        Py_CLEAR(request->hold); /* rows that are left of it are only read */
    }
    obstacle = obstacle_of(request);
    if (obstacle != NULL) {
        wait_in(request, &obstacle->waiting);
        tell_watch(obstacle);
    } else if (lease->top == NULL && is_early(request)) {
        wait_in(request, &lease->patient);
        tell_watch((HoldObject *)request->target);
    } else if (request->job.op == CSQ_HOLD && !act(request)) {
        refuse(request);
    } else {
        request->job.within = lease->top == NULL ? 0 : lease->top->number;
        submit(request);
    }
}

bool
lease_leave(RequestObject *request)
{
    if (!request->waits) {
        return false;
    }
    csq_link_remove(&request->queued);
    stop_waiting(request);
    if (request->job.error.code == SQLITE_OK) {
        csq_error_set(&request->job.error, CSQ_CANCELLED, "cancelled");
    }
    refuse(request);
    return true;
}

void
lease_look(struct lease *lease, const struct csq_executor *executor)
{
    if (!csq_list_empty(&lease->patient) && !is_taken(executor)) {
        let_go(&lease->patient);
    }
}

void
lease_tire(HoldObject *hold, PyObject *exception)
{
    struct csq_link *link = hold->lease->patient.head.next;

    for (; link != &hold->lease->patient.head; link = link->next) {
        RequestObject *request = csq_item(link, RequestObject, queued);

        if (request->target == (PyObject *)hold) {
            Py_XSETREF(request->raised, Py_NewRef(exception));
            csq_error_set(&request->job.error, CSQ_RAISED, "refused");
            (void)lease_leave(request);
            return;
        }
    }
}

/* -- holds --------------------------------------------------------------------------- */

void
hold_opened(HoldObject *hold)
{
    if (hold->stage == HOLD_OPENING) {
        hold->stage = HOLD_OPEN;
    }
}

void
hold_ended(HoldObject *hold)
{
    struct lease *lease = hold->lease;

    if (!hold_stands(hold)) {
        return;
    }
    /* What stands on it goes with it. */
    while (lease->top != NULL && lease->top != hold && is_within(lease->top, hold)) {
        hold_ended(lease->top);
    }
    hold->stage = HOLD_OVER;
    if (lease->top == hold) {
        lease->top = hold->outer;
    }
    Py_INCREF(hold);
    Py_CLEAR(hold->outer);
    let_go(&hold->waiting);
    Py_DECREF(hold);
}

void
hold_drop(HoldObject *hold)
{
    struct csq_job *job = hold->farewell;

    if (!hold_stands(hold)) {
        return;
    }
    hold->farewell = NULL;
    if (job != NULL) {
        job->within = hold->number;
        if (!hold->executor->verbs->push(hold->executor, job)) {
            job->release(job);
        }
    }
    hold_ended(hold);
}
