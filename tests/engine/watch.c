/* The default VFS with one method of its files replaced. A file keeps its own layout:
 * only the table of methods that it points to is a copy. */

#include "engine/watch.h"

#include <sqlite3.h>
#include <stdatomic.h>

static sqlite3_vfs *real_vfs;
static const sqlite3_io_methods *real_methods;
static sqlite3_vfs vfs;
static sqlite3_io_methods methods;
static _Atomic(struct gate *) watcher;

static int
lock_file(sqlite3_file *file, int level)
{
    int rc = real_methods->xLock(file, level);
    struct gate *gate = atomic_load(&watcher);

    if (rc == SQLITE_BUSY && gate != NULL) {
        gate_reach(gate);
    }
    return rc;
}

static int
open_file(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags, int *out)
{
    int rc = real_vfs->xOpen(real_vfs, name, file, flags, out);

    (void)self;
    if (rc == SQLITE_OK && (flags & SQLITE_OPEN_MAIN_DB)) {
        if (real_methods == NULL) {
            real_methods = file->pMethods;
            methods = *real_methods;
            methods.xLock = lock_file;
        }
        file->pMethods = &methods;
    }
    return rc;
}

const char *
watch_locks(struct gate *gate)
{
    if (real_vfs == NULL) {
        sqlite3_initialize();
        real_vfs = sqlite3_vfs_find(NULL);
        vfs = *real_vfs;
        vfs.zName = "watch";
        vfs.pNext = NULL;
        vfs.xOpen = open_file;
        sqlite3_vfs_register(&vfs, 0);
    }
    atomic_store(&watcher, gate);
    return vfs.zName;
}
