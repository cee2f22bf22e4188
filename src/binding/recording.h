/* The worker's half of a session, and what its methods do there.
 *
 * Only where SQLite has sessions. It outlives the Python object by the job that
 * frees it. */

#ifndef CSQ_RECORDING_H
#define CSQ_RECORDING_H

#include "binding/connection.h"
#include "engine/session.h"

/* What a method of a session was called with. */
struct session_call {
    PyObject *filter; /* NULL: none */
    PyObject *table;  /* whose UTF-8 is the job's SQL; NULL: all */
    PyObject *schema;
    const char *from; /* its UTF-8 */
    bool on;
    bool given; /* `on` was given; else the switch is asked for */
    bool rowid;
};

enum { SESSION_OBJECTS = 3 };

struct recording {
    struct csq_session session;
    struct csq_job farewell;
    struct csq_executor *executor;
    struct gate *gate;
    const char *name; /* of the schema; lent by the object, for its own jobs */
    bool rowid;       /* tables without a primary key are recorded, too */
    PyObject *filter; /* asked for each table; NULL: none */
    struct csq_strip verdicts; /* what the filter has said */
    PyObject *raised; /* by the filter, for whoever asks next for what was recorded */
};

/* Loop thread, GIL held. Gives one that is not open yet; NULL with MemoryError. */
struct recording *recording_new(struct csq_executor *executor, struct gate *gate,
                                const char *name, bool rowid);

/* Loop thread, GIL held. Takes it; the worker ends and frees it in its turn. */
void recording_drop(struct recording *recording);

/* What jobs of a session run, all with the recording as argument: worker thread. Each
 * returns SQLITE_OK or the code in the job's error. */
int recording_open(struct csq_job *job, sqlite3 *handle);
int recording_close(struct csq_job *job, sqlite3 *handle);

/* Attaches the table that the job's SQL names; NULL: all, as the filter of the
 * call says. Puts up the names of tables that are not recorded. */
int recording_attach(struct csq_job *job, sqlite3 *handle);

/* Sets the switch or asks for it. Puts up the answer. */
int recording_enable(struct csq_job *job, sqlite3 *handle);
int recording_indirect(struct csq_job *job, sqlite3 *handle);

/* The job's SQL is the table. */
int recording_diff(struct csq_job *job, sqlite3 *handle);

/* These put up a number. */
int recording_is_empty(struct csq_job *job, sqlite3 *handle);
int recording_memory_used(struct csq_job *job, sqlite3 *handle);

/* These put up what was recorded, as a blob. */
int recording_changeset(struct csq_job *job, sqlite3 *handle);
int recording_patchset(struct csq_job *job, sqlite3 *handle);

#endif
