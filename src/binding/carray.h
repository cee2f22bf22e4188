/* csqlite.carray: many values bound as one parameter, for SQL's carray().
 *
 * Any thread, GIL held. */

#ifndef CSQ_CARRAY_H
#define CSQ_CARRAY_H

#include "binding/module.h"
#include "engine/array.h"

/* Lends the array in `value` if that is a carray; NULL: it is something else. */
struct csq_array *carray_of(const struct module_state *state, PyObject *value);

/* Registers the type. 0, or -1 with an exception. */
int carray_init_type(struct module_state *state, PyObject *module);

#endif
