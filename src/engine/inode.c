/* The table of inodes that are open: looking up, entering, leaving, forking. */

#define _FILE_OFFSET_BITS 64

#include "engine/inode.h"

#if defined(__linux__)

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/alloc.h"

/* -- looking up ---------------------------------------------------------------- */

struct csq_list *
csq_inode_bucket(struct csq_inodes *inodes, dev_t device, ino_t number)
{
    uint64_t mixed = ((uint64_t)number ^ ((uint64_t)device << 32)) * 0x9E3779B97F4A7C15u;

    return &inodes->buckets[mixed >> 56 & (CSQ_INODE_BUCKETS - 1)];
}

struct csq_inode *
csq_inode_find(struct csq_inodes *inodes, dev_t device, ino_t number)
{
    struct csq_list *bucket = csq_inode_bucket(inodes, device, number);

    for (struct csq_link *link = bucket->head.next; link != &bucket->head; link = link->next) {
        struct csq_inode *inode = csq_item(link, struct csq_inode, same);

        if (inode->number == number && inode->device == device) {
            return inode;
        }
    }
    return NULL;
}

/* -- handles ------------------------------------------------------------------- */

void
csq_inode_add(struct csq_inodes *inodes, struct csq_inode *inode, struct csq_handle *handle,
              int fd, bool writable)
{
    handle->inode = inode;
    handle->fd = fd;
    handle->writable = writable;
    handle->uses = 0;
    handle->next = inode->handles;
    inode->handles = handle;
    atomic_store_explicit(&inodes->by_fd[fd], handle, memory_order_release);
}

void
csq_inode_drop(struct csq_inodes *inodes, struct csq_handle *handle)
{
    struct csq_inode *inode = handle->inode;
    struct csq_handle **place = &inode->handles;

    while (*place != handle) {
        place = &(*place)->next;
    }
    *place = handle->next;
    inode->uses -= handle->uses;
    if (atomic_load(&inode->lock) == handle->fd ||
        (atomic_load(&inode->lock) == CSQ_LOCK_READ_ONLY && inode->read_lock == handle->fd)) {
        atomic_store(&inode->lock, CSQ_LOCK_UNDECIDED);
        inode->ranges = 0;
    }
    atomic_store_explicit(&inodes->by_fd[handle->fd], NULL, memory_order_release);
    if (handle->uses > 0) {
        handle->next = inode->dead;
        inode->dead = handle;
    } else {
        csq_free(handle);
    }
}

void
csq_inode_in_use(struct csq_inodes *inodes, struct csq_inode *inode)
{
    if (!csq_link_alone(&inode->waiting)) {
        csq_link_remove(&inode->waiting);
        inodes->idle_files--;
    }
}

void
csq_inode_free(struct csq_inodes *inodes, struct csq_inode *inode)
{
    csq_inode_in_use(inodes, inode);
    csq_link_remove(&inode->same);
    inodes->files--;
    if (inode->dead != NULL) {
        csq_list_append(&inodes->lost, &inode->same);
    } else {
        csq_free(inode);
    }
}

void
csq_inode_settle(struct csq_inodes *inodes, struct csq_inode *inode)
{
    if (inode->handles == NULL) {
        csq_inode_free(inodes, inode);
    } else if (inode->uses == 0 && csq_link_alone(&inode->waiting)) {
        csq_list_append(&inodes->idle, &inode->waiting);
        inodes->idle_files++;
    }
}

bool
csq_inode_is_ours(const struct csq_handle *handle, struct stat *status)
{
    int mode;

    if (fstat(handle->fd, status) != 0 || status->st_ino != handle->inode->number ||
        status->st_dev != handle->inode->device) {
        return false;
    }
    mode = fcntl(handle->fd, F_GETFL);
    return mode != -1 && (mode & O_ACCMODE) == (handle->writable ? O_RDWR : O_RDONLY);
}

void
csq_inode_occupy(void)
{
    for (int fd = 0; fd < CSQ_LOWEST; fd++) {
        if (fcntl(fd, F_GETFD) == -1) {
            int null = open("/dev/null", O_RDWR | O_CLOEXEC);

            if (null >= CSQ_LOWEST) {
                close(null); /* Somebody else has occupied it meanwhile. */
            }
        }
    }
}

struct csq_handle *
csq_inode_writer(struct csq_inodes *inodes, const struct csq_inode *inode)
{
    int lock = atomic_load(&inode->lock);
    struct csq_handle *handle = lock >= 0 ? csq_inode_handle(inodes, lock) : inode->handles;

    while (handle != NULL && !handle->writable) {
        handle = handle->next;
    }
    return handle;
}

struct csq_handle *
csq_inode_get_writer(struct csq_inodes *inodes, struct csq_inode *inode)
{
    struct csq_handle *handle = csq_inode_writer(inodes, inode);
    struct csq_handle *fresh;
    struct stat status;
    char path[32];
    int fd;

    if (handle != NULL || inode->handles == NULL) {
        return handle;
    }
    fresh = csq_malloc(sizeof *fresh);
    if (fresh == NULL) {
        return NULL;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", inode->handles->fd);
    csq_inode_occupy();
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= CSQ_LOWEST && fd < CSQ_DESCRIPTORS && fstat(fd, &status) == 0 &&
        status.st_ino == inode->number && status.st_dev == inode->device) {
        csq_inode_add(inodes, inode, fresh, fd, true);
        return fresh;
    }
    if (fd >= 0) {
        close(fd);
    }
    csq_free(fresh);
    return NULL;
}

int
csq_inode_lock_range(int fd, int operation, short type, off_t start, off_t length)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};

    return fcntl(fd, operation, &lock);
}

int
csq_inode_is_unlocked(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_GETLK, &lock) != 0) {
        return errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP ? -1 : 0;
    }
    return lock.l_type == F_UNLCK;
}

#endif
