/* Strips on their way while a job runs: parameters that the loop still packs, or
 * rows that the worker still steps.
 *
 * One side puts, the other takes; which is which is the job's business. Locked
 * within. Only the worker ever waits: for something to take, or for room. */

#ifndef CSQ_FLOW_H
#define CSQ_FLOW_H

#include <pthread.h>
#include <stdbool.h>

#include "engine/cells.h"

struct csq_flow {
    pthread_mutex_t lock;
    pthread_cond_t moved; /* something was put, taken, ended or aborted */
    struct csq_strip strip;
    bool ended;   /* nothing more will be put */
    bool aborted; /* nobody will take or put any more */
    bool forsaken; /* the loop does not come: nobody waits for it any more */
    /* Worker thread, without the lock, each time that it has waited for CSQ_FLOW_LONG: whether
     * to wait no more. NULL: it waits as long as it takes. Set before the job runs. */
    bool (*is_forsaken)(void *argument);
    void *argument;
};

/* In nanoseconds: after how long a worker that waits for a loop asks after it. */
enum { CSQ_FLOW_LONG = 100 * 1000 * 1000 };

/* Any thread. */
void csq_flow_init(struct csq_flow *flow);

/* Any thread, when nobody else uses it. Frees what was not taken. */
void csq_flow_clear(struct csq_flow *flow);

/* Either thread. Moves `strip` in. Never waits. */
void csq_flow_put(struct csq_flow *flow, struct csq_strip *strip);

/* Either thread. Moves all that is there into `strip`. Never waits. */
void csq_flow_take(struct csq_flow *flow, struct csq_strip *strip);

/* Either thread. Whether nothing lies there and more may come. */
bool csq_flow_empty(struct csq_flow *flow);

/* Either thread. Whether nothing more will be put. */
bool csq_flow_is_complete(struct csq_flow *flow);

/* Either thread. Nothing more comes: takes answer so once they have it all. */
void csq_flow_end(struct csq_flow *flow);

/* Any thread. Wakes a waiting worker for good. What is put from now on is freed;
 * what lies there can still be taken. */
void csq_flow_abort(struct csq_flow *flow);

/* Any thread. Aborts unless all has been put: the worker would wait for ever. */
void csq_flow_abandon(struct csq_flow *flow);

/* Worker thread. Waits until less than `bytes` lie there, or nobody will take them (then
 * there is no bound). False: aborted. */
bool csq_flow_wait_room(struct csq_flow *flow, size_t bytes);

/* Worker thread. Waits until something lies there, or nothing more will come
 * (then there is nothing to take). False: aborted, also because nobody will give more. */
bool csq_flow_wait_more(struct csq_flow *flow);

#endif
