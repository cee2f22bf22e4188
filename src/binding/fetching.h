/* Rows in one call: methods of a connection that need no cursor.
 *
 * Loop thread, GIL held. */

#ifndef CSQ_FETCHING_H
#define CSQ_FETCHING_H

#include "binding/method.h"

/* What is fetched. */
enum fetching_kind {
    FETCH_ALL,
    FETCH_ONE,
    FETCH_OPTIONAL,
    FETCH_SCALAR,
    FETCH_KINDS, /* how many there are */
};

/* Lends the row of the method table. */
const struct method *fetching_method(enum fetching_kind kind);

/* Methods of a connection. */
extern PyMethodDef fetching_methods[];

#endif
