/* The worker's way into the interpreter: for a user's own callable, and for
 * nothing else.
 *
 * A gate belongs to one worker and one interpreter. It enters through a thread
 * state of its own (not PyGILState, which knows only the main interpreter), made
 * at the first call: a connection without callbacks never has one. Counted by
 * reference, as the worker may outlive its connection. */

#ifndef CSQ_GATE_H
#define CSQ_GATE_H

#include "bridge/compat.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct lease; /* lease.h */

struct gate {
    atomic_int references;
    struct lease *lease;           /* lent: the connection's; for its requests */
    PyInterpreterState *interpreter;
    bool forked;                   /* this process is a child of the worker's; GIL held */
    bool used;                     /* there are or were callbacks; loop thread */
    PyThreadState *own;            /* NULL until the worker first enters */
    PyObject *callback_context; /* lent: the context that is entered, or NULL; GIL held */
    struct CallbackTask *callback_task; /* lent: what the worker waits for, or NULL; GIL held */
    /* While a thread runs a job in the worker's place, holding the db's lock. */
    _Atomic(PyThreadState *) lent;
    _Atomic(pthread_t) lender;
};

/* Any thread, GIL held. Gives a gate, or NULL with MemoryError. */
struct gate *gate_new(void);

/* Any thread. Takes a reference. */
void gate_put(struct gate *gate);

/* Any thread. Gives another reference. */
struct gate *gate_get(struct gate *gate);

/* Any thread, holding the db's lock: lends its thread state for the job that it is
 * about to run in the worker's place; NULL: takes it back. */
void gate_lend(struct gate *gate, PyThreadState *state);

/* Any thread. Whether it is the one whose thread state is lent. */
bool gate_is_lender(struct gate *gate);

/* Worker thread: makes the thread state that gate_enter() takes, unless there is one.
 * False: no memory. Without this before it, gate_enter() ends the process then. */
bool gate_ready(struct gate *gate);

/* Worker thread: gives the thread state to enter with, made if need be. */
PyThreadState *gate_state(struct gate *gate);

/* Worker thread, GIL not held: takes the GIL. Each enter is followed by a leave. */
static inline void
gate_enter(struct gate *gate)
{
    bool usual = atomic_load(&gate->lent) == NULL && gate->own != NULL;

    PyEval_RestoreThread(usual ? gate->own : gate_state(gate));
}

/* Worker thread, in a child that a callback has forked: ends the process. Behind the
 * callback there is the parent's statement, which the child must not go on with. */
_Noreturn void gate_leave_child(void);

/* Worker thread: gives the GIL back. */
static inline void
gate_leave(struct gate *gate)
{
    if (gate->forked) {
        gate_leave_child();
    }
    PyEval_SaveThread();
}

/* Worker thread, at its end: deletes the thread state and takes the reference.
 * `gate` is a struct gate *. */
void gate_end(void *gate);

#endif
