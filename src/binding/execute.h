/* What executing has in common, one statement or many. Loop thread, GIL held. */

#ifndef CSQ_EXECUTE_H
#define CSQ_EXECUTE_H

#include "binding/cursor.h"

/* Fills a request from (sql, parameters). 0, or -1 with an exception. */
int execute_fill(RequestObject *request, PyObject *const *values);

/* The pack hook of a connection's method, whose cursor is the request's own: `pack`, as if
 * the cursor were made now. */
enum request_answer execute_on_own(RequestObject *request,
                                   enum request_answer (*pack)(RequestObject *request));

/* In a pack hook: lends the job the SQL and what the connection says
 * about how to run it. `method` is for the message. 0, or -1 with an exception. */
int execute_prepare(RequestObject *request, const char *method);

/* In a pack hook: the same, and packs the parameters. 0, or -1 with an exception. */
int execute_pack_one(RequestObject *request);

/* The hooks of what gives a list of all rows, on a cursor of its own. */
enum request_answer execute_pack_all(RequestObject *request);
enum request_answer execute_unpack_all(RequestObject *request, int64_t slice_end);

/* Ends a pack hook that cannot use the cursor, or the iterable of parameters, with the
 * exception that is set. */
enum request_answer execute_refuse(RequestObject *request);

/* Ends a pack hook whose SQL cannot be prepared, with the exception that is set: it is raised
 * by execute_check(), once the worker has let go of what the cursor holds. */
enum request_answer execute_reset(RequestObject *request);

/* In an unpack hook: 0, or -1 with the exception that the job has failed with, or that
 * packing has ended with. */
int execute_check(RequestObject *request);

/* In an unpack hook: warns, where the running Python's sqlite3 module does, of a
 * sequence bound to named placeholders. 0, or -1 when the warning is an error. */
int execute_warn(RequestObject *request);

/* The `sql` hook. */
PyObject *execute_sql(RequestObject *request);

/* In an unpack hook: lets the request end with its cursor. */
enum request_answer execute_give_cursor(RequestObject *request);

#endif
