/* Blobs. What a call is refused for depends on the size of the value, which a job
 * before it may change; so it is found out here, in the job's turn.
 *
 * SQLite forgets an aborted blob's size, and would then find nothing wrong with
 * reading no bytes of it. `aborted` remembers.
 *
 * An sqlite3_blob keeps the table of the schema in which it was opened, and shows it to who
 * hears of changes beforehand (a pre-update hook, a session). That schema may be gone: ALTER
 * TABLE and others read it anew. So where somebody hears, a handle that is about to write is
 * replaced by a fresh one. */

#include "engine/blob.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "engine/alloc.h"

/* How much is read at once: enough that looking for cancellation costs nothing. */
enum { PIECE = 1024 * 1024 };

/* Where the bytes of an index or a slice lie. */
struct span {
    int first; /* the lowest offset */
    int size;  /* from there to behind the highest one */
    int count; /* how many bytes are wanted of these */
};

void
csq_blob_init(struct csq_blob *blob)
{
    csq_link_init(&blob->open);
    blob->handle = NULL;
    blob->working = false;
    blob->aborted = false;
    blob->ended = false;
    blob->result = SQLITE_OK;
    blob->names = NULL;
    blob->row = 0;
    atomic_init(&blob->offset, 0);
    atomic_init(&blob->size, 0);
}

int
csq_blob_close(struct csq_blob *blob)
{
    sqlite3_blob *handle = blob->handle;
    int known = blob->result;
    int rc;

    if (handle == NULL) {
        return SQLITE_OK;
    }
    csq_link_remove(&blob->open);
    blob->handle = NULL;
    csq_free(blob->names);
    blob->names = NULL;
    atomic_store(&blob->size, 0);
    blob->working = true;
    rc = sqlite3_blob_close(handle);
    blob->working = false;
    return rc == known || (rc & 0xff) == SQLITE_ABORT ? SQLITE_OK : rc;
}

void
csq_blob_end(struct csq_blob *blob)
{
    if (blob->names == NULL && !blob->working) {
        csq_blob_close(blob);
        blob->ended = true;
    }
}

/* Notes what a call on the blob has returned. */
static int
note(struct csq_blob *blob, int rc, sqlite3 *handle, struct csq_error *error)
{
    blob->working = false;
    blob->result = rc;
    /* After a rollback, SQLite itself goes on complaining. */
    if (rc != SQLITE_OK && sqlite3_extended_errcode(handle) == SQLITE_ABORT) {
        blob->aborted = true;
    }
    atomic_store(&blob->size, sqlite3_blob_bytes(blob->handle));
    return rc == SQLITE_OK ? rc : csq_error_copy(error, handle, rc);
}

/* Keeps where the blob is. False: no memory. */
static bool
keep_names(struct csq_blob_task *task)
{
    const char *const names[] = {task->with.open.schema, task->with.open.table,
                                 task->with.open.column};
    struct csq_blob *blob = task->blob;
    size_t size = 0;
    char *end;

    for (int i = 0; i < 3; i++) {
        size += strlen(names[i]) + 1;
    }
    blob->names = end = csq_malloc(size);
    for (int i = 0; i < 3 && end != NULL; i++) {
        end = stpcpy(end, names[i]) + 1;
    }
    return blob->names != NULL;
}

static int
open_blob(struct csq_blob_task *task, sqlite3 *handle, struct csq_list *blobs,
          struct csq_error *error)
{
    struct csq_blob *blob = task->blob;
    sqlite3_blob *opened = NULL;
    int rc;

    if (task->with.open.writable && !keep_names(task)) {
        return csq_error_copy(error, NULL, SQLITE_NOMEM);
    }
    blob->working = true;
    rc = sqlite3_blob_open(handle, task->with.open.schema, task->with.open.table,
                           task->with.open.column, task->with.open.row, task->with.open.writable,
                           &opened);
    blob->working = false;
    if (rc != SQLITE_OK) {
        csq_free(blob->names);
        blob->names = NULL;
        return csq_error_copy(error, handle, rc);
    }
    blob->handle = opened;
    blob->row = task->with.open.row;
    blob->aborted = false;
    atomic_store(&blob->offset, 0);
    csq_list_append(blobs, &blob->open);
    return note(blob, rc, handle, error);
}

