/* The names of SQLite's result codes. Any thread. */

#ifndef CSQ_CODES_H
#define CSQ_CODES_H

#include <stddef.h>

struct code {
    const char *name; /* "SQLITE_BUSY" */
    int value;
};

extern const struct code codes[];
extern const size_t codes_count;

/* Lends the name of a primary or extended result code; NULL: it has none. */
const char *codes_name(int value);

#endif
