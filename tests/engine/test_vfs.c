/* engine/inodes: descriptors of database files beside another copy of SQLite.
 *
 * The other copy is played by plain POSIX locks of this process, on descriptors of its
 * own; other processes are forked. Whether a lock of this process is still there can only
 * be asked from another process. */

#if defined(__linux__)

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/alloc.h"
#include "engine/harness.h"
#include "engine/inodes.h"
#include "engine/vfs.h"

enum {
    READING = O_RDONLY | O_NOFOLLOW | O_CLOEXEC,
    WRITING = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
    BYTE = 0x40000000, /* as SQLite's PENDING */
    FILES = 150,
    NOBODY = 65534,
    THREADS = 4,
};

static struct csq_inodes *
new_table(void)
{
    struct csq_inodes *table = malloc(sizeof *table);

    if (!CHECK(table != NULL && csq_inodes_init(table))) {
        abort();
    }
    return table;
}

static struct csq_inodes_counts
counts_of(struct csq_inodes *table)
{
    struct csq_inodes_counts counts;

    csq_inodes_count(table, &counts);
    return counts;
}

/* Everything is closed and given back. */
static void
end_table(struct csq_inodes *table)
{
    CHECK(counts_of(table).files == 0);
    CHECK(counts_of(table).descriptors == 0);
    CHECK(csq_alloc_live() == 0);
    free(table);
}

/* Gives the path of a new file with something in it; the caller's. */
static char *
new_file(const char *name)
{
    char *path = strdup(harness_path(name));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    CHECK(fd >= 0 && write(fd, "data", 4) == 4);
    close(fd);
    return path;
}

