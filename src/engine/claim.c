/* When a statement has to wait for its turn, and when the turn is over. */

#include "engine/claim.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/alloc.h"
#include "engine/clock.h"
#include "engine/cursor.h"
#include "engine/scan.h"
#include "engine/target.h"

enum { SEARCH_NANOSECONDS = 1000 * 1000 * 1000 };

static bool
is_table(struct csq_db *db, const char *schema, const char *table)
{
    return sqlite3_table_column_metadata(db->handle, schema, table, NULL, NULL, NULL, NULL, NULL,
                                         NULL) == SQLITE_OK;
}

/* Lends the schema in which a statement writes; NULL: that is not known. */
static const char *
schema_of(struct csq_db *db, const char *sql, struct csq_target *target)
{
    if (!csq_target_of(sql, target)) {
        return NULL;
    }
    if (target->temporary || target->schema[0] != '\0') {
        return target->temporary ? "temp" : target->schema;
    }
    if (is_table(db, "temp", target->table)) {
        return "temp";
    }
    if (is_table(db, "main", target->table)) {
        return "main";
    }
    for (size_t i = 0; i < db->places.count; i++) {
        if (is_table(db, db->places.attached[i]->schema, target->table)) {
            return db->places.attached[i]->schema;
        }
    }
    return is_table(db, NULL, target->table) ? "temp" : NULL; /* it is in no file */
}

/* Lends the writer of the file that a statement wants to write to; NULL: it has no line, or it is not known
 * which one that is. */
static struct csq_writer *
writer_of(struct csq_db *db, const char *sql)
{
    struct csq_target target;
    const char *schema = schema_of(db, sql, &target);

    if (schema == NULL && db->places.count == 0) {
        schema = "main";
    }
    return schema == NULL ? NULL : csq_places_of(&db->places, schema);
}

/* Whether it is its turn in any line. */
static bool
has_turn(struct csq_db *db)
{
    struct csq_writer *writer = NULL;

    while ((writer = csq_places_next(&db->places, writer)) != NULL && !writer->writes) {
    }
    return writer != NULL;
}

/* Waits in the line before SQLite is asked for the lock. It may be free for a moment, but is on its way
 * to the next one. */
static int
wait(struct csq_db *db, struct csq_writer *writer, const char *sql, struct csq_error *error)
{
    if (csq_db_line_up(db, writer, sql) || !csq_db_is_stopped(db)) {
        return SQLITE_OK;
    }
    return csq_error_copy(error, NULL, SQLITE_BUSY);
}

/* What writes and begins with this letter is BEGIN, which says little of what is written. */
static bool
is_begin(const char *sql)
{
    return sql[0] == 'b' || sql[0] == 'B';
}

/* Lets others see the first statement of a transaction instead of its BEGIN. */
static void
tell(struct csq_db *db, const char *sql)
{
    struct csq_writer *writer = NULL;

    if (!db->nameless) {
        return;
    }
    db->nameless = false;
    while ((writer = csq_places_next(&db->places, writer)) != NULL) {
        if (writer->writes) {
            csq_writers_tell(writer, sql);
        }
    }
}

/* Begins to claim. False: there is no line, or the job has waited long enough. */
static bool
begin_claim(struct csq_db *db, bool *several)
{
    *several = csq_places_look(&db->places, db->handle);
    if ((db->places.main.line == NULL && !*several) || csq_db_has_waited(db)) {
        return false;
    }
    db->claimed = true;
    db->lines_up = NULL;
    db->lines_in = NULL;
    db->again = db->circle = false;
    return true;
}

/* Whether waiting in this line is of use: a transaction that has read is not waited for by
 * anybody. */
static bool
may_wait(struct csq_db *db, const struct csq_writer *writer)
{
    return db->patient && csq_places_state(&db->places, db->handle, writer) == SQLITE_TXN_NONE &&
           csq_places_may_write(&db->places, db->handle, writer);
}

/* Waits for its turn, unless the lock is SQLite's already: then that is asked first, since what is known
 * of the statement may be wrong. */
static int
stand_behind(struct csq_db *db, struct csq_writer *writer, const char *sql,
             struct csq_error *error)
{
    if (csq_writers_are_locked(writer)) {
        db->lines_up = sql;
        db->lines_in = writer;
        return SQLITE_OK;
    }
    return wait(db, writer, sql, error);
}

/* Claims its turn in one line. */
static int
claim_one(struct csq_db *db, struct csq_writer *writer, const char *sql, struct csq_error *error)
{
    db->lines_in = writer;
    if (writer->writes) {
        tell(db, sql);
        return SQLITE_OK;
    }
    if (csq_writers_try(writer, sql) || !may_wait(db, writer)) {
        return SQLITE_OK;
    }
    return stand_behind(db, writer, sql, error);
}

