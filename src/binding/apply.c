/* Applying a changeset. SQLite asks a filter which tables it may touch when it has
 * changed others already, and takes no exception for an answer: so the filter is
 * asked for all tables beforehand. The conflict handler is called in the middle; when
 * it raises, SQLite is told to abort, and undoes what it has done. */

#include "binding/session.h"

#include "binding/change.h"
#include "binding/changeset.h"
#include "binding/convert.h"
#include "binding/errors.h"
#include "binding/method.h"
#include "binding/status.h"
#include "binding/visit.h"
#include "engine/claim.h"
#include "engine/native.h"
#include "engine/transaction.h"

enum { MOST_FLAGS = 0xffff };

struct apply_call {
    PyObject *changeset; /* bytes */
    PyObject *filter;    /* NULL: none */
    PyObject *handler;   /* of conflicts; NULL: `answer` is the answer to each */
    int flags;
    int answer;
    bool rebase; /* a rebase buffer is wanted */
};

static struct apply_call *
call_of(RequestObject *request)
{
    return REQUEST_PAYLOAD(request, struct apply_call);
}

#ifdef SQLITE_ENABLE_SESSION

struct application {
    RequestObject *request;
    struct csq_strip verdicts; /* what the filter has said */
    bool foreign_keys;         /* the last conflict was that foreign keys are violated */
};

/* Keeps the current exception for whoever awaits. GIL held. */
static void
hold(RequestObject *request)
{
    if (request->raised == NULL) {
        request->raised = compat_take_exception();
    } else {
        PyErr_Clear();
    }
}

/* -- the filter --------------------------------------------------------------- */

/* Asks the filter for a table. 0, 1, or -1 when it raises. */
static int
ask_filter(RequestObject *request, const char *table)
{
    struct visit visit;
    PyObject *result;
    int verdict = -1;

    visit_enter(&visit, request->gate, csq_native_db(request->executor));
    visit_narrow(&visit, CSQ_CHANGES);
    result = PyObject_CallFunction(call_of(request)->filter, "s", table);
    result = visit_await(csq_native_db(request->executor), result);
    if (result != NULL) {
        verdict = PyObject_IsTrue(result);
        Py_DECREF(result);
    }
    if (verdict < 0) {
        hold(request);
    }
    visit_end(&visit);
    return verdict;
}

/* Asks the filter for each table in the changeset, once. SQLITE_OK or the code in the
 * job's error. What is malformed is for SQLite to say. */
static int
ask_for_all(struct application *application)
{
    RequestObject *request = application->request;
    PyObject *data = call_of(request)->changeset;
    sqlite3_changeset_iter *changes = NULL;
    struct csq_error *error = &request->job.error;
    int verdict = 0;
    bool room = true;

    if (sqlite3changeset_start(&changes, (int)PyBytes_GET_SIZE(data), PyBytes_AS_STRING(data)) !=
        SQLITE_OK) {
        return SQLITE_OK;
    }
    while (verdict >= 0 && room && sqlite3changeset_next(changes) == SQLITE_ROW) {
        const char *table = NULL;
        int columns;
        int op;

        if (sqlite3changeset_op(changes, &table, &columns, &op, NULL) != SQLITE_OK ||
            csq_session_verdict(&application->verdicts, table) >= 0) {
            continue;
        }
        verdict = ask_filter(request, table);
        room = csq_session_note(&application->verdicts, table, verdict > 0);
    }
    sqlite3changeset_finalize(changes);
    if (verdict < 0) {
        return csq_error_set(error, CSQ_RAISED, "the filter raised");
    }
    return room ? SQLITE_OK : csq_error_copy(error, NULL, SQLITE_NOMEM);
}

/* What SQLite calls for each table. */
static int
filter(void *argument, const char *table)
{
    const struct application *application = argument;

    return call_of(application->request)->filter == NULL ||
           csq_session_verdict(&application->verdicts, table) > 0;
}

/* -- conflicts ---------------------------------------------------------------- */

static bool
may_replace(int reason)
{
    return reason == SQLITE_CHANGESET_DATA || reason == SQLITE_CHANGESET_CONFLICT;
}

/* Reads the answer of the handler, which it takes; NULL: it has raised. Negative with
 * an exception. GIL held. */