static int
reopen(struct csq_blob_task *task, sqlite3 *handle, struct csq_error *error)
{
    struct csq_blob *blob = task->blob;
    int rc;

    atomic_store(&blob->offset, 0);
    blob->working = true;
    rc = sqlite3_blob_reopen(blob->handle, task->with.open.row);
    blob->row = task->with.open.row;
    blob->aborted = rc != SQLITE_OK;
    return note(blob, rc, handle, error);
}

/* Reads `size` bytes into `bytes`. */
static int
read_bytes(struct csq_blob *blob, char *bytes, int size, int offset, sqlite3 *handle,
           const atomic_int *stop, struct csq_error *error)
{
    int rc = SQLITE_OK;

    for (int done = 0; done < size && rc == SQLITE_OK; done += PIECE) {
        int piece = size - done < PIECE ? size - done : PIECE;

        if (done > 0 && stop != NULL && atomic_load_explicit(stop, memory_order_relaxed)) {
            return csq_error_set(error, CSQ_CANCELLED, "cancelled");
        }
        blob->working = true;
        rc = sqlite3_blob_read(blob->handle, bytes + done, piece, offset + done);
        rc = note(blob, rc, handle, error);
    }
    return rc;
}

static int
write_bytes(struct csq_blob *blob, const char *bytes, int size, int offset, sqlite3 *handle,
            struct csq_error *error)
{
    blob->working = true;
    return note(blob, sqlite3_blob_write(blob->handle, bytes, size, offset), handle, error);
}

/* Replaces the handle by one that knows the schema as it is; not where the row is gone or has
 * changed, which only the old one can tell. */
static int
refresh(struct csq_blob *blob, sqlite3 *handle, struct csq_error *error)
{
    const char *table = blob->names + strlen(blob->names) + 1;
    sqlite3_blob *fresh = NULL;
    int rc;

    blob->working = true;
    rc = sqlite3_blob_read(blob->handle, (char[]){0}, 0, 0);
    if (rc != SQLITE_OK) {
        return note(blob, rc, handle, error);
    }
    rc = sqlite3_blob_open(handle, blob->names, table, table + strlen(table) + 1, blob->row, 1,
                           &fresh);
    if (rc == SQLITE_OK) {
        /* It ends no transaction: the other one is open. */
        sqlite3_blob_close(blob->handle);
        blob->handle = fresh;
    }
    blob->working = false;
    return rc == SQLITE_OK ? rc : csq_error_copy(error, handle, rc);
}

/* Where `size` bytes for the caller can go. NULL: no memory. */
static char *
place(struct csq_blob_task *task, int size)
{
    if ((size_t)size <= task->room) {
        return task->into;
    }
    task->own = csq_malloc((size_t)size);
    return task->own;
}

static int
read_on(struct csq_blob_task *task, sqlite3 *handle, const atomic_int *stop,
        struct csq_error *error)
{
    struct csq_blob *blob = task->blob;
    int offset = atomic_load(&blob->offset);
    int rest = atomic_load(&blob->size) - offset;
    int length = task->with.length;
    char *bytes;
    int rc;

    rest = rest < 0 ? 0 : rest;
    length = length < 0 || length > rest ? rest : length;
    bytes = place(task, length);
    if (bytes == NULL && length > 0) {
        return csq_error_copy(error, NULL, SQLITE_NOMEM);
    }
    rc = read_bytes(blob, bytes, length, offset, handle, stop, error);
    if (rc == SQLITE_OK) {
        task->got = length;
        atomic_store(&blob->offset, offset + length);
    }
    return rc;
}

