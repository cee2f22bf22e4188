/* The system calls that SQLite makes to open, lock and close files. */

#define _FILE_OFFSET_BITS 64

#include "engine/vfs.h"

#include <sqlite3.h>
#include <string.h>

#if defined(CSQLITE_BUNDLED) && defined(__linux__)
#include <fcntl.h>
#endif

#if defined(CSQLITE_BUNDLED) && defined(__linux__) && defined(F_OFD_SETLK)

#include <pthread.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/inodes.h"

/* SQLite's table of system calls is the process's, and these functions get no argument of
 * their own. */
static struct process {
    pthread_once_t once;
    enum csq_vfs_state state;
    sqlite3_vfs *vfs;
    struct csq_inodes inodes;
} process = {.once = PTHREAD_ONCE_INIT, .state = CSQ_VFS_EXPOSED};

/* -- system calls -------------------------------------------------------------- */

static int
open_file(const char *path, int flags, int mode)
{
    return csq_inodes_open(&process.inodes, path, flags, mode);
}

static int
close_file(int fd)
{
    return csq_inodes_close(&process.inodes, fd);
}

static int
control_file(int fd, int operation, ...)
{
    va_list arguments;
    void *argument;

    va_start(arguments, operation);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if (operation == F_SETLK || operation == F_GETLK || operation == F_SETLKW) {
        return csq_inodes_lock(&process.inodes, fd, operation, argument);
    }
    return fcntl(fd, operation, argument);
}

static void
set_call(const char *name, void (*call)(void))
{
    process.vfs->xSetSystemCall(process.vfs, name, call);
}

/* -- installing ---------------------------------------------------------------- */

/* Whether the kernel knows locks of open file descriptions; gVisor, for one, does not. */
static bool
kernel_can(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = memfd_create("csqlite", MFD_CLOEXEC);
    bool can;

    if (fd < 0) {
        return false;
    }
    can = fcntl(fd, F_OFD_SETLK, &lock) == 0;
    close(fd);
    return can;
}

static void
install(void)
{
    if (sqlite3_initialize() != SQLITE_OK || !kernel_can()) {
        return;
    }
    process.vfs = sqlite3_vfs_find("unix");
    /* Descriptors are shared, so nobody may depend on their position. */
    if (process.vfs == NULL || process.vfs->iVersion < 3 ||
        process.vfs->xGetSystemCall(process.vfs, "pread") == NULL ||
        process.vfs->xGetSystemCall(process.vfs, "pwrite") == NULL) {
        return;
    }
    if (!csq_inodes_init(&process.inodes)) {
        return;
    }
    set_call("open", (void (*)(void))open_file);
    set_call("close", (void (*)(void))close_file);
    set_call("fcntl", (void (*)(void))control_file);
    process.state = CSQ_VFS_GUARDED;
}

enum csq_vfs_state
csq_vfs_install(void)
{
    pthread_once(&process.once, install);
    return process.state;
}

void
csq_vfs_before_fork(void)
{
    if (process.state == CSQ_VFS_GUARDED) {
        csq_inodes_before_fork(&process.inodes);
    }
}

void
csq_vfs_in_parent(void)
{
    if (process.state == CSQ_VFS_GUARDED) {
        csq_inodes_in_parent(&process.inodes);
    }
}

void
csq_vfs_in_child(void)
{
    if (process.state == CSQ_VFS_GUARDED) {
        csq_inodes_in_child(&process.inodes);
    }
}

void
csq_vfs_count(struct csq_vfs_counts *counts)
{
    struct csq_inodes_counts inodes = {0, 0, 0};

    if (csq_vfs_install() == CSQ_VFS_GUARDED) {
        csq_inodes_count(&process.inodes, &inodes);
    }
    *counts = (struct csq_vfs_counts){inodes.files, inodes.idle, inodes.descriptors};
}

#else

enum csq_vfs_state
csq_vfs_install(void)
{
#ifdef CSQLITE_BUNDLED
    return CSQ_VFS_EXPOSED;
#else
    return CSQ_VFS_SHARED;
#endif
}

void
csq_vfs_before_fork(void)
{
}

void
csq_vfs_in_parent(void)
{
}

void
csq_vfs_in_child(void)
{
}

void
csq_vfs_count(struct csq_vfs_counts *counts)
{
    memset(counts, 0, sizeof *counts);
}

#endif
