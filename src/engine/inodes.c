/* open(), fcntl() and close() of database files. */

#define _FILE_OFFSET_BITS 64

#include "engine/inodes.h"

#if defined(__linux__)

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/alloc.h"
#include "engine/idle.h"

/* How many idle files are looked at when another one comes or goes. */
enum { TRIES = 2 };

/* Whether a name says that SQLite never locks the file. */
static bool
ends_in(const char *path, const char *suffix)
{
    size_t length = strlen(path);
    size_t wanted = strlen(suffix);

    return length > wanted && strcmp(path + length - wanted, suffix) == 0;
}

/* SQLite opens databases and -shm files with O_NOFOLLOW and neither directories nor
 * /dev/urandom so; with O_EXCL what it has just named itself. */
static bool
may_be_locked(const char *path, int flags)
{
    return (flags & (O_NOFOLLOW | O_EXCL)) == O_NOFOLLOW && !ends_in(path, "-journal") &&
           !ends_in(path, "-wal");
}

/* The kernel has just given this number to a new file, so it was free: somebody else has
 * closed what the table has under it. */
static void
drop_stale(struct csq_inodes *inodes, int fd)
{
    struct csq_handle *handle = csq_inode_handle(inodes, fd);
    struct csq_inode *inode;

    if (handle == NULL) {
        return;
    }
    pthread_mutex_lock(&inodes->mutex);
    handle = csq_inode_handle(inodes, fd);
    if (handle != NULL) {
        inode = handle->inode;
        csq_inode_drop(inodes, handle);
        csq_inode_settle(inodes, inode);
    }
    pthread_mutex_unlock(&inodes->mutex);
}

/* -- locking ------------------------------------------------------------------- */

/* As fcntl() with an operation on open file descriptions. */
static int
lock_description(int fd, int operation, struct flock *lock)
{
    struct flock copy = *lock;
    int rc;

    copy.l_pid = 0;
    rc = fcntl(fd, operation, &copy);
    *lock = copy;
    return rc;
}

/* Decides where the locks of an inode are taken. */
static void
choose_lock(struct csq_inodes *inodes, struct csq_inode *inode)
{
    struct csq_handle *handle = csq_inode_get_writer(inodes, inode);

    if (handle == NULL) {
        handle = inode->handles;
        inode->read_lock = handle->fd;
        inode->ranges = 0;
    }
    if (csq_inode_is_unlocked(handle->fd) < 0 ||
        (csq_inode_lock_range(handle->fd, F_OFD_SETLK, F_UNLCK, 0, 0) != 0 && errno == EINVAL)) {
        atomic_store(&inode->lock, CSQ_LOCK_PLAIN);
    } else {
        atomic_store(&inode->lock, handle->writable ? handle->fd : CSQ_LOCK_READ_ONLY);
    }
}

/* Notes what a read-only description has locked, so that a writable one can take over. */
static void
note_range(struct csq_inode *inode, const struct flock *lock)
{
    off_t end = lock->l_len == 0 ? 0 : lock->l_start + lock->l_len;
    size_t kept = 0;

    for (size_t i = 0; i < inode->ranges; i++) {
        const struct csq_range *range = &inode->held[i];

        if (range->start < lock->l_start || (end != 0 && range->start + range->length > end)) {
            inode->held[kept++] = *range;
        }
    }
    inode->ranges = kept;
    if (lock->l_type == F_RDLCK && kept < CSQ_RANGES) {
        inode->held[inode->ranges++] = (struct csq_range){lock->l_start, lock->l_len};
    }
}

/* Lets a writable descriptor hold what a read-only one held until now. */
static bool
take_over(struct csq_inode *inode, int fd)
{
    for (size_t i = 0; i < inode->ranges; i++) {
        if (csq_inode_lock_range(fd, F_OFD_SETLK, F_RDLCK, inode->held[i].start,
                                 inode->held[i].length) != 0) {
            csq_inode_lock_range(fd, F_OFD_SETLK, F_UNLCK, 0, 0);
            return false;
        }
    }
    csq_inode_lock_range(inode->read_lock, F_OFD_SETLK, F_UNLCK, 0, 0);
    inode->ranges = 0;
    atomic_store(&inode->lock, fd);
    return true;
}

