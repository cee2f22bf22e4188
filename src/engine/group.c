/* Jobs are run in the order in which they came. A batch that is undone leaves no traces, so
 * its jobs can be run once more as if for the first time: what they were given is kept until
 * they are done for good. Each job stands outside at most once, and is dropped at most once: so it
 * ends. */

#include "engine/group.h"

#include "engine/batch.h"
#include "engine/clock.h"
#include "engine/ops.h"
#include "engine/transaction.h"

enum {
    /* A batch is committed when this has passed: the first of it waits for the last. */
    BATCH_NANOSECONDS = 10 * 1000 * 1000,
    /* So long readers may hold up the commit of all, before each tries by itself. */
    COMMIT_NANOSECONDS = 100 * 1000 * 1000,
};

struct group {
    struct csq_worker *worker;
    struct csq_db *db;
    struct csq_list *behind; /* what may come next */
    struct csq_list pending; /* what comes before that: it has to be run once more */
    struct csq_list members; /* what has run in the batch that is open, to be committed */
    struct csq_list done;
    int taken;   /* how many jobs it has taken up */
    int64_t end; /* when it takes no more, by csq_now() … */
    int64_t late; /* … and when what runs in the batch that is open has to let the others go */
};

/* What is to become of a job that has run in the batch. */
enum verdict {
    KEEP,  /* it is committed with the others; or it has failed, and left nothing */
    DROP,  /* it is done; what it has left, and so the batch, has to be undone */
    ALONE, /* it has to be run by itself, and the batch undone for that */
};

static struct csq_job *
job_of(struct csq_link *link)
{
    return csq_item(link, struct csq_job, link);
}

/* A job of the group stands in its lists by a link of their own. */
static struct csq_job *
member(struct csq_link *link)
{
    return csq_item(link, struct csq_job, along);
}

static struct csq_job *
enter(struct csq_job *job)
{
    csq_link_init(&job->along);
    return job;
}

/* -- gathering -------------------------------------------------------------------- */

static bool
is_next(struct csq_db *db, const struct csq_list *behind)
{
    return !csq_list_empty(behind) && csq_batch_suits(db, job_of(behind->head.next));
}

/* What has been looked through of what waits. */
struct look {
    const struct csq_link *last;
    int count;
};

/* Whether no more need be waited for: there are enough, or somebody waits for something else, or
 * cannot wait long. */
static bool
is_gathered(struct csq_db *db, const struct csq_list *behind, struct look *look)
{
    while (look->last->next != &behind->head) {
        struct csq_job *job = job_of(look->last->next);

        look->last = look->last->next;
        look->count++;
        if (look->count >= db->batch.most || job->deadline != 0 || !csq_batch_suits(db, job)) {
            return true;
        }
    }
    return false;
}

/* Lets others come, for as long as the db says. */
static void
gather(struct csq_worker *worker, struct csq_db *db, struct csq_list *behind)
{
    const int64_t end = csq_now() + db->batch.delay;
    struct look look = {&behind->head, 1};

    while (!is_gathered(db, behind, &look) && csq_now() < end) {
        csq_worker_more(worker, behind, end);
    }
}

bool
csq_group_begins(struct csq_worker *worker, struct csq_db *db, struct csq_job *job,
                 struct csq_list *behind)
{
    if (!csq_batch_suits(db, job)) {
        return false;
    }
    if (csq_list_empty(behind)) {
        csq_worker_more(worker, behind, 0);
    }
    if (db->batch.delay > 0 && job->deadline == 0) {
        gather(worker, db, behind);
    }
    return is_next(db, behind);
}

/* Gives the next job; NULL: there is none. */
static struct csq_job *
take(struct group *group)
{
    struct csq_link *link = csq_list_shift(&group->pending);

    if (link != NULL) {
        return member(link);
    }
    if (group->taken >= group->db->batch.most || csq_now() >= group->end) {
        return NULL;
    }
    if (csq_list_empty(group->behind)) {
        csq_worker_more(group->worker, group->behind, 0);
    }
    if (!is_next(group->db, group->behind)) {
        return NULL;
    }
    group->taken++;
    return enter(job_of(csq_list_shift(group->behind)));
}

/* -- once more -------------------------------------------------------------------- */

