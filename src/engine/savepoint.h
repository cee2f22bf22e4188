/* What a statement does with savepoints, read off its text: SQLite has no hook for it. Any
 * thread; nothing is allocated. */

#ifndef CSQ_SAVEPOINT_H
#define CSQ_SAVEPOINT_H

#include <stdbool.h>

enum { CSQ_SAVEPOINT_NAME = 128 };

enum csq_savepoint_action {
    CSQ_SAVEPOINT_SET,
    CSQ_SAVEPOINT_RELEASE,
    CSQ_SAVEPOINT_BACK, /* ROLLBACK TO */
};

struct csq_savepoint {
    enum csq_savepoint_action action;
    bool fits; /* all of its name stands in … */
    char name[CSQ_SAVEPOINT_NAME];
};

/* Reads a statement that SQLite has accepted. False: it does nothing with savepoints. */
bool csq_savepoint_read(const char *sql, struct csq_savepoint *savepoint);

#endif
