/* The engine's only way to the heap.
 *
 * Any thread. Built with CSQ_FAULTS, the nth allocation from now on can be told
 * to fail, which is how the tests walk through every error path. */

#ifndef CSQ_ALLOC_H
#define CSQ_ALLOC_H

#include <stddef.h>

/* Gives `size` bytes, not cleared, or NULL. A size of 0 is a size of 1. */
void *csq_malloc(size_t size);

/* Gives `size` bytes, all zero, or NULL. */
void *csq_calloc(size_t size);

/* Gives a copy of `size` bytes with a 0 behind them, or NULL. */
char *csq_memdup(const char *bytes, size_t size);

/* Takes what one of the above gave, or NULL. */
void csq_free(void *block);

#ifdef CSQ_FAULTS
/* Lets the nth allocation from now on fail, once (1 is the next one; 0: none).
 * Gives how far away the one asked for before still was; 0 or less: it has failed. */
long csq_alloc_fail_at(long nth);

/* Lets the nth allocation and all behind it fail, until csq_alloc_fail_at(). */
void csq_alloc_fail_from(long nth);

/* How many blocks are allocated and not yet freed. */
long csq_alloc_live(void);
#endif

#endif
