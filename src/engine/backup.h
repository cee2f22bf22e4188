/* The online backup, one step at a time.
 *
 * Worker thread of the source, holding the source's lock. Between two steps
 * both connections are free for other work. */

#ifndef CSQ_BACKUP_H
#define CSQ_BACKUP_H

#include <sqlite3.h>

#include "engine/db.h"
#include "engine/error.h"

struct csq_backup {
    struct csq_db *target;  /* lent; its lock is taken for the step */
    const char *name;       /* lent: the source's schema name */
    sqlite3_backup *handle; /* NULL before the first step and when it is finished */
    int status;             /* out: SQLITE_OK: go on; SQLITE_DONE; busy or locked: try later */
    int remaining;          /* out: pages */
    int total;              /* out: pages */
};

/* Copies the next `pages` pages (negative: all), or, with `pages` 0, ends the backup where it stands. After
 * SQLITE_DONE and after a failure it is finished. Returns SQLITE_OK (see `status`:
 * with SQLITE_BUSY nothing was done) or the code in `error`. */
int csq_backup_step(struct csq_backup *backup, int pages, struct csq_db *source,
                    struct csq_error *error);

/* Worker thread. Copies the schema `name` of `source` into the file `path` in one go.
 * Returns SQLITE_OK or the code in `error`. */
int csq_backup_save(sqlite3 *source, const char *name, const char *path, struct csq_error *error);

/* Any thread that holds neither lock. Ends the backup wherever it stands; waits for
 * what runs on both. Harmless when it is finished. */
void csq_backup_finish(struct csq_backup *backup, struct csq_db *source);

#endif
