/* What a batched update hook is called with: a sequence of the changes of a
 * transaction. Immutable; any thread, GIL held. */

#ifndef CSQ_CHANGES_OBJECT_H
#define CSQ_CHANGES_OBJECT_H

#include "binding/module.h"
#include "engine/changes.h"

/* Gives a sequence of what stands in `changes`, which it takes; NULL with an exception,
 * and then it takes nothing. */
PyObject *changes_new(struct module_state *state, struct csq_changes *changes);

/* Registers the type. 0, or -1 with an exception. */
int changes_init_type(struct module_state *state, PyObject *module);

#endif
