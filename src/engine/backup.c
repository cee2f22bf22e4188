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

#include "engine/claim.h"
#include "engine/snapshot.h"

enum {
    TRIES = 20,
    SLICE_PAGES = 512, /* copied between two looks whether anybody still waits */
};

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
finish(struct csq_backup *backup, struct csq_db *source)
{
    int rc = SQLITE_OK;

    if (backup->handle != NULL) {
        rc = sqlite3_backup_finish(backup->handle);
        backup->handle = NULL;
        source->copies--;
        csq_claim_end(backup->target);
        csq_db_backup_ended(backup->target);
    }
    return rc;
}

/* Copies all pages. A read transaction of the source keeps what is copied as it is from
 * one slice to the next; without it, all has to be one slice. */
static int
copy_all(struct csq_backup *backup, struct csq_db *source)
{
    int rc;

    if (sqlite3_stricmp(backup->name, "main") == 0) {
        csq_snapshot_hold(source);
    }
    do {
        rc = sqlite3_backup_step(backup->handle, source->snapshot.held ? SLICE_PAGES : -1);
    } while (rc == SQLITE_OK && !csq_db_is_stopped(source));
    csq_snapshot_release(source);
    return rc;
}

/* Holding both locks. The turn to write to the target's file, and its locks, are waited for as long as
 * anybody waits for the source's job. The first step takes them, and they are kept until the last. */
static int
copy(struct csq_backup *backup, int pages, struct csq_db *source)
{
    struct csq_error ignored; /* that it is busy is all that is told */
    atomic_int *stop = backup->target->stop;
    int64_t deadline = backup->target->deadline;
    int rc;

    backup->target->stop = source->stop;
    backup->target->deadline = source->deadline;
    csq_error_init(&ignored);
    rc = csq_claim_call(backup->target, "main", "backup()", &ignored);
    csq_error_clear(&ignored);
    if (rc == SQLITE_OK) {
        rc = pages > 0 ? sqlite3_backup_step(backup->handle, pages) : copy_all(backup, source);
    }
    csq_claim_end(backup->target);
    backup->target->stop = stop;
    backup->target->deadline = deadline;
    return rc;
}

/* Holding both locks. */
static int
step(struct csq_backup *backup, int pages, struct csq_db *source, struct csq_error *error)
{
    sqlite3 *target = backup->target->handle;
    int rc;

    if (target == NULL || source->handle == NULL) {
        finish(backup, source);
        return csq_error_set(error, CSQ_CLOSED, "Cannot operate on a closed database.");
    }
    csq_snapshot_release(backup->target);
    if (backup->handle == NULL) {
        backup->handle = sqlite3_backup_init(target, "main", source->handle, backup->name);
        if (backup->handle == NULL) {
            return csq_error_copy(error, target, sqlite3_errcode(target));
        }
        backup->target->backups++;
        source->copies++;
    }
    rc = copy(backup, pages, source);
    backup->status = rc;
    backup->remaining = sqlite3_backup_remaining(backup->handle);
    backup->total = sqlite3_backup_pagecount(backup->handle);
    if (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED) {
        return SQLITE_OK;
    }
    rc = finish(backup, source);
    csq_record_replaced(&backup->target->recorder, target);
    csq_db_publish(backup->target);
    return rc == SQLITE_OK ? SQLITE_OK : csq_error_copy(error, target, rc);
}

int
csq_backup_step(struct csq_backup *backup, int pages, struct csq_db *source,
                struct csq_error *error)
{
    int rc = SQLITE_OK;

    backup->status = SQLITE_OK;
    if (pages == 0 && backup->handle == NULL) {
        return SQLITE_OK;
    }
    if (!lock_target(backup->target)) {
        backup->status = SQLITE_BUSY;
        return SQLITE_OK;
    }
    if (pages == 0) {
        finish(backup, source);
    } else if (source->handle == NULL) {
        if (backup->handle != NULL) {
            finish(backup, source);
        }
        rc = csq_error_set(error, CSQ_CLOSED, "Cannot operate on a closed database.");
    } else {
        rc = step(backup, pages, source, error);
    }
    pthread_mutex_unlock(&backup->target->lock);
    return rc;
}

int
csq_backup_save(sqlite3 *source, const char *name, const char *path, struct csq_error *error)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    sqlite3 *target = NULL;
    sqlite3_backup *backup = NULL;
    int rc = sqlite3_open_v2(path, &target, flags, NULL);

    if (rc == SQLITE_OK) {
        backup = sqlite3_backup_init(target, "main", source, name);
        rc = backup == NULL ? sqlite3_errcode(target) : sqlite3_backup_step(backup, -1);
    }
    if (backup != NULL) {
        /* What is busy is not an error of the backup, and so not what finishing gives. */
        int finished = sqlite3_backup_finish(backup);

        rc = rc == SQLITE_DONE ? finished : rc;
    }
    if (rc != SQLITE_OK) {
        csq_error_copy(error, target, rc);
    }
    sqlite3_close(target);
    return rc == SQLITE_OK ? rc : error->code;
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
        finish(backup, source);
        pthread_mutex_unlock(&second->lock);
        pthread_mutex_unlock(&first->lock);
    }
}
