/* Which table a statement changes, read off its text, without preparing it. Any thread;
 * nothing is allocated. */

#ifndef CSQ_TARGET_H
#define CSQ_TARGET_H

#include <stdbool.h>

enum { CSQ_NAME = 128 };

struct csq_target {
    char schema[CSQ_NAME]; /* empty: none is named */
    char table[CSQ_NAME];
    bool temporary; /* it creates something in "temp" */
};

/* Of INSERT, REPLACE, UPDATE, DELETE, and of CREATE TEMP. False: of another statement, or the
 * names are too long. */
bool csq_target_of(const char *sql, struct csq_target *target);

#endif
