/* SQL functions, aggregates, window functions and collations that are Python callables.
 *
 * The methods run on the loop thread and give requests. Unlike SQLite, they replace and
 * remove what a statement is in the middle of using. */

#ifndef CSQ_FUNCTIONS_H
#define CSQ_FUNCTIONS_H

#include "binding/connection.h"

/* The connection's methods that stand here. */
extern PyMethodDef functions_methods[];

/* Worker thread, GIL not held, between two jobs. Removes what was to be removed while a
 * statement used it. False: some is still in use. */
bool functions_tidy(struct csq_db *db);

#endif