static struct flock
range(short type, off_t start, off_t length)
{
    return (struct flock){
        .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
}

/* As the other copy locks. */
static int
posix_lock(int fd, short type)
{
    struct flock lock = range(type, BYTE, 1);

    return fcntl(fd, F_SETLK, &lock);
}

/* As SQLite locks through the table. */
static int
table_lock(struct csq_inodes *table, int fd, short type)
{
    struct flock lock = range(type, BYTE, 1);

    return csq_inodes_lock(table, fd, F_SETLK, &lock);
}

static bool
ended_well(pid_t child)
{
    int status;

    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Gives what F_GETLK tells another process: F_UNLCK, or who is in its way. */
static short
seen_by_others(const char *path)
{
    short result = -1;
    int ends[2];
    pid_t child;

    CHECK(pipe(ends) == 0);
    child = fork();
    if (child == 0) {
        struct flock lock = range(F_WRLCK, 0, 0);
        int fd = open(path, O_RDWR);
        bool good = fcntl(fd, F_GETLK, &lock) == 0 &&
                    write(ends[1], &lock.l_type, sizeof lock.l_type) == sizeof lock.l_type;

        _exit(good ? 0 : 1);
    }
    CHECK(read(ends[0], &result, sizeof result) == sizeof result);
    CHECK(ended_well(child));
    close(ends[0]);
    close(ends[1]);
    return result;
}

static bool
is_file(int fd, const char *path)
{
    struct stat one;
    struct stat other;

    return fstat(fd, &one) == 0 && stat(path, &other) == 0 && one.st_ino == other.st_ino &&
           one.st_dev == other.st_dev;
}

static bool
is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

/* -- locks --------------------------------------------------------------------- */

static void
test_conflicts(void)
{
    struct csq_inodes *table = new_table();
    char *path = new_file("conflicts");
    int other = open(path, O_RDWR | O_CLOEXEC);
    int ours = csq_inodes_open(table, path, WRITING, 0644);
    struct flock lock;

    CHECK(ours >= 3);
    CHECK(posix_lock(other, F_WRLCK) == 0);
    CHECK(table_lock(table, ours, F_RDLCK) == -1 && (errno == EAGAIN || errno == EACCES));
    lock = range(F_WRLCK, BYTE, 1);
    lock.l_pid = 12345; /* SQLite leaves it as it is */
    CHECK(csq_inodes_lock(table, ours, F_GETLK, &lock) == 0);
    CHECK(lock.l_type == F_WRLCK);

    CHECK(posix_lock(other, F_RDLCK) == 0);
    CHECK(table_lock(table, ours, F_RDLCK) == 0);
    CHECK(table_lock(table, ours, F_WRLCK) == -1);
    lock = range(F_WRLCK, BYTE, 1);
    CHECK(csq_inodes_lock(table, ours, F_GETLK, &lock) == 0 && lock.l_type == F_RDLCK);

    CHECK(posix_lock(other, F_UNLCK) == 0);
    CHECK(table_lock(table, ours, F_WRLCK) == 0);
    CHECK(posix_lock(other, F_RDLCK) == -1);
    lock = range(F_WRLCK, BYTE, 1);
    CHECK(csq_inodes_lock(table, ours, F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK);
    CHECK(seen_by_others(path) == F_WRLCK);
    CHECK(csq_inodes_close(table, ours) == 0);
    CHECK(seen_by_others(path) == F_UNLCK);
    close(other);
    end_table(table);
    free(path);
}

/* The lock belongs to the inode: any connection's descriptor changes it. */
static void
test_modes_share_the_lock(void)
{
    struct csq_inodes *table = new_table();
    char *path = new_file("modes");
    int reader = csq_inodes_open(table, path, READING, 0);
    int writer;

    CHECK(table_lock(table, reader, F_RDLCK) == 0);
    writer = csq_inodes_open(table, path, WRITING, 0644);
    CHECK(writer != reader);
    CHECK(table_lock(table, writer, F_WRLCK) == 0);
    CHECK(seen_by_others(path) == F_WRLCK);
    CHECK(table_lock(table, reader, F_UNLCK) == 0);
    CHECK(seen_by_others(path) == F_UNLCK);
    CHECK((fcntl(reader, F_GETFL) & O_ACCMODE) == O_RDONLY);
    CHECK((fcntl(writer, F_GETFL) & O_ACCMODE) == O_RDWR);
    CHECK(csq_inodes_open(table, path, READING, 0) == reader);
    CHECK(counts_of(table).descriptors == 2);
    csq_inodes_close(table, reader);
    csq_inodes_close(table, reader);
    csq_inodes_close(table, writer);
    end_table(table);
    free(path);
}

/* Who may only read locks all the same; and when the file may be written to again, what
 * is locked stays locked. In a process of its own, for its user changes. */
static int
only_reading(const char *path)
{
    struct csq_inodes *table = new_table();
    int reader;
    int writer;
    bool good;

    chmod(path, 0444);
    if (seteuid(NOBODY) != 0) {
        return 2;
    }
    reader = csq_inodes_open(table, path, READING, 0);
    good = CHECK(reader >= 0);
    good &= CHECK(csq_inodes_open(table, path, WRITING, 0644) == -1 && errno == EACCES);
    good &= CHECK(table_lock(table, reader, F_WRLCK) == -1 && errno == EBADF);
    good &= CHECK(table_lock(table, reader, F_RDLCK) == 0);
    good &= CHECK(seteuid(0) == 0 && seen_by_others(path) == F_RDLCK);
    writer = csq_inodes_open(table, path, WRITING, 0644);
    good &= CHECK(writer >= 0);
    good &= CHECK(seen_by_others(path) == F_RDLCK);
    good &= CHECK(table_lock(table, writer, F_WRLCK) == 0);
    good &= CHECK(table_lock(table, reader, F_UNLCK) == 0);
    good &= CHECK(seen_by_others(path) == F_UNLCK);
    csq_inodes_close(table, writer);
    csq_inodes_close(table, reader);
    end_table(table);
    return good ? 0 : 1;
}

static void
test_only_reading(void)
{
    char *path = new_file("only_reading");

    if (geteuid() == 0) {
        pid_t child = fork();

        if (child == 0) {
            char directory[64];

            /* Nobody has to get there. */
            snprintf(directory, sizeof directory, "/tmp/csqlite-%d.db", (int)getpid());
            close(open(directory, O_RDWR | O_CREAT, 0644));
            int status = only_reading(directory);

            unlink(directory);
            _exit(status);
        }
        CHECK(ended_well(child));
    }
    free(path);
}

/* A file system without such locks gets plain ones. */
static void
test_plain_locks(void)
{
    struct csq_inodes *table = new_table();
    char *path = new_file("plain");
    int ours = csq_inodes_open(table, path, WRITING, 0644);
    int other = open(path, O_RDWR | O_CLOEXEC);

    atomic_store(&csq_inode_handle(table, ours)->inode->lock, CSQ_LOCK_PLAIN);
    CHECK(table_lock(table, ours, F_WRLCK) == 0);
    CHECK(posix_lock(other, F_RDLCK) == 0); /* the same process: it is its own lock */
    CHECK(seen_by_others(path) == F_RDLCK);
    close(other);
    CHECK(seen_by_others(path) == F_UNLCK);
    csq_inodes_close(table, ours);
    end_table(table);
    free(path);
}

/* -- closing ------------------------------------------------------------------- */

/* What this is all about: opening and closing takes no lock from the other copy, whether
 * anything was locked meanwhile or not. */
static void
test_closing_keeps_the_others_locks(void)
{
    static const int modes[] = {WRITING, READING};

    for (int i = 0; i < 4; i++) {
        struct csq_inodes *table = new_table();
        char *path = new_file("closing");
        int other = open(path, O_RDWR | O_CLOEXEC);
        int ours;

        CHECK(posix_lock(other, F_RDLCK) == 0);
        ours = csq_inodes_open(table, path, modes[i % 2], 0644);
        if (i >= 2) {
            CHECK(table_lock(table, ours, F_RDLCK) == 0);
        }
        CHECK(csq_inodes_close(table, ours) == 0);
        CHECK(seen_by_others(path) == F_RDLCK);
        CHECK(counts_of(table).idle == 1);
        CHECK(posix_lock(other, F_WRLCK) == 0); /* nothing of ours is in its way */
        CHECK(posix_lock(other, F_UNLCK) == 0);

        /* Whatever is closed next takes the idle one with it. */
        char *second = new_file("second");
        csq_inodes_close(table, csq_inodes_open(table, second, WRITING, 0644));
        CHECK(counts_of(table).idle == 0);
        CHECK(!is_open(ours));
        close(other);
        end_table(table);
        unlink(path);
        unlink(second);
        free(path);
        free(second);
    }
}

static void
test_cycles_are_bounded(void)
{
    struct csq_inodes *table = new_table();
    char *path = new_file("cycles");
    int other = open(path, O_RDWR | O_CLOEXEC);
    int first = -1;

    CHECK(posix_lock(other, F_RDLCK) == 0);
    for (int i = 0; i < harness_dose(5000, 50000); i++) {
        int ours = csq_inodes_open(table, path, WRITING, 0644);
        int again = csq_inodes_open(table, path, WRITING, 0644);

        first = first < 0 ? ours : first;
        if (ours != first || again != first || table_lock(table, ours, F_RDLCK) != 0) {
            CHECK(false);
            break;
        }
        csq_inodes_close(table, ours);
        csq_inodes_close(table, again);
    }
    CHECK(counts_of(table).descriptors == 1);
    CHECK(seen_by_others(path) == F_RDLCK);
    posix_lock(other, F_UNLCK);
    csq_inodes_close(table, csq_inodes_open(table, path, WRITING, 0644));
    close(other);
    end_table(table);
    free(path);
}

/* A kept descriptor serves the file that it was opened for and no other. */
static void
test_replaced_and_deleted_files(void)
{
    struct csq_inodes *table = new_table();
    char *path = new_file("replaced");
    char *fresh = new_file("fresh");
    int other = open(path, O_RDWR | O_CLOEXEC);
    int old;
    int ours;

    CHECK(posix_lock(other, F_RDLCK) == 0);
    old = csq_inodes_open(table, path, WRITING, 0644);
    csq_inodes_close(table, old);
    CHECK(is_open(old));
    CHECK(rename(fresh, path) == 0);
    ours = csq_inodes_open(table, path, WRITING, 0644);
    CHECK(is_file(ours, path));
    CHECK(!is_open(old)); /* nobody can open it any more */
    csq_inodes_close(table, ours);
    CHECK(!is_open(ours));

    close(other);
    other = open(path, O_RDWR | O_CLOEXEC);
    CHECK(posix_lock(other, F_RDLCK) == 0);
    ours = csq_inodes_open(table, path, WRITING, 0644);
    CHECK(unlink(path) == 0);
    csq_inodes_close(table, ours);
    CHECK(!is_open(ours));
    close(other);
    end_table(table);
    free(path);
    free(fresh);
}

/* Somebody closes all descriptors, and another file gets the number of a kept one. */
static void
test_numbers_that_others_took(void)
{
    struct csq_inodes *table = new_table();
    char *path = new_file("taken");
    char *stranger = new_file("stranger");
    int other = open(path, O_RDWR | O_CLOEXEC);
    int kept;
    int taken;
    int ours;

    CHECK(posix_lock(other, F_RDLCK) == 0);
    kept = csq_inodes_open(table, path, WRITING, 0644);
    csq_inodes_close(table, kept);
    close(kept);
    taken = open(stranger, O_RDWR | O_CLOEXEC);
    CHECK(taken == kept);
    ours = csq_inodes_open(table, path, WRITING, 0644);
    CHECK(ours != taken && is_file(ours, path));
    csq_inodes_close(table, ours);
    close(taken);

    /* The number comes back as a journal's. */
    ours = csq_inodes_open(table, path, WRITING, 0644);
    close(ours);
    taken = csq_inodes_open(table, harness_path("x-journal"), WRITING, 0644);
    CHECK(taken == ours);
    CHECK(csq_inodes_close(table, taken) == 0);
    CHECK(!is_open(taken));
    posix_lock(other, F_UNLCK);
    close(other);
    for (struct csq_link *link; (link = csq_list_shift(&table->lost)) != NULL;) {
        struct csq_inode *inode = csq_item(link, struct csq_inode, same);

        csq_free(inode->dead);
        csq_free(inode);
    }
    end_table(table);
    free(path);
    free(stranger);
}

/* Journals, directories and files that SQLite names itself are none of our business. */
static void
test_what_is_never_locked(void)
{
    static const char *const names[] = {"plain-journal", "plain-wal"};
    struct csq_inodes *table = new_table();

    for (int i = 0; i < 2; i++) {
        int fd = csq_inodes_open(table, harness_path(names[i]), WRITING, 0644);

        CHECK(fd >= 0 && counts_of(table).files == 0);
        CHECK(csq_inodes_close(table, fd) == 0 && !is_open(fd));
    }
    int directory = csq_inodes_open(table, "/", O_RDONLY | O_CLOEXEC, 0);
    CHECK(directory >= 0 && counts_of(table).files == 0);
    csq_inodes_close(table, directory);
    int temporary = csq_inodes_open(table, harness_path("etilqs"), WRITING | O_EXCL, 0600);
    CHECK(temporary >= 0 && counts_of(table).files == 0);
    csq_inodes_close(table, temporary);
    CHECK(csq_inodes_open(table, harness_path("nowhere"), READING, 0) == -1 && errno == ENOENT);
    CHECK(csq_inodes_open(table, "/", WRITING, 0644) == -1 && errno == EISDIR);
    end_table(table);
}

/* -- crowds -------------------------------------------------------------------- */

/* Another process that has a shared lock on each of some files, until `end` is closed. */
static pid_t
start_holder(char *const *paths, int count, int ends[2])
{
    int ready[2];
    char byte;
    pid_t child;

    CHECK(pipe(ends) == 0 && pipe(ready) == 0);
    child = fork();
    if (child == 0) {
        bool good = true;

        close(ends[1]);
        for (int i = 0; i < count; i++) {
            struct flock lock = range(F_RDLCK, BYTE + 2, 510);

            good &= fcntl(open(paths[i], O_RDWR | O_CLOEXEC), F_SETLK, &lock) == 0;
        }
        good &= write(ready[1], "x", 1) == 1;
        good &= read(ends[0], &byte, 1) == 0;
        _exit(good ? 0 : 1);
    }
    close(ends[0]);
    CHECK(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

/* Files that other processes go on using do not use up the descriptors; one that the
 * other copy in this process has locked is kept. */
static void
test_crowds(void)
{
    char *paths[FILES];
    char name[32];
    struct csq_inodes *table = new_table();
    size_t most = 0;
    int ends[2];
    pid_t holder;
    int other;

    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, i % 2 ? "crowd%d-shm" : "crowd%d", i / 2);
        paths[i] = new_file(name);
    }
    holder = start_holder(paths, FILES, ends);
    other = open(paths[0], O_RDWR | O_CLOEXEC);
    CHECK(posix_lock(other, F_RDLCK) == 0);
    for (int i = 0; i < FILES; i += 2) {
        int ours = csq_inodes_open(table, paths[i], WRITING, 0644);
        int shm = csq_inodes_open(table, paths[i + 1], WRITING, 0644);

        CHECK(table_lock(table, ours, F_RDLCK) == 0 && table_lock(table, shm, F_RDLCK) == 0);
        csq_inodes_close(table, shm);
        csq_inodes_close(table, ours);
        if (counts_of(table).descriptors > most) {
            most = counts_of(table).descriptors;
        }
    }
    CHECK(most > 2 && most <= CSQ_CROWD + 2);
    {
        /* It is among those that were left, with its -shm. */
        struct stat status;

        CHECK(stat(paths[0], &status) == 0);
        CHECK(csq_inode_find(table, status.st_dev, status.st_ino) != NULL);
        CHECK(stat(paths[1], &status) == 0);
        CHECK(csq_inode_find(table, status.st_dev, status.st_ino) != NULL);
    }
    close(ends[1]);
    CHECK(ended_well(holder));
    CHECK(seen_by_others(paths[0]) == F_RDLCK);
    close(other);
    for (int i = 0; i < FILES; i++) {
        csq_inodes_close(table, csq_inodes_open(table, paths[0], WRITING, 0644));
        csq_inodes_close(table, csq_inodes_open(table, paths[1], WRITING, 0644));
    }
    end_table(table);
    for (int i = 0; i < FILES; i++) {
        unlink(paths[i]);
        free(paths[i]);
    }
}

/* When there are no descriptors left, those that are kept are looked through. */
static void
test_no_descriptors_left(void)
{
    char *paths[20];
    char name[32];
    struct csq_inodes *table;
    struct rlimit old;
    struct rlimit low;
    int ends[2];
    pid_t holder;

    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "few%d", i);
        paths[i] = new_file(name);
    }
    holder = start_holder(paths, 20, ends);
    table = new_table();
    getrlimit(RLIMIT_NOFILE, &old);
    low = old;
    low.rlim_cur = 16;
    CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
    for (int i = 0; i < 20; i++) {
        int ours = csq_inodes_open(table, paths[i], WRITING, 0644);

        CHECK(ours >= 0);
        csq_inodes_close(table, ours);
    }
    setrlimit(RLIMIT_NOFILE, &old);
    close(ends[1]);
    CHECK(ended_well(holder));
    for (int i = 0; i < 20; i++) {
        csq_inodes_close(table, csq_inodes_open(table, paths[0], WRITING, 0644));
    }
    end_table(table);
    for (int i = 0; i < 20; i++) {
        free(paths[i]);
    }
}

static void
test_no_memory(void)
{
    struct csq_inodes *table = new_table();
    char *path = new_file("memory");

    for (long nth = 1; nth <= 2; nth++) {
        csq_alloc_fail_at(nth);
        /* SQLite must not take this for a file that can only be read. */
        CHECK(csq_inodes_open(table, path, WRITING, 0644) == -1 && errno == EISDIR);
        csq_alloc_fail_at(0);
    }
    int reader = csq_inodes_open(table, path, READING, 0);
    csq_alloc_fail_at(1);
    CHECK(table_lock(table, reader, F_RDLCK) == 0); /* on the reader's own descriptor */
    csq_alloc_fail_at(0);
    CHECK(seen_by_others(path) == F_RDLCK);
    csq_inodes_close(table, reader);
    end_table(table);
    free(path);
}

/* -- forks --------------------------------------------------------------------- */

/* The child does not keep what the parent has locked, and its own locks are its own. */
static void
test_forks(void)
{
    struct csq_inodes *table = new_table();
    char *path = new_file("forks");
    int ours = csq_inodes_open(table, path, WRITING, 0644);
    int ready[2];
    int ends[2];
    char byte;
    pid_t child;

    CHECK(pipe(ready) == 0 && pipe(ends) == 0);
    CHECK(table_lock(table, ours, F_WRLCK) == 0);
    csq_inodes_before_fork(table);
    child = fork();
    if (child == 0) {
        bool good;
        int mine;

        csq_inodes_in_child(table);
        close(ends[1]);
        good = !is_open(ours) && counts_of(table).files == 0;
        mine = csq_inodes_open(table, path, WRITING, 0644);
        good &= table_lock(table, mine, F_RDLCK) == -1;
        good &= write(ready[1], "x", 1) == 1;
        good &= read(ends[0], &byte, 1) == 1;
        good &= table_lock(table, mine, F_WRLCK) == 0;
        good &= write(ready[1], "x", 1) == 1;
        good &= read(ends[0], &byte, 1) == 0;
        csq_inodes_close(table, mine);
        _exit(good ? 0 : 1);
    }
    csq_inodes_in_parent(table);
    CHECK(read(ready[0], &byte, 1) == 1);
    CHECK(seen_by_others(path) == F_WRLCK);
    CHECK(csq_inodes_close(table, ours) == 0);
    CHECK(seen_by_others(path) == F_UNLCK); /* although the child lives */
    CHECK(write(ends[1], "x", 1) == 1);
    CHECK(read(ready[0], &byte, 1) == 1);
    ours = csq_inodes_open(table, path, WRITING, 0644);
    CHECK(table_lock(table, ours, F_RDLCK) == -1);
    close(ends[1]);
    CHECK(ended_well(child));
    CHECK(table_lock(table, ours, F_RDLCK) == 0);
    csq_inodes_close(table, ours);
    close(ready[0]);
    close(ready[1]);
    close(ends[0]);
    end_table(table);
    free(path);
}

/* -- threads ------------------------------------------------------------------- */

struct crossing {
    struct csq_inodes *table;
    char *paths[3];
    atomic_int inside[3]; /* who has the exclusive lock: 0 nobody, 1 the table, 2 the other */
    atomic_bool over;
};

/* The table's users agree among themselves, as SQLite does by its own counts. */
static pthread_mutex_t turns[3] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
                                   PTHREAD_MUTEX_INITIALIZER};