/* F_OFD_SETLK for F_SETLK, and so on. */
static int
for_descriptions(int operation)
{
    return operation == F_GETLK ? F_OFD_GETLK : operation == F_SETLK ? F_OFD_SETLK : F_OFD_SETLKW;
}

/* The first lock of an inode, and all where it cannot be written to. Does not wait. */
static int
lock_slowly(struct csq_inodes *inodes, struct csq_handle *handle, int operation,
            struct flock *lock)
{
    struct csq_inode *inode = handle->inode;
    int where;
    int rc;

    pthread_mutex_lock(&inodes->mutex);
    where = atomic_load(&inode->lock);
    if (where == CSQ_LOCK_UNDECIDED) {
        choose_lock(inodes, inode);
        where = atomic_load(&inode->lock);
    }
    if (where == CSQ_LOCK_READ_ONLY) {
        operation = operation == F_GETLK ? F_OFD_GETLK : F_OFD_SETLK;
        rc = lock_description(inode->read_lock, operation, lock);
        if (rc == 0 && operation == F_OFD_SETLK) {
            note_range(inode, lock);
        }
        pthread_mutex_unlock(&inodes->mutex);
        return rc;
    }
    pthread_mutex_unlock(&inodes->mutex);
    if (where == CSQ_LOCK_PLAIN) {
        return fcntl(handle->fd, operation, lock);
    }
    return lock_description(where, for_descriptions(operation), lock);
}

int
csq_inodes_lock(struct csq_inodes *inodes, int fd, int operation, struct flock *lock)
{
    struct csq_handle *handle = csq_inode_handle(inodes, fd);
    int where;

    if (handle == NULL) {
        return fcntl(fd, operation, lock);
    }
    where = atomic_load_explicit(&handle->inode->lock, memory_order_acquire);
    if (where < 0) {
        return lock_slowly(inodes, handle, operation, lock);
    }
    return lock_description(where, for_descriptions(operation), lock);
}

/* -- closing ------------------------------------------------------------------- */

/* Closes or keeps an inode that has just lost its last user. SQLite lets go of its locks
 * itself, but for those on -shm files, which it drops by closing them. */
static void
retire(struct csq_inodes *inodes, struct csq_inode *inode)
{
    int lock = atomic_load(&inode->lock);

    if (lock == CSQ_LOCK_READ_ONLY) {
        /* Closing may need an exclusive lock on another description. */
        csq_inode_lock_range(inode->read_lock, F_OFD_SETLK, F_UNLCK, 0, 0);
        inode->ranges = 0;
    }
    if (csq_idle_part(inodes, inode)) {
        return;
    }
    if (lock >= 0) {
        csq_inode_lock_range(lock, F_OFD_SETLK, F_UNLCK, 0, 0);
    }
    csq_inode_settle(inodes, inode);
    if (inodes->idle_files > inodes->crowded) {
        csq_idle_search(inodes);
    }
}

int
csq_inodes_close(struct csq_inodes *inodes, int fd)
{
    struct csq_handle *handle = csq_inode_handle(inodes, fd);
    struct csq_inode *inode;

    if (handle == NULL) {
        return close(fd);
    }
    pthread_mutex_lock(&inodes->mutex);
    handle = csq_inode_handle(inodes, fd);
    if (handle == NULL || handle->uses == 0) {
        pthread_mutex_unlock(&inodes->mutex);
        return close(fd);
    }
    inode = handle->inode;
    handle->uses--;
    inode->uses--;
    if (inode->uses == 0) {
        csq_idle_try(inodes, TRIES);
        retire(inodes, inode);
    }
    pthread_mutex_unlock(&inodes->mutex);
    return 0;
}

/* -- opening ------------------------------------------------------------------- */

/* Hands out a descriptor that is open already; -1: there is none. `refused`: there is
 * one, which the file's permissions do not allow. */
