/* What of a pool is in the way of every statement: a connection of it, a shelf of them, and how
 * one is taken from there and put back. The rest is csqlite/pool/, whose classes these are the
 * bases of.
 *
 * Confined to the pool's loop. GIL held. */

#ifndef CSQ_POOLED_H
#define CSQ_POOLED_H

#include "binding/connection.h"

/* A connection of a pool. */
typedef struct {
    PyObject_HEAD
    PyObject *db;      /* a ConnectionObject; NULL: it was not set up */
    PyObject *holder;  /* the task that has it; NULL: none, or … */
    PyObject *call;    /* … borrowed: a call has taken it in the quick way; NULL: none */
    double held_since; /* these are in seconds of csq_now() */
    double idle_since;
    double ends;       /* when it is to be replaced */
    char broken;       /* it is not to be handed out again */
} MemberObject;

/* The connections of one kind. */
typedef struct {
    PyObject_HEAD
    struct module_state *state;
    PyObject *idle; /* list of members, the one that came back last at its end */
    PyObject *held; /* set of members */
    long long taken; /* how many were taken in the quick way since somebody counted */
    double used;     /* for how many seconds these were held */
    char quick; /* what is idle may be taken, and put back, without asking shelf.py */
} ShelfObject;

/* The pool itself (pool_object.c). */
typedef struct {
    PyObject_HEAD
    struct module_state *state;
    PyObject *loop;   /* that has opened it; NULL or None: none */
    PyObject *routes; /* dict: the text of a statement -> the shelf where it belongs */
    PyObject *within; /* set: tasks that hold the writer, and must use what they were given */
} PoolObject;

/* Takes an idle connection for `call`: *member is a new reference, NULL where shelf.py has to be
 * asked. 0, or -1 with an exception. */
int pooled_take(ShelfObject *shelf, PyObject *call, MemberObject **member);

/* Takes a member that was taken, and its reference, back. An exception that is set stays. */
void pooled_give_back(ShelfObject *shelf, MemberObject *member);

/* Registers the types. 0, or -1 with an exception. */
int pooled_init_types(struct module_state *state, PyObject *module);

#endif