static void *
cross(void *argument)
{
    struct crossing *crossing = argument;
    unsigned seed = 7;

    for (int i = 0; i < harness_dose(4000, 100000); i++) {
        unsigned which = harness_random(&seed, 3);
        bool reading = harness_random(&seed, 4) == 0;
        int fd = csq_inodes_open(crossing->table, crossing->paths[which],
                                 reading ? READING : WRITING, 0644);

        if (!CHECK(fd >= 0) || !CHECK(is_file(fd, crossing->paths[which]))) {
            break;
        }
        pthread_mutex_lock(&turns[which]);
        if (!reading && table_lock(crossing->table, fd, F_WRLCK) == 0) {
            CHECK(atomic_exchange(&crossing->inside[which], 1) == 0);
            CHECK(atomic_exchange(&crossing->inside[which], 0) == 1);
            CHECK(table_lock(crossing->table, fd, F_UNLCK) == 0);
        }
        pthread_mutex_unlock(&turns[which]);
        CHECK(csq_inodes_close(crossing->table, fd) == 0);
    }
    return NULL;
}

/* The other copy: it keeps its descriptors. */
static void *
cross_over(void *argument)
{
    struct crossing *crossing = argument;
    unsigned taken = 0;
    int fds[3];

    for (int i = 0; i < 3; i++) {
        fds[i] = open(crossing->paths[i], O_RDWR | O_CLOEXEC);
    }
    for (unsigned i = 0; !atomic_load(&crossing->over) || taken == 0; i++) {
        if (posix_lock(fds[i % 3], F_WRLCK) == 0) {
            CHECK(atomic_exchange(&crossing->inside[i % 3], 2) == 0);
            taken++;
            CHECK(atomic_exchange(&crossing->inside[i % 3], 0) == 2);
            CHECK(posix_lock(fds[i % 3], F_UNLCK) == 0);
        }
    }
    for (int i = 0; i < 3; i++) {
        close(fds[i]);
    }
    return NULL;
}

