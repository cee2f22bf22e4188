/* One change of a changeset, as Python sees it: csqlite.Change.
 *
 * Whatever thread reads the changeset, GIL held. */

#ifndef CSQ_CHANGE_H
#define CSQ_CHANGE_H

#include <sqlite3.h>

#include "binding/module.h"

struct sqlite3_changeset_iter;

/* Gives a Change of what `changes` stands at; NULL with an exception. `conflict` is
 * the reason of a conflict, SQLITE_CHANGESET_…, or 0: there is none. */
PyObject *change_new(struct module_state *state, struct sqlite3_changeset_iter *changes,
                     int conflict);

/* Registers the types and the constants of the session extension. 0, or -1 with an
 * exception. */
int change_init_types(struct module_state *state, PyObject *module);

#endif