/* The same where nothing is attached: the text is read only when somebody is in the way. */
static int
claim_main(struct csq_db *db, const char *sql, struct csq_error *error)
{
    struct csq_writer *writer = &db->places.main;

    if (writer->writes) {
        tell(db, sql);
        return SQLITE_OK;
    }
    db->nameless = is_begin(sql);
    if (csq_writers_try(writer, sql) || !may_wait(db, writer) || writer_of(db, sql) != writer) {
        return SQLITE_OK;
    }
    return stand_behind(db, writer, sql, error);
}

/* Takes its turn in each line, in the order in which everybody does. While it waits in one it may lose its
 * turn in another to a transaction that took its turns one by one, as it came to write: so it begins
 * again until it need not wait. */
static void
take_all(struct csq_db *db, const char *sql)
{
    struct csq_writer *writer = NULL;

    while ((writer = csq_places_next_in_order(&db->places, writer)) != NULL) {
        if (!writer->writes && !csq_writers_try(writer, sql) && may_wait(db, writer)) {
            if (!csq_db_line_up(db, writer, sql)) {
                return;
            }
            writer = NULL;
        }
    }
}

/* For BEGIN IMMEDIATE, with nothing open. */
static int
claim_all(struct csq_db *db, const char *sql, struct csq_error *error)
{
    take_all(db, sql);
    return csq_db_is_stopped(db) ? csq_error_copy(error, NULL, SQLITE_BUSY) : SQLITE_OK;
}

int
csq_claim(struct csq_db *db, const char *sql, struct csq_error *error)
{
    struct csq_writer *writer;
    bool several;

    if (!begin_claim(db, &several) || (is_begin(sql) && !sqlite3_get_autocommit(db->handle))) {
        return SQLITE_OK;
    }
    if (!several) {
        return claim_main(db, sql, error);
    }
    if (is_begin(sql)) {
        db->nameless = true;
        return claim_all(db, sql, error);
    }
    db->nameless = db->nameless && has_turn(db);
    db->lines_up = sql; /* a trigger may write elsewhere */
    writer = writer_of(db, sql);
    return writer == NULL ? SQLITE_OK : claim_one(db, writer, sql, error);
}

int
csq_claim_begin(struct csq_db *db, const char *begin, const char *sql, struct csq_error *error)
{
    bool several;

    if (!csq_scan_begins_to_write(begin)) {
        return csq_claim(db, sql, error);
    }
    if (!begin_claim(db, &several)) {
        return SQLITE_OK;
    }
    db->nameless = false;
    return several ? claim_all(db, sql, error) : claim_one(db, &db->places.main, sql, error);
}

int
csq_claim_call(struct csq_db *db, const char *schema, const char *what, struct csq_error *error)
{
    struct csq_writer *writer;
    bool several;

    if (!begin_claim(db, &several)) {
        return SQLITE_OK;
    }
    db->nameless = db->nameless && has_turn(db);
    writer = csq_places_of(&db->places, schema);
    if (writer == NULL || writer->writes || csq_writers_try(writer, what) ||
        !may_wait(db, writer)) {
        return SQLITE_OK;
    }
    return wait(db, writer, what, error);
}

void
csq_claim_perhaps(struct csq_db *db, const char *sql)
{
    struct csq_writer *writer;
    bool several;

    if (!begin_claim(db, &several)) {
        return;
    }
    db->lines_up = sql;
    /* Others may write while the log is copied, as long as that needs no lock of theirs. */
    if (csq_scan_mentions(sql, strlen(sql), "wal_checkpoint")) {
        return;
    }
    writer = writer_of(db, sql);
    db->lines_in = writer;
    db->again = writer != NULL && !writer->writes && !csq_writers_try(writer, sql) &&
                may_wait(db, writer) && sqlite3_get_autocommit(db->handle);
}

/* A BEGIN IMMEDIATE that was prepared before would lock the files of then. */
void
csq_claim_attaches(struct csq_db *db)
{
    csq_places_forget(&db->places);
    csq_cache_renew(&db->cache);
}

void
csq_claim_settle(struct csq_db *db)
{
    struct csq_writer *writer = NULL;

    db->lines_up = NULL;
    db->lines_in = NULL;
    db->again = db->circle = false;
    while ((writer = csq_places_next(&db->places, writer)) != NULL) {
        if (writer->writes &&
            csq_places_state(&db->places, db->handle, writer) != SQLITE_TXN_WRITE) {
            csq_writers_done(writer);
            db->waited = false;
        }
    }
}

