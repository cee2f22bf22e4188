/* A whole life of a database, through worker and mailbox, that goes on after a failure
 * as a program would, and keeps a ledger: which transactions were acknowledged.
 *
 * Whoever arms a fault runs it, and then asks whether the file holds what the ledger
 * says. The thread that runs it is the loop. */

#ifndef SCENARIO_H
#define SCENARIO_H

#include "engine/harness.h"
#include "engine/office.h"

enum { KEYS = 16 };

/* What a reopened database may hold of a transaction. */
enum outcome {
    ABSENT,  /* nothing: it was rolled back, or never asked to commit */
    INDOUBT, /* all or nothing: its commit failed */
    WHOLE,   /* all: its commit was acknowledged */
};

struct scenario {
    /* What to run. */
    const char *path;    /* NULL: in memory */
    const char *copy;    /* where a backup goes */
    const char *journal; /* PRAGMA journal_mode */
    const char *synchronous;
    bool brief;     /* transactions only */
    bool reckless;  /* the file may be found corrupt: no journal, or a disk that lies */
    bool no_memory; /* messages may be missing */
    bool quiet;     /* what is wrong afterwards is not printed */

    /* What came of it. */
    struct office office;
    struct csq_cursor cursor;
    struct csq_session session;
    struct csq_blob blob;
    enum outcome outcomes[KEYS];
    int rows[KEYS]; /* of each transaction that was tried */
    bool failed;    /* a job has failed */
    bool given_up;  /* not even a rollback was possible: nothing more is written */
};

/* Runs it up to where the database is to be closed. False: there was no memory even for
 * a worker, and nothing is left to be ended. */
bool scenario_run(struct scenario *scenario);

/* Whether the connection answers `select 1`, once faults are gone; one that was never
 * opened counts as well. */
bool scenario_answers(struct scenario *scenario);

/* Closes the connection and waits for the worker's end. */
void scenario_end(struct scenario *scenario);

/* Whether the file, opened anew, is sound and holds what was acknowledged. With
 * `losses`, the last transactions may be missing, but none without those behind it. */
bool scenario_is_kept(const struct scenario *scenario, bool losses);

/* Whether a file is no database, or PRAGMA integrity_check finds nothing wrong.
 * With `reported`, finding something is as good. */
bool scenario_is_sound(const char *path, bool reported);

/* Fills in what to run: a database at harness_path("main.db") and its copy beside it, of
 * which no file is left. The paths are `paths`, which are lent. */
struct scenario_paths {
    char main[600];
    char copy[600];
};
void scenario_init(struct scenario *scenario, struct scenario_paths *paths, const char *journal);

/* Waits until the engine has no memory left, then gives how much SQLite has. */
int64_t scenario_memory(void);

/* How many descriptors are open; -1 where that cannot be asked. */
int scenario_descriptors(void);

#endif