/* Lets a job that has run be as before. */
static void
renew(struct csq_db *db, struct csq_job *job)
{
    struct csq_steps *steps = &job->with.steps;

    csq_cursor_reset(job->cursor, &db->cache);
    csq_strip_clear(&job->up);
    csq_columns_put(job->columns);
    job->columns = NULL;
    csq_error_clear(&job->error);
    job->renewed = true;
    steps->joined = steps->exhausted = steps->empty = false;
    steps->first_name = 0;
    steps->changes = -1;
    steps->last_rowid = steps->row = 0;
    steps->at = 0;
}

static void
renew_all(struct csq_db *db, const struct csq_list *jobs)
{
    struct csq_link *link;

    for (link = jobs->head.next; link != &jobs->head; link = link->next) {
        renew(db, member(link));
    }
}

/* Gives `jobs` back to the worker, which comes to them next. `alone`: it has to run them one by
 * one. */
static void
put_back(struct group *group, struct csq_list *jobs, bool alone)
{
    while (!csq_list_empty(jobs)) {
        struct csq_job *job = member(jobs->head.prev);

        csq_link_remove(&job->along);
        job->alone = alone;
        csq_list_prepend(group->behind, &job->link);
    }
}

/* Whether nobody waits any more for a job that has run, and it has left something. */
static bool
is_given_up(struct csq_job *job)
{
    return atomic_load(&job->cancelled) == CSQ_GIVEN_UP && job->error.code == SQLITE_OK;
}

/* Undoes the batch if somebody was cancelled since he has run, and lets the others run once more
 * without him. Whether that was so. */
static bool
drop_given_up(struct group *group)
{
    struct csq_list kept;
    struct csq_list dropped;
    struct csq_link *link;

    csq_list_init(&kept);
    csq_list_init(&dropped);
    while ((link = csq_list_shift(&group->members)) != NULL) {
        csq_list_append(is_given_up(member(link)) ? &dropped : &kept, link);
    }
    csq_list_move(&group->members, &kept);
    if (csq_list_empty(&dropped)) {
        return false;
    }
    csq_batch_undo(group->db);
    renew_all(group->db, &group->members);
    csq_list_move(&group->pending, &group->members);
    csq_list_move(&group->done, &dropped);
    return true;
}

/* Lets those who have written, as far as they know, fail with `error`. */
static void
fail_all(struct group *group, const struct csq_error *error)
{
    struct csq_link *link;

    for (link = group->members.head.next; link != &group->members.head; link = link->next) {
        struct csq_job *job = member(link);

        if (job->error.code == SQLITE_OK) {
            csq_strip_clear(&job->up);
            csq_error_set(&job->error, error->code, "%s",
                          error->message == NULL ? "" : error->message);
            job->error.extended = error->extended;
        }
    }
}

/* How long readers may hold up the commit: nobody's deadline passes meanwhile. *writes: of how
 * many it is. */
static int64_t
end_of_commit(const struct group *group, int *writes)
{
    int64_t end = csq_now() + COMMIT_NANOSECONDS;
    struct csq_link *link;

    *writes = 0;
    for (link = group->members.head.next; link != &group->members.head; link = link->next) {
        const struct csq_job *job = member(link);

        end = job->deadline != 0 && job->deadline < end ? job->deadline : end;
        *writes += job->error.code == SQLITE_OK;
    }
    return end;
}

/* Commits the batch, if one is open. False: there are jobs to be run once more before that. */
static bool
commit(struct group *group)
{
    struct csq_db *db = group->db;
    enum csq_outcome outcome = CSQ_COMMITTED;
    struct csq_error error;
    int writes;

    if (db->batch.open && drop_given_up(group)) {
        return false;
    }
    csq_error_init(&error);
    if (db->batch.open && csq_list_empty(&group->members)) {
        csq_batch_undo(db);
    } else if (db->batch.open) {
        db->batch.end = end_of_commit(group, &writes);
        outcome = csq_batch_commit(db, member(group->members.head.prev), writes, &error);
    }
    if (outcome == CSQ_UNDONE) { /* whose fault that is cannot be known */
        renew_all(db, &group->members);
        put_back(group, &group->members, true);
    } else if (outcome == CSQ_FAILED) {
        fail_all(group, &error);
    }
    csq_list_move(&group->done, &group->members);
    csq_error_clear(&error);
    return true;
}

/* -- judging ---------------------------------------------------------------------- */

/* What was stopped is done with. What has failed fails once more, by itself: with what it leaves
 * behind then, rows or the last rowid. */
