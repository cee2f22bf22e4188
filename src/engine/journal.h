/* Stopping one statement that writes, and undoing nothing but what it has written.
 *
 * Worker thread. A statement that is interrupted takes all with it that is not committed;
 * one for which there is no memory does not, where SQLite keeps a journal of the statement
 * alone. A bundled SQLite can be made to do both (tools/sqlite_bundled.c), any other cannot. */

#ifndef CSQ_JOURNAL_H
#define CSQ_JOURNAL_H

#include <sqlite3.h>
#include <stdbool.h>

/* Before its first step: lets the statement have such a journal. False: this SQLite cannot. */
bool csq_journal_begin(sqlite3_stmt *statement);

/* In the progress handler: lets the statement fail with SQLITE_NOMEM, if it is the one that
 * runs and has a journal. False: it does not, and must go on. */
bool csq_journal_fail(sqlite3_stmt *statement);

enum csq_outcome {
    CSQ_UNDONE,
    CSQ_KEPT,
    CSQ_OUTCOME_UNKNOWN, /* this SQLite does not tell */
};

/* Of a statement that has failed and was not reset, in a transaction that goes on: what has
 * become of what it had changed before. */
enum csq_outcome csq_journal_outcome(sqlite3_stmt *statement);

#endif
