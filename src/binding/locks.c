/* What this process knows of its own connections, and the system of the others. */

#include "binding/locks.h"

#include <stdlib.h>

#include "engine/alloc.h"
#include "engine/blocker.h"
#include "engine/clock.h"
#include "engine/writers.h"

enum { PROCESSES = 64, MORE = 64 };

struct found {
    struct csq_writer_seen *writers; /* owned */
    size_t writers_count;
    struct csq_lock locks[PROCESSES];
    size_t locks_count;
    int64_t now;
};

/* Without the GIL. Looks as often as it takes to see all that wait. False: no memory. */
static bool
look(const char *path, struct found *found)
{
    size_t room = MORE;

    found->writers = csq_malloc(room * sizeof *found->writers);
    while (found->writers != NULL) {
        found->writers_count = csq_writers_list(path, found->writers, room);
        if (found->writers_count <= room) {
            break;
        }
        csq_free(found->writers);
        room = found->writers_count + MORE;
        found->writers = csq_malloc(room * sizeof *found->writers);
    }
    found->now = csq_now();
    found->locks_count = csq_blocker_locks(path, found->locks, PROCESSES);
    return found->writers != NULL;
}

/* Appends a tuple; takes the reference to it, NULL is an exception already. */
static int
append(PyObject *list, PyObject *tuple)
{
    int rc = tuple == NULL ? -1 : PyList_Append(list, tuple);

    Py_XDECREF(tuple);
    return rc;
}

static PyObject *
list_of(const struct found *found)
{
    PyObject *list = PyList_New(0);
    int rc = list == NULL ? -1 : 0;

    for (size_t i = 0; rc == 0 && i < found->writers_count; i++) {
        const struct csq_writer_seen *seen = &found->writers[i];

        rc = append(list, Py_BuildValue("(syd)", seen->writes ? "writes" : "waits", seen->sql,
                                        (double)(found->now - seen->since) / 1e9));
    }
    for (size_t i = 0; rc == 0 && i < found->locks_count; i++) {
        const struct csq_lock *lock = &found->locks[i];

        rc = append(list, Py_BuildValue("(sL)", lock->writes ? "writes" : "reads",
                                        (long long)lock->process));
    }
    if (rc < 0) {
        Py_CLEAR(list);
    }
    return list;
}

static PyObject *
locks_list(PyObject *module, PyObject *path)
{
    struct found found;
    PyObject *list = NULL;
    bool well;

    (void)module;
    if (!PyBytes_Check(path)) {
        PyErr_SetString(PyExc_TypeError, "a path must be bytes");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    well = look(PyBytes_AS_STRING(path), &found);
    Py_END_ALLOW_THREADS;
    list = well ? list_of(&found) : PyErr_NoMemory();
    csq_free(found.writers);
    return list;
}

PyDoc_STRVAR(locks_doc,
             "_locks(path, /)\n--\n\n"
             "Give what csqlite.locks() is made of: (state, sql, seconds) of this process's\n"
             "connections, then (state, process) of locks that the system tells of.");

static PyMethodDef functions[] = {
    {"_locks", locks_list, METH_O, locks_doc},
    {NULL, NULL, 0, NULL},
};

int
locks_init(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
