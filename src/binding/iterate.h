/* The iterator of `async for` over a cursor, and what a loop is still to see when its
 * cursor executes something else.
 *
 * aiosqlite's loop goes through a list of iter_chunk_size rows, whatever happens to the
 * cursor meanwhile. Here the rows stay at the cursor until something ends its result set;
 * then the loop keeps as many as that list would have had left. Loop thread, GIL held. */

#ifndef CSQ_ITERATE_H
#define CSQ_ITERATE_H

#include "binding/cursor.h"

/* Gives an iterator over the rows of `cursor`. */
PyObject *iterate_new(CursorObject *cursor);

/* In a pack hook of what ends the cursor's result set: lets the worker step what a loop is
 * still to see of it first. */
void iterate_ask(RequestObject *request);

/* At the end of such a pack hook, as cursor_send(). */
enum request_answer iterate_send(RequestObject *request);

/* Before the rows that are here are dropped: lets a loop keep what it is still to see, with
 * what the worker has stepped for it in `job` (NULL: nothing). 0, or -1 with MemoryError. */
int iterate_keep(CursorObject *cursor, struct csq_job *job);

/* Registers the type. 0, or -1 with an exception. */
int iterate_init_type(struct module_state *state, PyObject *module);

#endif
