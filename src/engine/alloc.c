/* malloc with a hook for the tests. sqlite3_malloc is not used: its blocks
 * belong to one copy of SQLite, while cells and jobs outlive a connection. */

#include "engine/alloc.h"

#include <stdlib.h>
#include <string.h>

#ifdef CSQ_FAULTS
#include <stdatomic.h>
#include <stdbool.h>

/* The only mutable file-level state of the engine, and only in test builds. */
static atomic_long countdown;
static atomic_bool lasting;
static atomic_long live;

long
csq_alloc_fail_at(long nth)
{
    atomic_store(&lasting, false);
    return atomic_exchange(&countdown, nth);
}

void
csq_alloc_fail_from(long nth)
{
    atomic_store(&lasting, true);
    atomic_store(&countdown, nth);
}

long
csq_alloc_live(void)
{
    return atomic_load(&live);
}

static bool
denied(void)
{
    long left = atomic_load(&countdown);

    if (left > 0) {
        left = atomic_fetch_sub(&countdown, 1);
        if (left == 1 && atomic_load(&lasting)) {
            atomic_store(&countdown, -1);
        }
    }
    return left == 1 || (left < 0 && atomic_load(&lasting));
}

static void *
counted(void *block)
{
    if (block != NULL) {
        atomic_fetch_add(&live, 1);
    }
    return block;
}

void *
csq_malloc(size_t size)
{
    return denied() ? NULL : counted(malloc(size ? size : 1));
}

void *
csq_calloc(size_t size)
{
    return denied() ? NULL : counted(calloc(1, size ? size : 1));
}

void
csq_free(void *block)
{
    if (block != NULL) {
        atomic_fetch_sub(&live, 1);
    }
    free(block);
}

#else

void *
csq_malloc(size_t size)
{
    return malloc(size ? size : 1);
}

void *
csq_calloc(size_t size)
{
    return calloc(1, size ? size : 1);
}

void
csq_free(void *block)
{
    free(block);
}

#endif

char *
csq_memdup(const char *bytes, size_t size)
{
    char *copy = csq_malloc(size + 1);

    if (copy != NULL) {
        memcpy(copy, bytes, size);
        copy[size] = '\0';
    }
    return copy;
}
