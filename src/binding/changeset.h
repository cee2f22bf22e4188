/* What can be done with changesets that needs no connection: Changeset, Rebaser.
 *
 * Any thread, GIL held. */

#ifndef CSQ_CHANGESET_H
#define CSQ_CHANGESET_H

#include "binding/module.h"

/* Gives bytes with what is in `data`, bytes or anything else with a buffer; NULL with
 * an exception, which OverflowError is for more than SQLite can take. */
PyObject *changeset_bytes(PyObject *data);

/* Raises what SQLite answered when it was given a changeset. NULL. */
PyObject *changeset_fail(struct module_state *state, int rc);

/* Raises NotSupportedError when SQLite was built without sessions, and gives -1. */
int changeset_check(struct module_state *state);

/* Registers the types. 0, or -1 with an exception. */
int changeset_init_types(struct module_state *state, PyObject *module);

#endif
