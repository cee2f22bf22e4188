/* What SQLite is asked here is none of its interface. */

#include "engine/journal.h"

#ifdef CSQLITE_BUNDLED

int csq_sqlite_keep_journal(sqlite3_stmt *statement);
int csq_sqlite_fail(sqlite3_stmt *statement);
int csq_sqlite_was_undone(sqlite3_stmt *statement);

bool
csq_journal_begin(sqlite3_stmt *statement)
{
    return csq_sqlite_keep_journal(statement) != 0;
}

bool
csq_journal_fail(sqlite3_stmt *statement)
{
    return csq_sqlite_fail(statement) != 0;
}

enum csq_outcome
csq_journal_outcome(sqlite3_stmt *statement)
{
    return csq_sqlite_was_undone(statement) ? CSQ_UNDONE : CSQ_KEPT;
}

#else

bool
csq_journal_begin(sqlite3_stmt *statement)
{
    (void)statement;
    return false;
}

bool
csq_journal_fail(sqlite3_stmt *statement)
{
    (void)statement;
    return false;
}

enum csq_outcome
csq_journal_outcome(sqlite3_stmt *statement)
{
    (void)statement;
    return CSQ_OUTCOME_UNKNOWN;
}

#endif
