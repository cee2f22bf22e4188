/* Requests on their way to the worker and back. */

#include "bridge/request.h"

#include "bridge/lease.h"
#include "bridge/line.h"


/* -- on its way --------------------------------------------------------------- */

int
request_find_reactor(RequestObject *request)
{
    request->reactor = reactor_get(request->bridge);
    return request->reactor == NULL ? -1 : 0;
}

bool
request_is_gated(const RequestObject *request)
{
    return request->gate->used || request->job.op == CSQ_CALL;
}

/* Worker thread. A thread state is made where a failure is the job's. */
static bool
is_ready(struct csq_job *job)
{
    return gate_ready(csq_item(job, RequestObject, job)->gate);
}

/* Worker thread. */
static bool
is_stopped(struct csq_job *job)
{
    const RequestObject *request = csq_item(job, RequestObject, job);
    struct host_loop *loop = &request->reactor->loop;
    bool stopped;

    if (!gate_ready(request->gate)) {
        return false;
    }
    gate_enter(request->gate);
    stopped = loop->host->verbs->is_stopped(loop);
    gate_leave(request->gate);
    return stopped;
}

enum request_answer
request_pack(RequestObject *request)
{
    enum request_answer answer;

    request->running = true;
    answer = request->hooks->pack(request);
    request->running = false;
    return answer;
}

int
request_push(RequestObject *request)
{
    request->task_context = Py_XNewRef(compat_current_context());
    request->gated = request_is_gated(request);
    /* What is called on the worker may register the first callback. */
    if (request->gated) {
        request->callback_context = PyContext_CopyCurrent();
        if (request->callback_context == NULL) {
            return -1;
        }
        request->job.ready = is_ready;
    }
    request->job.client = request;
    request->job.stopped = is_stopped;
    request->job.mailbox = &request->reactor->turn.mailbox;
    request->reactor->turn.gated += request->gated;
    request->pushed = true;
    request->stage = REQUEST_PENDING;
    csq_list_append(&request->reactor->turn.under_way, &request->under_way);
    if (request->line != NULL) {
        request->line->under_way++;
        line_enter(request);
    }
    Py_INCREF(request);
    if (request->gate->lease->used) {
        lease_enter(request);
    } else if (!request->executor->verbs->push(request->executor, &request->job)) {
        lease_tell_closed(request);
    }
    return 0;
}

void
request_abandon(RequestObject *request)
{
    if (!csq_link_alone(&request->place)) {
        request->given_up = true;
        line_go_on(request->line);
    } else if (request->hooks->abandon != NULL) {
        request->hooks->abandon(request);
    }
}

void
request_give_up(RequestObject *request)
{
    PyObject *exception = compat_take_exception();

    request->stage = REQUEST_DONE;
    if (request->deadline != 0) {
        csq_link_remove(&request->timed);
    }
    request_abandon(request);
    if (exception != NULL) {
        compat_give_exception(exception);
    }
}

/* Nobody waits for it any more. In a forked child there is no worker that would hear of
 * it, and what the worker had locked stays locked. */
static void
cancel(RequestObject *request)
{
    if (request->reactor->forked || lease_leave(request)) {
        return;
    }
    request->executor->verbs->abandon(request->executor, &request->job);
    if (request->callback_task != NULL) {
        callback_task_cancel(request->callback_task);
    }
}

bool
request_is_left(const RequestObject *request)
{
    unsigned long exiting = request->bridge->exiting;

    return exiting != 0 && exiting != PyThread_get_thread_ident();
}

enum request_answer
request_refuse(RequestObject *request)
{
    if (request->hooks->abandon != NULL) {
        request->hooks->abandon(request);
    }
    request->bridge->raise((PyObject *)request);
    return REQUEST_FAILED;
}

/* Takes in what has come, if it is the request's turn. */
static enum request_answer
take_in(RequestObject *request, int64_t slice_end)
{
    const struct request_hooks *hooks = request->hooks;
    enum request_answer answer;
    bool feeds = !request->job.done && hooks->feed != NULL;

    /* It may be running: what it calls may let its loop turn. */
    if (request->running || (!feeds && !line_is_up(request))) {
        request->delayed = true;
        return REQUEST_LATER;
    }
    if (request->job.done && request_is_refused(request)) {
        return request_refuse(request);
    }
    request->running = true;
    if (feeds) {
        answer = hooks->feed(request, slice_end) < 0 ? REQUEST_FAILED : REQUEST_WAIT;
    } else {
        answer = hooks->unpack(request, slice_end);
    }
    request->running = false;
    return answer;
}

