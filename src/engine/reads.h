/* Which tables are read, as SQLite asks its authorizer: of everything that a connection prepares
 * meanwhile, also from within what it runs.
 *
 * The worker begins and notes; whoever has a csq_reads may end it in any thread. */

#ifndef CSQ_READS_H
#define CSQ_READS_H

#include <stdbool.h>

#include "engine/changes.h"
#include "engine/list.h"

/* What was read. */
struct csq_reads {
    struct csq_link link;      /* among those of the connection */
    struct csq_changes tables; /* an operation stands for "read"; a database "": any */
    bool lost;                 /* there was no memory for one */
};

void csq_reads_init(struct csq_reads *reads);

/* It must have ended. */
void csq_reads_clear(struct csq_reads *reads);

/* From now on what the connection reads is noted; nothing is, yet. */
void csq_reads_begin(struct csq_reads *reads, struct csq_list *all);

/* No longer; harmless if it was not. */
void csq_reads_end(struct csq_reads *reads);
void csq_reads_end_all(struct csq_list *all);

/* Whether anybody wants to know. */
bool csq_reads_any(const struct csq_list *all);

/* What an authorizer is asked. */
void csq_reads_note(struct csq_list *all, int action, const char *table, const char *database);

#endif
