/* Nothing here allocates or raises: who is next is told through the mail of its loop, which
 * may be another thread's. */

#include "bridge/line.h"

#include "bridge/context.h"
#include "bridge/reactor.h"
#include "bridge/request.h"

void
line_init(struct line *line)
{
    csq_list_init(&line->requests);
    line->under_way = 0;
    line->held = 0;
}

void
line_enter(RequestObject *request)
{
    Py_INCREF(request);
    csq_list_append(&request->line->requests, &request->place);
}

static RequestObject *
first_of(struct line *line)
{
    return csq_item(line->requests.head.next, RequestObject, place);
}

/* The mail of a loop that nobody runs now would keep everybody waiting for a head that waits
 * for nothing but its job. The job is done, as one behind it is. */
bool
line_is_up(RequestObject *request)
{
    struct line *line = request->line;

    if (line == NULL) {
        return true;
    }
    if (first_of(line)->stage != REQUEST_PENDING && first_of(line)->reactor != NULL) {
        reactor_collect(first_of(line)->reactor);
        line_go_on(line);
    }
    return line->held == 0 && first_of(line) == request;
}

/* Whether it waits for nothing more, and nothing of it is still running. */
static bool
is_over(const RequestObject *first)
{
    return first->stage != REQUEST_PENDING && first->job.done && !first->running;
}

/* Lets go of the head, which waits for nothing more. */
static void
leave(RequestObject *request)
{
    csq_link_remove(&request->place);
    if (request->given_up && request->hooks->abandon != NULL) {
        request->hooks->abandon(request);
    }
    if (request->job.done && request->pushed) {
        request_arrive(request);
    }
    Py_DECREF(request);
}

void
line_go_on(struct line *line)
{
    while (line->held == 0 && !csq_list_empty(&line->requests) && is_over(first_of(line))) {
        leave(first_of(line));
    }
    if (line->held == 0 && !csq_list_empty(&line->requests) && first_of(line)->delayed) {
        first_of(line)->delayed = false;
        reactor_deliver(first_of(line)->reactor, &first_of(line)->news);
    }
}

/* Whether the head has begun to take in what came of its job. */
static bool
is_begun(const RequestObject *first)
{
    return first->running || first->decoding;
}

/* Lets the head take in what its job has brought, all of it, in the context in which it was
 * awaited. Without memory for that it stays where it is. */
static void
take_in(RequestObject *first)
{
    PyObject *entered;

    if (context_enter(first->home, &entered) < 0) {
        PyErr_Clear();
        return;
    }
    Py_INCREF(first);
    first->elsewhere = true;
    while (request_advance(first, INT64_MAX) == REQUEST_AGAIN) {
        continue;
    }
    first->elsewhere = false;
    reactor_deliver(first->reactor, &first->news); /* its task is to hear of it */
    Py_DECREF(first);
    context_leave(entered);
}

bool
line_take_in(struct line *line)
{
    while (line->held == 0 && !csq_list_empty(&line->requests)) {
        RequestObject *first = first_of(line);

        if (first->running || first->reactor == NULL) {
            return false;
        }
        reactor_collect(first->reactor);
        if (!first->job.done) {
            return !is_begun(first);
        }
        take_in(first);
        if (!csq_list_empty(&line->requests) && first_of(line) == first) {
            return false;
        }
    }
    return line->held == 0;
}

bool
line_cut_in(RequestObject *request)
{
    struct line *line = request->line;

    if (line->held > 0 || (!csq_list_empty(&line->requests) && is_begun(first_of(line)))) {
        return false;
    }
    Py_INCREF(request);
    csq_list_prepend(&line->requests, &request->place);
    return true;
}
