/* Threads that have come free: the next connection gets one of them instead of a new
 * one, which costs as much as opening the database.
 *
 * A thread waits only a moment before it ends, and no more than a few do. Any thread
 * may call what is here. */

#ifndef CSQ_CREW_H
#define CSQ_CREW_H

#include <pthread.h>

struct csq_crew;

/* Gives a crew without threads, or NULL: no memory. */
struct csq_crew *csq_crew_new(void);

/* Takes the crew; NULL is allowed. Its threads end when they have nothing to do. */
void csq_crew_dismiss(struct csq_crew *crew);

/* Lets a thread call run(argument) and notes which one in *thread. It has all signals
 * blocked. 0 or an errno; EAGAIN is what there is when there are too many threads. */
int csq_crew_run(struct csq_crew *crew, void (*run)(void *), void *argument, pthread_t *thread);

#endif
