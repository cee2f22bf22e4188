/* A read transaction lasts as long as one statement of it is not done. The statement
 * kept here stands on its first row and is never stepped again; unlike BEGIN it leaves
 * the handle in autocommit mode, so nothing else has to know of it.
 *
 * A user's handlers would hear of a statement that the user does not know. Where there
 * are any, nothing is shared. */

#include "engine/snapshot.h"

#include "engine/clock.h"

/* Others cannot write (with a rollback journal) or reuse the write-ahead log meanwhile. */
enum { HELD_NANOSECONDS = 2 * 1000 * 1000 };

static bool
is_watched(const struct csq_db *db)
{
    for (int handler = 0; handler < CSQ_HANDLERS; handler++) {
        if (db->handlers[handler].argument != NULL) {
            return true;
        }
    }
    return csq_hooks_any(&db->hooks, CSQ_ON_TRACE) || csq_hooks_any(&db->hooks, CSQ_ON_PROGRESS);
}

void
csq_snapshot_hold(struct csq_db *db)
{
    static const char sql[] = "SELECT 1 UNION ALL SELECT 1 FROM sqlite_master";
    int64_t now = csq_now();

    if (db->snapshot.held && now - db->snapshot.since > HELD_NANOSECONDS) {
        csq_snapshot_release(db);
    }
    if (db->snapshot.held || is_watched(db)) {
        return;
    }
    if (db->snapshot.handle == NULL) {
        sqlite3_prepare_v2(db->handle, sql, sizeof sql, &db->snapshot.handle, NULL);
    }
    if (db->snapshot.handle == NULL) {
        return;
    }
    /* A lock that is not to be had is the query's to wait for. */
    db->patient = false;
    db->snapshot.held = sqlite3_step(db->snapshot.handle) == SQLITE_ROW;
    db->patient = true;
    db->snapshot.since = now;
    if (!db->snapshot.held) {
        sqlite3_reset(db->snapshot.handle);
    }
}

void
csq_snapshot_release(struct csq_db *db)
{
    if (db->snapshot.held) {
        sqlite3_reset(db->snapshot.handle);
        db->snapshot.held = false;
    }
}
