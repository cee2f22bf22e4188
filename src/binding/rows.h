/* Rows: cells to the objects that a caller asked for.
 *
 * Loop thread, GIL held. */

#ifndef CSQ_ROW_OBJECTS_H
#define CSQ_ROW_OBJECTS_H

#include "binding/cursor.h"

/* Gives the next row that lies in `strip`, which must not be empty, as the
 * cursor's row factory makes it; NULL with an exception. */
PyObject *rows_take(CursorObject *cursor, struct csq_strip *strip, struct csq_reader *reader);

/* Takes rows into `list` until `strip` is empty, the list has `limit` of them or
 * `slice_end` has passed. 0, or -1 with an exception. */
int rows_fill(CursorObject *cursor, struct csq_strip *strip, struct csq_reader *reader,
              PyObject *list, Py_ssize_t limit, int64_t slice_end);

/* Gives `values`, which it takes, as `factory` makes a row of it. `names`: the
 * columns' names, a tuple. */
PyObject *rows_make(struct module_state *state, PyObject *factory, PyObject *names,
                    PyObject *values);

/* Gives the description of a result set, None if there is none (PEP 249). */
PyObject *rows_description(CursorObject *cursor);

/* Gives a tuple of converters for the columns, or NULL: no column has one (or,
 * with an exception, a failure). */
PyObject *rows_converters(CursorObject *cursor);

/* Takes in the result set that the job of `request` has begun, if any: what stands in it
 * besides rows. 0, or -1 with an exception. */
int rows_take_result(CursorObject *self, RequestObject *request);

#endif
