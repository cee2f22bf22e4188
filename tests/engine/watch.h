/* A VFS that tells when somebody is kept waiting for a lock, so that a test can act
 * in the middle of a wait without guessing when that is. For one thread at a time,
 * and for databases in a rollback journal: locks of a WAL go another way. */

#ifndef WATCH_H
#define WATCH_H

#include "engine/harness.h"

/* Registers the VFS (once a program) and lends its name. From now on `gate` is
 * reached when an attempt to lock a database fails; NULL: nobody is told. */
const char *watch_locks(struct gate *gate);

#endif
