/* Handlers of pthread_atfork(), which run within fork() itself: no other code of this
 * thread comes between them that could want the mutexes they hold. It is a process that
 * forks, so what they remember belongs to the process.
 *
 * SQLite finds what it knows of a file by device and inode. In the child it would find
 * the parent's locks there, take them for its own and not ask the system for any. So in
 * a child every device has another number, which depends on the process: files that the
 * child opens are not those that its parent had open. */

#include "engine/fork.h"

#include <pthread.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/clock.h"
#include "engine/vfs.h"
#include "engine/watched.h"
#include "engine/writers.h"

#ifndef SQLITE_MUTEX_STATIC_MAIN
#define SQLITE_MUTEX_STATIC_MAIN 2 /* its name before 3.33 is another one */
#endif

/* Somebody who holds one for longer than this has met with a disk that does not answer. */
static const int64_t PATIENCE_NANOSECONDS = 1000000000;

/* What SQLite itself may hold, for a moment, while it opens, closes, allocates. */
static const int MUTEXES[] = {
    SQLITE_MUTEX_STATIC_OPEN, SQLITE_MUTEX_STATIC_MAIN, SQLITE_MUTEX_STATIC_VFS1,
    SQLITE_MUTEX_STATIC_LRU,  SQLITE_MUTEX_STATIC_PMEM, SQLITE_MUTEX_STATIC_PRNG,
    SQLITE_MUTEX_STATIC_MEM,
};

enum { COUNT = sizeof MUTEXES / sizeof *MUTEXES };

static pthread_once_t watched = PTHREAD_ONCE_INIT;
static int failure; /* of pthread_atfork() */

/* Between the handlers of one fork(): whether this thread holds the mutexes. */
static _Thread_local bool held;

static void
leave(int count)
{
    while (count-- > 0) {
        sqlite3_mutex_leave(sqlite3_mutex_alloc(MUTEXES[count]));
    }
}

/* Takes all or none: whoever waits with one in hand could be waited for. */
static bool
try_all(void)
{
    for (int i = 0; i < COUNT; i++) {
        if (sqlite3_mutex_try(sqlite3_mutex_alloc(MUTEXES[i])) != SQLITE_OK) {
            leave(i);
            return false;
        }
    }
    return true;
}

static void
before(void)
{
    int64_t end = csq_now() + PATIENCE_NANOSECONDS;

    held = try_all();
    while (!held && csq_now() < end) {
        sched_yield();
        held = try_all();
    }
    csq_vfs_before_fork(); /* SQLite takes these locks in this order, too */
    csq_writers_before_fork();
    csq_watched_before_fork();
}

static void
in_parent(void)
{
    csq_watched_in_parent();
    csq_writers_in_parent();
    csq_vfs_in_parent();
    if (held) {
        leave(COUNT);
    }
}

/* -- in the child ------------------------------------------------------------- */

static void
renumber(struct stat *about)
{
    /* Linux uses fewer than 32 bits of its 64, others have no more than 32. */
    const unsigned shift = sizeof about->st_dev > 4 ? 32 : 8;

    about->st_dev ^= (dev_t)((uint64_t)getpid() << shift);
}

static int
stat_in_child(const char *path, struct stat *about)
{
    int rc = stat(path, about);

    if (rc == 0) {
        renumber(about);
    }
    return rc;
}

static int
fstat_in_child(int descriptor, struct stat *about)
{
    int rc = fstat(descriptor, about);

    if (rc == 0) {
        renumber(about);
    }
    return rc;
}

static void
in_child(void)
{
    sqlite3_vfs *unix_vfs;

    csq_watched_in_child();
    csq_writers_in_child();
    csq_vfs_in_child();
    if (!held) {
        return;
    }
    leave(COUNT);
    unix_vfs = sqlite3_vfs_find("unix");
    if (unix_vfs != NULL && unix_vfs->iVersion >= 3) {
        unix_vfs->xSetSystemCall(unix_vfs, "stat", (sqlite3_syscall_ptr)stat_in_child);
        unix_vfs->xSetSystemCall(unix_vfs, "fstat", (sqlite3_syscall_ptr)fstat_in_child);
    }
}

static void
watch(void)
{
    csq_vfs_install();
    failure = pthread_atfork(before, in_parent, in_child);
}

int
csq_fork_watch(void)
{
    int rc = pthread_once(&watched, watch);

    return rc != 0 ? rc : failure;
}
