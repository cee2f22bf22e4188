/* What a watch was told, as tuples and lists. GIL held. */

#ifndef CSQ_TOLD_H
#define CSQ_TOLD_H

#include "bridge/compat.h"
#include "engine/watches.h"

/* Gives (what, rows): bits, and a list of (operation, database, table, rowid). NULL with an
 * exception. The watch must not change meanwhile what it wants. */
PyObject *told_news(const struct csq_news *news);
PyObject *told_sum(const struct csq_changes *sum, unsigned what);

/* Appends an item, which it takes; NULL: there is none, for an exception. 0 or -1. */
int told_append(PyObject *list, PyObject *item);

#endif
