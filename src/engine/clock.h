/* The clock that deadlines and budgets are given in. */

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

#endif
