/* What exceptions say beside their message. Nothing is kept for it while all goes well: the
 * request has its SQL anyway, and the job counts its rows. */

#include "binding/notes.h"

/* What there is to tell; all of it is lent. */
struct notes_facts {
    PyObject *sql;      /* NULL: no SQL has failed */
    long long offset;   /* in bytes; -1: SQLite knows no place */
    Py_ssize_t start;   /* of the statement within a script */
    long long row;      /* of executemany(), from 0; -1: none */
    PyObject *database; /* what knows the file (a connector); NULL: it has no part in it */
};

/* Lets csqlite/notes.py add to `exception`. An exception of its own is of no interest, but
 * one that asks the program to end is: KeyboardInterrupt. */
static void
tell(PyObject *exception, const struct notes_facts *facts)
{
    PyObject *explain = module_import("csqlite.notes", "explain");
    PyObject *done = NULL;

    if (explain != NULL) {
        done = PyObject_CallFunction(explain, "OOLnLO", exception,
                                     facts->sql == NULL ? Py_None : facts->sql, facts->offset,
                                     facts->start, facts->row,
                                     facts->database == NULL ? Py_None : facts->database);
        Py_DECREF(explain);
    }
    if (done != NULL || PyErr_ExceptionMatches(PyExc_Exception)) {
        PyErr_Clear();
        compat_give_exception(Py_NewRef(exception));
    }
    Py_XDECREF(done);
}

/* Lets csqlite/notes.py say who has the lock. */
static void
tell_of_lock(const struct csq_blocker *blocker)
{
    PyObject *exception = compat_take_exception();
    PyObject *explain = module_import("csqlite.notes", "explain_lock");
    PyObject *done = NULL;

    if (explain != NULL) {
        const double seconds = blocker->ours ? (double)blocker->held / 1e9 : -1.0;

        done = PyObject_CallFunction(explain, "OdyLiii", exception, seconds, blocker->sql,
                                     (long long)blocker->process, (int)blocker->read,
                                     (int)blocker->circle, (int)blocker->reader);
        Py_DECREF(explain);
    }
    if (done != NULL || PyErr_ExceptionMatches(PyExc_Exception)) {
        PyErr_Clear();
        compat_give_exception(Py_NewRef(exception));
    }
    Py_XDECREF(done);
    Py_DECREF(exception);
}

static void
explain(const struct notes_facts *facts)
{
    PyObject *exception;

    /* There is no memory for notes then, and nothing that they could explain. */
    if (PyErr_ExceptionMatches(PyExc_MemoryError)) {
        return;
    }
    exception = compat_take_exception();
    tell(exception, facts);
    Py_DECREF(exception);
}

void
notes_of_request(RequestObject *request)
{
    ConnectionObject *connection = (ConnectionObject *)request->owner;
    const struct csq_job *job = &request->job;
    struct notes_facts facts = {NULL, job->error.offset, 0, -1, NULL};

    if (request->hooks->sql != NULL) {
        facts.sql = request->hooks->sql(request);
    }
    if (job->op == CSQ_EXECUTEMANY) {
        facts.row = job->with.steps.row - 1;
    }
    if (job->op == CSQ_SCRIPT) {
        facts.start = (Py_ssize_t)job->with.steps.at;
    }
    if (job->op == CSQ_OPEN || job->error.code == SQLITE_CANTOPEN) {
        facts.database = connection->connector;
    }
    if (facts.sql != NULL || facts.database != NULL) {
        explain(&facts);
    }
    if (job->error.blocker != NULL && job->error.code == SQLITE_BUSY) {
        tell_of_lock(job->error.blocker);
    }
}

void
notes_of_error(ConnectionObject *connection, PyObject *sql, const struct csq_error *error)
{
    struct notes_facts facts = {sql, error->offset, 0, -1, NULL};

    if (error->code == SQLITE_CANTOPEN) {
        facts.database = connection->connector;
    }
    if (sql != NULL) {
        explain(&facts);
    }
}

PyObject *
notes_excerpt(PyObject *sql)
{
    PyObject *excerpt = module_import("csqlite.notes", "excerpt");
    PyObject *text;

    if (excerpt == NULL) {
        return NULL;
    }
    text = PyObject_CallOneArg(excerpt, sql);
    Py_DECREF(excerpt);
    return text;
}
