/* The extension module: its state, one per interpreter, and how to reach it. */

#ifndef CSQ_MODULE_H
#define CSQ_MODULE_H

#include "bridge/compat.h"
#include "bridge/state.h"
#include "engine/executor.h"
#include "engine/list.h"

struct module_state {
    struct bridge bridge;
    struct csq_crew *crew; /* the workers' threads */
    struct csq_list leaving; /* executors whose connection is gone, by csq_executor.kept; each
                                with a reference, until it has ended */
    struct csq_list connections; /* those whose worker was started, by ConnectionObject.all */
    PyTypeObject *connection_type;
    PyTypeObject *cursor_type;
    PyTypeObject *iterator_type; /* of cursors */
    PyTypeObject *backup_type;
    PyTypeObject *blob_type;
    PyTypeObject *carray_type;
    PyTypeObject *change_type;
    PyTypeObject *changes_type; /* the iterator of a changeset */
    PyTypeObject *session_type;
    PyTypeObject *handle_type;
    PyTypeObject *hold_type;
    PyTypeObject *watch_type;
    PyTypeObject *member_type; /* of a pool: a connection … */
    PyTypeObject *shelf_type;  /* … several of them … */
    PyTypeObject *pool_type;   /* … the pool itself … */
    PyTypeObject *pool_call_type; /* … and what its methods give */
    PyTypeObject *hook_changes_type; /* what a batched update hook is called with */

    /* Of the sqlite3 module: its exceptions are ours, its registries are asked. */
    PyObject *InterfaceError;
    PyObject *DatabaseError;
    PyObject *DataError;
    PyObject *OperationalError;
    PyObject *IntegrityError;
    PyObject *InternalError;
    PyObject *NotSupportedError;
    PyObject *ProgrammingError;
    PyObject *adapters;
    PyObject *converters;
    PyObject *prepare_protocol;
    bool tracebacks;   /* exceptions of callbacks go to sys.unraisablehook, too */
    int most_parameters; /* that a statement of this SQLite can have, whatever its limit */
    bool base_adapted; /* an adapter is registered for a type SQLite knows: convert_begin() … */
    uint64_t adapters_version; /* … has seen in adapters of this version; 0: not known */

    PyObject *no_change;   /* csqlite.no_change */
    PyObject *row_cursors; /* dict: tuple of column names -> what a row factory is given */
    PyObject *str_conform; /* "__conform__" */
    PyObject *str_upper;
    PyObject *str_close;
};

/* Takes a reference to a worker that was told to stop: the end of the interpreter
 * waits for it. GIL held. */
void module_see_off(struct module_state *state, struct csq_executor *executor);

/* What defines the module; it stands in init.c. */
extern struct PyModuleDef module_def;

/* The state of the module that defines `type`, or NULL with TypeError. */
struct module_state *module_state_of_type(PyTypeObject *type);

/* Gives an attribute, by a name that is interned: the interpreter's cache of attributes
 * keeps each str that it was asked with. NULL with an exception. */
PyObject *module_attribute(PyObject *object, const char *name);

/* Imports `name` from the Python module `module`. NULL with an exception. */
PyObject *module_import(const char *module, const char *name);

#endif
