/* A turn is bounded by time, not by rows: first all that is new, each in a short slice, so
 * that a large result never delays a small one; then the large ones in turn, until the
 * turn's budget is used up. What is left goes on in the next iteration of the loop, which
 * comes because the descriptor is readable still.
 *
 * A worker that is awake answers a small query within a few microseconds: sooner
 * than the loop could go to its selector, come back and wake the task. When the loop
 * has nothing else to do, nobody loses by waiting for that; and after a while it
 * goes all the same, for the sake of what the selector would bring. Where the loop
 * takes long to come when it is woken, because a Python thread or a task keeps it,
 * each time counts for more: all budgets grow with that. */

#include "engine/turn.h"

#include "engine/clock.h"

enum {
    SLICE_NANOSECONDS = 100 * 1000, /* for one that has news */
    TURN_NANOSECONDS = 150 * 1000,  /* for all of them, before the loop goes on */
    TURN_MOST = 1000 * 1000,
    WAIT_NANOSECONDS = 20 * 1000, /* for an answer, instead of going to the selector */
    WAIT_MOST = 200 * 1000,
    AWAKE_NANOSECONDS = 250 * 1000, /* for all such waiting at a stretch */
    AWAKE_MOST = 5 * 1000 * 1000,
    SLOW_NANOSECONDS = 1000 * 1000,  /* from here on a loop is slow to come */
    LATENCY_MOST = 20 * 1000 * 1000, /* what is longer says no more */
    MISSES_MAX = 3,
};

int
csq_turn_init(struct csq_turn *turn, const struct csq_turn_calls *calls)
{
    turn->calls = calls;
    csq_list_init(&turn->under_way);
    csq_list_init(&turn->fresh);
    csq_list_init(&turn->large);
    turn->gated = 0;
    turn->left = false;
    turn->turned = 0;
    turn->latency = 0;
    turn->misses = 0;
    turn->skips = 0;
    return csq_mailbox_init(&turn->mailbox);
}

void
csq_turn_destroy(struct csq_turn *turn)
{
    csq_mailbox_destroy(&turn->mailbox);
}

/* -- taking mail -------------------------------------------------------------- */

static bool
has_news(const struct csq_turn *turn)
{
    return !csq_list_empty(&turn->fresh) || !csq_list_empty(&turn->large);
}

static void
collect(struct csq_turn *turn)
{
    struct csq_job *job;
    bool more = true;

    while (more && (job = csq_mailbox_take(&turn->mailbox, &more)) != NULL) {
        struct csq_link *news = turn->calls->news(job);

        /* News for one that still stands in a list joins the older news. */
        if (csq_link_alone(news)) {
            csq_list_append(&turn->fresh, news);
        }
    }
}

/* Lets one have a slice; what is left over goes to `large`. */
static enum csq_turn_answer
take_in(struct csq_turn *turn, struct csq_link *news, int64_t now, bool tell)
{
    enum csq_turn_answer answer = turn->calls->take_in(news, now + SLICE_NANOSECONDS, tell);

    if (answer == CSQ_TURN_MORE && csq_link_alone(news)) {
        csq_list_append(&turn->large, news);
    }
    return answer;
}

void
csq_turn_deliver(struct csq_turn *turn, struct csq_link *news)
{
    if (csq_link_alone(news)) {
        csq_list_append(&turn->fresh, news);
    }
    csq_mailbox_ring(&turn->mailbox);
}

void
csq_turn_collect(struct csq_turn *turn)
{
    collect(turn);
    if (has_news(turn)) {
        csq_mailbox_ring(&turn->mailbox);
    }
}

/* Takes in what there is, new news before old, until `end`. False: something was raised. */
static bool
take_in_all(struct csq_turn *turn, int64_t now, int64_t end)
{
    struct csq_list *const lists[] = {&turn->fresh, &turn->large};

    for (int i = 0; i < 2; i++) {
        while (!csq_list_empty(lists[i]) && now < end) {
            if (take_in(turn, csq_list_shift(lists[i]), now, true) == CSQ_TURN_RAISED) {
                return false;
            }
            now = csq_now();
        }
    }
    return true;
}

/* -- waiting without the loop ------------------------------------------------- */

/* A budget of time that is `part` of what it takes the loop to come. */
static int64_t
budget(const struct csq_turn *turn, int64_t least, int part, int64_t most)
{
    int64_t nanoseconds = turn->latency / part;

    return nanoseconds < least ? least : nanoseconds > most ? most : nanoseconds;
}

/* Whether the loop may be kept from going on. When it would go to its selector now,
 * that is nobody's loss. When others are to run, it is theirs; but where the loop is
 * slow to come back, a little of their time saves a task all of that. */
