/* BEGIN takes no lock: the first statement does, as it would by itself, in whichever database
 * it writes to, and waits for it in its own name. */

#include "engine/batch.h"

#include "engine/claim.h"
#include "engine/cursor.h"
#include "engine/scan.h"
#include "engine/snapshot.h"
#include "engine/transaction.h"

/* How often undoing one is tried: only what cannot go on for long keeps it from being done. */
enum { UNDO_TRIES = 10 };

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

/* Prepares what begins and ends batches, but for what is prepared. False: no memory. */
static bool
prepare_hidden(struct csq_db *db)
{
    static const char *const sql[CSQ_HIDDEN] = {
        [CSQ_HIDDEN_BEGIN] = "BEGIN",
        [CSQ_HIDDEN_COMMIT] = "COMMIT",
        [CSQ_HIDDEN_ROLLBACK] = "ROLLBACK",
    };
    bool prepared = true;

    for (int i = 0; i < CSQ_HIDDEN && prepared; i++) {
        prepared = db->batch.hidden[i] != NULL ||
                   sqlite3_prepare_v3(db->handle, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                      &db->batch.hidden[i], NULL) == SQLITE_OK;
    }
    return prepared;
}

/* Where one was prepared anew, for a new function or the like, the others would be when they are
 * run, and need memory for that. They are prepared now. */
static void
refresh_hidden(struct csq_db *db)
{
    sqlite3_stmt *begin = db->batch.hidden[CSQ_HIDDEN_BEGIN];

    if (sqlite3_stmt_status(begin, SQLITE_STMTSTATUS_REPREPARE, 1) == 0) {
        return;
    }
    for (int i = CSQ_HIDDEN_COMMIT; i < CSQ_HIDDEN; i++) {
        sqlite3_stmt *old = db->batch.hidden[i];

        db->batch.hidden[i] = NULL;
        if (prepare_hidden(db)) {
            sqlite3_finalize(old);
        } else {
            db->batch.hidden[i] = old;
        }
    }
}

/* Runs a statement of which nobody is to hear. */
static int
run_hidden(struct csq_db *db, enum csq_hidden hidden, struct csq_error *error)
{
    sqlite3_stmt *statement = db->batch.hidden[hidden];
    int rc;

    csq_error_clear(error);
    db->hooks.hidden = true;
    rc = csq_db_step(db, statement, error);
    sqlite3_reset(statement);
    db->hooks.hidden = false;
    if (rc == SQLITE_DONE) {
        csq_hooks_settle(&db->hooks);
        rc = SQLITE_OK;
    }
    return rc;
}

/* An interrupt is meant for statements of somebody's. It is forgotten when none of them is under
 * way, so that these fail, too, as long as one is half-read. */
static void
end_interrupt(struct csq_db *db)
{
    while (!csq_list_empty(&db->cursors)) {
        struct csq_cursor *cursor = csq_item(db->cursors.head.next, struct csq_cursor, open);

        csq_cursor_reset(cursor, &db->cache);
        cursor->ended = true;
    }
}

/* It is over, committed or not. */
static void
end(struct csq_db *db)
{
    db->batch.open = false;
    db->batch.end = 0;
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
    if (!prepare_hidden(db)) {
        return false;
    }
    csq_error_init(&error);
    rc = run_hidden(db, CSQ_HIDDEN_BEGIN, &error);
    csq_error_clear(&error);
    refresh_hidden(db);
    db->batch.open = rc == SQLITE_OK;
    db->batch.total = csq_db_total_changes(db);
    db->batch.last = sqlite3_last_insert_rowid(db->handle);
    return db->batch.open;
}

/* Runs COMMIT as a part of `job`, whose callbacks may be called. What they run is not in the
 * batch. */
static int
run_commit(struct csq_db *db, struct csq_job *job, struct csq_error *error)
{
    void *const client = db->client;
    const enum csq_effect bound = db->bound;
    const int running = db->running;
    int rc;

    db->client = job->client;
    db->bound = CSQ_TRANSACTS;
    db->running = 1;
    db->batch.open = false;
    db->hooks.logged = false;
    rc = run_hidden(db, CSQ_HIDDEN_COMMIT, error);
    if (rc == SQLITE_INTERRUPT) {
        rc = run_hidden(db, CSQ_HIDDEN_COMMIT, error);
    }
    db->batch.open = true;
    db->client = client;
    db->bound = bound;
    db->running = running;
    return rc;
}

/* What has come of a COMMIT that failed. */
static enum csq_outcome
outcome_of(const struct csq_db *db, int rc)
{
    if (db->hooks.logged) {
        return CSQ_FAILED;
    }
    if (!csq_batch_is_lost(db) || rc == SQLITE_FULL || rc == SQLITE_NOMEM ||
        rc == SQLITE_CONSTRAINT) {
        return CSQ_UNDONE;
    }
    return CSQ_FAILED;
}

enum csq_outcome
csq_batch_commit(struct csq_db *db, struct csq_job *job, int writes, struct csq_error *error)
{
    int rc = run_commit(db, job, error);
    enum csq_outcome outcome = rc == SQLITE_OK ? CSQ_COMMITTED : outcome_of(db, rc);

    if (rc != SQLITE_OK && !db->hooks.logged) {
        csq_batch_undo(db);
        return outcome;
    }
    if (writes > 1) {
        atomic_fetch_add(&db->published.group_commits, 1);
    }
    end(db);
    return outcome;
}

void
csq_batch_undo(struct csq_db *db)
{
    struct csq_error ignored;

    csq_error_init(&ignored);
    for (int tries = 0; tries < UNDO_TRIES && !csq_batch_is_lost(db); tries++) {
        if (run_hidden(db, CSQ_HIDDEN_ROLLBACK, &ignored) == SQLITE_INTERRUPT && tries > 0) {
            end_interrupt(db);
        }
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
csq_batch_refuses(struct csq_db *db)
{
    db->batch.nested = db->batch.nested || db->batch.open;
    return db->batch.open;
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
