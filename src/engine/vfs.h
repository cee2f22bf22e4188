/* Lets this copy of SQLite live beside another one in the same process.
 *
 * Only for a bundled SQLite on Linux, through xSetSystemCall() of its unix VFS:
 * engine/inodes.h says what is done. SQLite's system calls are one table for the
 * process, whatever interpreters and connections there are; so is what is here.
 *
 * Any thread. */

#ifndef CSQ_VFS_H
#define CSQ_VFS_H

#include <stdbool.h>
#include <stddef.h>

/* Whether there is another copy of SQLite to fear. */
enum csq_vfs_state {
    CSQ_VFS_SHARED, /* linked with a library, which others may be linked with too */
    CSQ_VFS_GUARDED, /* a copy of its own, beside which another one is harmless */
    CSQ_VFS_EXPOSED, /* a copy of its own, on a system where nothing can be done */
};

/* Puts the system calls in place, before any file is opened; once, however often it is
 * called. Must precede every sqlite3_open(). */
enum csq_vfs_state csq_vfs_install(void);

/* For engine/fork.h, around fork(), by which time it is installed or never will be: no
 * other thread is in the middle of these calls, and the child closes what is the parent's. */
void csq_vfs_before_fork(void);
void csq_vfs_in_parent(void);
void csq_vfs_in_child(void);

/* What is open of database files and -shm files; 0 where nothing is installed. */
struct csq_vfs_counts {
    size_t files;       /* open at all */
    size_t idle;        /* of these: by no connection, but locked by somebody else */
    size_t descriptors; /* of all of them */
};

void csq_vfs_count(struct csq_vfs_counts *counts);

#endif
