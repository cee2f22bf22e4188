/* Who has a connection. A *hold* is what a transaction, or a savepoint in it, is here: while one
 * is open, only requests that belong to it are pushed; all others wait for its end, in the
 * order in which they came. A savepoint's hold stands on the one that it was made in.
 *
 * A request belongs to the hold that it was made through; one that was made on the connection
 * itself belongs to the hold that the task has entered which called the method, and to no other
 * transaction than the one that is open then (csq_job.within). Nothing is noted
 * on a connection that nobody has asked for a hold, and nobody waits there.
 *
 * GIL held; any thread, as several loops may use one connection. */

#ifndef CSQ_LEASE_H
#define CSQ_LEASE_H

#include "bridge/request_object.h"

/* Of a connection. */
struct lease {
    bool used;            /* somebody has asked for a hold */
    bool closed;          /* the connection is: nobody waits any more */
    HoldObject *top;      /* the innermost one that is open; borrowed, NULL: none is */
    int64_t transactions; /* how many were begun: the number of the last */
    struct csq_list patient; /* requests that wait, to begin, for the end of a transaction that is
                                open without a hold; each has a reference, as in HoldObject.waiting */
    PyObject *beginner; /* weak: the task that began the transaction which is open otherwise,
                             or NULL */
};

enum hold_stage {
    HOLD_NEW,
    HOLD_OPENING, /* the worker is about to begin it; others wait already */
    HOLD_OPEN,
    HOLD_ENDING,
    HOLD_OVER,
};

struct HoldObject {
    PyObject_HEAD
    PyObject *connection;
    struct lease *lease; /* lent by the connection */
    struct csq_executor *executor; /* lent by the connection */
    enum hold_stage stage;
    HoldObject *outer; /* what it stands on, a reference; NULL: nothing */
    PyObject *task; /* that has entered it; NULL: it was not entered by one */
    int64_t number; /* of its transaction */
    PyObject *name; /* a str: of the savepoint; NULL: it is a transaction */
    struct csq_list waiting; /* requests that wait for its end, by queued; each has a reference
                                as one that is under way */
    PyObject *watch; /* is called with it when the first begins to wait, or it waits itself
                              for a transaction that is open without a hold; or NULL */
    PyObject *cancelled; /* with what its task was, while it was being ended; or NULL */
    bool watched; /* it was */
    struct csq_job *farewell; /* what undoes it when it is dropped */
    PyObject *weakrefs;
};

void lease_init(struct lease *lease);

/* Gives the task in whose name something is called now: the one that runs, or whom it acts for.
 * NULL: none runs. Raises nothing. */
PyObject *lease_caller(struct bridge *bridge);

/* Lets the running task act for `task` from now on, NULL: for itself. Gives for whom it has
 * acted, None: for itself; NULL with MemoryError. Where no task runs, nothing is kept. */
PyObject *lease_act(struct bridge *bridge, PyObject *task);

/* Gives the task that is to go on with the request's answer, as far as known, otherwise the one
 * that has made it; NULL: neither is known. Raises nothing. */
PyObject *lease_sleeper(const RequestObject *request);

/* Notes who calls the method that has made the request, and in which transaction. */
void lease_note_caller(RequestObject *request, struct lease *lease);

/* The request has begun a transaction of its own, without a hold. */
void lease_note_began(RequestObject *request);

/* Whether the running task has begun the transaction that is open without a hold. */
bool lease_is_beginner(struct lease *lease, PyObject *task);

/* The executor has closed: the request ends with that. */
void lease_tell_closed(RequestObject *request);

/* Submits a request, or lets it wait. What must not run ends with an error. */
void lease_enter(RequestObject *request);

/* Nobody wants its answer any more: if it waits, it does so no longer. Whether it waited. */
bool lease_leave(RequestObject *request);

/* Lends the innermost hold to which what `task` calls on the connection belongs; NULL: none. */
HoldObject *lease_of_task(struct lease *lease, PyObject *task);

/* Where no transaction is open any more, who has waited for that goes on. */
void lease_look(struct lease *lease, const struct csq_executor *executor);

/* The hold, which is about to be begun, waits no longer for a transaction that is open without
 * one: its request ends with the exception. Harmless where it does not wait. */
void lease_tire(HoldObject *hold, PyObject *exception);

/* Whether it is open, or about to be. */
bool hold_stands(const HoldObject *hold);

/* It was begun. */
void hold_opened(HoldObject *hold);

/* It is over: who waits goes on. */
void hold_ended(HoldObject *hold);

/* The same where nobody has ended it: what it has done is undone, before anything that is
 * pushed from now on runs. */
void hold_drop(HoldObject *hold);

#endif