static int
write_on(struct csq_blob_task *task, sqlite3 *handle, struct csq_error *error)
{
    struct csq_blob *blob = task->blob;
    int offset = atomic_load(&blob->offset);
    int rest = atomic_load(&blob->size) - offset;
    int rc;

    if (task->data_size > (size_t)(rest < 0 ? 0 : rest)) {
        task->refusal = CSQ_BLOB_TOO_LONG;
        return SQLITE_OK;
    }
    rc = write_bytes(blob, task->data, (int)task->data_size, offset, handle, error);
    if (rc == SQLITE_OK) {
        atomic_store(&blob->offset, offset + (int)task->data_size);
    }
    return rc;
}

/* One end of a slice: clipped to what the bytes of a blob, or their ends, can be. */
static int64_t
clip(int64_t end, int64_t size, bool backward)
{
    int64_t lowest = backward ? -1 : 0;
    int64_t highest = backward ? size - 1 : size;

    if (end < 0) {
        end += size;
        return end < lowest ? lowest : end;
    }
    return end > highest ? highest : end;
}

/* Finds the bytes of the slice or the index. False: there is no such index. */
static bool
find(const struct csq_blob_task *task, struct span *span)
{
    int64_t size = atomic_load(&task->blob->size);
    int64_t start = task->with.slice.start;
    int64_t stop = task->with.slice.stop;
    int64_t step = task->with.slice.step;
    int64_t distance;

    *span = (struct span){0, 0, 0};
    if (step == 0) {
        start += start < 0 ? size : 0;
        *span = (struct span){(int)start, 1, 1};
        return start >= 0 && start < size;
    }
    start = clip(start, size, step < 0);
    stop = clip(stop, size, step < 0);
    distance = step < 0 ? start - stop : stop - start;
    if (distance > 0) {
        int64_t count = (distance - 1) / (step < 0 ? -step : step) + 1;
        int64_t last = start + (count - 1) * step;

        span->first = (int)(step < 0 ? last : start);
        span->size = (int)(step < 0 ? start - last : last - start) + 1;
        span->count = (int)count;
    }
    return true;
}

/* Where in its span the first byte of a slice lies. */
static int
begin(const struct csq_blob_task *task, const struct span *span)
{
    return task->with.slice.step < 0 ? span->size - 1 : 0;
}

/* A slice with gaps is read as a whole, and what is wanted is picked out of it. */
static int
get(struct csq_blob_task *task, sqlite3 *handle, const atomic_int *stop, struct csq_error *error)
{
    struct span span;
    char *bytes;
    char *whole;
    int rc;

    if (!find(task, &span)) {
        task->refusal = CSQ_BLOB_INDEX;
        return SQLITE_OK;
    }
    bytes = place(task, span.count);
    whole = span.size == span.count && task->with.slice.step >= 0 ? bytes
                                                                  : csq_malloc((size_t)span.size);
    if ((bytes == NULL && span.count > 0) || (whole == NULL && span.size > 0)) {
        rc = csq_error_copy(error, NULL, SQLITE_NOMEM);
    } else {
        rc = read_bytes(task->blob, whole, span.size, span.first, handle, stop, error);
    }
    if (rc == SQLITE_OK) {
        task->got = span.count;
    }
    if (rc == SQLITE_OK && whole != bytes) {
        int from = begin(task, &span);

        for (int i = 0; i < span.count; i++) {
            bytes[i] = whole[from + i * task->with.slice.step];
        }
    }
    if (whole != bytes) {
        csq_free(whole);
    }
    return rc;
}

/* A slice with gaps is read as a whole, changed and written. */
static int
set_scattered(struct csq_blob_task *task, const struct span *span, sqlite3 *handle,
              struct csq_error *error)
{
    char *whole = csq_malloc((size_t)span->size);
    int from = begin(task, span);
    int rc;

