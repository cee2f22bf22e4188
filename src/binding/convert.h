/* Python values to cells and back. Loop thread, GIL held.
 *
 * Down: what SQLite cannot take is not an error yet. The exception is kept and a
 * poisoned cell stands in its place, so that it is raised when its turn comes:
 * after a syntax error, a missing table or a wrong number of bindings, as in the
 * sqlite3 module. */

#ifndef CSQ_CONVERT_H
#define CSQ_CONVERT_H

#include "binding/module.h"
#include "engine/cells.h"

/* Looks whether an adapter is registered for int, float, str, bytes or bytearray.
 * Before the first of some rows that are packed in one go. */
void convert_begin(struct module_state *state);

/* Puts one row of parameters for `sql` (str): a sequence, or a mapping, or NULL
 * for none. *held gets the exception of the first value that is poisoned, if
 * any. 0, or -1 with MemoryError. */
int convert_parameters(struct module_state *state, struct csq_strip *strip, PyObject *sql,
                       PyObject *parameters, PyObject **held);

/* Puts a value of a row that Python gives to SQLite: those that a user function may
 * return. 0, or -1 with an exception, and nothing was put. */
int convert_cell(struct module_state *state, struct csq_strip *strip, PyObject *value);

/* Lends the UTF-8 of `sql`, which must be a str without NUL characters; NULL with
 * an exception. `method` and `argument` are for the message. */
const char *convert_sql(struct module_state *state, PyObject *sql, const char *method,
                        Py_ssize_t *size);

/* Gives the str, bytes … that `factory` makes of a text; NULL with an exception.
 * `column` is for the message. */
PyObject *convert_text(struct module_state *state, const struct csq_cell *cell, PyObject *factory,
                       const char *column);

/* Gives what a value of SQLite's means; NULL with an exception. */
PyObject *convert_value(sqlite3_value *value);

/* Fills arguments[count] with new references to the arguments of a user function. 0, or -1
 * with an exception and none of them. */
int convert_arguments(int count, sqlite3_value **values, PyObject **arguments);

/* Lets `value` be the result of a user function. 0, or -1 with an exception. */
int convert_result(struct module_state *state, sqlite3_context *sql_call, PyObject *value);

#endif
