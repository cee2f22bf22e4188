/* What stays open between two jobs of one cursor: a statement on its way with
 * the parameters bound to it, or a dump.
 *
 * Worker thread, but for init. The memory belongs to whoever made it and
 * outlives every job that names it. */

#ifndef CSQ_CURSOR_H
#define CSQ_CURSOR_H

#include <stdint.h>

#include "engine/cells.h"
#include "engine/dump.h"
#include "engine/list.h"
#include "engine/stmt.h"

struct csq_cursor {
    struct csq_link open;        /* in the db's list while something is open */
    struct csq_stmt *stmt;       /* NULL: none */
    struct csq_dump *dump;       /* NULL: none */
    struct csq_strip parameters; /* bound to stmt */
    struct csq_strip *lender;    /* where they go back to when it is reset; NULL: nowhere */
    int64_t result; /* how many result sets jobs have begun: the number of the last */
    bool busy; /* a job of it runs, or it is being reset */
    bool standing; /* on a row that is still to be taken, or with one in `line` */
    struct csq_strip line; /* the next line of the dump */
    bool late; /* a deadline has stopped it behind the rows that were given */
    bool ended; /* by csq_reset() or a transaction's begin, with rows still to come */
    bool texts; /* its rows are read with the texts that converters take */
    struct csq_strip rest; /* the rows that were still to come, where a begin has ended it */
    bool abandoned; /* a CSQ_UNDO may be queued that names it: for whoever frees it,
                                    only they and csq_worker_abandon() use it */
};

/* Any thread. Nothing is open in it. */
void csq_cursor_init(struct csq_cursor *cursor);

/* Ends what is open: the statement goes back to `cache`, so that it holds no
 * snapshot. Harmless when nothing is open. */
void csq_cursor_reset(struct csq_cursor *cursor, struct csq_cache *cache);

#endif