/* Lends the writer in whose file the lock was refused, as far as can be told; NULL: SQLite has
 * given it all of them. */
static struct csq_writer *
refused(struct csq_db *db, struct csq_writer_seen *before, bool *ours)
{
    struct csq_writer *writer = NULL;
    struct csq_writer *found = NULL;

    *ours = false;
    while (!*ours && (writer = csq_places_next(&db->places, writer)) != NULL) {
        if (csq_places_state(&db->places, db->handle, writer) != SQLITE_TXN_WRITE) {
            *ours = csq_writers_before(writer, before);
            found = *ours || found == NULL ? writer : found;
        }
    }
    return found;
}

/* Whether a connection reads in the file of `line`; copies the beginning of what it reads. While it runs something
 * that is not known. */
static bool
reads(struct csq_db *db, const struct csq_writers *line, char sql[CSQ_WRITER_SQL])
{
    struct csq_writer *writer = NULL;
    const struct csq_link *link;
    bool found;

    if (pthread_mutex_trylock(&db->lock) != 0) {
        return false;
    }
    do {
        writer = csq_places_next(&db->places, writer);
    } while (writer != NULL && writer->line != line);
    found = writer != NULL && db->handle != NULL &&
            csq_places_state(&db->places, db->handle, writer) == SQLITE_TXN_READ;
    for (link = db->cursors.head.next; found && link != &db->cursors.head; link = link->next) {
        const struct csq_stmt *stmt = csq_item(link, struct csq_cursor, open)->stmt;

        if (stmt != NULL && stmt->readonly) {
            snprintf(sql, CSQ_WRITER_SQL, "%s", stmt->sql);
        }
    }
    pthread_mutex_unlock(&db->lock);
    return found;
}

/* Looks for a connection of this process that keeps a commit from being done by reading. */
static bool
is_read(struct csq_db *db, char sql[CSQ_WRITER_SQL])
{
    struct csq_writer *writer = NULL;
    struct csq_writer_owner other;
    bool found = false;

    while (!found && (writer = csq_places_next(&db->places, writer)) != NULL) {
        for (size_t i = 0; !found && csq_writers_keep(writer, i, &other); i++) {
            found =
                other.owner != NULL && other.owner != db && reads(other.owner, writer->line, sql);
            if (other.owner != NULL) {
                other.keep(other.owner, false);
            }
        }
    }
    return found;
}

/* The process that is in the way in a file. All of them are not looked at again and again, where somebody tries
 * without waiting. */
static int64_t
process_at(struct csq_db *db, const struct csq_writer *writer, bool readers)
{
    const int64_t now = csq_now();
    const bool deep = db->searched == 0 || now - db->searched > SEARCH_NANOSECONDS;

    if (deep) {
        db->searched = now;
    }
    db->known = csq_blocker_process(csq_places_path(&db->places, db->handle, writer), readers,
                                    db->known, deep);
    return db->known;
}

void
csq_claim_explain(struct csq_db *db, struct csq_error *error)
{
    struct csq_writer_seen before;
    struct csq_writer *writer;
    struct csq_blocker *blocker;

    if (error->message == NULL || error->blocker != NULL ||
        csq_places_next(&db->places, NULL) == NULL) {
        return;
    }
    blocker = csq_calloc(sizeof *blocker);
    if (blocker == NULL) {
        return;
    }
    writer = refused(db, &before, &blocker->ours);
    blocker->circle = db->circle;
    if (writer == NULL) {
        /* With the lock in hand it is readers that a commit waits for. */
        blocker->reader = true;
        blocker->process = is_read(db, blocker->sql) ? (int64_t)getpid() : 0;
        writer = csq_places_next(&db->places, NULL);
    } else {
        blocker->read = csq_places_state(&db->places, db->handle, writer) == SQLITE_TXN_READ;
    }
    if (blocker->ours) {
        blocker->held = csq_now() - before.since;
        memcpy(blocker->sql, before.sql, sizeof blocker->sql);
    } else if (blocker->process == 0) {
        blocker->process = process_at(db, writer, blocker->reader);
    }
    error->blocker = blocker;
}

void
csq_claim_end(struct csq_db *db)
{
    struct csq_writer *writer = NULL;

    if (db->handle != NULL) {
        csq_claim_settle(db);
    }
    db->waited = db->claimed = false;
    while ((writer = csq_places_next(&db->places, writer)) != NULL) {
        if (writer->writes) {
            db->claimed = true;
            if (!writer->locks) {
                csq_writers_have(writer);
            }
        }
    }
}
