/* The shim. A file has the default VFS's file behind it, and a record of what would be
 * on the disk if the power went now: the bytes that were synced, and the changes since.
 * A file that was deleted and made again has two lives until it is synced. */

#include "engine/faultvfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/harness.h"

enum { RECORDS = 8, SECTOR = 512, PATH = 512 };

/* One change that was not synced: a write, or with `bytes` NULL a truncation to `at`. */
struct change {
    struct change *next;
    unsigned char *bytes;
    sqlite3_int64 at;
    int size;
};

struct image {
    unsigned char *bytes;
    sqlite3_int64 size;
};

struct record {
    char path[PATH];
    bool durable; /* the disk has it */
    bool afresh;  /* it was deleted or never there, and what comes is another life */
    bool exists;  /* as programs see it */
    struct image image;
    struct change *first;
    struct change **last;
};

struct file {
    sqlite3_file base;
    struct record *record; /* NULL: none is kept */
    sqlite3_file real[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sqlite3_vfs *real_vfs;
static sqlite3_vfs shim;
static struct fault_plan armed = {FAULT_CALLS, 0, false, false};
static int64_t room = -1; /* bytes until the disk is full; -1: endless */
static long failures;
static bool recording;
static struct fault_disk medium;
static struct record records[RECORDS];
static long changes_left; /* until the power goes; 0: it stays */
static bool dark;

static const int codes[FAULT_CALLS] = {
    SQLITE_CANTOPEN,
    SQLITE_IOERR_DELETE,
    SQLITE_IOERR_ACCESS,
    SQLITE_IOERR_READ,
    SQLITE_IOERR_WRITE,
    SQLITE_IOERR_TRUNCATE,
    SQLITE_IOERR_FSYNC,
    SQLITE_IOERR_FSTAT,
    SQLITE_IOERR_LOCK,
    SQLITE_IOERR_UNLOCK,
    SQLITE_IOERR_CHECKRESERVEDLOCK,
    SQLITE_IOERR_SHMMAP,
    SQLITE_IOERR_SHMLOCK,
};

const char *
fault_name(enum fault_call call)
{
    static const char *const names[FAULT_CALLS] = {
        "open", "delete", "access", "read",     "write",   "truncate", "sync",
        "size", "lock",   "unlock", "reserved", "shm map", "shm lock",
    };

    return names[call];
}

/* -- whether a call fails ------------------------------------------------------- */

static bool
is_due(enum fault_call call)
{
    if (armed.call != call || armed.nth == 0) {
        return false;
    }
    if (armed.nth > 1) {
        armed.nth--;
        return false;
    }
    armed.nth = armed.forever ? 1 : 0;
    return true;
}

/* Gives the code with which `call` is to fail, SQLITE_OK: it is not. */
static int
meet(enum fault_call call)
{
    int rc = SQLITE_OK;

    pthread_mutex_lock(&lock);
    if (dark || is_due(call)) {
        failures++;
        rc = codes[call];
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

/* The same for a call that changes the disk. With SQLITE_OK the lock is held. */
static int
meet_change(enum fault_call call)
{
    pthread_mutex_lock(&lock);
    if (changes_left > 0 && --changes_left == 0) {
        dark = true;
    }
    if (dark || is_due(call)) {
        failures++;
        pthread_mutex_unlock(&lock);
        return codes[call];
    }
    return SQLITE_OK;
}

/* -- what the disk has ---------------------------------------------------------- */

static void
image_write(struct image *image, const unsigned char *bytes, sqlite3_int64 size, sqlite3_int64 at)
{
    if (size == 0) {
        return;
    }
    if (at + size > image->size) {
        image->bytes = realloc(image->bytes, (size_t)(at + size));
        memset(image->bytes + image->size, 0, (size_t)(at + size - image->size));
        image->size = at + size;
    }
    memcpy(image->bytes + at, bytes, (size_t)size);
}

static void
image_truncate(struct image *image, sqlite3_int64 size)
{
    if (size < image->size) {
        image->size = size;
    }
}

static void
image_clear(struct image *image)
{
    free(image->bytes);
    image->bytes = NULL;
    image->size = 0;
}

static void
forget_changes(struct record *record)
{
    while (record->first != NULL) {
        struct change *next = record->first->next;

        free(record->first->bytes);
        free(record->first);
        record->first = next;
    }
    record->last = &record->first;
}

/* `path` NULL: a temporary file, of which nothing survives anyway. */
static struct record *
find_record(const char *path, bool make)
{
    for (int i = 0; recording && path != NULL && i < RECORDS; i++) {
        if (strcmp(records[i].path, path) == 0) {
            return &records[i];
        }
        if (records[i].path[0] == '\0') {
            if (!make) {
                return NULL;
            }
            snprintf(records[i].path, PATH, "%s", path);
            records[i].last = &records[i].first;
            return &records[i];
        }
    }
    return NULL;
}

static void
note(struct record *record, const void *bytes, int size, sqlite3_int64 at)
{
    struct change *change;

    if (!recording || record == NULL) {
        return;
    }
    change = calloc(1, sizeof *change);
    change->at = at;
    change->size = size;
    if (bytes != NULL) {
        change->bytes = malloc((size_t)size);
        memcpy(change->bytes, bytes, (size_t)size);
    }
    *record->last = change;
    record->last = &change->next;
}

static bool
is_lost(enum fault_loss loss)
{
    return loss == FAULT_LOSES_ALL ||
           (loss == FAULT_LOSES_SOME && harness_random(&medium.seed, 2) == 0);
}

/* Applies the changes, sector by sector, but those that are lost. */
static void
settle(struct record *record, struct image *image, enum fault_loss loss)
{
    for (const struct change *change = record->first; change != NULL; change = change->next) {
        if (change->bytes == NULL) {
            if (!is_lost(loss)) {
                image_truncate(image, change->at);
            }
            continue;
        }
        for (int done = 0; done < change->size;) {
            int piece = SECTOR - (int)((change->at + done) % SECTOR);

            piece = piece < change->size - done ? piece : change->size - done;
            if (!is_lost(loss)) {
                image_write(image, change->bytes + done, piece, change->at + done);
            }
            done += piece;
        }
    }
}

static void
note_sync(struct record *record)
{
    if (!recording || record == NULL) {
        return;
    }
    if (medium.lies > 0 && harness_random(&medium.seed, (unsigned)medium.lies) == 0) {
        return;
    }
    if (record->afresh) {
        image_clear(&record->image);
        record->afresh = false;
    }
    settle(record, &record->image, FAULT_LOSES_NONE);
    forget_changes(record);
    record->durable = true;
}

static void
note_deletion(const char *path, bool synced)
{
    struct record *record = find_record(path, false);

    if (record == NULL) {
        return;
    }
    forget_changes(record);
    record->exists = false;
    record->afresh = true;
    if (synced || medium.deletes_last) {
        image_clear(&record->image);
        record->durable = false;
    }
}

/* -- files ---------------------------------------------------------------------- */

#define REAL (((struct file *)file)->real)
#define PASS(method, ...) (REAL->pMethods->method(REAL, ##__VA_ARGS__))

static int
file_close(sqlite3_file *file)
{
    return PASS(xClose);
}

static int
file_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 at)
{
    int rc = meet(FAULT_READ);

    return rc == SQLITE_OK ? PASS(xRead, bytes, size, at) : rc;
}

static int
write_locked(struct file *file, const void *bytes, int size, sqlite3_int64 at)
{
    int rc = size > 0 ? PASS(xWrite, bytes, size, at) : SQLITE_OK;

    if (rc == SQLITE_OK && size > 0) {
        note(file->record, bytes, size, at);
    }
    return rc;
}

static int
file_write(sqlite3_file *base, const void *bytes, int size, sqlite3_int64 at)
{
    struct file *file = (struct file *)base;
    bool partial = armed.partial;
    int rc = meet_change(FAULT_WRITE);

    if (rc != SQLITE_OK) {
        if (partial && !fault_is_dark()) {
            pthread_mutex_lock(&lock);
            write_locked(file, bytes, size / 2, at);
            pthread_mutex_unlock(&lock);
        }
        return rc;
    }
    if (room >= 0 && size > room) {
        write_locked(file, bytes, (int)room, at);
        room = 0;
        failures++;
        rc = SQLITE_FULL;
    } else {
        room -= room >= 0 ? size : 0;
        rc = write_locked(file, bytes, size, at);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static int
file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct file *file = (struct file *)base;
    int rc = meet_change(FAULT_TRUNCATE);

    if (rc == SQLITE_OK) {
        rc = PASS(xTruncate, size);
        if (rc == SQLITE_OK) {
            note(file->record, NULL, 0, size);
        }
        pthread_mutex_unlock(&lock);
    }
    return rc;
}

static int
file_sync(sqlite3_file *base, int flags)
{
    struct file *file = (struct file *)base;
    int rc = meet_change(FAULT_SYNC);

    (void)flags;
    if (rc == SQLITE_OK) {
        note_sync(file->record);
        pthread_mutex_unlock(&lock);
    }
    return rc;
}

static int
file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    int rc = meet(FAULT_SIZE);

    return rc == SQLITE_OK ? PASS(xFileSize, size) : rc;
}

static int
file_lock(sqlite3_file *file, int level)
{
    int rc = meet(FAULT_LOCK);

    return rc == SQLITE_OK ? PASS(xLock, level) : rc;
}

/* What fails to unlock has let go all the same: nobody could use the file otherwise. */
static int
file_unlock(sqlite3_file *file, int level)
{
    int failed = meet(FAULT_UNLOCK);
    int rc = PASS(xUnlock, level);

    return rc == SQLITE_OK ? failed : rc;
}

static int
file_check_reserved(sqlite3_file *file, int *reserved)
{
    int rc = meet(FAULT_RESERVED);

    return rc == SQLITE_OK ? PASS(xCheckReservedLock, reserved) : rc;
}

static int
file_control(sqlite3_file *file, int op, void *argument)
{
    return PASS(xFileControl, op, argument);
}

static int
file_sector_size(sqlite3_file *file)
{
    return PASS(xSectorSize);
}

static int
file_characteristics(sqlite3_file *file)
{
    return PASS(xDeviceCharacteristics) & SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int
file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **memory)
{
    int rc = meet(FAULT_SHM_MAP);

    if (rc != SQLITE_OK) {
        *memory = NULL;
        return rc;
    }
    return PASS(xShmMap, page, size, extend, memory);
}

static int
file_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    int rc = flags & SQLITE_SHM_UNLOCK ? SQLITE_OK : meet(FAULT_SHM_LOCK);

    return rc == SQLITE_OK ? PASS(xShmLock, offset, count, flags) : rc;
}

static void
file_shm_barrier(sqlite3_file *file)
{
    PASS(xShmBarrier);
}

static int
file_shm_unmap(sqlite3_file *file, int remove)
{
    return PASS(xShmUnmap, remove);
}

/* What is not mapped is read and written, so that this file hears of it. */
static int
file_fetch(sqlite3_file *file, sqlite3_int64 at, int size, void **memory)
{
    (void)file;
    (void)at;
    (void)size;
    *memory = NULL;
    return SQLITE_OK;
}

static int
file_unfetch(sqlite3_file *file, sqlite3_int64 at, void *memory)
{
    (void)file;
    (void)at;
    (void)memory;
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    3,
    file_close,
    file_read,
    file_write,
    file_truncate,
    file_sync,
    file_size,
    file_lock,
    file_unlock,
    file_check_reserved,
    file_control,
    file_sector_size,
    file_characteristics,
    file_shm_map,
    file_shm_lock,
    file_shm_barrier,
    file_shm_unmap,
    file_fetch,
    file_unfetch,
};

/* -- the VFS -------------------------------------------------------------------- */

static int
vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *given)
{
    struct file *file = (struct file *)base;
    int rc;

    (void)vfs;
    file->base.pMethods = NULL;
    rc = meet(FAULT_OPEN);
    if (rc == SQLITE_OK) {
        rc = real_vfs->xOpen(real_vfs, path, file->real, flags, given);
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    pthread_mutex_lock(&lock);
    file->record = flags & SQLITE_OPEN_DELETEONCLOSE ? NULL : find_record(path, true);
    if (file->record != NULL && !file->record->exists) {
        file->record->exists = true;
        file->record->afresh = true;
    }
    pthread_mutex_unlock(&lock);
    file->base.pMethods = &methods;
    return SQLITE_OK;
}

static int
vfs_delete(sqlite3_vfs *vfs, const char *path, int synced)
{
    int rc = meet_change(FAULT_DELETE);

    (void)vfs;
    if (rc == SQLITE_OK) {
        rc = real_vfs->xDelete(real_vfs, path, 0);
        if (rc == SQLITE_OK) {
            note_deletion(path, synced);
        }
        pthread_mutex_unlock(&lock);
    }
    return rc;
}

static int
vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *answer)
{
    int rc = meet(FAULT_ACCESS);

    (void)vfs;
    return rc == SQLITE_OK ? real_vfs->xAccess(real_vfs, path, flags, answer) : rc;
}

static int
vfs_full_pathname(sqlite3_vfs *vfs, const char *path, int size, char *full)
{
    (void)vfs;
    return real_vfs->xFullPathname(real_vfs, path, size, full);
}

void
fault_register(void)
{
    sqlite3_initialize();
    real_vfs = sqlite3_vfs_find(NULL);
    shim = *real_vfs;
    shim.pNext = NULL;
    shim.zName = "fault";
    shim.szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile;
    shim.xOpen = vfs_open;
    shim.xDelete = vfs_delete;
    shim.xAccess = vfs_access;
    shim.xFullPathname = vfs_full_pathname;
    CHECK(sqlite3_vfs_register(&shim, 1) == SQLITE_OK);
}

/* -- arming --------------------------------------------------------------------- */

void
fault_arm(const struct fault_plan *plan)
{
    pthread_mutex_lock(&lock);
    armed = *plan;
    failures = 0;
    pthread_mutex_unlock(&lock);
}

void
fault_fill_after(int64_t bytes)
{
    pthread_mutex_lock(&lock);
    room = bytes;
    failures = 0;
    pthread_mutex_unlock(&lock);
}

long
fault_disarm(void)
{
    long failed;

    pthread_mutex_lock(&lock);
    armed = (struct fault_plan){FAULT_CALLS, 0, false, false};
    room = -1;
    failed = failures;
    pthread_mutex_unlock(&lock);
    return failed;
}

static void
forget_records(void)
{
    for (int i = 0; i < RECORDS; i++) {
        if (records[i].path[0] != '\0') {
            forget_changes(&records[i]);
            image_clear(&records[i].image);
        }
        memset(&records[i], 0, sizeof records[i]);
    }
}

void
fault_record(const struct fault_disk *disk)
{
    pthread_mutex_lock(&lock);
    forget_records();
    medium = *disk;
    recording = true;
    dark = false;
    changes_left = 0;
    pthread_mutex_unlock(&lock);
}

void
fault_cut_at(long nth)
{
    pthread_mutex_lock(&lock);
    changes_left = nth;
    pthread_mutex_unlock(&lock);
}

bool
fault_is_dark(void)
{
    bool answer;

    pthread_mutex_lock(&lock);
    answer = dark;
    pthread_mutex_unlock(&lock);
    return answer;
}

/* Makes the file what the disk has of it. Of one with two lives it may have either, and
 * of one that was only deleted, whether it is still there. */
static void
restore(struct record *record, enum fault_loss loss)
{
    char shm[PATH + 8];
    struct image image = {NULL, 0};
    bool there = record->durable;
    FILE *file;

    if (record->afresh && !is_lost(loss)) {
        there = record->exists;
        settle(record, &image, loss);
    } else {
        image_write(&image, record->image.bytes, record->image.size, 0);
        if (!record->afresh) {
            settle(record, &image, loss);
        }
    }
    unlink(record->path);
    snprintf(shm, sizeof shm, "%s-shm", record->path);
    unlink(shm);
    file = there ? fopen(record->path, "wb") : NULL;
    if (file != NULL) {
        CHECK(image.size == 0 ||
              fwrite(image.bytes, 1, (size_t)image.size, file) == (size_t)image.size);
        fclose(file);
    }
    free(image.bytes);
}

void
fault_restore(enum fault_loss loss)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < RECORDS && records[i].path[0] != '\0'; i++) {
        restore(&records[i], loss);
    }
    forget_records();
    recording = false;
    dark = false;
    changes_left = 0;
    pthread_mutex_unlock(&lock);
}
