/* Incremental I/O on one value: an sqlite3_blob with a position, as a file has.
 *
 * Worker thread, but for init and csq_blob_seek(). The memory of a blob belongs to
 * whoever made it and outlives every job that names it. While it is open it stands in
 * a list of its db, so that closing the database closes it. */

#ifndef CSQ_BLOB_H
#define CSQ_BLOB_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/error.h"
#include "engine/list.h"

struct csq_blob {
    struct csq_link open; /* in the db's list while it is open */
    sqlite3_blob *handle; /* NULL: not open */
    bool working;         /* SQLite is in the middle of it */
    bool aborted;         /* its row is gone or changed; there is nothing to read */
    bool ended;           /* by csq_blob_end() */
    int result;           /* of the last call on it, which closing it repeats */
    char *names;          /* where it is, while it is open for writing: schema, table and
                             column, each with its 0; NULL: not open for that */
    int64_t row;
    atomic_int offset;    /* bytes; any thread may look at these two */
    atomic_int size;
};

enum csq_blob_action {
    CSQ_BLOB_OPEN,
    CSQ_BLOB_REOPEN, /* on another row of the same table */
    CSQ_BLOB_READ,   /* from the position on */
    CSQ_BLOB_WRITE,
    CSQ_BLOB_GET, /* one byte or a slice, wherever the position is */
    CSQ_BLOB_SET,
    CSQ_BLOB_SEEK,
    CSQ_BLOB_TELL,
    CSQ_BLOB_LENGTH,
    CSQ_BLOB_CLOSE,
};

/* What is wrong with a call, as a file or a list would complain of it. */
enum csq_blob_refusal {
    CSQ_BLOB_ACCEPTED,
    CSQ_BLOB_TOO_LONG,   /* more data than there is room */
    CSQ_BLOB_OUTSIDE,    /* a position that is not in the blob */
    CSQ_BLOB_OVERFLOW,   /* a position that no int holds */
    CSQ_BLOB_INDEX,      /* an index that is not in the blob */
    CSQ_BLOB_WRONG_SIZE, /* data of another size than the slice */
};

struct csq_blob_task {
    enum csq_blob_action action;
    struct csq_blob *blob; /* lent */
    union {
        struct {
            const char *schema; /* lent, as the next two */
            const char *table;
            const char *column;
            int64_t row; /* CSQ_BLOB_REOPEN: this alone */
            bool writable;
        } open;
        int length; /* CSQ_BLOB_READ: at most so many bytes; negative: all */
        struct {
            int offset;
            int whence; /* SEEK_SET, SEEK_CUR or SEEK_END */
        } seek;
        struct {
            int64_t start; /* as Python's slices have them: negative ones count from */
            int64_t stop;  /* the end, and what is outside is clipped */
            int64_t step;  /* 0: it is an index, `start`; nothing is clipped */
        } slice;
    } with;
    bool heard;       /* somebody hears of changes before they are made */
    const char *data; /* CSQ_BLOB_WRITE, _SET: lent */
    size_t data_size;
    char *into; /* CSQ_BLOB_READ, _GET: where to, lent */
    size_t room;

    /* What came of it. */
    enum csq_blob_refusal refusal; /* nothing was done */
    char *own;                     /* what did not fit into `room`: csq_free(); or NULL */
    int got; /* how many bytes were read; CSQ_BLOB_TELL, _LENGTH: the answer */
};

/* Any thread. Makes it "not open". */
void csq_blob_init(struct csq_blob *blob);

/* Does what `task` asks for, in the database `handle`; what it opens is put into
 * `blobs`. Reading stops between two pieces once `stop` is set (CSQ_CANCELLED).
 * Returns SQLITE_OK (see `refusal`) or the code in `error`. */
int csq_blob_run(struct csq_blob_task *task, sqlite3 *handle, struct csq_list *blobs,
                 const atomic_int *stop, struct csq_error *error);

/* Any thread while no job of the blob is under way. Moves the position as
 * CSQ_BLOB_SEEK does, or sets `refusal`. */
void csq_blob_seek(struct csq_blob_task *task);

/* Closes it. Harmless when it is not open. Gives what SQLite says of the transaction
 * that ends with it, if one does. */
int csq_blob_close(struct csq_blob *blob);

/* Closes one that is open for reading, unless SQLite is in the middle of it: what it shows is of
 * a moment that has to be over. Whatever uses it from then on is told. */
void csq_blob_end(struct csq_blob *blob);

#endif
