/* A countdown that has run out stays below zero where all that follows is to fail. */

#include "engine/heap.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

static sqlite3_mem_methods real_memory;
static atomic_long countdown;
static atomic_bool lasting;

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
failing_malloc(int size)
{
    return denied() ? NULL : real_memory.xMalloc(size);
}

static void *
failing_realloc(void *block, int size)
{
    return denied() ? NULL : real_memory.xRealloc(block, size);
}

void
heap_install(void)
{
    sqlite3_mem_methods memory;

    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory);
    memory = real_memory;
    memory.xMalloc = failing_malloc;
    memory.xRealloc = failing_realloc;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &memory);
}

long
heap_fail_at(long nth)
{
    atomic_store(&lasting, false);
    return atomic_exchange(&countdown, nth);
}

void
heap_fail_from(long nth)
{
    atomic_store(&lasting, true);
    atomic_store(&countdown, nth);
}
