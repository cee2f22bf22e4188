/* By their names, which the modules of SQLite itself give them: FTS3 to FTS5, and R-trees. What
 * PRAGMA table_list calls a shadow table does not say whose it is. */

#include "engine/shadow.h"

#include <stdbool.h>
#include <string.h>

static const char list[] =
    "WITH suffixes(suffix) AS (VALUES ('_data'), ('_idx'), ('_content'), ('_docsize'),"
    " ('_config'), ('_segments'), ('_segdir'), ('_stat'), ('_node'), ('_rowid'), ('_parent'))"
    " SELECT s.name, v.name FROM \"%w\".sqlite_master v, suffixes, \"%w\".sqlite_master s"
    " WHERE v.type = 'table' AND v.sql LIKE 'CREATE VIRTUAL%%' AND s.type = 'table'"
    " AND s.name = v.name || suffix COLLATE NOCASE";

static bool
put(struct csq_strip *strip, const char *text)
{
    return text != NULL && csq_strip_put_text(strip, text, strlen(text));
}

int
csq_shadow_list(sqlite3 *handle, const char *schema, struct csq_strip *strip,
                struct csq_error *error)
{
    char *sql = sqlite3_mprintf(list, schema, schema);
    sqlite3_stmt *statement = NULL;
    int rc = sql == NULL ? SQLITE_NOMEM : sqlite3_prepare_v2(handle, sql, -1, &statement, NULL);

    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW && (!put(strip, schema) ||
                                 !put(strip, (const char *)sqlite3_column_text(statement, 0)) ||
                                 !put(strip, (const char *)sqlite3_column_text(statement, 1)))) {
            rc = SQLITE_NOMEM;
        }
    }
    if (rc != SQLITE_DONE) {
        csq_error_copy(error, rc == SQLITE_NOMEM ? NULL : handle, rc);
    }
    sqlite3_finalize(statement);
    sqlite3_free(sql);
    return error->code;
}
