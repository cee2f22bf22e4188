/* Linux lists the locks of all processes in /proc/locks, a line each:
 *
 *     3: POSIX  ADVISORY  WRITE 4711 08:01:1049 1073741825 1073741825
 *
 * with the process, the device and inode of the file, and the bytes. A lock that belongs to an
 * open file and no process, as those of csqlite do where it has its own SQLite, has process -1 there; it is
 * also listed for each process that has this file open, in /proc/PID/fdinfo. That is read only where there is
 * such a lock, and tells of one's own processes alone. */

#include "engine/blocker.h"

#if defined(__linux__)

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engine/alloc.h"

enum {
    /* Where SQLite locks: its file format and unix VFS say so. */
    PENDING = 0x40000000,
    RESERVED = PENDING + 1,
    SHARED = PENDING + 2,
    LOG_WRITER = 120,
    LOG_READER = 123,
    LOG_READERS = 5,
    MOST = 64,      /* locks that are kept */
    LINE = 256,
};

/* A file whose locks are looked for. */
struct file {
    bool there;
    struct stat about;
};

struct search {
    struct file database;
    struct file log;
    struct csq_lock found[MOST];
    size_t count;
    bool unnamed;        /* there is a lock of a file's, not of a process */
    bool unnamed_writes; /* … to write */
};

/* A line. */
struct record {
    bool writes;
    long long process;
    unsigned device[2];
    unsigned long inode;
    long long first;
    long long last;
};

static bool
read_record(const char *line, struct record *record)
{
    char kind[16];
    int count = sscanf(line, "%*d: %*s %*s %15s %lld %x:%x:%lu %lld %lld", kind, &record->process,
                       &record->device[0], &record->device[1], &record->inode, &record->first,
                       &record->last);

    record->writes = count >= 6 && strcmp(kind, "WRITE") == 0;
    return count == 7 || (count == 6 && (record->last = INT64_MAX, true)); /* "EOF" */
}

static bool
is_of(const struct record *record, const struct file *file)
{
    return file->there && record->inode == file->about.st_ino &&
           record->device[0] == major(file->about.st_dev) &&
           record->device[1] == minor(file->about.st_dev);
}

static bool
covers(const struct record *record, long long first, int count)
{
    return record->first < first + count && record->last >= first;
}

/* Whether it is one of those that are looked for. In WAL mode each connection has a shared lock on the
 * database file, whatever it does. */
static bool
is_wanted(const struct search *search, const struct record *record)
{
    if (is_of(record, &search->log)) {
        return record->writes ? covers(record, LOG_WRITER, 1)
                              : covers(record, LOG_READER, LOG_READERS);
    }
    return is_of(record, &search->database) &&
           (record->writes ? covers(record, RESERVED, 1)
                           : !search->log.there && covers(record, SHARED, 1));
}

/* A process that writes has locks to read, too, which are not told. */
static void
add(struct search *search, int64_t process, bool writes)
{
    struct csq_lock *lock = search->found;
    struct csq_lock *const end = lock + search->count;

    while (lock < end && lock->process != process) {
        lock++;
    }
    if (lock < end) {
        lock->writes = lock->writes || writes;
    } else if (search->count < MOST) {
        *lock = (struct csq_lock){process, writes};
        search->count++;
    }
}

/* Reads /proc/locks. */
static void
search_locks(struct search *search)
{
    char line[LINE];
    struct record record;
    FILE *locks = fopen("/proc/locks", "re");

    while (locks != NULL && fgets(line, sizeof line, locks) != NULL) {
        if (read_record(line, &record) && is_wanted(search, &record)) {
            if (record.process > 0) {
                add(search, record.process, record.writes);
            } else {
                search->unnamed = true;
                search->unnamed_writes = search->unnamed_writes || record.writes;
            }
        }
    }
    if (locks != NULL) {
        fclose(locks);
    }
}

