/*
 * Makes syncing a file cost as much as on a disk: for a process that loads it first
 * (LD_PRELOAD). What fsync() and fdatasync() take comes on top. Linux.
 */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef int (*sync_function)(int);

/* Sleeps as long as SLOW_SYNC says, in microseconds; a millisecond without it. */
static void
take_time(void)
{
    const char *text = getenv("SLOW_SYNC");
    long microseconds = text == NULL ? 1000 : strtol(text, NULL, 10);
    struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000};

    nanosleep(&time, NULL);
}

static int
sync_by(const char *name, int descriptor)
{
    /* POSIX gives functions this way, ISO C does not let a pointer to data become one. */
    sync_function function;

    *(void **)&function = dlsym(RTLD_NEXT, name);
    if (function == NULL) {
        return -1;
    }
    take_time();
    return function(descriptor);
}

int
fsync(int descriptor)
{
    return sync_by("fsync", descriptor);
}

int
fdatasync(int descriptor)
{
    return sync_by("fdatasync", descriptor);
}