static int
read_answer(struct module_state *state, PyObject *result, int reason)
{
    long answer = -1;

    if (result == NULL) {
        return -1;
    }
    if (!PyLong_Check(result)) {
        PyErr_Format(PyExc_TypeError, "the conflict handler must give an int, not %.100s",
                     Py_TYPE(result)->tp_name);
    } else {
        answer = PyLong_AsLong(result);
        if (answer == -1 && PyErr_Occurred()) {
            PyErr_Clear();
        }
        if (answer < SQLITE_CHANGESET_OMIT || answer > SQLITE_CHANGESET_ABORT) {
            PyErr_SetString(PyExc_ValueError,
                            "the conflict handler must give SQLITE_CHANGESET_OMIT, "
                            "SQLITE_CHANGESET_REPLACE or SQLITE_CHANGESET_ABORT");
            answer = -1;
        } else if (answer == SQLITE_CHANGESET_REPLACE && !may_replace(reason)) {
            PyErr_SetString(state->ProgrammingError,
                            "SQLITE_CHANGESET_REPLACE is an answer to SQLITE_CHANGESET_DATA and "
                            "SQLITE_CHANGESET_CONFLICT only");
            answer = -1;
        }
    }
    Py_DECREF(result);
    return (int)answer;
}

/* What SQLite calls for each conflict. */
static int
conflict(void *argument, int reason, sqlite3_changeset_iter *changes)
{
    struct application *application = argument;
    RequestObject *request = application->request;
    struct module_state *state = ((ConnectionObject *)request->owner)->state;
    struct visit visit;
    PyObject *change;
    PyObject *result = NULL;
    int answer = call_of(request)->answer;

    application->foreign_keys = reason == SQLITE_CHANGESET_FOREIGN_KEY;
    if (atomic_load(&request->job.cancelled)) {
        return SQLITE_CHANGESET_ABORT;
    }
    if (call_of(request)->handler == NULL) {
        return answer == SQLITE_CHANGESET_REPLACE && !may_replace(reason) ? SQLITE_CHANGESET_OMIT
                                                                          : answer;
    }
    visit_enter(&visit, request->gate, csq_native_db(request->executor));
    visit_narrow(&visit, CSQ_CHANGES);
    change = change_new(state, changes, reason);
    if (change != NULL) {
        result = PyObject_CallFunction(call_of(request)->handler, "iO", reason, change);
        result = visit_await(csq_native_db(request->executor), result);
    }
    result = visit_go_on(csq_native_db(request->executor), state, result);
    answer = read_answer(state, result, reason);
    if (answer < 0) {
        hold(request);
        answer = SQLITE_CHANGESET_ABORT;
    }
    Py_XDECREF(change);
    visit_end(&visit);
    return answer;
}

/* -- the job ------------------------------------------------------------------ */

/* Tells what the changeset could not be applied for. */
static int
fail(const struct application *application, sqlite3 *handle, int rc)
{
    struct csq_error *error = &application->request->job.error;

    if (application->request->raised != NULL) {
        return csq_error_set(error, CSQ_RAISED, "the conflict handler raised");
    }
    if (rc == SQLITE_ABORT) {
        return csq_error_set(error, rc, "a conflict has aborted the changeset");
    }
    if ((rc & 0xff) == SQLITE_CONSTRAINT && application->foreign_keys) {
        return csq_error_set(error, SQLITE_CONSTRAINT, "the changeset violates foreign keys");
    }
    if (rc == SQLITE_CORRUPT && (sqlite3_errcode(handle) & 0xff) != SQLITE_CORRUPT) {
        return csq_error_set(error, rc, "malformed changeset");
    }
    return csq_error_copy(error, handle, rc);
}

static int
apply(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    PyObject *data = call_of(request)->changeset;
    struct application application = {.request = request};
    bool rebase = call_of(request)->rebase;
    void *output = NULL;
    int size = 0;
    int rc = SQLITE_OK;

    if (csq_db_is_within(csq_native_db(request->executor))) {
        return csq_error_set(&job->error, CSQ_USAGE,
                             "A changeset cannot be applied within a callback.");
    }
    csq_strip_init(&application.verdicts);
    if (call_of(request)->filter != NULL) {
        rc = ask_for_all(&application);
    }
    if (rc == SQLITE_OK) {
        /* SQLite applies it in a savepoint, which is then the whole transaction. */
        struct csq_db *db = csq_native_db(request->executor);

        db->stopping = sqlite3_get_autocommit(handle) && !csq_transaction_is_shared(db, NULL)
                           ? CSQ_STOPS
                           : CSQ_RUNS_ON;
        db->bound = CSQ_TRANSACTS; /* for what its statements call */
        rc = csq_claim_call(db, "main", "apply_changeset()", &job->error);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3changeset_apply_v2(handle, (int)PyBytes_GET_SIZE(data),
                                       PyBytes_AS_STRING(data), filter, conflict, &application,
                                       rebase ? &output : NULL, rebase ? &size : NULL,
                                       call_of(request)->flags);
        rc = rc == SQLITE_OK ? rc : fail(&application, handle, rc);
    }
    if (rc == SQLITE_OK && rebase && !csq_strip_put_blob(&job->up, output, (size_t)size)) {
        rc = csq_error_copy(&job->error, NULL, SQLITE_NOMEM);
    }
    sqlite3_free(output);
    csq_strip_clear(&application.verdicts);
    return rc;
}