static void
test_threads(void)
{
    struct crossing crossing = {.table = new_table()};
    pthread_t threads[THREADS];
    pthread_t other;

    for (int i = 0; i < 3; i++) {
        char name[32];

        snprintf(name, sizeof name, "crossing%d", i);
        crossing.paths[i] = new_file(name);
        atomic_init(&crossing.inside[i], 0);
    }
    atomic_init(&crossing.over, false);
    CHECK(pthread_create(&other, NULL, cross_over, &crossing) == 0);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, cross, &crossing) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    atomic_store(&crossing.over, true);
    pthread_join(other, NULL);
    for (int i = 0; i < 3; i++) {
        csq_inodes_close(crossing.table,
                         csq_inodes_open(crossing.table, crossing.paths[i], WRITING, 0644));
    }
    end_table(crossing.table);
    for (int i = 0; i < 3; i++) {
        free(crossing.paths[i]);
    }
}

/* -- installed ----------------------------------------------------------------- */

static void
test_installed(void)
{
    struct csq_vfs_counts counts;
    enum csq_vfs_state state = csq_vfs_install();

    CHECK(csq_vfs_install() == state);
#ifdef CSQLITE_BUNDLED
    CHECK(state == CSQ_VFS_GUARDED);
#else
    CHECK(state == CSQ_VFS_SHARED);
#endif
    csq_vfs_count(&counts);
    CHECK(counts.files == 0 && counts.idle == 0 && counts.descriptors == 0);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"conflicts", test_conflicts},
        {"modes_share_the_lock", test_modes_share_the_lock},
        {"only_reading", test_only_reading},
        {"plain_locks", test_plain_locks},
        {"closing_keeps_the_others_locks", test_closing_keeps_the_others_locks},
        {"cycles_are_bounded", test_cycles_are_bounded},
        {"replaced_and_deleted_files", test_replaced_and_deleted_files},
        {"numbers_that_others_took", test_numbers_that_others_took},
        {"what_is_never_locked", test_what_is_never_locked},
        {"crowds", test_crowds},
        {"no_descriptors_left", test_no_descriptors_left},
        {"no_memory", test_no_memory},
        {"forks", test_forks},
        {"threads", test_threads},
        {"installed", test_installed},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}

#else

int
main(void)
{
    return 0;
}

#endif
