/* Closing descriptors of database files when that harms nobody.
 *
 * A descriptor is closed under an exclusive lock on the whole file. Whoever holds it
 * knows that nobody has a POSIX lock and nobody can get one. close() drops the process's
 * POSIX locks before the last close of a description drops its own, so there is no
 * moment in which another copy of SQLite could lose a lock. */

#define _FILE_OFFSET_BITS 64

#include "engine/idle.h"

#if defined(__linux__)

#include <dirent.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* The byte that whoever wants its first lock on a database asks for. */
static const off_t PENDING_BYTE = 0x40000000;

/* -- closing ------------------------------------------------------------------- */

/* Closes all that is open of an inode: `last` behind the others, since it has the lock. */
static void
close_all(struct csq_inodes *inodes, struct csq_inode *inode, struct csq_handle *last)
{
    struct csq_handle *next;

    for (struct csq_handle *handle = inode->handles; handle != NULL; handle = next) {
        next = handle->next;
        if (handle != last) {
            int fd = handle->fd;

            csq_inode_drop(inodes, handle);
            close(fd);
        }
    }
    if (last != NULL) {
        int fd = last->fd;

        csq_inode_drop(inodes, last);
        close(fd);
    }
    csq_inode_free(inodes, inode);
}

bool
csq_idle_part(struct csq_inodes *inodes, struct csq_inode *inode)
{
    struct stat status = {.st_nlink = 0};
    struct csq_handle *handle;
    struct csq_handle *next;
    nlink_t links = 0;
    int unlocked;

    for (handle = inode->handles; handle != NULL; handle = next) {
        next = handle->next;
        if (csq_inode_is_ours(handle, &status)) {
            links = status.st_nlink;
        } else {
            csq_inode_drop(inodes, handle);
        }
    }
    if (inode->handles == NULL) {
        csq_inode_free(inodes, inode);
        return true;
    }
    if (links == 0) {
        /* Nobody can open it any more, and its space is wanted back. */
        close_all(inodes, inode, NULL);
        return true;
    }
    handle = csq_inode_writer(inodes, inode);
    unlocked = csq_inode_is_unlocked(handle != NULL ? handle->fd : inode->handles->fd);
    if (unlocked == 0) {
        return false;
    }
    /* Who may only read has at most a reader's lock to lose, and that only if it gets it
     * just now; there is no way to keep it from that. */
    handle = unlocked < 0 ? NULL : csq_inode_get_writer(inodes, inode);
    if (handle != NULL && csq_inode_lock_range(handle->fd, F_OFD_SETLK, F_WRLCK, 0, 0) != 0) {
        return false;
    }
    close_all(inodes, inode, handle);
    return true;
}

void
csq_idle_try(struct csq_inodes *inodes, size_t count)
{
    for (; count > 0 && !csq_list_empty(&inodes->idle); count--) {
        struct csq_link *link = inodes->idle.head.next;

        if (!csq_idle_part(inodes, csq_item(link, struct csq_inode, waiting))) {
            csq_link_remove(link);
            csq_list_append(&inodes->idle, link);
        }
    }
}

/* -- crowds -------------------------------------------------------------------- */

/* Sees to it that nobody can get a first lock on the databases that are idle. */
static void
hold_off(struct csq_inodes *inodes)
{
    struct csq_list *idle = &inodes->idle;

    for (struct csq_link *link = idle->head.next; link != &idle->head; link = link->next) {
        struct csq_inode *inode = csq_item(link, struct csq_inode, waiting);
        struct csq_handle *handle = inode->shm ? NULL : csq_inode_get_writer(inodes, inode);

        inode->elsewhere = false;
        inode->pending = handle != NULL && csq_inode_lock_range(handle->fd, F_OFD_SETLK, F_WRLCK,
                                                                PENDING_BYTE, 1) == 0;
    }
}

/* Marks the inode behind a descriptor that is not in the table. */
static void
mark(struct csq_inodes *inodes, int fd)
{
    struct csq_handle *handle = csq_inode_handle(inodes, fd);
    struct csq_inode *inode;
    struct stat status;

    if (fstat(fd, &status) != 0) {
        return;
    }
    inode = csq_inode_find(inodes, status.st_dev, status.st_ino);
    if (inode != NULL && (handle == NULL || handle->inode != inode)) {
        inode->elsewhere = true;
    }
}

/* Marks all inodes that somebody else in this process has open. False: cannot tell. */
static bool
mark_all(struct csq_inodes *inodes)
{
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    struct rlimit limit;

    if (directory != NULL) {
        while ((entry = readdir(directory)) != NULL) {
            if (entry->d_name[0] != '.') {
                mark(inodes, atoi(entry->d_name));
            }
        }
        closedir(directory);
        return true;
    }
    /* There is no /proc, or no descriptor for it. The limit may have been higher. */
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max > CSQ_DESCRIPTORS) {
        return false;
    }
    for (int fd = 0; fd < CSQ_DESCRIPTORS; fd++) {
        mark(inodes, fd);
    }
    return true;
}

/* Whether nobody in this process but the table can have a lock on an idle inode. Who has
 * a lock on a -shm file has one on its database. */
static bool
is_only_ours(struct csq_inodes *inodes, const struct csq_inode *inode)
{
    const struct csq_inode *database = inode;

    if (inode->shm) {
        database = csq_inode_find(inodes, inode->database_device, inode->database_number);
    }
    return !inode->elsewhere && database != NULL && database->uses == 0 && database->pending &&
           !database->elsewhere;
}

/* While the table holds PENDING of a database, nobody gets a first lock there. The -shm
 * files go first, because their databases keep others away from them. */
void
csq_idle_search(struct csq_inodes *inodes)
{
    struct csq_list *idle = &inodes->idle;
    struct csq_link *next;
    bool known;

    hold_off(inodes);
    known = mark_all(inodes);
    for (int databases = 0; databases <= 1; databases++) {
        for (struct csq_link *link = idle->head.next; link != &idle->head; link = next) {
            struct csq_inode *inode = csq_item(link, struct csq_inode, waiting);

            next = link->next;
            if (inode->shm == (bool)databases) {
                continue;
            }
            if (known && is_only_ours(inodes, inode)) {
                close_all(inodes, inode, csq_inode_writer(inodes, inode));
            } else if (inode->pending) {
                csq_inode_lock_range(csq_inode_writer(inodes, inode)->fd, F_OFD_SETLK, F_UNLCK, 0,
                                     0);
                inode->pending = false;
            }
        }
    }
    inodes->crowded = inodes->idle_files < CSQ_CROWD / 2 ? CSQ_CROWD : 2 * inodes->idle_files;
}

#endif
