/* What was committed at once, for all who are told. Any thread. */

#ifndef CSQ_COMMIT_H
#define CSQ_COMMIT_H

#include <stdatomic.h>

#include "engine/changes.h"

/* What else a commit may be, bits. */
enum {
    CSQ_TOLD_UNKNOWN = 1, /* any table may have changed */
    CSQ_TOLD_SCHEMA = 2,  /* tables, views or triggers were made, altered or dropped */
    CSQ_TOLD_ROWS = 4,    /* a watch without rows: tables that it watches have changed */
};

/* What was committed at once; shared by all who are told, and not changed any more. */
struct csq_commit {
    atomic_int references;
    long number; /* of all that were */
    unsigned what;
    struct csq_changes changes;
};

/* Takes the changes. NULL: no memory, they stay. */
struct csq_commit *csq_commit_new(struct csq_changes *changes, unsigned what);
void csq_commit_put(struct csq_commit *commit);

#endif
