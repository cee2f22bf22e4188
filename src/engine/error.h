/* What went wrong, copied while the handle still knows it.
 *
 * An error lives in a job and crosses threads with it; whoever holds the job
 * holds the error. Not locked. */

#ifndef CSQ_ERROR_H
#define CSQ_ERROR_H

#include <sqlite3.h>

#include "engine/alloc.h"
#include "engine/blocker.h"

/* Codes of our own, beyond every SQLite code. `code` of an error is one of
 * these or a primary SQLite result code. */
enum csq_code {
    CSQ_CLOSED = 0x10000, /* the connection is closed */
    CSQ_CANCELLED,        /* nobody waits for the answer any more */
    CSQ_DEADLINE,         /* the job's deadline came first; the message, if any, says more */
    CSQ_PACKED,           /* the caller holds the reason: a parameter it could not pack */
    CSQ_RAISED,           /* the caller holds the reason: a callable of its own raised */
    CSQ_USAGE,            /* a wrong call: two statements, number of bindings … */
    CSQ_UNSUPPORTED,      /* this SQLite, or what is below it, has no such thing */
    CSQ_OPENED,           /* a transaction is open in which another cannot be begun */
    CSQ_OVER,             /* the transaction that it belongs to is over */
};

struct csq_error {
    int code;      /* SQLITE_OK: no error */
    int extended;  /* the extended result code; equals code where there is none */
    int offset;    /* byte offset into the SQL, -1 where unknown */
    char *message; /* owned; NULL: no memory for it, the code must do */
    struct csq_blocker
        *blocker; /* owned; who has the lock; NULL: it is not known, or no message */
};

/* Any thread. Makes it "no error". */
static inline void
csq_error_init(struct csq_error *error)
{
    error->code = SQLITE_OK;
    error->extended = SQLITE_OK;
    error->offset = -1;
    error->message = NULL;
    error->blocker = NULL;
}

/* Any thread. Frees the message and makes it "no error". */
static inline void
csq_error_clear(struct csq_error *error)
{
    if (error->message != NULL) {
        csq_free(error->message);
        csq_free(error->blocker);
    }
    csq_error_init(error);
}

/* Worker thread. Copies what `db` (may be NULL) says about its latest failure,
 * whose result code was `rc`. Returns the primary code. */
int csq_error_copy(struct csq_error *error, sqlite3 *db, int rc);

/* Any thread. Sets a code of ours (or SQLite's) with a message as printf makes it.
 * Returns `code`. */
int csq_error_set(struct csq_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
