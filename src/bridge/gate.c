/* One thread state per worker, kept between calls: making one costs more than
 * the call it is made for. */

#include "bridge/gate.h"

#include <stdlib.h>
#include <unistd.h>

struct gate *
gate_new(void)
{
    struct gate *gate = PyMem_RawCalloc(1, sizeof *gate);

    if (gate == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    atomic_init(&gate->references, 1);
    atomic_init(&gate->lent, NULL);
    gate->interpreter = PyInterpreterState_Get();
    return gate;
}

void
gate_put(struct gate *gate)
{
    if (gate != NULL && atomic_fetch_sub(&gate->references, 1) == 1) {
        PyMem_RawFree(gate);
    }
}

struct gate *
gate_get(struct gate *gate)
{
    atomic_fetch_add(&gate->references, 1);
    return gate;
}

void
gate_lend(struct gate *gate, PyThreadState *state)
{
    atomic_store(&gate->lender, pthread_self());
    atomic_store(&gate->lent, state);
}

bool
gate_is_lender(struct gate *gate)
{
    return atomic_load(&gate->lent) != NULL &&
           pthread_equal(atomic_load(&gate->lender), pthread_self());
}

/* CPython 3.11 crashes in PyThreadState_New() where there is no memory for it. */
static bool
has_memory(void)
{
    void *probe = PyMem_RawMalloc(2 * sizeof(PyThreadState));

    PyMem_RawFree(probe);
    return probe != NULL;
}

bool
gate_ready(struct gate *gate)
{
    if (gate->own == NULL && has_memory()) {
        gate->own = PyThreadState_New(gate->interpreter);
    }
    return gate->own != NULL;
}

PyThreadState *
gate_state(struct gate *gate)
{
    if (gate_is_lender(gate)) {
        return atomic_load(&gate->lent);
    }
    if (!gate_ready(gate)) {
        Py_FatalError("csqlite: no memory for a thread state");
    }
    return gate->own;
}

void
gate_leave_child(void)
{
    _exit(EXIT_FAILURE);
}

void
gate_end(void *argument)
{
    struct gate *gate = argument;

    if (gate->own != NULL) {
        PyEval_RestoreThread(gate->own);
        PyThreadState_Clear(gate->own);
        PyThreadState_DeleteCurrent();
        gate->own = NULL;
    }
    gate_put(gate);
}
