/* What SQLite has of a user's callables: functions and collations, and what all methods
 * that take a callable have in common. Unlike SQLite, it replaces and removes what a statement
 * is in the middle of using.
 *
 * Worker thread, GIL not held. */

#ifndef CSQ_REGISTRY_H
#define CSQ_REGISTRY_H

#include "binding/visit.h"

/* What a method that sets a callable was called with. */
struct callable_call {
    PyObject *callable; /* NULL: what is there is removed */
    PyObject *name;     /* of a function or collation */
    PyObject *id;       /* which hook of its kind; NULL: the one without an id */
    PyObject *factory;  /* makes what a hook is called with; or NULL */
    int number;         /* of arguments or steps; which events */
    bool deterministic;
    bool directonly;
    bool innocuous;
    bool batch;
};

enum { CALLABLE_OBJECTS = 4 };

/* Gives the callback for the request's callable, NULL when it has none (or no memory, with
 * *rc set). */
struct callback *registry_callback(RequestObject *request, int *rc);

/* Registers or removes what the job asks for, a struct callable_call of its request. Gives
 * SQLite's code; the caller tells of a failure. */
int registry_set(struct csq_job *job, sqlite3 *handle, enum callback_kind kind);

/* Lets SQLite call the authorizer, NULL: none; where somebody wants to know what is read, that
 * is noted first. */
int registry_tell_authorizer(struct csq_db *db, struct callback *callback);

/* An authorizer or a listener to traces has been set: if the db is sealed, SQLite is told again
 * once nothing runs. */
void registry_put_off(struct csq_db *db);

#endif