static int
open_again(struct csq_inodes *inodes, const char *path, bool writable, bool *refused)
{
    struct csq_inode *inode;
    struct csq_handle *handle;
    struct csq_handle *next;
    struct stat status;
    int fd = -1;

    if (fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode)) {
        return -1;
    }
    pthread_mutex_lock(&inodes->mutex);
    inode = csq_inode_find(inodes, status.st_dev, status.st_ino);
    for (handle = inode == NULL ? NULL : inode->handles; handle != NULL; handle = next) {
        next = handle->next;
        if (handle->writable != writable) {
            continue;
        }
        if (!csq_inode_is_ours(handle, &status)) {
            csq_inode_drop(inodes, handle);
            continue;
        }
        /* open() would have asked this. What it says no to is left to open(). */
        if (!inode->permitted &&
            faccessat(AT_FDCWD, path, writable ? R_OK | W_OK : R_OK, AT_EACCESS) != 0) {
            *refused = true;
            break;
        }
        handle->uses++;
        inode->uses++;
        csq_inode_in_use(inodes, inode);
        fd = handle->fd;
        break;
    }
    if (inode != NULL) {
        csq_inode_settle(inodes, inode);
    }
    pthread_mutex_unlock(&inodes->mutex);
    return fd;
}

/* Notes of which database a file of the name "...-shm" is a part. */
static void
note_database(struct csq_inode *inode, const char *path)
{
    size_t length = strlen(path) - strlen("-shm");
    struct stat status;
    char database[PATH_MAX];

    if (!ends_in(path, "-shm")) {
        return;
    }
    inode->shm = true;
    if (length >= sizeof database) {
        return;
    }
    memcpy(database, path, length);
    database[length] = '\0';
    if (stat(database, &status) == 0) {
        inode->database_device = status.st_dev;
        inode->database_number = status.st_ino;
    }
}

/* What a file that is about to be opened may need in the table; one block each, because
 * a file that is open cannot be closed for want of memory. */
struct spare {
    struct csq_inode *inode;
    struct csq_handle *handle;
};

static bool
get_spare(struct spare *spare)
{
    spare->inode = csq_calloc(sizeof *spare->inode);
    spare->handle = csq_calloc(sizeof *spare->handle);
    return spare->inode != NULL && spare->handle != NULL;
}

static void
put_spare(struct spare *spare)
{
    csq_free(spare->inode);
    csq_free(spare->handle);
}

/* Enters a file that has just been opened, and gives the descriptor. */
static int
enter(struct csq_inodes *inodes, const char *path, int fd, bool writable, bool refused,
      struct spare *spare)
{
    struct csq_inode *inode;
    struct csq_handle *handle;
    struct stat status;

    drop_stale(inodes, fd);
    if (fd < CSQ_LOWEST || fd >= CSQ_DESCRIPTORS || fstat(fd, &status) != 0 ||
        !S_ISREG(status.st_mode)) {
        return fd;
    }
    pthread_mutex_lock(&inodes->mutex);
    inode = csq_inode_find(inodes, status.st_dev, status.st_ino);
    if (inode == NULL) {
        inode = spare->inode;
        spare->inode = NULL;
        inode->device = status.st_dev;
        inode->number = status.st_ino;
        atomic_init(&inode->lock, CSQ_LOCK_UNDECIDED);
        csq_link_init(&inode->same);
        csq_link_init(&inode->waiting);
        note_database(inode, path);
        csq_list_append(csq_inode_bucket(inodes, inode->device, inode->number), &inode->same);
        inodes->files++;
        csq_idle_try(inodes, TRIES);
    }
    /* open() knows better, for instance of capabilities; asking for permission in vain
     * would cost a descriptor each time. */
    inode->permitted |= refused;
    handle = spare->handle;
    spare->handle = NULL;
    csq_inode_add(inodes, inode, handle, fd, writable);
    if (writable && atomic_load(&inode->lock) == CSQ_LOCK_READ_ONLY && !take_over(inode, fd)) {
        /* Nobody could write through it: SQLite opens it to read only. */
        csq_inode_settle(inodes, inode);
        fd = -1;
    } else {
        handle->uses++;
        inode->uses++;
        csq_inode_in_use(inodes, inode);
    }
    pthread_mutex_unlock(&inodes->mutex);
    if (fd < 0) {
        errno = EACCES;
    }
    return fd;
}

