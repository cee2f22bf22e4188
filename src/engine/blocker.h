/* Who keeps somebody from a lock: what is told of it, and who it is in another process. */

#ifndef CSQ_BLOCKER_H
#define CSQ_BLOCKER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/writers.h"

struct csq_blocker {
    bool read;     /* nobody was waited for: the transaction has read before */
    bool ours;     /* it is a connection of this process that stands in the line */
    int64_t held;  /* ours: for how long, in nanoseconds */
    int64_t process; /* otherwise: its process; 0: not known */
    char sql[CSQ_WRITER_SQL]; /* ours: the beginning of what it has written last */
};

/* Any thread. The process that has the lock to write to the database file at `path`, or to its log, as the
 * system knows it; 0: nobody, or none that the system names. It is asked, not waited for: meanwhile
 * that may have changed. */
int64_t csq_blocker_process(const char *path);

#endif
