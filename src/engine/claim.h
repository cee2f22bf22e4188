/* Who is about to write stands in the line of writers first: engine/writers.h.
 *
 * Worker thread, holding the db's lock. A turn is as long as SQLite's own lock: until the
 * transaction that writes has ended. Readers have nothing to do with it, nor has a transaction
 * that has read already: SQLite would not let it wait, because what it has read would be old by
 * then, or because the writer before it may be waiting for it. */

#ifndef CSQ_CLAIM_H
#define CSQ_CLAIM_H

#include "engine/db.h"

/* A statement is about to be run that wants to write; `sql` is its text. Waits for its turn, as long
 * as locks are waited for; BEGIN IMMEDIATE, for its turn in all files of the connection. Returns SQLITE_OK, also
 * when it has waited in vain: then SQLite says what is to be said. SQLITE_BUSY in `error`: nobody waits for
 * the answer any more. */
int csq_claim(struct csq_db *db, const char *sql, struct csq_error *error);

/* The same for the DML statement `sql`, before which `begin` is run. */
int csq_claim_begin(struct csq_db *db, const char *begin, const char *sql,
                    struct csq_error *error);

/* The same of what is no statement, and writes to `schema`; `what` is shown to others as SQL is. SQLite is not
 * asked first: it waits for nobody where it has read before it writes. */
int csq_claim_call(struct csq_db *db, const char *schema, const char *what,
                   struct csq_error *error);

/* Of what need not write, or not always: PRAGMA, VACUUM. It waits only when SQLite refuses it the lock. */
void csq_claim_perhaps(struct csq_db *db, const char *sql);

/* A statement is about to be run that attaches or detaches a database. */
void csq_claim_attaches(struct csq_db *db);

/* Ends turns whose transaction has ended. */
void csq_claim_settle(struct csq_db *db);

/* Notes in `error`, which is SQLITE_BUSY, who has the lock. */
void csq_claim_explain(struct csq_db *db, struct csq_error *error);

/* A job is over in which somebody has claimed a turn: csq_db.claimed. */
void csq_claim_end(struct csq_db *db);

#endif