#else

static int
apply(struct csq_job *job, sqlite3 *handle)
{
    (void)handle;
    return csq_error_set(&job->error, SQLITE_ERROR, "this SQLite has no sessions");
}

#endif

/* Reads how conflicts are answered. */
static int
take_conflict(struct apply_call *call, PyObject *value)
{
    call->answer = 2; /* SQLITE_CHANGESET_ABORT */
    if (value == NULL || value == Py_None) {
        return 0;
    }
    if (PyLong_Check(value)) {
        if (args_clamped(value, &call->answer) < 0) {
            return -1;
        }
        if (call->answer < 0 || call->answer > 2) {
            PyErr_SetString(PyExc_ValueError,
                            "conflict must be SQLITE_CHANGESET_OMIT, SQLITE_CHANGESET_REPLACE or "
                            "SQLITE_CHANGESET_ABORT");
            return -1;
        }
        return 0;
    }
    if (!PyCallable_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "conflict must be callable, or one of its answers");
        return -1;
    }
    call->handler = Py_NewRef(value);
    return 0;
}

static int
fill_apply(RequestObject *request, PyObject *const *values)
{
    struct apply_call *call = call_of(request);
    long flags = values[3] == NULL ? 0 : PyLong_AsLong(values[3]);

    if ((flags == -1 && PyErr_Occurred()) ||
        changeset_check(((ConnectionObject *)request->owner)->state) < 0 ||
        take_conflict(call, values[2]) < 0) {
        return -1;
    }
    if (call->filter != NULL && !PyCallable_Check(call->filter)) {
        PyErr_SetString(PyExc_TypeError, "filter must be callable");
        return -1;
    }
    if (flags < 0 || flags > MOST_FLAGS) {
        PyErr_SetString(PyExc_ValueError, "no such flags");
        return -1;
    }
    call->flags = (int)flags;
    call->changeset = changeset_bytes(values[0]);
    return call->changeset == NULL ? -1 : 0;
}

static const char apply_changeset_doc[] =
    "apply_changeset($self, changeset, *, filter=None, conflict=None, flags=0, rebase=False)\n"
    "--\n\n"
    "Apply a changeset or patchset as a whole, or not at all.\n\n"
    "filter: called with the name of each table in it, says whether to apply its changes.\n"
    "conflict: called as conflict(reason, change) for each conflict, gives\n"
    "SQLITE_CHANGESET_OMIT, SQLITE_CHANGESET_REPLACE (to the reasons SQLITE_CHANGESET_DATA and\n"
    "SQLITE_CHANGESET_CONFLICT only) or SQLITE_CHANGESET_ABORT; or one of these, to answer\n"
    "always (REPLACE: where it can be, else OMIT). None aborts. Both run on the worker, and may\n"
    "be coroutine functions. flags: SQLITE_CHANGESETAPPLY_... rebase: give what a Rebaser\n"
    "needs, bytes; else None.\n\n"
    "It is part of an open transaction, or one of its own; none is begun implicitly. Raises\n"
    "what a callback raises, OperationalError when a conflict aborts, IntegrityError\n"
    "for foreign keys, DatabaseError for a malformed changeset; nothing is changed then. "
    "sqlite3changeset_apply_v2().";

METHOD(connection_apply_changeset) = {
    .args = ARGS("Connection.apply_changeset", 1, 1, 0, "changeset", "filter", "conflict",
                 "flags", "rebase"),
    .hooks = &status_value,
    .native = true,
    .gated = true,
    .objects = 3,
    .run = apply,
    .takes = {{TAKE_NOTHING},
              TAKE(OPTIONAL, struct apply_call, filter),
              {TAKE_NOTHING},
              {TAKE_NOTHING},
              TAKE(TRUTH, struct apply_call, rebase)},
    .fill = fill_apply,
};

PyMethodDef apply_methods[] = {
    METHOD_ENTRY("apply_changeset", connection_apply_changeset, apply_changeset_doc),
    {NULL, NULL, 0, NULL},
};