static enum verdict
judge_failure(const struct csq_job *job)
{
    const int code = job->error.code;
    bool stopped = code == SQLITE_INTERRUPT || code == CSQ_DEADLINE || code == CSQ_CANCELLED;

    return stopped ? DROP : ALONE;
}

/* A constraint undoes what its statement has written as far as it would by itself (with OR FAIL
 * that is not all); SQLite promises that of nothing else. */
static bool
has_undone_itself(const struct csq_error *error)
{
#ifdef SQLITE_CONSTRAINT_DATATYPE
    if (error->extended == SQLITE_CONSTRAINT_DATATYPE) {
        return false;
    }
#endif
    return error->code == SQLITE_CONSTRAINT;
}

static enum verdict
judge(struct group *group, struct csq_job *job)
{
    struct csq_db *db = group->db;
    const int code = job->error.code;

    if (db->batch.late) {
        return ALONE;
    }
    if (csq_batch_is_lost(db)) {
        if (code == SQLITE_CONSTRAINT) {
            csq_batch_shun(db, job);
        }
        return judge_failure(job);
    }
    if (job->cursor->stmt != NULL || db->batch.nested) {
        csq_batch_shun(db, job);
        return ALONE;
    }
    if (atomic_load(&job->cancelled) && !csq_transaction_is_answered(job)) {
        return DROP;
    }
    if (csq_batch_owes(db)) {
        return ALONE;
    }
    if (code == SQLITE_OK || has_undone_itself(&job->error)) {
        return KEEP;
    }
    if (code == SQLITE_BUSY && csq_list_empty(&group->members)) {
        return DROP; /* it has waited for nobody but others */
    }
    return judge_failure(job);
}

/* -- running ---------------------------------------------------------------------- */

/* Undoes the batch, and lets those in it run once more; what comes behind them is for a group of
 * its own, or for none. */
static void
start_over(struct group *group, struct csq_job *job, enum verdict verdict)
{
    csq_batch_undo(group->db);
    put_back(group, &group->pending, false);
    if (verdict == DROP) {
        csq_list_append(&group->done, &job->along);
    } else {
        renew(group->db, job);
        job->alone = true;
        csq_list_prepend(group->behind, &job->link);
    }
    renew_all(group->db, &group->members);
    csq_list_move(&group->pending, &group->members);
}

static void
run_within(struct group *group, struct csq_job *job)
{
    struct csq_db *db = group->db;
    enum verdict verdict;

    db->batch.stepped = db->batch.nested = db->batch.late = false;
    db->batch.end = csq_list_empty(&group->members) ? 0 : group->late;
    csq_op_run(db, job);
    db->batch.end = 0;
    if (!db->batch.stepped && !csq_batch_is_lost(db)) {
        /* It was refused, or has failed before it did anything: that is said once. */
        csq_list_append(&group->done, &job->along);
        return;
    }
    verdict = judge(group, job);
    if (verdict == KEEP) {
        csq_list_append(&group->members, &job->along);
    } else {
        start_over(group, job, verdict);
    }
}

static void
run(struct group *group, struct csq_job *job)
{
    struct csq_db *db = group->db;

    if (!csq_worker_may_run(job)) {
        csq_op_skip(db, job);
        csq_list_append(&group->done, &job->along);
    } else if (db->batch.open) {
        run_within(group, job);
    } else if (csq_batch_allows(db) && csq_batch_begin(db)) {
        group->late = csq_now() + BATCH_NANOSECONDS;
        run_within(group, job);
    } else {
        csq_list_prepend(&group->pending, &job->along);
        put_back(group, &group->pending, true);
    }
}

bool
csq_group_run(struct csq_worker *worker, struct csq_db *db, struct csq_job *job,
              struct csq_list *behind)
{
    struct csq_job *const head = job;
    struct group group = {.worker = worker,
                          .db = db,
                          .behind = behind,
                          .taken = 1,
                          .end = csq_now() + BATCH_NANOSECONDS};
    bool done;

    csq_list_init(&group.pending);
    csq_list_init(&group.members);
    csq_list_init(&group.done);
    run(&group, enter(head));
    do {
        while ((job = take(&group)) != NULL) {
            run(&group, job);
        }
    } while (!commit(&group));
    done = !csq_link_alone(&head->along); /* else it stands in `behind` */
    csq_link_remove(&head->along);
    csq_list_move(&worker->along, &group.done);
    return done;
}
