/* What SQLite's counters, file controls, checkpoints and events of tracing are called.
 * Any thread. */

#ifndef CSQ_NUMBERS_H
#define CSQ_NUMBERS_H

#include "binding/codes.h"

extern const struct code numbers[];
extern const size_t numbers_count;

#endif
