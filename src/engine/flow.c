/* A strip under a lock. Each flow has its own lock, so that a loop which packs
 * or decodes never waits behind another connection's queue. */

#include "engine/flow.h"

#include <errno.h>

#include "engine/clock.h"

void
csq_flow_init(struct csq_flow *flow)
{
    pthread_mutex_init(&flow->lock, NULL);
    pthread_cond_init(&flow->moved, NULL);
    csq_strip_init(&flow->strip);
    flow->ended = false;
    flow->aborted = false;
    flow->forsaken = false;
    flow->is_forsaken = NULL;
    flow->argument = NULL;
}

void
csq_flow_clear(struct csq_flow *flow)
{
    csq_strip_clear(&flow->strip);
    pthread_mutex_destroy(&flow->lock);
    pthread_cond_destroy(&flow->moved);
}

void
csq_flow_put(struct csq_flow *flow, struct csq_strip *strip)
{
    pthread_mutex_lock(&flow->lock);
    if (flow->aborted) {
        csq_strip_clear(strip);
    } else {
        csq_strip_move(&flow->strip, strip);
    }
    pthread_cond_signal(&flow->moved);
    pthread_mutex_unlock(&flow->lock);
}

void
csq_flow_take(struct csq_flow *flow, struct csq_strip *strip)
{
    pthread_mutex_lock(&flow->lock);
    csq_strip_move(strip, &flow->strip);
    pthread_cond_signal(&flow->moved);
    pthread_mutex_unlock(&flow->lock);
}

bool
csq_flow_empty(struct csq_flow *flow)
{
    bool empty;

    pthread_mutex_lock(&flow->lock);
    empty = flow->strip.first == NULL && !flow->ended;
    pthread_mutex_unlock(&flow->lock);
    return empty;
}

bool
csq_flow_is_complete(struct csq_flow *flow)
{
    bool ended;

    pthread_mutex_lock(&flow->lock);
    ended = flow->ended;
    pthread_mutex_unlock(&flow->lock);
    return ended;
}

void
csq_flow_end(struct csq_flow *flow)
{
    pthread_mutex_lock(&flow->lock);
    flow->ended = true;
    pthread_cond_signal(&flow->moved);
    pthread_mutex_unlock(&flow->lock);
}

void
csq_flow_abort(struct csq_flow *flow)
{
    pthread_mutex_lock(&flow->lock);
    flow->aborted = true;
    pthread_cond_signal(&flow->moved);
    pthread_mutex_unlock(&flow->lock);
}

void
csq_flow_abandon(struct csq_flow *flow)
{
    pthread_mutex_lock(&flow->lock);
    flow->aborted = flow->aborted || !flow->ended;
    pthread_cond_signal(&flow->moved);
    pthread_mutex_unlock(&flow->lock);
}

/* Waits for the other end. Whether it has not come for long, and is to be asked after. */
static bool
wait(struct csq_flow *flow)
{
    struct timespec end;

    if (flow->is_forsaken == NULL) {
        pthread_cond_wait(&flow->moved, &flow->lock);
        return false;
    }
    end = csq_deadline(CSQ_FLOW_LONG);
    return pthread_cond_timedwait(&flow->moved, &flow->lock, &end) == ETIMEDOUT;
}

bool
csq_flow_wait_room(struct csq_flow *flow, size_t bytes)
{
    bool forsaken = false;
    bool late;
    bool room;

    do {
        late = false;
        pthread_mutex_lock(&flow->lock);
        flow->forsaken = flow->forsaken || forsaken;
        while (!late && flow->strip.bytes >= bytes && !flow->aborted && !flow->forsaken) {
            late = wait(flow);
        }
        room = !flow->aborted;
        pthread_mutex_unlock(&flow->lock);
        forsaken = late && flow->is_forsaken(flow->argument);
    } while (late);
    return room;
}

bool
csq_flow_wait_more(struct csq_flow *flow)
{
    bool forsaken = false;
    bool late;
    bool more;

    do {
        late = false;
        pthread_mutex_lock(&flow->lock);
        flow->forsaken = flow->forsaken || forsaken;
        flow->aborted = flow->aborted || (forsaken && flow->strip.first == NULL && !flow->ended);
        while (!late && flow->strip.first == NULL && !flow->ended && !flow->aborted) {
            late = wait(flow);
        }
        more = !flow->aborted;
        pthread_mutex_unlock(&flow->lock);
        forsaken = late && flow->is_forsaken(flow->argument);
    } while (late);
    return more;
}
