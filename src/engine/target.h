/* Which table a statement changes, or which schema, read off its text, without preparing it. Any thread;
 * nothing is allocated. */

#ifndef CSQ_TARGET_H
#define CSQ_TARGET_H

#include <stdbool.h>

enum { CSQ_NAME = 128 };

struct csq_target {
    char schema[CSQ_NAME]; /* empty: none is named */
    char table[CSQ_NAME]; /* … or whatever it is; empty: nothing in particular */
    bool temporary; /* it creates something in "temp" */
};

/* Of INSERT, REPLACE, UPDATE, DELETE, also behind WITH, CREATE, DROP, ALTER, PRAGMA and VACUUM, and of REINDEX
 * and ANALYZE where a schema is named. False: of another statement, or the names are too long. */
bool csq_target_of(const char *sql, struct csq_target *target);

#endif
