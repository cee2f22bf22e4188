/* What a pool's methods give that fetch rows: a coroutine which takes an idle connection when it
 * is first awaited, goes on as the connection's own call, and gives the connection back as soon
 * as that has ended, however it ends. Where there is none in the quick way, it goes on as a
 * coroutine of csqlite/pool/.
 *
 * Confined to the pool's loop. GIL held. */

#ifndef CSQ_POOL_CALL_H
#define CSQ_POOL_CALL_H

#include "binding/fetching.h"
#include "binding/pooled.h"

/* Gives one, with the arguments of the method; NULL with an exception. */
PyObject *pool_call_make(PoolObject *pool, enum fetching_kind kind, PyObject *const *args,
                         Py_ssize_t nargs, PyObject *kwnames);

/* Registers the type. 0, or -1 with an exception. */
int pool_call_init_type(struct module_state *state, PyObject *module);

#endif