/* Closes as many idle files as can be, because there are no descriptors left. */
static void
make_room(struct csq_inodes *inodes)
{
    pthread_mutex_lock(&inodes->mutex);
    csq_idle_try(inodes, inodes->idle_files);
    if (inodes->idle_files > 0) {
        csq_idle_search(inodes);
    }
    pthread_mutex_unlock(&inodes->mutex);
}

int
csq_inodes_open(struct csq_inodes *inodes, const char *path, int flags, int mode)
{
    bool writable = (flags & O_ACCMODE) == O_RDWR;
    bool refused = false;
    struct spare spare = {NULL, NULL};
    int error;
    int fd;

    if (!may_be_locked(path, flags)) {
        fd = open(path, flags, mode);
        drop_stale(inodes, fd);
        return fd;
    }
    fd = open_again(inodes, path, writable, &refused);
    if (fd >= 0) {
        return fd;
    }
    if (!get_spare(&spare)) {
        put_spare(&spare);
        /* After any other error SQLite would try to open the file to read only. */
        errno = EISDIR;
        return -1;
    }
    csq_inode_occupy();
    fd = open(path, flags, mode);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
        make_room(inodes);
        fd = open(path, flags, mode);
    }
    if (fd >= 0) {
        fd = enter(inodes, path, fd, writable, refused, &spare);
    }
    error = errno;
    put_spare(&spare);
    errno = error;
    return fd;
}

/* -- the table ----------------------------------------------------------------- */

bool
csq_inodes_init(struct csq_inodes *inodes)
{
    /* A page of it takes memory only when a descriptor on it is used. */
    void *table = mmap(NULL, CSQ_DESCRIPTORS * sizeof *inodes->by_fd, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (table == MAP_FAILED) {
        return false;
    }
    memset(inodes, 0, sizeof *inodes);
    inodes->by_fd = table;
    pthread_mutex_init(&inodes->mutex, NULL);
    for (int i = 0; i < CSQ_INODE_BUCKETS; i++) {
        csq_list_init(&inodes->buckets[i]);
    }
    csq_list_init(&inodes->idle);
    csq_list_init(&inodes->lost);
    inodes->crowded = CSQ_CROWD;
    return true;
}

void
csq_inodes_before_fork(struct csq_inodes *inodes)
{
    pthread_mutex_lock(&inodes->mutex);
}

void
csq_inodes_in_parent(struct csq_inodes *inodes)
{
    pthread_mutex_unlock(&inodes->mutex);
}

/* Memory is not given back: another thread may have been in the middle of that. */
void
csq_inodes_in_child(struct csq_inodes *inodes)
{
    struct stat status;

    for (int i = 0; i < CSQ_INODE_BUCKETS; i++) {
        struct csq_list *bucket = &inodes->buckets[i];

        for (struct csq_link *link = bucket->head.next; link != &bucket->head;
             link = link->next) {
            struct csq_inode *inode = csq_item(link, struct csq_inode, same);

            for (struct csq_handle *handle = inode->handles; handle != NULL;
                 handle = handle->next) {
                atomic_store(&inodes->by_fd[handle->fd], NULL);
                if (csq_inode_is_ours(handle, &status)) {
                    close(handle->fd);
                }
            }
        }
        csq_list_move(&inodes->lost, bucket);
    }
    csq_list_init(&inodes->idle);
    inodes->files = 0;
    inodes->idle_files = 0;
    inodes->crowded = CSQ_CROWD;
    pthread_mutex_unlock(&inodes->mutex);
}

void
csq_inodes_count(struct csq_inodes *inodes, struct csq_inodes_counts *counts)
{
    pthread_mutex_lock(&inodes->mutex);
    counts->files = inodes->files;
    counts->idle = inodes->idle_files;
    counts->descriptors = 0;
    for (int i = 0; i < CSQ_INODE_BUCKETS; i++) {
        struct csq_list *bucket = &inodes->buckets[i];

        for (struct csq_link *link = bucket->head.next; link != &bucket->head;
             link = link->next) {
            struct csq_inode *inode = csq_item(link, struct csq_inode, same);

            for (struct csq_handle *handle = inode->handles; handle != NULL;
                 handle = handle->next) {
                counts->descriptors++;
            }
        }
    }
    pthread_mutex_unlock(&inodes->mutex);
}

#endif
