/* The reactor knows no requests, and requests know when they have a reactor to go to: here is
 * what it does with them. */

#include "bridge/delivery.h"

#include "bridge/context.h"
#include "bridge/lease.h"
#include "bridge/request.h"

static struct csq_link *
find_news(struct csq_job *job)
{
    return &csq_item(job, RequestObject, job)->news;
}

/* In the context in which the request was awaited, that is as a rule that of the task which
 * then goes on. Without memory to enter it the news are left for later. */
static enum csq_turn_answer
take_in(struct csq_link *news, int64_t slice_end, bool tell)
{
    RequestObject *request = csq_item(news, RequestObject, news);
    enum csq_turn_answer rc = CSQ_TURN_DONE;
    PyObject *entered;

    if (context_enter(request->task_context, &entered) < 0) {
        PyErr_Clear();
        return CSQ_TURN_MORE;
    }
    Py_INCREF(request);
    if (request_advance(request, slice_end) == REQUEST_AGAIN) {
        rc = CSQ_TURN_MORE;
        Py_DECREF(request);
    } else if (!tell) {
        Py_DECREF(request);
    } else if (request_wake(request) < 0) {
        rc = CSQ_TURN_RAISED;
    }
    context_leave(entered);
    return rc;
}

/* Nobody feeds the worker any more, nor runs what it waits for. */
static void
silence(struct csq_link *under_way)
{
    RequestObject *request = csq_item(under_way, RequestObject, under_way);

    (void)lease_leave(request);
    if (request->job.streaming) {
        csq_flow_abandon(&request->job.flow);
    }
    if (request->callback_task != NULL) {
        callback_task_forsake(request->callback_task);
    }
}

static void
forsake(struct csq_link *news)
{
    request_forsake(csq_item(news, RequestObject, news));
}

static const struct reactor_calls calls = {
    .turn = {.news = find_news, .take_in = take_in, .others = reactor_others},
    .silence = silence,
    .forsake = forsake,
};

void
delivery_init(struct bridge *bridge)
{
    bridge->reactor_calls = &calls;
}
