/* What the bridge needs of a module's state: one per interpreter.
 *
 * GIL held. */

#ifndef CSQ_STATE_H
#define CSQ_STATE_H

#include "bridge/asyncio.h"
#include "bridge/stretch.h"
#include "engine/list.h"

struct bridge {
    struct host *host;      /* the kind of loop that is looked for: &asyncio.host */
    struct asyncio asyncio;
    void (*raise)(PyObject *request); /* the error of a request's job; set by who makes them */
    const struct reactor_calls *reactor_calls; /* set once, by delivery.c */
    struct csq_list reactors; /* all that live, by ReactorObject.all */
    int silent;               /* how many of them have no loop any more */
    struct stretch stretch;   /* of awaits that were answered at once */
    unsigned long exiting;    /* the thread in which the process ends; 0: it does not */
    PyTypeObject *reactor_type;
    PyTypeObject *waker_type;
    PyTypeObject *request_type;
    PyTypeObject *ready_type;
    PyTypeObject *callback_task_type;
    PyTypeObject *alarm_type;
    PyObject *deadline; /* context variable: an int, see deadline.h */
    bool deadlines;     /* one was ever set: requests look for theirs */
    int waiting_workers; /* so many wait for a task of a callback */
    PyObject *within; /* context variable: the callback that runs, see callback_task.h */
    bool holds;       /* somebody has asked for a hold: callers are noted, see lease.h */
    PyObject *acting; /* dict: of tasks that act for another, for whom (lease.h) */
    PyObject *ProgrammingError; /* sqlite3's */
};

#endif