    if (whole == NULL) {
        return csq_error_copy(error, NULL, SQLITE_NOMEM);
    }
    rc = read_bytes(task->blob, whole, span->size, span->first, handle, NULL, error);
    if (rc == SQLITE_OK) {
        for (int i = 0; i < span->count; i++) {
            whole[from + i * task->with.slice.step] = task->data[i];
        }
        rc = write_bytes(task->blob, whole, span->size, span->first, handle, error);
    }
    csq_free(whole);
    return rc;
}

static int
set(struct csq_blob_task *task, sqlite3 *handle, struct csq_error *error)
{
    struct span span;

    if (!find(task, &span)) {
        task->refusal = CSQ_BLOB_INDEX;
        return SQLITE_OK;
    }
    if (task->data_size != (size_t)span.count) {
        task->refusal = CSQ_BLOB_WRONG_SIZE;
        return SQLITE_OK;
    }
    if (span.count == 0) {
        return SQLITE_OK;
    }
    if (span.size == span.count && task->with.slice.step >= 0) {
        return write_bytes(task->blob, task->data, span.size, span.first, handle, error);
    }
    return set_scattered(task, &span, handle, error);
}

void
csq_blob_seek(struct csq_blob_task *task)
{
    struct csq_blob *blob = task->blob;
    int size = atomic_load(&blob->size);
    int64_t offset = task->with.seek.offset;

    if (task->with.seek.whence == SEEK_CUR) {
        offset += atomic_load(&blob->offset);
    } else if (task->with.seek.whence == SEEK_END) {
        offset += size;
    }
    if (offset > INT_MAX) {
        task->refusal = CSQ_BLOB_OVERFLOW;
    } else if (offset < 0 || offset > size) {
        task->refusal = CSQ_BLOB_OUTSIDE;
    } else {
        atomic_store(&blob->offset, (int)offset);
    }
}

static int
close_blob(struct csq_blob *blob, sqlite3 *handle, struct csq_error *error)
{
    int rc = csq_blob_close(blob);

    return rc == SQLITE_OK ? rc : csq_error_copy(error, handle, rc);
}

static bool
needs_row(enum csq_blob_action action)
{
    return action == CSQ_BLOB_READ || action == CSQ_BLOB_WRITE || action == CSQ_BLOB_GET ||
           action == CSQ_BLOB_SET;
}

int
csq_blob_run(struct csq_blob_task *task, sqlite3 *handle, struct csq_list *blobs,
             const atomic_int *stop, struct csq_error *error)
{
    struct csq_blob *blob = task->blob;

    if (task->action == CSQ_BLOB_CLOSE) {
        return close_blob(blob, handle, error);
    }
    if (task->action == CSQ_BLOB_OPEN) {
        return open_blob(task, handle, blobs, error);
    }
    if (blob->handle == NULL) {
        return csq_error_set(error, CSQ_USAGE, "%s",
                             blob->ended ? "The blob was ended by a transaction's begin."
                                         : "Cannot operate on a closed blob.");
    }
    if (blob->aborted && needs_row(task->action)) {
        return csq_error_copy(error, NULL, SQLITE_ABORT);
    }
    if (task->heard && blob->names != NULL &&
        (task->action == CSQ_BLOB_WRITE || task->action == CSQ_BLOB_SET) &&
        refresh(blob, handle, error) != SQLITE_OK) {
        return error->code;
    }
    switch (task->action) {
    case CSQ_BLOB_REOPEN:
        return reopen(task, handle, error);
    case CSQ_BLOB_READ:
        return read_on(task, handle, stop, error);
    case CSQ_BLOB_WRITE:
        return write_on(task, handle, error);
    case CSQ_BLOB_GET:
        return get(task, handle, stop, error);
    case CSQ_BLOB_SET:
        return set(task, handle, error);
    case CSQ_BLOB_SEEK:
        csq_blob_seek(task);
        return SQLITE_OK;
    default:
        task->got = atomic_load(task->action == CSQ_BLOB_TELL ? &blob->offset : &blob->size);
        return SQLITE_OK;
    }
}
