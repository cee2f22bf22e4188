/* What every async method returns: a lazy awaitable that is also an async context
 * manager, with the job embedded.
 *
 * Nothing runs before it is awaited. The first send() packs the parameters and
 * pushes the job; the reactor unpacks what comes back and wakes the task;
 * the last send() gives the result. Loop thread, GIL held. */

#ifndef CSQ_REQUEST_H
#define CSQ_REQUEST_H

#include "bridge/request_object.h"

/* Starts it without an awaiting task. Gives the future that tells when it is
 * done, or NULL with an exception. */
PyObject *request_start(RequestObject *request);

/* Ends it with what came of it: PYGEN_RETURN with the result, or PYGEN_ERROR. */
PySendResult request_finish(RequestObject *request, PyObject **result);

/* What the first send() is made of. Finds the running loop's reactor: 0, or -1 with an
 * exception. */
int request_find_reactor(RequestObject *request);

/* Whether the job may need the GIL. */
bool request_is_gated(const RequestObject *request);

/* Hands the job to the worker. 0, or -1 with an exception. */
int request_push(RequestObject *request);

/* It cannot be waited for: what packing began is undone. The exception stays. */
void request_give_up(RequestObject *request);

/* The awaiting task goes away: so does what the worker does for it. */
void request_leave(RequestObject *request);

/* Nobody waits for its answer any more: what it leaves behind is cleaned up when it is its
 * turn. Its stage says so already. */
void request_abandon(RequestObject *request);

/* Packs; a hook of the request runs meanwhile. */
enum request_answer request_pack(RequestObject *request);

/* Whether the process ends while its loop, of another thread, goes on: nobody there is to
 * hear that the database is closed. What is awaited then stays awaited. */
bool request_is_left(const RequestObject *request);

/* The job was not run: raises why. REQUEST_FAILED. */
enum request_answer request_refuse(RequestObject *request);

/* For the reactor: takes in news until `slice_end`. */
enum request_answer request_advance(RequestObject *request, int64_t slice_end);

/* For the reactor, after that: wakes who waits, if it is settled. That runs a task's
 * next step, which may be to forget all that the request holds: so it takes the
 * request. 0, or -1 with an exception as wake() of host.h. */
int request_wake(RequestObject *request);

/* For the reactor: the loop is closed, so nobody will hear of it. */
void request_forsake(RequestObject *request);

/* Registers the type (coroutine.c). 0, or -1 with an exception. */
int request_init(struct bridge *bridge, PyObject *module);

#endif
