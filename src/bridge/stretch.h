/* How long a thread's tasks have had their answers at once, without giving way.
 *
 * An await that need not wait does not suspend, so a task that only makes such ones would keep
 * its loop from everything else: timers, other tasks, a cancellation. It gives way once a
 * millisecond. GIL held. */

#ifndef CSQ_STRETCH_H
#define CSQ_STRETCH_H

#include <stdbool.h>
#include <stdint.h>

struct stretch {
    int left;             /* so many answers until the clock is looked at */
    unsigned long thread; /* whose stretch it is */
    int64_t since;        /* when it last gave way, or its loop turned, by csq_now() */
};

/* Looks at the clock: whether the task is to give way now. It says so until it has. */
bool stretch_is_over(struct stretch *stretch);

/* The thread's loop has just turned. */
void stretch_begin(struct stretch *stretch);

/* Before an await that may be answered at once: whether the task is to give way first. */
static inline bool
stretch_count(struct stretch *stretch)
{
    return --stretch->left < 0 && stretch_is_over(stretch);
}

#endif
