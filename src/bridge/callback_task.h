/* The task in which the loop awaits what a callback gave, while the worker waits for it.
 *
 * The worker makes one, lets the loop call it, and waits (await.c). The loop calls it twice:
 * to begin the task, and when the task is done; then the worker may go on. GIL held. */

#ifndef CSQ_CALLBACK_TASK_H
#define CSQ_CALLBACK_TASK_H

#include "bridge/reactor.h"
#include "engine/executor.h"

typedef struct CallbackTask CallbackTask;

struct CallbackTask {
    PyObject_HEAD
    struct bridge *bridge;
    struct csq_executor *executor; /* lent: while it waits, it does not end */
    ReactorObject *reactor; /* of the loop; until the worker goes on */
    PyObject *awaitable; /* until the task begins */
    PyObject *task;      /* NULL: it has not begun */
    PyObject *result;
    PyObject *exception;
    CallbackTask *outer; /* the one in whose task the statement is awaited, or NULL */
    struct csq_list asked; /* requests under way that its task has made, by RequestObject.asked */
    bool over; /* the worker may go on */
    bool cancelled; /* before the task began */
    bool left; /* the worker has gone on */
};

/* Gives one for the innermost callback in whose context this runs; takes the awaitable. NULL
 * with an exception. */
CallbackTask *callback_task_new(ReactorObject *reactor, struct csq_executor *executor,
                                PyObject *awaitable);

/* Gives the innermost callback in whose context this runs, or NULL. 0, or -1 with an
 * exception. */
int callback_task_current(struct bridge *bridge, CallbackTask **current);

/* Takes an awaitable that is not awaited; a coroutine is told, lest it complain. The exception
 * stays. */
void callback_task_refuse(struct bridge *bridge, PyObject *awaitable);

/* Cancels the task, so that the worker goes on soon. The exception stays. */
void callback_task_cancel(CallbackTask *self);

/* Lets the worker go on now: the loop is closed. */
void callback_task_forsake(CallbackTask *self);

/* Whether the task is done, of which the worker is about to hear. -1 with an exception. */
int callback_task_is_done(CallbackTask *self);

/* Registers the type and the context variable. 0, or -1 with an exception. */
int callback_task_init(struct bridge *bridge, PyObject *module);

#endif
