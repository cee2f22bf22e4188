/* Who keeps somebody from a lock: what is told of it, and who it is in other processes. */

#ifndef CSQ_BLOCKER_H
#define CSQ_BLOCKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/writers.h"

struct csq_blocker {
    bool read;     /* nobody was waited for: the transaction has read before */
    bool circle;   /* nobody was waited for: who has the lock waits for this connection */
    bool reader;   /* it reads, and a commit waits for it */
    bool ours;     /* it is a connection of this process that stands in the line */
    int64_t held;  /* ours: for how long, in nanoseconds */
    int64_t process; /* otherwise: its process; 0: not known */
    char sql[CSQ_WRITER_SQL]; /* ours: the beginning of what it has written last */
};

/* A lock on a database file, or on its log, as the system knows it. */
struct csq_lock {
    int64_t process; /* 0: it is not told */
    bool writes;     /* else it reads */
};

/* Any thread. Gives how many such locks there are, and copies at most `room` of them, those that write first: one
 * for each process. The system is asked, not waited for: meanwhile they may have changed. Where it does not
 * tell (only Linux does), there are none. No database file is opened. */
size_t csq_blocker_locks(const char *path, struct csq_lock *locks, size_t room);

/* Any thread. The process that has the lock to write; 0: nobody, or it is not told. `readers`: one that reads.
 * Where the list of locks does not say whose it is, the process `known` is looked at, if it is not 0, or else,
 * with `deep`, all are, which takes some microseconds for each file that they have open. */
int64_t csq_blocker_process(const char *path, bool readers, int64_t known, bool deep);

#endif
