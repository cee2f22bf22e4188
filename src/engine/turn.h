/* An event loop's turns: when what has come back from workers is taken in, for how long at
 * a stretch, and when a loop that has nothing else to do waits for it awake.
 *
 * It knows no kind of loop: whoever has one watches the mailbox's descriptor, calls
 * csq_turn_run() when that is readable, and gives the calls below. While anything is left
 * to take in, the descriptor stays readable, also while a turn is under way: so a loop that
 * is run within a step of a task comes for it as well.
 *
 * Loop thread, unless marked otherwise; whoever calls from another one keeps the loop's
 * thread out meanwhile. Nothing is allocated, so nothing but csq_turn_init() can fail. */

#ifndef CSQ_TURN_H
#define CSQ_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/list.h"
#include "engine/mailbox.h"

struct csq_turn;

enum csq_turn_answer {
    CSQ_TURN_RAISED = -1, /* what ends the turn, for whoever runs it to tell */
    CSQ_TURN_DONE,
    CSQ_TURN_MORE, /* more is there than fitted; what has the news is still there */
};

struct csq_turn_calls {
    /* Gives the link by which a job that has come back stands in line. */
    struct csq_link *(*news)(struct csq_job *job);

    /* Takes in news until `slice_end`, and then, with `tell`, lets go on who waits for them. */
    enum csq_turn_answer (*take_in)(struct csq_link *news, int64_t slice_end, bool tell);

    /* How many calls the loop is about to make; below 0: that is not known. */
    long (*others)(struct csq_turn *turn);
};

struct csq_turn {
    const struct csq_turn_calls *calls;
    struct csq_mailbox mailbox;
    struct csq_list under_way; /* whose jobs are not done: links of the caller's */
    int gated;                 /* how many of them are not to be waited for awake */
    /* The rest is the turn's own. */
    struct csq_list fresh; /* what has news */
    struct csq_list large; /* what has more news than one slice */
    bool left;             /* the last turn has left something */
    int64_t turned;        /* when the loop was last known to turn */
    int64_t latency;       /* how long it takes the loop to come when it is woken */
    unsigned misses;       /* how often waiting was in vain, at a stretch */
    unsigned skips;        /* how often not to wait, for that */
};

/* 0, or -1 with errno set; csq_turn_destroy() is called in either case. */
int csq_turn_init(struct csq_turn *turn, const struct csq_turn_calls *calls);

/* When no job names its mailbox any more. */
void csq_turn_destroy(struct csq_turn *turn);

/* Lets news be taken in by the loop's next turn, as if by mail. */
void csq_turn_deliver(struct csq_turn *turn, struct csq_link *news);

/* Takes the mail, so that what has come is noted in its jobs; the loop's next turn takes it
 * in. */
void csq_turn_collect(struct csq_turn *turn);

/* The descriptor is readable: takes in what there is, new news before old, within the
 * turn's budget, and what comes while the loop has nothing else to do. False when one of
 * the calls has raised; what is left is taken in next time. */
bool csq_turn_run(struct csq_turn *turn);

/* Before a job is pushed: whether its answer may be waited for right here, because the loop
 * has nothing else to do. Then the caller pushes it and calls csq_turn_wait(). */
bool csq_turn_attend(struct csq_turn *turn);

/* After csq_turn_attend(): waits for an answer, for less time than it takes to let a task
 * sleep and wake it again. Whether there is one for `news`; it has been taken in. */
bool csq_turn_wait(struct csq_turn *turn, struct csq_link *news);

/* After csq_turn_attend(), when the job could not be pushed: does not wait. */
void csq_turn_disregard(struct csq_turn *turn);

/* Gives the next one that has news, out of its line; NULL: none. For a loop that is gone. */
struct csq_link *csq_turn_drop(struct csq_turn *turn);

/* Whether csq_turn_drop() would give nothing. */
bool csq_turn_idle(struct csq_turn *turn);

#endif
