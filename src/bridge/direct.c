/* The job is run by the calling thread in the worker's place. The executor keeps the
 * two apart, and the gate is lent this thread's state, so that a callback runs in it.
 * A thread that is within a job already, because it is in a callback, has both. */

#include "bridge/direct.h"

#include "bridge/await.h"
#include "bridge/context.h"
#include "bridge/deadline.h"
#include "engine/clock.h"

/* How a request is run. */
struct running {
    RequestObject *request;
    PyThreadState *state; /* released by this thread */
    bool within;
};

/* Without the GIL. */
static void
enter(struct csq_job *job, void *outer, void *argument)
{
    struct running *running = argument;

    if (!running->within) {
        gate_lend(running->request->gate, running->state);
    }
    job->client = running->request;
    running->request->outer = outer;
}

/* Without the GIL. */
static void
leave(struct csq_job *job, void *argument)
{
    struct running *running = argument;

    (void)job;
    running->request->outer = NULL;
    if (!running->within) {
        gate_lend(running->request->gate, NULL);
    }
}

/* Whether this thread is in the middle of a job already: it is the worker, or
 * runs one in its place. */
static bool
is_within_job(RequestObject *request)
{
    return request->executor->verbs->is_current(request->executor) ||
           gate_is_lender(request->gate);
}

/* Runs the job here, the GIL released; without `wait`, nothing is waited for, also not a lock
 * of the database's. False: another job did not end in time. */
static bool
run_here(RequestObject *request, bool wait)
{
    struct running running = {.request = request, .within = is_within_job(request)};
    const struct csq_here here = {.within = running.within,
                                  .wait = wait,
                                  .enter = enter,
                                  .leave = leave,
                                  .argument = &running};
    bool run;

    running.state = PyEval_SaveThread();
    run = request->executor->verbs->run_here(request->executor, &request->job, &here);
    PyEval_RestoreThread(running.state);
    return run;
}

int
direct_try(RequestObject *request)
{
    enum request_answer answer;

    request->inline_run = true;
    answer = request_pack(request);
    if (answer == REQUEST_WAIT) {
        bool run = run_here(request, false);

        if (!run || request->job.error.code == SQLITE_BUSY) {
            csq_error_clear(&request->job.error);
            request->inline_run = false;
            return 0;
        }
        request->job.done = true;
        answer = request->hooks->unpack(request, INT64_MAX);
    }
    request->stage = REQUEST_DONE;
    return answer == REQUEST_FAILED ? -1 : 1;
}

/* Runs the packed job and unpacks it. */
static enum request_answer
run_and_unpack(RequestObject *request)
{
    enum request_answer answer;

    if (await_check(request) < 0) {
        return REQUEST_FAILED;
    }
    if (!run_here(request, true)) {
        request->job.refused = true;
        if (request->job.deadline != 0 && csq_now() >= request->job.deadline) {
            csq_error_set(&request->job.error, CSQ_DEADLINE, "it was not begun");
        } else {
            csq_error_set(&request->job.error, SQLITE_BUSY,
                          "the connection is busy with another statement");
        }
    }
    if (request_is_refused(request)) {
        return request_refuse(request);
    }
    request->job.done = true;
    do {
        answer = request->hooks->unpack(request, INT64_MAX);
    } while (answer == REQUEST_AGAIN);
    return answer;
}

/* Lets the head take in what its job has brought, all of it, in a copy of the context in which
 * it was awaited: a loop in another thread that finds the context itself entered cannot let the
 * task go on, and nobody would do so later. Without memory for that it stays where it is. */
static void
take_in(RequestObject *first)
{
    PyObject *entered;

    if (context_enter_copy(first->task_context, &entered) < 0) {
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
direct_catch_up(struct line *line)
{
    while (line->held == 0 && !csq_list_empty(&line->requests)) {
        RequestObject *first = line_first(line);

        if (first->running || first->reactor == NULL) {
            return false;
        }
        reactor_collect(first->reactor);
        if (!first->job.done) {
            return !line_is_begun(line);
        }
        take_in(first);
        if (!csq_list_empty(&line->requests) && line_first(line) == first) {
            return false;
        }
    }
    return line->held == 0;
}

/* The same as the first of its line. Packing has seen to it that nobody is before it, unless
 * what it called has let another thread come; who comes from now on waits behind it. */
static enum request_answer
run_in_line(RequestObject *request)
{
    enum request_answer answer;

    if (request->line == NULL) {
        return run_and_unpack(request);
    }
    if (!line_cut_in(request)) {
        PyErr_SetString(request->bridge->ProgrammingError,
                        "Recursive use of cursors not allowed.");
        return REQUEST_FAILED;
    }
    request->stage = REQUEST_PENDING;
    request->running = true;
    request->line->under_way++;
    answer = run_and_unpack(request);
    request->stage = REQUEST_DONE;
    request->job.done = true;
    request->running = false;
    request->line->under_way--;
    line_go_on(request->line);
    return answer;
}

PyObject *
direct_run(RequestObject *request)
{
    enum request_answer answer;
    PyObject *result = NULL;

    request->inline_run = true;
    request->stage = REQUEST_DONE;
    if (request->bridge->deadlines && deadline_begin(request) < 0) {
        Py_DECREF(request);
        return NULL;
    }
    answer = request_pack(request);
    if (answer == REQUEST_WAIT) {
        answer = run_in_line(request);
    }
    if (answer == REQUEST_READY) {
        request_finish(request, &result);
    }
    Py_DECREF(request);
    return result;
}
