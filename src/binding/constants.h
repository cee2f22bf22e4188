/* The names of SQLite's constants that are no result codes. Any thread. */

#ifndef CSQ_CONSTANTS_H
#define CSQ_CONSTANTS_H

#include "binding/codes.h"

extern const struct code constants[];
extern const size_t constants_count;

#endif
