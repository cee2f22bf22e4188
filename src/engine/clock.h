/* The clock that deadlines and budgets are given in, and the one of conditions. */

#ifndef CSQ_CLOCK_H
#define CSQ_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Any thread. Nanoseconds of a clock that never jumps. */
static inline int64_t
csq_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Any thread. What pthread_cond_timedwait() takes for a wait of `nanoseconds`. */
static inline struct timespec
csq_deadline(int64_t nanoseconds)
{
    struct timespec end;

    clock_gettime(CLOCK_REALTIME, &end);
    nanoseconds += end.tv_nsec;
    end.tv_sec += (time_t)(nanoseconds / 1000000000);
    end.tv_nsec = (long)(nanoseconds % 1000000000);
    return end;
}

/* Three to five quarters of `delay`, so that processes which have begun to wait together do not
 * try again together. The clock's last digits are chance enough. */
static inline int64_t
csq_scatter(int64_t delay, int64_t now)
{
    return delay * (3 * 512 + (now >> 6) % 1024) / 2048;
}

#endif
