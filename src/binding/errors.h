/* The one door from a struct csq_error to a raised sqlite3 exception. */

#ifndef CSQ_ERRORS_H
#define CSQ_ERRORS_H

#include "binding/module.h"
#include "bridge/request.h"
#include "engine/error.h"

/* Loop thread, GIL held. Raises what `error` says, with the class, the message
 * and the attributes sqlite_errorcode and sqlite_errorname that the sqlite3
 * module gives it. Takes `cause`, the exception of a callback (or NULL), which becomes
 * its __cause__; with CSQ_RAISED it is what is raised. */
void errors_raise(struct module_state *state, const struct csq_error *error, PyObject *cause);

/* Raises what the request's job failed with; for struct bridge. */
void errors_raise_request(PyObject *request);

/* 0 when the request's job went well, else -1 with its exception, which may be
 * one that the request has held since packing. */
int errors_check(struct module_state *state, RequestObject *request);

#endif
