/* The lock of all watches guards the list: noting happens while something is prepared, which takes
 * longer than that. */

#include "engine/reads.h"

#include <sqlite3.h>
#include <stdint.h>

#include "engine/watched.h"

void
csq_reads_init(struct csq_reads *reads)
{
    csq_link_init(&reads->link);
    csq_changes_init(&reads->tables, 0);
    reads->lost = false;
}

void
csq_reads_clear(struct csq_reads *reads)
{
    csq_changes_clear(&reads->tables);
    reads->lost = false;
}

void
csq_reads_begin(struct csq_reads *reads, struct csq_list *all)
{
    csq_watched_lock();
    csq_link_remove(&reads->link);
    csq_reads_clear(reads);
    csq_list_append(all, &reads->link);
    csq_watched_unlock();
}

void
csq_reads_end(struct csq_reads *reads)
{
    csq_watched_lock();
    csq_link_remove(&reads->link);
    csq_watched_unlock();
}

void
csq_reads_end_all(struct csq_list *all)
{
    csq_watched_lock();
    while (csq_list_shift(all) != NULL) {
    }
    csq_watched_unlock();
}

bool
csq_reads_any(const struct csq_list *all)
{
    bool any;

    csq_watched_lock();
    any = !csq_list_empty(all);
    csq_watched_unlock();
    return any;
}

void
csq_reads_note(struct csq_list *all, int action, const char *table, const char *database)
{
    struct csq_link *link;

    if (action != SQLITE_READ || table == NULL) {
        return;
    }
    database = database == NULL ? "" : database; /* of a table no column of which is read */
    csq_watched_lock();
    for (link = all->head.next; link != &all->head; link = link->next) {
        struct csq_reads *reads = csq_item(link, struct csq_reads, link);

        if (!csq_changes_add_any(&reads->tables, SIZE_MAX, SQLITE_INSERT, database, table)) {
            reads->lost = true;
        }
    }
    csq_watched_unlock();
}
