/* A table from names of tables to those who want something of them.
 *
 * Not locked; its owner guards it. Names are compared as SQLite compares them. */

#ifndef CSQ_INTEREST_H
#define CSQ_INTEREST_H

#include "engine/list.h"

enum { CSQ_INTEREST_BUCKETS = 1024 };

/* A name that somebody has an interest in. */
struct csq_interest {
    struct csq_interest *next;
    struct csq_list wants; /* of its owner's links; it goes when the last one does */
    char name[];
};

struct csq_interests {
    struct csq_interest **buckets; /* NULL: there are none yet */
};

/* Frees what is left when there is nothing in it. */
void csq_interests_clear(struct csq_interests *interests);

/* NULL: nobody has an interest in it. */
struct csq_interest *csq_interest_find(const struct csq_interests *interests, const char *name);

/* Adds a link to those of a name. NULL: no memory, it stands nowhere. */
struct csq_interest *csq_interest_add(struct csq_interests *interests, const char *name,
                                      struct csq_link *want);

/* Takes a link out. */
void csq_interest_remove(struct csq_interests *interests, struct csq_interest *interest,
                         struct csq_link *want);

#endif
