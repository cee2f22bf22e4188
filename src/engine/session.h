/* A session of SQLite's session extension: it records what changes.
 *
 * Worker thread, but for init. SQLite wants sessions deleted before their
 * connection is closed, whoever still holds one; so while it is open, a session
 * stands in a list of its db. */

#ifndef CSQ_SESSION_H
#define CSQ_SESSION_H

#include <sqlite3.h>
#include <stdbool.h>

#include "engine/cells.h"
#include "engine/error.h"
#include "engine/list.h"

struct csq_session {
    struct csq_link open; /* in the db's list while it is open */
    struct sqlite3_session *handle; /* NULL: not open, or closed */
};

/* Any thread. Makes it "not open". */
void csq_session_init(struct csq_session *session);

/* Opens it on the schema `name` and puts it into `sessions`. `rowid`: tables without a
 * primary key are recorded by their rowid. Returns SQLITE_OK or the code in `error`. */
int csq_session_open(struct csq_session *session, sqlite3 *db, struct csq_list *sessions,
                     const char *name, bool rowid, struct csq_error *error);

/* Deletes what has been recorded. Harmless when it is not open. Not from within
 * anything that SQLite calls while it runs a statement. */
void csq_session_close(struct csq_session *session);

/* Puts the names of the tables in the schema `name` that have no primary key, one
 * text each; with `table`, of that one alone. A question that SQLite, or an
 * authorizer, does not answer has no names for an answer. False: no memory. */
bool csq_session_keyless(sqlite3 *db, const char *name, const char *table,
                         struct csq_strip *names);

/* What was said of tables, as pairs of a name and 0 or 1. Gives what was said of
 * `table`, -1: nothing. */
int csq_session_verdict(const struct csq_strip *verdicts, const char *table);

/* False: no memory, and nothing more can be found there. */
bool csq_session_note(struct csq_strip *verdicts, const char *table, bool verdict);

#endif
