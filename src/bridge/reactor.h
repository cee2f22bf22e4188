/* One per event loop: lets the loop watch the mailbox of its turns (engine/turn.h), in which
 * requests take in what came of their jobs, and wakes the tasks that wait for them.
 *
 * Loop thread, GIL held, unless marked otherwise. The loop holds the reactor
 * through the reader it has added; requests on their way hold it too. */

#ifndef CSQ_REACTOR_H
#define CSQ_REACTOR_H

#include "bridge/host.h"
#include "bridge/state.h"
#include "engine/list.h"
#include "engine/turn.h"

typedef struct {
    PyObject_HEAD
    struct bridge *bridge;
    struct csq_link all;         /* in bridge->reactors */
    struct host_loop loop;
    PyObject *waker;             /* borrowed: the loop owns it; NULL: the loop is closed */
    struct csq_turn turn; /* under_way: requests, by under_way; news: the same, by news */
    struct csq_list timed; /* requests under way with a deadline, by timed */
    PyObject *timer; /* the loop's, for the earliest of them; or NULL */
    int64_t timer_at; /* what it is set for */
    bool silent; /* the loop is closed */
    bool forked; /* this process is a child: the workers are not in it */
} ReactorObject;

/* What is done with the requests that a reactor serves, which it does not know itself. */
struct reactor_calls {
    struct csq_turn_calls turn; /* `others` is reactor_others() */

    /* The loop is closed: what waits for it goes on. The link is that of a request under way. */
    void (*silence)(struct csq_link *under_way);

    /* The loop is closed: nobody hears of these news. The link is out of its line. */
    void (*forsake)(struct csq_link *news);
};

/* For reactor_calls.turn. */
long reactor_others(struct csq_turn *turn);

/* Makes the types. 0, or -1 with an exception. */
int reactor_init(struct bridge *bridge, PyObject *module);

/* Gives the running loop's reactor, made if need be; NULL with RuntimeError when
 * no loop is running. */
ReactorObject *reactor_get(struct bridge *bridge);

/* Any thread, GIL held. Lets the request with the link `news` be taken in soon, as if by mail. */
void reactor_deliver(ReactorObject *reactor, struct csq_link *news);

/* Any thread, GIL held. Takes the mail in the loop's place: what has come is noted in the
 * jobs (`done`), and the loop will find it all the same. */
void reactor_collect(ReactorObject *reactor);

/* After csq_turn_attend(): waits for an answer to the request with the link `news`, and lets
 * the request take it in. Whether there is one. */
bool reactor_wait(ReactorObject *reactor, struct csq_link *news);

/* In a forked child: the parent's reactors are forgotten. */
void reactor_after_fork(struct bridge *bridge);

/* Drops the finished jobs of loops that are closed. Any thread, GIL held. */
void reactor_sweep(struct bridge *bridge);

#endif
