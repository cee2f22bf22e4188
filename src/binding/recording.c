/* What a session does on the worker. SQLite calls some of what is the user's (an
 * authorizer, the filter) while a session is in the middle of recording, and would not
 * survive its being used or closed from there: so nothing of it works within a
 * callback. */

#include "binding/recording.h"

#ifdef SQLITE_ENABLE_SESSION

#include "binding/visit.h"
#include "engine/alloc.h"
#include "engine/look.h"
#include "engine/native.h"

/* Worker thread. The session's half, when it can be used; NULL: the job's error is
 * set. */
static struct recording *
use(struct csq_job *job)
{
    struct recording *recording = job->with.host.argument;

    if (csq_db_is_within(csq_native_db(recording->executor))) {
        csq_error_set(&job->error, CSQ_USAGE, "A session cannot be used within a callback.");
        return NULL;
    }
    if (recording->session.handle == NULL) {
        csq_error_set(&job->error, CSQ_USAGE, "Cannot operate on a closed session.");
        return NULL;
    }
    return recording;
}

/* Worker thread. Puts the job's result. */
static int
give_integer(struct csq_job *job, int64_t integer)
{
    return csq_strip_put_integer(&job->up, integer)
               ? SQLITE_OK
               : csq_error_copy(&job->error, NULL, SQLITE_NOMEM);
}

/* -- opening and closing ------------------------------------------------------- */

int
recording_open(struct csq_job *job, sqlite3 *handle)
{
    struct recording *recording = job->with.host.argument;
    struct csq_db *db = csq_native_db(recording->executor);

    if (csq_db_is_within(db)) {
        return csq_error_set(&job->error, CSQ_USAGE,
                             "A session cannot be opened within a callback.");
    }
    /* SQLite takes whatever a pre-update hook is called with for a session. */
    if (csq_hooks_any(&db->hooks, CSQ_ON_PREUPDATE)) {
        return csq_error_set(&job->error, CSQ_USAGE,
                             "A session cannot be opened while a pre-update hook is set.");
    }
    csq_look_away(db);
    csq_session_open(&recording->session, handle, &db->sessions, recording->name,
                     recording->rowid, &job->error);
    csq_look(db);
    return job->error.code;
}

int
recording_close(struct csq_job *job, sqlite3 *handle)
{
    struct recording *recording = job->with.host.argument;

    (void)handle;
    if (recording->session.handle == NULL || use(job) != NULL) {
        csq_session_close(&recording->session);
        csq_look(csq_native_db(recording->executor));
    }
    return job->error.code;
}

/* -- recording ----------------------------------------------------------------- */

/* Asks the filter for a table. */
static bool
ask_filter(struct recording *recording, const char *table)
{
    struct visit visit;
    PyObject *callable;
    PyObject *result;
    int wanted = -1;

    visit_enter(&visit, recording->gate, csq_native_db(recording->executor));
    visit_seal(&visit);
    callable = Py_NewRef(recording->filter);
    result = visit_await(csq_native_db(recording->executor),
                         PyObject_CallFunction(callable, "s", table));
    if (result != NULL) {
        wanted = PyObject_IsTrue(result);
        Py_DECREF(result);
    }
    if (wanted < 0 && recording->raised == NULL) {
        recording->raised = compat_take_exception();
    }
    PyErr_Clear();
    Py_DECREF(callable);
    visit_end(&visit);
    return wanted > 0;
}

/* What SQLite calls when a table is changed that is not attached: for each change of
 * one that was refused. The filter is asked once. */
static int
filter(void *argument, const char *table)
{
    struct recording *recording = argument;
    int verdict = csq_session_verdict(&recording->verdicts, table);

    if (verdict < 0) {
        verdict = ask_filter(recording, table);
        csq_session_note(&recording->verdicts, table, verdict);
    }
    return verdict;
}

/* Lets the filter be `callable`, or NULL. */
static void
set_filter(struct recording *recording, PyObject *callable)
{
    PyObject *before;

    sqlite3session_table_filter(recording->session.handle, callable == NULL ? NULL : filter,
                                recording);
    csq_strip_clear(&recording->verdicts);
    gate_enter(recording->gate);
    before = recording->filter;
    recording->filter = Py_XNewRef(callable);
    Py_XDECREF(before);
    gate_leave(recording->gate);
}

static const struct session_call *
call_of(struct csq_job *job)
{
    return REQUEST_PAYLOAD(csq_item(job, RequestObject, job), struct session_call);
}

int
recording_attach(struct csq_job *job, sqlite3 *handle)
{
    struct recording *recording = use(job);
    PyObject *callable = call_of(job)->filter;
    int rc;

    if (recording == NULL) {
        return job->error.code;
    }
    if (!recording->rowid && callable == NULL &&
        !csq_session_keyless(handle, recording->name, job->sql, &job->up)) {
        return csq_error_copy(&job->error, NULL, SQLITE_NOMEM);
    }
    if (job->sql != NULL && job->up.first != NULL) {
        return csq_error_set(&job->error, CSQ_USAGE,
                             "A session records nothing of the table %s, which has no PRIMARY "
                             "KEY; session(rowid=True) records it by its rowid.",
                             job->sql);
    }
    if (job->sql == NULL) {
        set_filter(recording, callable);
    }
    rc = sqlite3session_attach(recording->session.handle, job->sql);
    return rc == SQLITE_OK ? rc : csq_error_copy(&job->error, handle, rc);
}

