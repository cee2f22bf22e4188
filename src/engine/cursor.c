/* The worker's half of a cursor. While it is open it stands in a list of its
 * db, so that closing the connection finds every statement, whoever still holds
 * a cursor. */

#include "engine/cursor.h"

void
csq_cursor_init(struct csq_cursor *cursor)
{
    csq_link_init(&cursor->open);
    cursor->stmt = NULL;
    cursor->dump = NULL;
    csq_strip_init(&cursor->parameters);
    cursor->lender = NULL;
    cursor->result = 0;
    cursor->busy = false;
    cursor->standing = false;
    csq_strip_init(&cursor->line);
    cursor->late = false;
    cursor->ended = false;
    cursor->texts = false;
    csq_strip_init(&cursor->rest);
    cursor->abandoned = false;
}

/* Apart, so that others do not pay for it. */
__attribute__((noinline)) static void
give_back_parameters(struct csq_cursor *cursor)
{
    csq_strip_move(cursor->lender, &cursor->parameters);
    cursor->lender = NULL;
}

void
csq_cursor_reset(struct csq_cursor *cursor, struct csq_cache *cache)
{
    struct csq_stmt *stmt = cursor->stmt;
    bool busy = cursor->busy;

    /* Resetting may end a transaction: what hears of that finds a cursor it cannot use. */
    cursor->busy = true;
    if (stmt != NULL) {
        cursor->stmt = NULL;
        csq_stmt_put(cache, stmt);
    }
    cursor->standing = false;
    cursor->late = false;
    cursor->ended = false;
    if (cursor->lender != NULL) {
        give_back_parameters(cursor);
    }
    csq_strip_clear(&cursor->parameters);
    csq_strip_clear(&cursor->line);
    if (cursor->rest.first != NULL) {
        csq_strip_clear(&cursor->rest);
    }
    csq_dump_free(cursor->dump);
    cursor->dump = NULL;
    csq_link_remove(&cursor->open);
    cursor->busy = busy;
}