static bool
may_wait(struct csq_turn *turn)
{
    int64_t awake = AWAKE_NANOSECONDS;
    long others;

    if (turn->gated > 0 || has_news(turn)) {
        return false;
    }
    others = turn->calls->others(turn);
    if (others == 0) {
        awake = budget(turn, AWAKE_NANOSECONDS, 1, AWAKE_MOST);
    }
    if (others < 0 || csq_now() - turn->turned > awake ||
        (others > 0 && turn->latency < SLOW_NANOSECONDS)) {
        return false;
    }
    if (turn->skips > 0) {
        turn->skips--;
        return false;
    }
    return true;
}

/* After csq_mailbox_attend(). Whether something has come; it is collected. */
static bool
wait_awake(struct csq_turn *turn)
{
    if (csq_mailbox_wait(&turn->mailbox, budget(turn, WAIT_NANOSECONDS, 2, WAIT_MOST))) {
        turn->misses = 0;
        collect(turn);
        return true;
    }
    if (turn->latency < SLOW_NANOSECONDS) {
        turn->misses += turn->misses < MISSES_MAX;
        turn->skips = (1u << turn->misses) - 1;
    }
    return false;
}

bool
csq_turn_attend(struct csq_turn *turn)
{
    if (!csq_list_empty(&turn->under_way) || !may_wait(turn)) {
        return false;
    }
    return csq_mailbox_attend(&turn->mailbox);
}

bool
csq_turn_wait(struct csq_turn *turn, struct csq_link *news)
{
    bool come = wait_awake(turn) && !csq_link_alone(news);

    if (come) {
        csq_link_remove(news);
        take_in(turn, news, csq_now(), false);
    }
    /* What is another's waits for the loop, and so does what did not fit. */
    if (has_news(turn)) {
        csq_mailbox_ring(&turn->mailbox);
    }
    return come;
}

void
csq_turn_disregard(struct csq_turn *turn)
{
    if (csq_mailbox_wait(&turn->mailbox, 0)) {
        collect(turn);
        csq_mailbox_ring(&turn->mailbox);
    }
}

/* -- a turn ------------------------------------------------------------------- */

/* Takes in what there is, and what comes while the loop has nothing else to do. False:
 * something was raised. */
static bool
advance(struct csq_turn *turn)
{
    int64_t budgeted = budget(turn, TURN_NANOSECONDS, 2, TURN_MOST);
    int64_t now = turn->turned;
    /* What comes while it waits does not make the turn as long again. */
    int64_t end = now + (budgeted > AWAKE_NANOSECONDS ? budgeted : AWAKE_NANOSECONDS);

    do {
        if (!take_in_all(turn, now, now + budgeted < end ? now + budgeted : end)) {
            return false;
        }
        if (csq_list_empty(&turn->under_way) || !may_wait(turn)) {
            return true;
        }
        if (!csq_mailbox_attend(&turn->mailbox)) {
            collect(turn);
        } else if (!wait_awake(turn)) {
            return true;
        }
        now = csq_now();
    } while (true);
}

/* The descriptor was readable: how long ago was it written to? One long pause counts
 * little, several in a row soon do. What the last turn has left tells nothing. */
static void
note_latency(struct csq_turn *turn)
{
    int64_t rung_at = atomic_load_explicit(&turn->mailbox.rung_at, memory_order_relaxed);
    int64_t latency = turn->turned - rung_at;

    if (!turn->left) {
        latency = latency < LATENCY_MOST ? latency : LATENCY_MOST;
        turn->latency += (latency - turn->latency) / 4;
    }
}

/* Lets the loop come back for what is left, and only for that. */
static void
leave(struct csq_turn *turn)
{
    turn->left = has_news(turn);
    if (turn->left) {
        csq_mailbox_ring(&turn->mailbox); /* a turn within this one may have quieted it */
    } else {
        (void)csq_mailbox_quiet(&turn->mailbox); /* if not, the loop comes for that */
    }
}

bool
csq_turn_run(struct csq_turn *turn)
{
    bool well;

    turn->turned = csq_now();
    note_latency(turn);
    turn->left = true; /* a turn within this one is not late */
    collect(turn);
    well = advance(turn);
    leave(turn);
    return well;
}

/* -- loops that are gone ------------------------------------------------------ */

struct csq_link *
csq_turn_drop(struct csq_turn *turn)
{
    collect(turn);
    csq_list_move(&turn->fresh, &turn->large);
    return csq_list_shift(&turn->fresh);
}

bool
csq_turn_idle(struct csq_turn *turn)
{
    return csq_mailbox_empty(&turn->mailbox) && !has_news(turn);
}