/* Sets a flag of the session with `set`, or asks for it, and gives it. */
static int
set_flag(struct csq_job *job, int (*set)(sqlite3_session *, int))
{
    const struct session_call *call = call_of(job);
    struct recording *recording = use(job);

    return recording == NULL
               ? job->error.code
               : give_integer(job, set(recording->session.handle, call->given ? call->on : -1));
}

int
recording_enable(struct csq_job *job, sqlite3 *handle)
{
    (void)handle;
    return set_flag(job, sqlite3session_enable);
}

int
recording_indirect(struct csq_job *job, sqlite3 *handle)
{
    (void)handle;
    return set_flag(job, sqlite3session_indirect);
}

int
recording_diff(struct csq_job *job, sqlite3 *handle)
{
    struct recording *recording = use(job);
    const char *schema = call_of(job)->from;
    char *message = NULL;
    int rc;

    if (recording == NULL) {
        return job->error.code;
    }
    rc = sqlite3session_diff(recording->session.handle, schema, job->sql, &message);
    if (rc != SQLITE_OK && message != NULL) {
        rc = csq_error_set(&job->error, rc, "%s", message);
    } else if (rc != SQLITE_OK) {
        rc = csq_error_copy(&job->error, handle, rc);
    }
    sqlite3_free(message);
    return rc;
}

/* -- what was recorded --------------------------------------------------------- */

int
recording_is_empty(struct csq_job *job, sqlite3 *handle)
{
    struct recording *recording = use(job);

    (void)handle;
    return recording == NULL
               ? job->error.code
               : give_integer(job, sqlite3session_isempty(recording->session.handle));
}

int
recording_memory_used(struct csq_job *job, sqlite3 *handle)
{
    struct recording *recording = use(job);

    (void)handle;
#if SQLITE_VERSION_NUMBER >= 3035000
    return recording == NULL
               ? job->error.code
               : give_integer(job, sqlite3session_memory_used(recording->session.handle));
#else
    return recording == NULL ? job->error.code : give_integer(job, 0);
#endif
}

/* Lets the job fail with what the filter has raised. */
static int
fail_filter(struct csq_job *job, struct recording *recording)
{
    RequestObject *request = csq_item(job, RequestObject, job);

    gate_enter(recording->gate);
    Py_XSETREF(request->raised, recording->raised);
    recording->raised = NULL;
    gate_leave(recording->gate);
    return csq_error_set(&job->error, CSQ_RAISED, "the filter raised");
}

static int
output(struct csq_job *job, sqlite3 *handle, int (*give)(sqlite3_session *, int *, void **))
{
    struct recording *recording = use(job);
    void *bytes = NULL;
    int size = 0;
    int rc;

    if (recording == NULL) {
        return job->error.code;
    }
    if (recording->raised != NULL) {
        return fail_filter(job, recording);
    }
    rc = give(recording->session.handle, &size, &bytes);
    if (rc == SQLITE_OK && !csq_strip_put_blob(&job->up, bytes, (size_t)size)) {
        rc = SQLITE_NOMEM;
    }
    sqlite3_free(bytes);
    return rc == SQLITE_OK ? rc : csq_error_copy(&job->error, handle, rc);
}

int
recording_changeset(struct csq_job *job, sqlite3 *handle)
{
    return output(job, handle, sqlite3session_changeset);
}

int
recording_patchset(struct csq_job *job, sqlite3 *handle)
{
    return output(job, handle, sqlite3session_patchset);
}

/* -- its life ------------------------------------------------------------------ */

struct recording *
recording_new(struct csq_executor *executor, struct gate *gate, const char *name, bool rowid)
{
    struct recording *recording = csq_calloc(sizeof *recording);

    if (recording == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    csq_session_init(&recording->session);
    recording->executor = csq_executor_get(executor);
    recording->gate = gate_get(gate);
    recording->name = name;
    recording->rowid = rowid;
    return recording;
}

static void
free_recording(struct recording *recording)
{
    csq_executor_put(recording->executor);
    gate_put(recording->gate);
    csq_job_clear(&recording->farewell);
    csq_strip_clear(&recording->verdicts);
    csq_free(recording);
}

/* Worker thread. Not by CSQ_APPLY, which a closed database refuses. */
static int
run_farewell(struct csq_job *job, sqlite3 *handle)
{
    (void)handle;
    csq_session_close(&csq_item(job, struct recording, farewell)->session);
    return SQLITE_OK;
}

/* Worker thread. */
static void
release_recording(struct csq_job *job)
{
    struct recording *recording = csq_item(job, struct recording, farewell);

    if (recording->filter != NULL || recording->raised != NULL) {
        gate_enter(recording->gate);
        Py_CLEAR(recording->filter);
        Py_CLEAR(recording->raised);
        gate_leave(recording->gate);
    }
    free_recording(recording);
}

void
recording_drop(struct recording *recording)
{
    csq_job_init(&recording->farewell, CSQ_CALL);
    recording->farewell.with.host.run = run_farewell;
    recording->farewell.release = release_recording;
    if (!recording->executor->verbs->push(recording->executor, &recording->farewell)) {
        /* The worker has closed the database, and the session with it. */
        Py_CLEAR(recording->filter);
        Py_CLEAR(recording->raised);
        free_recording(recording);
    }
}

#endif
