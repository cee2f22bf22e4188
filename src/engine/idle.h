/* Descriptors of database files that no connection uses any more.
 *
 * With the table's mutex held. */

#ifndef CSQ_IDLE_H
#define CSQ_IDLE_H

#if defined(__linux__)

#include "engine/inode.h"

/* Closes an inode that nobody uses, if nobody has a lock to lose. Gives whether it is
 * gone. Locks of its own do not count. */
bool csq_idle_part(struct csq_inodes *inodes, struct csq_inode *inode);

/* Tries that with the first few of those that wait. */
void csq_idle_try(struct csq_inodes *inodes, size_t count);

/* Closes what only other processes have locked: the locks that a close() drops are this
 * process's, and it has none where it has no other descriptor. Looks at all descriptors
 * of the process. */
void csq_idle_search(struct csq_inodes *inodes);

#endif
#endif
