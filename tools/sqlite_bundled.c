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

#endif
