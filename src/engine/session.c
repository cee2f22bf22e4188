/* A session silently records nothing of a table that has no primary key, so somebody
 * has to ask which tables those are. Where SQLite is built without sessions none can
 * be opened. */

#include "engine/session.h"

#include <string.h>

void
csq_session_init(struct csq_session *session)
{
    csq_link_init(&session->open);
    session->handle = NULL;
}

#ifdef SQLITE_ENABLE_SESSION

int
csq_session_open(struct csq_session *session, sqlite3 *db, struct csq_list *sessions,
                 const char *name, bool rowid, struct csq_error *error)
{
    int rc = sqlite3session_create(db, name, &session->handle);

    if (rc != SQLITE_OK) {
        session->handle = NULL;
        return csq_error_copy(error, NULL, rc);
    }
    csq_list_append(sessions, &session->open);
#ifdef SQLITE_SESSION_OBJCONFIG_ROWID
    if (rowid) {
        int on = 1;

        rc = sqlite3session_object_config(session->handle, SQLITE_SESSION_OBJCONFIG_ROWID, &on);
    }
#else
    rc = rowid ? SQLITE_MISUSE : SQLITE_OK;
#endif
    if (rc != SQLITE_OK) {
        csq_session_close(session);
        return csq_error_copy(error, NULL, rc);
    }
    return SQLITE_OK;
}

void
csq_session_close(struct csq_session *session)
{
    if (session->handle != NULL) {
        sqlite3session_delete(session->handle);
        session->handle = NULL;
        csq_link_remove(&session->open);
    }
}

#else

int
csq_session_open(struct csq_session *session, sqlite3 *db, struct csq_list *sessions,
                 const char *name, bool rowid, struct csq_error *error)
{
    (void)session;
    (void)db;
    (void)sessions;
    (void)name;
    (void)rowid;
    return csq_error_set(error, SQLITE_ERROR, "this SQLite has no sessions");
}

void
csq_session_close(struct csq_session *session)
{
    (void)session;
}

#endif

bool
csq_session_keyless(sqlite3 *db, const char *name, const char *table, struct csq_strip *names)
{
    sqlite3_stmt *stmt = NULL;
    bool done = true;
    char *sql = sqlite3_mprintf("SELECT t.name FROM \"%w\".sqlite_master t WHERE t.type = 'table'"
                                " AND t.name NOT LIKE 'sqlite~_%%' ESCAPE '~'"
                                " AND t.sql NOT LIKE 'CREATE VIRTUAL%%'"
                                " AND (%Q IS NULL OR t.name = %Q COLLATE NOCASE)"
                                " AND NOT EXISTS (SELECT 1 FROM pragma_table_info(t.name, %Q) c"
                                " WHERE c.pk) ORDER BY t.name",
                                name, table, table, name);

    if (sql == NULL) {
        return false;
    }
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK) {
        while (done && sqlite3_step(stmt) == SQLITE_ROW) {
            const char *text = (const char *)sqlite3_column_text(stmt, 0);

            done = text != NULL && csq_strip_put_text(names, text, strlen(text));
        }
    }
    sqlite3_finalize(stmt);
    sqlite3_free(sql);
    return done;
}

int
csq_session_verdict(const struct csq_strip *verdicts, const char *table)
{
    struct csq_reader reader = {NULL, NULL};
    const struct csq_cell *name;
    size_t size = strlen(table);

    while ((name = csq_strip_read(verdicts, &reader)) != NULL) {
        const struct csq_cell *verdict = csq_strip_read(verdicts, &reader);

        if (name->size == size && memcmp(name->value.bytes, table, size) == 0) {
            return (int)verdict->value.integer;
        }
    }
    return -1;
}

bool
csq_session_note(struct csq_strip *verdicts, const char *table, bool verdict)
{
    if (csq_strip_put_text(verdicts, table, strlen(table)) &&
        csq_strip_put_integer(verdicts, verdict)) {
        return true;
    }
    /* A name alone would take the next one for its verdict. */
    csq_strip_clear(verdicts);
    return false;
}
