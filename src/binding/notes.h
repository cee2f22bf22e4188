/* What exceptions say beside their message: csqlite/notes.py makes it, when one is raised.
 *
 * Loop thread, GIL held. */

#ifndef CSQ_NOTES_H
#define CSQ_NOTES_H

#include "binding/connection.h"

/* Lets the current exception, which the request ends with, tell of its SQL, of the place in it,
 * of the row of executemany() and of the file. It stays the current one, whatever fails here. */
void notes_of_request(RequestObject *request);

/* The same for an error of running `sql` (or NULL) that was kept, and is raised now. */
void notes_of_error(ConnectionObject *connection, PyObject *sql, const struct csq_error *error);

/* Gives the start of SQL as a str that is quoted, for repr(): "" where it is not to be shown.
 * NULL with an exception. */
PyObject *notes_excerpt(PyObject *sql);

#endif
