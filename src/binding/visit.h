/* A visit to Python: what every callback of SQLite does on its way to a user's callable.
 *
 * Worker thread, or a thread that runs a job in its place. A visit begins without the
 * GIL and ends without it; in between, the callable runs with the context variables of
 * the task that awaits the statement. */

#ifndef CSQ_VISIT_H
#define CSQ_VISIT_H

#include <sqlite3.h>

#include "binding/module.h"
#include "bridge/gate.h"
#include "bridge/request.h"
#include "engine/db.h"

enum callback_kind {
    CALLBACK_HANDLER,
    CALLBACK_FUNCTION,
    CALLBACK_AGGREGATE,
    CALLBACK_WINDOW,
    CALLBACK_COLLATION,
};

/* What SQLite is given as the argument of a callback. It is owned by SQLite, or by the
 * db for handlers, and freed with callback_free(). */
struct callback {
    struct csq_link registered; /* in db->registered, for functions and collations */
    struct gate *gate;
    struct csq_db *db; /* lent: it ends after its callbacks */
    struct module_state *state;
    PyObject *owner;    /* the type of the connection: keeps the module's state alive */
    PyObject *callable; /* NULL: removed, while SQLite could not let go of it */
    enum callback_kind kind;
    enum csq_effect bound; /* no more may be done in it */
    int arity;
    int flags;
    char *name; /* of a function or collation, else NULL */
};

/* GIL held. Gives a callback, or NULL with MemoryError. */
struct callback *callback_new(struct module_state *state, struct gate *gate, struct csq_db *db,
                              PyObject *callable);

/* GIL not held. Takes a callback, or NULL. */
void callback_free(void *callback);

struct visit {
    struct module_state *state;
    struct gate *gate;
    struct csq_db *db;
    PyObject *callable; /* a reference, because a callback may remove itself; or NULL */
    PyObject *entered;  /* the context that was entered, or NULL */
    PyObject *before;   /* lent: the one that was entered before */
    enum csq_effect bound; /* of the db before */
    int sealed;            /* the same */
};

/* Takes the GIL. */
void visit_begin(struct visit *visit, const struct callback *callback);

/* The same in the middle of a job, for what SQLite has no callback of ours for:
 * `state` and `callable` are NULL then, so only visit_await() and visit_end() may follow. */
void visit_enter(struct visit *visit, struct gate *gate, struct csq_db *db);

/* Why a statement cannot go on: csq_db.undone. */
#define VISIT_UNDONE "the transaction was rolled back within a callback"

/* On a visit, until its end: lets Python do no more with the connection than `bound`, */
void visit_narrow(struct visit *visit, enum csq_effect bound);

/* … or nothing at all. */
void visit_seal(struct visit *visit);

/* On a visit. Gives what `result`, which is taken, comes to: awaited if it can be.
 * `result` may be NULL, with an exception. */
PyObject *visit_await(struct csq_db *db, PyObject *result);

/* Gives it back. No exception may be set. */
void visit_end(struct visit *visit);

/* Gives callable(*arguments), awaited if it can be; NULL with an exception.
 * arguments[-1] may be written to. */
PyObject *visit_call(struct visit *visit, PyObject *callable, PyObject **arguments, size_t count);

/* On a visit. Gives `result`, which it takes, where the statement can go on; NULL with an
 * exception where its transaction is gone: csq_db.undone. `result` may be NULL. */
PyObject *visit_go_on(struct csq_db *db, const struct module_state *state, PyObject *result);

/* On a visit. Takes an exception, or NULL, for what the running statement raises. */
void visit_keep(struct csq_db *db, PyObject *exception);

/* Takes the current exception (or none) as why the statement fails: the first of them
 * becomes the __cause__ of what is raised. */
void visit_fail(struct visit *visit);

/* Takes the current exception (or none) as what the step of the statement raises once
 * SQLite is done with it: for callbacks that cannot tell SQLite of a failure. */
void visit_raise(struct visit *visit);

/* Takes the current exception (or none): the statement goes on. */
void visit_ignore(struct visit *visit);

#endif
