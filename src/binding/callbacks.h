/* A user's Python callables inside SQLite: the handlers that a connection can have, and
 * what all that take a callable have in common.
 *
 * The methods run on the loop thread and give requests; the callables are called
 * on the worker, which takes the GIL for just that call. */

#ifndef CSQ_CALLBACKS_H
#define CSQ_CALLBACKS_H

#include "binding/connection.h"
#include "binding/visit.h"

/* The connection's methods that stand here. */
extern PyMethodDef callbacks_methods[];

/* Worker thread, GIL not held. SQLITE_OK, or the code it leaves in the job's error. */
typedef int (*callbacks_apply)(struct csq_job *job, sqlite3 *handle);

/* Loop thread, GIL held. Gives a request that runs `apply` on the worker, also within
 * callbacks that may not use the connection. arguments[0] is the name, arguments[1] the
 * callable (None: NULL), `number` whatever the function needs. */
PyObject *callbacks_request(ConnectionObject *self, const struct request_hooks *hooks,
                            callbacks_apply apply, PyObject *name, PyObject *callable,
                            Py_ssize_t number);

/* What csq_db.tidy is set to, when something is left to do. */
void callbacks_tidy(struct csq_db *db);

/* Worker thread. An authorizer or a listener to traces has been set: if the db is sealed,
 * SQLite is told again once nothing runs. */
void callbacks_put_off(struct csq_db *db);

/* Worker thread, GIL not held. Gives the callback for the request's callable, NULL when it
 * has none (or no memory, with *rc set). */
struct callback *callbacks_make(RequestObject *request, int *rc);

#endif