enum request_answer
request_advance(RequestObject *request, int64_t slice_end)
{
    enum request_answer answer = REQUEST_READY;
    bool done = request->job.done;

    if (request->stage == REQUEST_PENDING) {
        answer = take_in(request, slice_end);
        if (answer == REQUEST_FAILED && request_is_left(request)) {
            PyErr_Clear();
            answer = REQUEST_WAIT;
        }
        if (answer == REQUEST_FAILED) {
            request_fail(request);
            if (!done) {
                cancel(request);
            }
        }
        /* What it called may have ended it meanwhile. */
        if (request->stage == REQUEST_PENDING &&
            (answer == REQUEST_FAILED || answer == REQUEST_READY)) {
            request->stage = REQUEST_SETTLED;
        }
    }
    if (request->stage != REQUEST_PENDING && request->line != NULL) {
        line_go_on(request->line);
    }
    if (done && answer != REQUEST_AGAIN && answer != REQUEST_LATER && request->pushed) {
        if (atomic_load_explicit(&request->job.began, memory_order_relaxed) != 0) {
            lease_note_began(request);
        }
        if (request->caller != NULL) { /* somebody has asked for a hold */
            lease_look(request->gate->lease, request->executor);
        }
        request_arrive(request);
    }
    return answer;
}

void
request_forsake(RequestObject *request)
{
    Py_INCREF(request);
    if (request->stage == REQUEST_PENDING) {
        request->stage = REQUEST_DONE;
        if (!lease_leave(request)) {
            request->executor->verbs->abandon(request->executor, &request->job);
        }
        request_abandon(request);
    }
    if (request->job.done && request->pushed) {
        request_arrive(request);
    }
    Py_DECREF(request);
}

/* Settles the future of request_start(), unless it was cancelled. */
static int
settle_future(RequestObject *request)
{
    struct host *host = request->bridge->host;
    PyObject *result = request->answer == NULL ? Py_None : request->answer;

    return host->verbs->settle(host, request->future, result);
}

int
request_wake(RequestObject *request)
{
    ReactorObject *reactor = request->reactor;
    PyObject *waiter = request->waiter;
    int rc;

    /* Who closes a request that a task awaits lets that task hear of it, as of a coroutine
     * that is closed: where it goes on. */
    if (request->stage != REQUEST_SETTLED &&
        (request->stage != REQUEST_DONE || request->waiter == NULL)) {
        Py_DECREF(request);
        return 0;
    }
    if (request->future != NULL) {
        rc = settle_future(request);
        if (rc == 0 || !PyErr_ExceptionMatches(PyExc_MemoryError)) {
            Py_DECREF(request);
            return rc;
        }
    } else {
        Py_INCREF(waiter);
        rc = reactor->loop.host->verbs->wake(waiter, (PyObject *)request);
        Py_DECREF(waiter);
        if (rc != HOST_UNTOLD) {
            return rc;
        }
    }
    /* Nobody could be told, because there was no memory for it: that is tried again. */
    reactor_deliver(reactor, &request->news);
    Py_DECREF(request);
    return -1;
}
void
request_leave(RequestObject *request)
{
    bool pending = request->stage == REQUEST_PENDING || request->stage == REQUEST_SETTLED;

    request->stage = REQUEST_DONE;
    if (pending) {
        cancel(request);
    }
    if (pending) {
        request_abandon(request);
    }
}

/* -- without a task ----------------------------------------------------------- */

PyObject *
request_start(RequestObject *request)
{
    enum request_answer answer;

    request->stage = REQUEST_DONE;
    request->detached = true;
    answer = request_pack(request);
    if (answer == REQUEST_FAILED) {
        return NULL;
    }
    if (request_find_reactor(request) == 0) {
        struct host_loop *loop = &request->reactor->loop;

        request->future = loop->host->verbs->future(loop);
    }
    if (request->future == NULL || (answer == REQUEST_WAIT && request_push(request) < 0) ||
        (answer == REQUEST_READY && settle_future(request) < 0)) {
        request_give_up(request);
        return NULL;
    }
    return Py_NewRef(request->future);
}
