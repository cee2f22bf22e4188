/* A virtual table whose rows Python gives, from its connecting to its disconnecting, and what
 * every hook of one begins and ends with. Worker thread. */

#ifndef CSQ_VTABLE_TABLE_H
#define CSQ_VTABLE_TABLE_H

#include "binding/connection.h"
#include "binding/visit.h"
#include "engine/vtable.h"

struct module {
    struct csq_module base;
    struct gate *gate;
    struct csq_db *db; /* lent: it ends after its modules */
    struct module_state *state;
    PyObject *owner;   /* the type of the connection: keeps the module's state alive */
    PyObject *connect; /* gives the Table of csqlite/tables.py for its arguments */
};

struct table {
    struct module *module;
    PyObject *object;  /* the Table */
    PyObject *scan;    /* its method */
    PyObject *names;   /* of its columns: tuple of str */
    PyObject *parameters; /* their names: tuple of str */
};

/* What Python does with the connection in a source of rows, SQLite bears. In the rest it is
 * in the middle of something: it would not survive the table's being dropped there. */
void vtable_begin(struct visit *visit, const struct module *module);

/* GIL held. Gives `result`, which it takes; NULL with an exception. A statement does not go on in a
 * transaction that is not there any more. */
PyObject *vtable_go_on(const struct module *module, PyObject *result);

/* GIL held. Turns the current exception into the code and the message of a call that fails, and
 * into the cause of what the statement raises. */
int vtable_fail(const struct module *module, char **message);

/* The hooks of engine/vtable.h that connect a table and disconnect it. */
int vtable_connect(void *argument, const char *const *arguments, int count,
                   struct csq_shape *shape, void **table, char **message);
void vtable_disconnect(void *argument);

#endif
