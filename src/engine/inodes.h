/* open(), fcntl() and close() of database files, for two copies of SQLite in a process.
 *
 * POSIX locks belong to the process, and closing any descriptor of a file drops
 * them all. So two copies of SQLite in one process neither see each other's
 * locks nor keep them. Here locks are taken as open file description locks, on
 * one description for each inode, which conflict with the POSIX locks of
 * everybody; and a descriptor is closed only where nobody has a lock to lose.
 *
 * One descriptor serves all connections that open the file in the same mode:
 * SQLite reads and writes with pread() and pwrite(). A file has at most two
 * descriptors therefore, and one or two more after races of threads that open
 * it for the first time. A file that nobody uses any more, but that somebody
 * has locked, is *idle*: its descriptors are handed out again, or closed when
 * the locks are gone.
 *
 * Any thread. The functions lock the table themselves; they hold it through
 * the system calls of closing, as SQLite holds its own mutex. */

#ifndef CSQ_INODES_H
#define CSQ_INODES_H

#if defined(__linux__)

#include "engine/inode.h"

struct csq_inodes_counts {
    size_t files;       /* inodes that are open, idle ones included */
    size_t idle;        /* of these: used by no connection */
    size_t descriptors; /* of all of them */
};

/* Before the first use. False: no memory. */
bool csq_inodes_init(struct csq_inodes *inodes);

/* What open(), fcntl() and close() do, with their results and errno. `flags` and
 * `path` tell what can be a database; what cannot is opened and closed plainly.
 * `operation` is F_SETLK, F_SETLKW or F_GETLK. */
int csq_inodes_open(struct csq_inodes *inodes, const char *path, int flags, int mode);
int csq_inodes_lock(struct csq_inodes *inodes, int fd, int operation, struct flock *lock);
int csq_inodes_close(struct csq_inodes *inodes, int fd);

/* Before fork(), and after it in the parent and in the child. In the child the
 * parent's descriptors are closed, because it would keep the parent's locks. */
void csq_inodes_before_fork(struct csq_inodes *inodes);
void csq_inodes_in_parent(struct csq_inodes *inodes);
void csq_inodes_in_child(struct csq_inodes *inodes);

void csq_inodes_count(struct csq_inodes *inodes, struct csq_inodes_counts *counts);

#endif
#endif
