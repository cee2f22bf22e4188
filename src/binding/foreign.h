/* Connections of other modules: a sqlite3.Connection, a SQLCipher one, a subclass of either. Their
 * executor is a worker that calls Python, and csqlite/foreign.py says what each method calls.
 *
 * Loop thread, GIL held. */

#ifndef CSQ_FOREIGN_H
#define CSQ_FOREIGN_H

#include "binding/method.h"

/* Gives an executor that is not started, or NULL with MemoryError. CSQ_OPEN calls what the
 * request has as its struct call (calls.h), and keeps what that gives until CSQ_CLOSE
 * has closed it. */
struct csq_executor *foreign_new(struct gate *gate);

/* Visits what a foreign executor keeps, as tp_traverse does of its one holder; nothing of
 * any other one. What it is about to close is nobody's garbage any more. */
int foreign_traverse(struct csq_executor *executor, visitproc visit, void *arg);

/* A connection has been opened: where a foreign executor did that, the connection gets what the
 * request has got, and answers from now on by foreign_answer(). */
void foreign_take(ConnectionObject *self, RequestObject *request);

/* ConnectionObject.answers: gives a request that calls the other module in its turn. */
PyObject *foreign_answer(const struct method *method, PyObject *self, PyObject *const *args,
                         Py_ssize_t nargs, PyObject *kwnames);

/* Raises NotSupportedError, which names the module: it has not what only csqlite has. -1. */
int foreign_refuse(ConnectionObject *connection, const char *what);

#endif
