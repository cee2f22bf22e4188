/* Deadlines of requests: what a call is given, and what the context of its task says.
 *
 * A deadline is a time of csq_now(). The worker looks at it while a job runs; a timer of
 * the loop ends what has not begun, and lets the worker hear of it where it waits. Loop
 * thread, GIL held, unless marked otherwise. */

#ifndef CSQ_DEADLINE_H
#define CSQ_DEADLINE_H

#include "bridge/compat.h"
#include "bridge/reactor.h"
#include "bridge/request.h"

/* Any thread, GIL held. Reads a number of seconds; what is longer than a lifetime is one.
 * 0, or -1 with TypeError or, for NaN, ValueError. */
int deadline_read(PyObject *seconds, int64_t *nanoseconds);

/* Any thread, GIL held. Gives the int that the context variable holds for a deadline in so
 * many seconds, or NULL with an exception. From then on requests look at the variable. */
PyObject *deadline_after(struct bridge *bridge, PyObject *seconds);

/* Gives the request back, which has so many seconds from when it is awaited (None: as long as
 * it takes), or takes it and gives NULL with TypeError or ValueError. Passes NULL on. */
PyObject *deadline_set(PyObject *request, PyObject *seconds);

/* The same for an argument that may not have been given: `seconds` is NULL then. */
static inline PyObject *
deadline_limit(PyObject *request, PyObject *seconds)
{
    return seconds == NULL ? request : deadline_set(request, seconds);
}

/* Whether the deadline of this context has passed. */
bool deadline_has_passed(struct bridge *bridge);

/* The same; cheap where none was ever set. */
static inline bool
deadline_is_past(struct bridge *bridge)
{
    return bridge->deadlines && deadline_has_passed(bridge);
}

/* The request is awaited: finds its deadline. 0, or -1 with DeadlineExceeded when that has
 * passed. What ends something (hooks->ending) is begun all the same, and has no deadline. */
int deadline_begin(RequestObject *request);

/* It has a reactor and is about to be pushed: sees to it that it ends. 0, or -1 with an
 * exception. */
int deadline_watch(RequestObject *request);

/* Any thread, GIL held. Raises DeadlineExceeded for the request. `detail` says more; NULL: no more. */
void deadline_raise(RequestObject *request, const char *detail);

/* Registers the type and the context variable. 0, or -1 with an exception. */
int deadline_init(struct bridge *bridge, PyObject *module);

#endif
