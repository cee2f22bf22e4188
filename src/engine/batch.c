/* BEGIN takes no lock: the first statement does, as it would by itself, in whichever database
 * it writes to, and waits for it in its own name. */

#include "engine/batch.h"

#include "engine/claim.h"
#include "engine/scan.h"
#include "engine/snapshot.h"
#include "engine/transaction.h"

/* So many statements are remembered that must stay outside, by a number of their text; one that
 * looks like another one stays outside with it, which does no harm. */
static uint64_t
number_of(const struct csq_job *job)
{
    uint64_t number = 14695981039346656037u; /* FNV-1a */

    for (size_t i = 0; i < job->sql_size; i++) {
        number = (number ^ (unsigned char)job->sql[i]) * 1099511628211u;
    }
    return number == 0 ? 1 : number;
}

static bool
is_shunned(const struct csq_db *db, const struct csq_job *job)
{
    uint64_t number;

    if (db->batch.shunned[0] == 0) {
        return false;
    }
    number = number_of(job);
    for (int i = 0; i < CSQ_BATCH_SHUNNED; i++) {
        if (db->batch.shunned[i] == number) {
            return true;
        }
    }
    return false;
}

void
csq_batch_shun(struct csq_db *db, const struct csq_job *job)
{
    if (!is_shunned(db, job)) {
        db->batch.shunned[db->batch.next] = number_of(job);
        db->batch.next = (db->batch.next + 1) % CSQ_BATCH_SHUNNED;
    }
}

/* Whether it may ask how many rows were changed before it, by changes() or total_changes(): SQLite
 * does not forget what was undone. */
static bool
asks_for_changes(const struct csq_job *job)
{
    return sqlite3_strlike("%changes%", job->sql, 0) == 0;
}

bool
csq_batch_suits(struct csq_db *db, struct csq_job *job)
{
    if (db->batch.most < 2 || job->alone || job->within != 0 ||
        (job->op != CSQ_EXECUTE && job->op != CSQ_EXECUTEMANY)) {
        return false;
    }
    if (job->with.steps.begin != NULL && atomic_load(&db->published.autocommit) != CSQ_AUTO) {
        return false;
    }
    return (job->op == CSQ_EXECUTE || csq_flow_is_complete(&job->flow)) &&
           csq_scan_is_dml(job->sql) && !asks_for_changes(job) && !is_shunned(db, job);
}

bool
csq_batch_allows(const struct csq_db *db)
{
    return db->batch.most > 1 && db->handle != NULL && sqlite3_get_autocommit(db->handle) &&
           db->held == 0 && db->running <= 1 && csq_list_empty(&db->blobs) &&
           db->handlers[CSQ_AUTHORIZER].argument == NULL &&
           !csq_hooks_any(&db->hooks, CSQ_ON_UPDATE) &&
           !csq_hooks_any(&db->hooks, CSQ_ON_PREUPDATE) &&
           !csq_hooks_any(&db->hooks, CSQ_ON_COMMIT) &&
           !csq_hooks_any(&db->hooks, CSQ_ON_ROLLBACK) && !csq_transaction_is_shared(db, NULL);
}

/* Runs SQL of which nobody is to hear. An interrupt is meant for a statement of somebody's. */
static int
run_hidden(struct csq_db *db, const char *sql, struct csq_error *error)
{
    int rc;

    db->hooks.hidden = true;
    do {
        csq_error_clear(error);
        rc = csq_db_run(db, sql, error);
    } while (rc == SQLITE_INTERRUPT);
    db->hooks.hidden = false;
    return rc;
}

/* It is over, committed or not. */
static void
end(struct csq_db *db)
{
    db->batch.open = false;
    if (db->claimed && db->running == 0) {
        csq_claim_end(db);
    } else {
        csq_claim_settle(db);
    }
    csq_db_publish(db);
}

bool
csq_batch_begin(struct csq_db *db)
{
    struct csq_error error;
    int rc;

    csq_snapshot_release(db);
    csq_error_init(&error);
    rc = run_hidden(db, "BEGIN", &error);
    csq_error_clear(&error);
    db->batch.open = rc == SQLITE_OK;
    db->batch.total = csq_db_total_changes(db);
    db->batch.last = sqlite3_last_insert_rowid(db->handle);
    return db->batch.open;
}

int
csq_batch_commit(struct csq_db *db, struct csq_error *error)
{
    int rc = run_hidden(db, "COMMIT", error);

    if (rc != SQLITE_OK) {
        csq_batch_undo(db);
        return rc;
    }
    atomic_fetch_add(&db->published.group_commits, 1);
    end(db);
    return SQLITE_OK;
}

void
csq_batch_undo(struct csq_db *db)
{
    struct csq_error ignored;

    csq_error_init(&ignored);
    if (!csq_batch_is_lost(db)) {
        run_hidden(db, "ROLLBACK", &ignored);
    }
    csq_error_clear(&ignored);
    sqlite3_set_last_insert_rowid(db->handle, db->batch.last);
    db->batch.undone += csq_db_total_changes(db) - db->batch.total;
    end(db);
}

bool
csq_batch_is_lost(const struct csq_db *db)
{
    return sqlite3_get_autocommit(db->handle) != 0;
}

bool
csq_batch_owes(const struct csq_db *db)
{
    int now = 0;
    int most = 0;

    return sqlite3_db_status(db->handle, SQLITE_DBSTATUS_DEFERRED_FKS, &now, &most, 0) ==
               SQLITE_OK &&
           now != 0;
}
