/* What most tests of jobs need: a worker with a database, the mailbox its answers
 * come to, and jobs that are filled in one line.
 *
 * The thread that calls these is the loop; only one may use an office's mailbox. */

#ifndef OFFICE_H
#define OFFICE_H

#include "engine/harness.h"
#include "engine/job.h"
#include "engine/mailbox.h"
#include "engine/native.h"
#include "engine/worker.h"

struct office {
    struct csq_crew *crew;
    struct csq_executor *executor;
    struct csq_mailbox mailbox;
    struct csq_cursor cursor; /* of office_run() */
};

/* Starts a worker and opens `path` in it, NULL: a database in memory. */
void office_open(struct office *office, const char *path);

/* The same, with everything that can be said about opening. Gives the code. */
int office_open_as(struct office *office, const struct csq_open *open);

/* Closes the database, waits for the thread's end and frees everything. */
void office_close(struct office *office);

/* How tests open: read and write, create, wait ten seconds for a lock. */
struct csq_open office_defaults(const char *path);

/* Makes `job` one of `op`, to come back to the office; `cursor` and `sql` may be NULL. */
void office_job(struct office *office, struct csq_job *job, enum csq_op op,
                struct csq_cursor *cursor, const char *sql);

/* Pushes a job; it is checked that the worker takes it. */
void office_push(struct office *office, struct csq_job *job);

/* Waits with poll() until `job` is done. What else comes meanwhile is noted in
 * those jobs' `done`. Gives the job's error code. */
int office_wait(struct office *office, struct csq_job *job);

/* Waits until there is news and gives it. */
struct csq_job *office_next(struct office *office);

/* Pushes and waits. */
int office_do(struct office *office, struct csq_job *job);

/* As office_do(), but the worker may have ended: then the job fails with CSQ_CLOSED. */
void office_try(struct office *office, struct csq_job *job);

/* Executes `sql` without parameters and drops the answer. Gives the code. */
int office_run(struct office *office, const char *sql);

/* Executes `sql` and gives the integer of its first row, INT64_MIN: there is none. */
int64_t office_number(struct office *office, const char *sql);

/* Makes `job` a CSQ_CALL that stands before `gate`, so that what is queued behind
 * it waits, and pushes it. */
void office_hold(struct office *office, struct csq_job *job, struct gate *gate);

/* Gives the database an SQL function pass() that stands before `gate` and is 1. */
void office_teach_pass(struct office *office, struct gate *gate);

/* Puts `count` rows of one integer each, from `first` on, as parameters. */
void rows_put(struct csq_strip *strip, int64_t first, int count);

#endif
