/* sqlite3_backup uses two handles, each of which belongs to a worker. The step
 * runs on the source's worker and takes the target's lock, which its worker holds
 * while it runs a job. It only tries to: two connections that back up into each
 * other would wait for each other for ever. Not getting the lock is "busy", and
 * who asked for the backup tries again, as for any other lock.
 *
 * sqlite3_close_v2() keeps a source alive for its backups, but not a target. The
 * db of a target therefore counts them, and the last one closes what was closed
 * meanwhile. */

#include "engine/backup.h"

#include <time.h>

#include "engine/snapshot.h"

enum { TRIES = 20 };

static bool
lock_target(struct csq_db *target)
{
    const struct timespec pause = {0, 500 * 1000};

    for (int i = 0; i < TRIES; i++) {
        if (pthread_mutex_trylock(&target->lock) == 0) {
            return true;
        }
        nanosleep(&pause, NULL);
    }
    return false;
}

/* Holding both locks. Harmless when it is finished. */
static int
finish(struct csq_backup *backup)
{
    int rc = SQLITE_OK;

    if (backup->handle != NULL) {
        rc = sqlite3_backup_finish(backup->handle);
        backup->handle = NULL;
        csq_db_backup_ended(backup->target);
    }
    return rc;
}

/* Holding both locks. */
static int
step(struct csq_backup *backup, struct csq_db *source, struct csq_error *error)
{
    sqlite3 *target = backup->target->handle;
    int rc;

    if (target == NULL || source->handle == NULL) {
        finish(backup);
        return csq_error_set(error, CSQ_CLOSED, "Cannot operate on a closed database.");
    }
    csq_snapshot_release(backup->target);
    if (backup->handle == NULL) {
        backup->handle = sqlite3_backup_init(target, "main", source->handle, backup->name);
        if (backup->handle == NULL) {
            return csq_error_copy(error, target, sqlite3_errcode(target));
        }
        backup->target->backups++;
    }
    rc = sqlite3_backup_step(backup->handle, backup->pages);
    backup->status = rc;
    backup->remaining = sqlite3_backup_remaining(backup->handle);
    backup->total = sqlite3_backup_pagecount(backup->handle);
    if (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED) {
        return SQLITE_OK;
    }
    rc = finish(backup);
    csq_db_publish(backup->target);
    return rc == SQLITE_OK ? SQLITE_OK : csq_error_copy(error, target, rc);
}

int
csq_backup_step(struct csq_backup *backup, struct csq_db *source, struct csq_error *error)
{
    int rc = SQLITE_OK;

    backup->status = SQLITE_OK;
    if (backup->pages == 0 && backup->handle == NULL) {
        return SQLITE_OK;
    }
    if (!lock_target(backup->target)) {
        backup->status = SQLITE_BUSY;
        return SQLITE_OK;
    }
    if (backup->pages == 0) {
        finish(backup);
    } else if (source->handle == NULL) {
        if (backup->handle != NULL) {
            finish(backup);
        }
        rc = csq_error_set(error, CSQ_CLOSED, "Cannot operate on a closed database.");
    } else {
        rc = step(backup, source, error);
    }
    pthread_mutex_unlock(&backup->target->lock);
    return rc;
}

void
csq_backup_finish(struct csq_backup *backup, struct csq_db *source)
{
    /* In the order of their addresses, as two of these may meet. */
    struct csq_db *first = source < backup->target ? source : backup->target;
    struct csq_db *second = first == source ? backup->target : source;

    if (backup->handle != NULL) {
        pthread_mutex_lock(&first->lock);
        pthread_mutex_lock(&second->lock);
        finish(backup);
        pthread_mutex_unlock(&second->lock);
        pthread_mutex_unlock(&first->lock);
    }
}
