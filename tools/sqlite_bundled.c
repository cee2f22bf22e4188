/* A bundled SQLite, with what csqlite needs of it that SQLite does not export.
 *
 * Compiled by tools/sqlite_build.py, which says where sqlite3.c is. */

#include "sqlite3.c"

#if SQLITE_VERSION_NUMBER >= 3009000 /* the first that has such tables */

/* Lets go of the tables that modules have by their own names (json_each, pragma_…); the
 * next statement that names one makes it anew. Each keeps the schema of "main" as it was
 * when the table was made, and SQLite frees that schema when another database takes its
 * place (sqlite3_deserialize()). The tables of SQLite's own modules cannot be let go of by
 * its interface: not every module that is taken out could be registered again. */
SQLITE_API void
csq_sqlite_forget_eponymous(sqlite3 *db)
{
    sqlite3_mutex_enter(db->mutex);
    for (HashElem *element = sqliteHashFirst(&db->aModule); element != NULL;
         element = sqliteHashNext(element)) {
        sqlite3VtabEponymousTableClear(db, (Module *)sqliteHashData(element));
    }
    sqlite3_mutex_leave(db->mutex);
}

/* A statement that may fail half-way keeps a journal of what it alone has changed; the others
 * do without. Lets one keep it that has not been stepped. 0: this version cannot. */
SQLITE_API int
csq_sqlite_keep_journal(sqlite3_stmt *statement)
{
#if SQLITE_VERSION_NUMBER >= 3012000 /* the first that has sqlite3OomFault() */
    ((Vdbe *)statement)->usesStmtJournal = 1;
    return 1;
#else
    (void)statement;
    return 0;
#endif
}

/* In the progress handler: the statement fails for want of memory, which undoes it alone,
 * where an interrupt undoes the whole transaction. 0: it is not the one that runs, or has no
 * journal (it was prepared anew, or there is nothing that others have written). */
SQLITE_API int
csq_sqlite_fail(sqlite3_stmt *statement)
{
#if SQLITE_VERSION_NUMBER >= 3012000
    Vdbe *vdbe = (Vdbe *)statement;

    if (vdbe->db->nVdbeExec != 1 || !vdbe->usesStmtJournal || vdbe->iStatement == 0) {
        return 0;
    }
    sqlite3OomFault(vdbe->db);
    return vdbe->db->mallocFailed;
#else
    (void)statement;
    return 0;
#endif
}

/* Of a statement that has failed and was not reset, in a transaction that goes on: whether what
 * it had changed was undone. It was not with OR FAIL and RAISE(FAIL), nor where it could not
 * have changed anything before it failed, and so kept no journal. */
SQLITE_API int
csq_sqlite_was_undone(sqlite3_stmt *statement)
{
    const Vdbe *vdbe = (const Vdbe *)statement;

    return vdbe->usesStmtJournal && vdbe->errorAction != OE_Fail;
}

#endif