/* Reads what is told of one descriptor, in the directory `folder`. */
static void
search_descriptor(struct search *search, long process, const char *folder, const char *name)
{
    static const char prefix[] = "lock:";
    char line[LINE];
    struct record record;
    FILE *about;

    if (snprintf(line, sizeof line, "%s/%s", folder, name) >= (int)sizeof line) {
        return;
    }
    about = fopen(line, "re");
    while (about != NULL && fgets(line, sizeof line, about) != NULL) {
        if (strncmp(line, prefix, sizeof prefix - 1) == 0 &&
            read_record(line + sizeof prefix - 1, &record) && is_wanted(search, &record)) {
            add(search, process, record.writes);
        }
    }
    if (about != NULL) {
        fclose(about);
    }
}

static void
search_process(struct search *search, long process)
{
    char folder[64];
    const struct dirent *entry;
    DIR *descriptors;

    snprintf(folder, sizeof folder, "/proc/%ld/fdinfo", process);
    descriptors = opendir(folder);
    while (descriptors != NULL && (entry = readdir(descriptors)) != NULL) {
        if (entry->d_name[0] != '.') {
            search_descriptor(search, process, folder, entry->d_name);
        }
    }
    if (descriptors != NULL) {
        closedir(descriptors);
    }
}

/* Reads /proc/PID/fdinfo of all processes that may be looked at. */
static void
search_processes(struct search *search)
{
    const struct dirent *entry;
    DIR *processes = opendir("/proc");

    while (processes != NULL && (entry = readdir(processes)) != NULL) {
        long process = strtol(entry->d_name, NULL, 10);

        if (process > 0) {
            search_process(search, process);
        }
    }
    if (processes != NULL) {
        closedir(processes);
    }
}

static void
look_for(struct file *file, const char *path, const char *suffix)
{
    const size_t size = strlen(path) + strlen(suffix) + 1;
    char *name = csq_malloc(size);

    if (name != NULL) {
        snprintf(name, size, "%s%s", path, suffix);
        file->there = stat(name, &file->about) == 0;
    }
    csq_free(name);
}

/* What is nobody's in /proc/locks is looked for at the process `known`, or else, with `deep`, at all. */
static void
search_all(struct search *search, const char *path, int64_t known, bool deep)
{
    memset(search, 0, sizeof *search);
    look_for(&search->database, path, "");
    look_for(&search->log, path, "-shm");
    if (search->database.there) {
        search_locks(search);
    }
    if (search->unnamed) {
        const size_t named = search->count;

        if (known > 0) {
            search_process(search, (long)known);
        }
        if (search->count == named && deep) {
            search_processes(search);
        }
        if (search->count == named) {
            add(search, 0, search->unnamed_writes); /* it is not told whose */
        }
    }
}

static size_t
list(const char *path, int64_t known, bool deep, struct csq_lock *locks, size_t room)
{
    struct search search;
    size_t count = 0;

    search_all(&search, path, known, deep);
    for (int writes = 1; writes >= 0; writes--) {
        for (size_t i = 0; i < search.count; i++) {
            if (search.found[i].writes == (writes != 0) && count < room) {
                locks[count++] = search.found[i];
            }
        }
    }
    return search.count;
}

size_t
csq_blocker_locks(const char *path, struct csq_lock *locks, size_t room)
{
    return list(path, 0, true, locks, room);
}

int64_t
csq_blocker_process(const char *path, bool readers, int64_t known, bool deep)
{
    struct csq_lock locks[MOST];
    size_t count = path == NULL ? 0 : list(path, known, deep, locks, MOST);

    for (size_t i = 0; i < count; i++) {
        if (locks[i].writes != readers) {
            return locks[i].process;
        }
    }
    return 0;
}

#else

size_t
csq_blocker_locks(const char *path, struct csq_lock *locks, size_t room)
{
    (void)path;
    (void)locks;
    (void)room;
    return 0;
}

int64_t
csq_blocker_process(const char *path, bool readers, int64_t known, bool deep)
{
    (void)path;
    (void)readers;
    (void)known;
    (void)deep;
    return 0;
}

#endif
