/* Putting a connection in order: what is flushed, freed and reset. */

#include "binding/upkeep.h"

#include "binding/method.h"
#include "engine/native.h"
#include "engine/reset.h"

#include <string.h>

static int
run_cacheflush(struct csq_job *job, sqlite3 *handle)
{
    int rc = sqlite3_db_cacheflush(handle);

    return rc == SQLITE_OK ? rc : csq_error_copy(&job->error, handle, rc);
}

PyDoc_STRVAR(
    cacheflush_doc,
    "cacheflush($self, /)\n--\n\n"
    "Write the changed pages of the open transaction to disk, without committing it.\n\n"
    "Raises OperationalError (\"database is locked\") when another connection is in the\n"
    "way. As apsw's Connection.cacheflush(). sqlite3_db_cacheflush().");

METHOD(connection_cacheflush) = {
    .args = ARGS_NONE("Connection.cacheflush"),
    .hooks = &method_simple,
    .run = run_cacheflush,
};

static int
run_release_memory(struct csq_job *job, sqlite3 *handle)
{
    (void)job;
    return sqlite3_db_release_memory(handle);
}

PyDoc_STRVAR(release_memory_doc,
             "release_memory($self, /)\n--\n\n"
             "Free as much of the connection's memory as can be spared: cached pages, mostly.\n\n"
             "As apsw's Connection.release_memory(). sqlite3_db_release_memory().");

METHOD(connection_release_memory) = {
    .args = ARGS_NONE("Connection.release_memory"),
    .hooks = &method_simple,
    .run = run_release_memory,
};

static int
run_reset(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    struct csq_db *db = csq_native_db(request->executor);

    (void)handle;
    if (db->running > 1) {
        return csq_error_set(&job->error, CSQ_USAGE,
                             "reset() cannot be called from a callback of a statement.");
    }
    return csq_reset(db, &job->error);
}

PyDoc_STRVAR(
    reset_doc,
    "reset($self, /)\n--\n\n"
    "Bring the connection back to a clean state, as a pool does between two users.\n\n"
    "Queries that are half-read are ended (fetching on raises ProgrammingError), the\n"
    "open transaction is rolled back, everything in the schema `temp` is dropped, and\n"
    "last_insert_rowid() is 0. With autocommit=False a transaction is begun, as after\n"
    "rollback(). Everything else stays: functions, collations, hooks, attached databases,\n"
    "pragmas, limits, factories, cached statements. What was queued before it runs\n"
    "before it. Neither sqlite3 nor apsw has it.");

METHOD(connection_reset) = {
    .args = ARGS_NONE("Connection.reset"),
    .hooks = &method_simple,
    .run = run_reset,
};

/* Leaves it in the cache, where execute() finds it. */
static int
run_warm(struct csq_job *job, sqlite3 *handle)
{
    struct csq_db *db = csq_native_db(csq_item(job, RequestObject, job)->executor);
    struct csq_stmt *stmt =
        csq_stmt_get(&db->cache, handle, job->sql, strlen(job->sql), &job->error);

    if (stmt == NULL) {
        return job->error.code;
    }
    csq_stmt_put(&db->cache, stmt);
    return SQLITE_OK;
}

struct warm_call {
    PyObject *sql;
};

PyDoc_STRVAR(warm_doc, "_warm($self, sql)\n--\n\n"
                       "Prepare a statement and keep it, so that executing it finds it there.");

METHOD(connection_warm) = {
    .args = ARGS("Connection._warm", 1, 1, 0, "sql"),
    .hooks = &method_simple,
    .native = true,
    .objects = 1,
    .run = run_warm,
    .takes = {TAKE(NAME, struct warm_call, sql)},
};

PyMethodDef upkeep_methods[] = {
    METHOD_ENTRY("cacheflush", connection_cacheflush, cacheflush_doc),
    METHOD_ENTRY("release_memory", connection_release_memory, release_memory_doc),
    METHOD_ENTRY("reset", connection_reset, reset_doc),
    METHOD_ENTRY("_warm", connection_warm, warm_doc),
    {NULL, NULL, 0, NULL},
};
