/* Linux lists the locks of all processes in /proc/locks, a line each:
 *
 *     3: POSIX  ADVISORY  WRITE 4711 08:01:1049 120 120
 *
 * with the process, the device and inode of the file, and the bytes. A lock that belongs to an
 * open file and no process, as those of csqlite do where it has its own SQLite, has process -1. */

#include "engine/blocker.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#if defined(__linux__)
#include <sys/sysmacros.h>
#endif

#include "engine/alloc.h"

/* Where SQLite locks: its file format and unix VFS say so. */
enum { WRITER_OF_LOG = 120, RESERVED = 0x40000001 };

#if defined(__linux__)

/* The process that has locked the byte `place` of a file for itself alone; 0: none. */
static int64_t
process_of(const struct stat *about, long long place)
{
    char line[256];
    char kind[16];
    unsigned major_number;
    unsigned minor_number;
    unsigned long inode;
    long long process;
    long long first;
    int64_t found = 0;
    FILE *locks = fopen("/proc/locks", "re");

    while (locks != NULL && found == 0 && fgets(line, sizeof line, locks) != NULL) {
        if (sscanf(line, "%*d: %*s %*s %15s %lld %x:%x:%lu %lld", kind, &process, &major_number,
                   &minor_number, &inode, &first) == 6 &&
            strcmp(kind, "WRITE") == 0 && inode == about->st_ino && first == place &&
            major_number == major(about->st_dev) && minor_number == minor(about->st_dev) &&
            process > 0) {
            found = process;
        }
    }
    if (locks != NULL) {
        fclose(locks);
    }
    return found;
}

/* The same of the file at `path` with `suffix`. */
static int64_t
process_at(const char *path, const char *suffix, long long place)
{
    const size_t size = strlen(path) + strlen(suffix) + 1;
    char *name = csq_malloc(size);
    struct stat about;
    int64_t process = 0;

    if (name != NULL) {
        snprintf(name, size, "%s%s", path, suffix);
        if (stat(name, &about) == 0) {
            process = process_of(&about, place);
        }
    }
    csq_free(name);
    return process;
}

int64_t
csq_blocker_process(const char *path)
{
    int64_t process = process_at(path, "-shm", WRITER_OF_LOG);

    return process != 0 ? process : process_at(path, "", RESERVED);
}

#else

int64_t
csq_blocker_process(const char *path)
{
    (void)path;
    return 0;
}

#endif
