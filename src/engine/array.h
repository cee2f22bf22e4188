/* Many values of one type, bound as one parameter of carray().
 *
 * Written by whoever makes it, then never changed: a parameter on its way, a
 * statement and a Python object may all hold one, and the last of them frees it.
 * Counted by reference. */

#ifndef CSQ_ARRAY_H
#define CSQ_ARRAY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum csq_array_type {
    CSQ_ARRAY_INT32, /* these are SQLite's numbers, SQLITE_CARRAY_… */
    CSQ_ARRAY_INT64,
    CSQ_ARRAY_DOUBLE,
    CSQ_ARRAY_TEXT, /* char *, each ends with a 0 */
    CSQ_ARRAY_BLOB, /* struct iovec */
};

struct csq_array {
    atomic_int references;
    enum csq_array_type type;
    int count;
    char *room; /* bytes behind the values, for what texts and blobs point to */
    /* Aligned for each of the types. */
    union {
        int64_t integer;
        double real;
        void *pointer;
    } values[];
};

/* Any thread. Gives an array for `count` values, still to be written, with `room`
 * bytes behind them; or NULL: no memory. */
struct csq_array *csq_array_new(enum csq_array_type type, int count, size_t room);

/* Any thread. Gives another reference. */
struct csq_array *csq_array_get(struct csq_array *array);

/* Any thread. Takes a reference, or NULL. */
void csq_array_put(struct csq_array *array);

#endif
