/* The database files that this process has open, by inode: a table, and its entries.
 *
 * Callers of engine/inodes.h need nothing of this. All that takes a table or an entry
 * is called with the table's mutex held, unless it says otherwise. */

#ifndef CSQ_INODE_H
#define CSQ_INODE_H

#if defined(__linux__)

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "engine/list.h"

/* What the lock of an inode is when it is not a descriptor. */
enum {
    CSQ_LOCK_UNDECIDED = -1, /* nobody has asked for a lock yet */
    CSQ_LOCK_PLAIN = -2,     /* the file system has POSIX locks only */
    CSQ_LOCK_READ_ONLY = -3, /* on `read_lock`, which nobody may write to */
};

enum {
    CSQ_DESCRIPTORS = 1 << 20, /* what can be looked up; the kernel's usual limit */
    CSQ_LOWEST = 3,            /* SQLite refuses the numbers of the standard streams */
    CSQ_CROWD = 64,            /* more idle files than this are worth a search */
    CSQ_RANGES = 16,           /* SQLite locks 3 places of a database, 9 of a -shm file */
    CSQ_INODE_BUCKETS = 256,
};

/* One open file description of an inode. */
struct csq_handle {
    struct csq_handle *next;
    struct csq_inode *inode;
    int fd;
    bool writable;
    unsigned uses; /* how often it is handed out */
};

struct csq_range {
    off_t start;
    off_t length;
};

struct csq_inode {
    struct csq_link same;    /* in its bucket */
    struct csq_link waiting; /* in `idle` */
    dev_t device;
    ino_t number;
    bool shm;              /* the name ends in "-shm"; then, of which database */
    dev_t database_device; /* `database_number` 0: it was not there */
    ino_t database_number;
    struct csq_handle *handles;
    struct csq_handle *dead; /* closed by others; threads may still look at them and at this */
    bool permitted; /* open() allows what faccessat() does not */
    unsigned uses;             /* of all handles */
    atomic_int lock;           /* a writable handle's descriptor, or CSQ_LOCK_... */
    int read_lock;             /* CSQ_LOCK_READ_ONLY: the descriptor, and what is */
    struct csq_range held[CSQ_RANGES]; /* locked there */
    size_t ranges;
    bool pending;   /* during a search: nobody can get a first lock */
    bool elsewhere; /* during a search: somebody else in this process has it open */
};

struct csq_inodes {
    pthread_mutex_t mutex;
    struct csq_list buckets[CSQ_INODE_BUCKETS];
    struct csq_list idle; /* used by no connection; the longest idle first */
    struct csq_list lost; /* kept because a thread may look, or it was the parent's */
    size_t files;         /* in the buckets */
    size_t idle_files;    /* in `idle` */
    size_t crowded;       /* more idle files than this are searched for */
    _Atomic(struct csq_handle *) *by_fd;
};

/* Any thread, without the mutex: the handle of a descriptor, NULL if it is none. It
 * stays as long as the caller has the descriptor open. */
static inline struct csq_handle *
csq_inode_handle(const struct csq_inodes *inodes, int fd)
{
    if (fd < 0 || fd >= CSQ_DESCRIPTORS) {
        return NULL;
    }
    return atomic_load_explicit(&inodes->by_fd[fd], memory_order_acquire);
}

struct csq_inode *csq_inode_find(struct csq_inodes *inodes, dev_t device, ino_t number);
struct csq_list *csq_inode_bucket(struct csq_inodes *inodes, dev_t device, ino_t number);

/* Fills `handle` and makes it one of the inode's, not used yet. */
void csq_inode_add(struct csq_inodes *inodes, struct csq_inode *inode, struct csq_handle *handle,
                   int fd, bool writable);

/* Forgets a handle without closing it. One that is in use was closed by somebody else;
 * it stays in memory, because threads may be about to lock it. */
void csq_inode_drop(struct csq_inodes *inodes, struct csq_handle *handle);

/* Takes an inode out of the table. It has no handles. */
void csq_inode_free(struct csq_inodes *inodes, struct csq_inode *inode);

/* It is no longer idle. */
void csq_inode_in_use(struct csq_inodes *inodes, struct csq_inode *inode);

/* Puts it where it belongs after a handle came or went: among the idle ones, or away. */
void csq_inode_settle(struct csq_inodes *inodes, struct csq_inode *inode);

/* Whether the descriptor still is what was opened: a program that closes descriptors
 * which are not its own (a daemon does) may have given the number to another file. */
bool csq_inode_is_ours(const struct csq_handle *handle, struct stat *status);

/* A handle that may take exclusive locks, if possible the one that has the locks; NULL if
 * there is none. The second one opens it anew where only readers are there; NULL: nobody
 * may write to the file, there is no /proc, no descriptor or no memory. */
struct csq_handle *csq_inode_writer(struct csq_inodes *inodes, const struct csq_inode *inode);
struct csq_handle *csq_inode_get_writer(struct csq_inodes *inodes, struct csq_inode *inode);

/* Any thread. A file must not get the number of a closed standard stream, which the
 * process would go on writing to: gives these numbers to /dev/null. */
void csq_inode_occupy(void);

/* Any thread. One lock, as fcntl(); a length of 0 is everything. */
int csq_inode_lock_range(int fd, int operation, short type, off_t start, off_t length);

/* Any thread. Whether no other description and no process has a lock: 1, 0 (also if that
 * cannot be found out), or -1 if the file system has no locks of descriptions. */
int csq_inode_is_unlocked(int fd);

#endif
#endif
