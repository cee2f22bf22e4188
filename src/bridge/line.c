/* Nothing here allocates or raises: who is next is told through the mail of its loop, which
 * may be another thread's. */

#include "bridge/line.h"

#include "bridge/reactor.h"

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

/* The mail of a loop that nobody runs now would keep everybody waiting for a head that waits
 * for nothing but its job. The job is done, as one behind it is. */
bool
line_is_up(RequestObject *request)
{
    struct line *line = request->line;

    if (line == NULL) {
        return true;
    }
    if (line_first(line)->stage != REQUEST_PENDING && line_first(line)->reactor != NULL) {
        reactor_collect(line_first(line)->reactor);
        line_go_on(line);
    }
    return line->held == 0 && line_first(line) == request;
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
    while (line->held == 0 && !csq_list_empty(&line->requests) && is_over(line_first(line))) {
        leave(line_first(line));
    }
    if (line->held == 0 && !csq_list_empty(&line->requests) && line_first(line)->delayed) {
        line_first(line)->delayed = false;
        reactor_deliver(line_first(line)->reactor, &line_first(line)->news);
    }
}

bool
line_cut_in(RequestObject *request)
{
    struct line *line = request->line;

    if (line->held > 0 || (!csq_list_empty(&line->requests) && line_is_begun(line))) {
        return false;
    }
    Py_INCREF(request);
    csq_list_prepend(&line->requests, &request->place);
    return true;
}
