/* The connection: what it holds, and what the methods of other files need of it.
 *
 * Loop thread, GIL held. */

#ifndef CSQ_CONNECTION_H
#define CSQ_CONNECTION_H

#include "binding/module.h"
#include "bridge/gate.h"
#include "bridge/lease.h"
#include "bridge/request.h"
#include "engine/executor.h"

enum connection_stage {
    CONNECTION_NEW,     /* not awaited yet */
    CONNECTION_OPENING, /* awaited, not open yet */
    CONNECTION_OPEN,
    CONNECTION_CLOSING, /* close() is under way; what comes behind it fails in its turn */
    CONNECTION_CLOSED,  /* or stopped, or never opened */
};

struct method;

/* Answers a call in place of csqlite's own methods, where another engine runs the jobs: as
 * method_call(), for a row that is not `common`. */
typedef PyObject *(*connection_answers)(const struct method *method, PyObject *self,
                                        PyObject *const *args, Py_ssize_t nargs,
                                        PyObject *kwnames);

typedef struct {
    PyObject_HEAD
    struct module_state *state;
    struct csq_link all; /* in state->connections, once the worker is started */
    enum connection_stage stage;
    bool forked;               /* this process is a child: the worker is not in it */
    struct csq_executor *executor; /* NULL until it is awaited */
    struct gate *gate;         /* NULL until it is awaited */
    struct lease lease;        /* who has the connection, for a transaction */
    struct line calls;         /* what is called on the worker, and may use any cursor there */
    PyObject *connector;       /* what opens it */
    connection_answers answers; /* NULL: its executor is native, or it is not open yet */
    PyObject *foreign;         /* the DB-API connection of a foreign connector, or NULL */
    PyObject *row_factory;
    PyObject *text_factory;
    const char *begin; /* static: what begins an implicit transaction; NULL: there are none */
    int cached_statements;
    int detect_types;
    bool check_same_thread;
    Py_ssize_t iter_chunk_size;
    bool notes_sql;            /* what is executed is kept in … */
    PyObject *last_sql;        /* … here; NULL: nothing yet */
    PyObject *reader_warning; /* float: after how many seconds; NULL: never (watchdog.h) */
    PyObject *dict;
    PyObject *weakrefs;
} ConnectionObject;

/* How an unusable connection is complained of, after aiosqlite. */
enum connection_access {
    CONNECTION_DIRECT,   /* "no active connection" */
    CONNECTION_DEFERRED, /* "Connection closed" */
};

/* In a pack hook: checks that the request's connection can take jobs, and lends
 * the request its executor. 0, or -1 with an exception. */
int connection_use(RequestObject *request, enum connection_access access);

/* -1 with ValueError unless it is open (for properties). */
int connection_check(ConnectionObject *self);

/* What begins a transaction where no level is asked for, as sqlite3 writes it: a trace shows the
 * blank. */
#define CONNECTION_BEGIN "BEGIN "

/* Finds what begins a transaction of the isolation level `value`, a str or None: *begin is
 * static, or NULL for None. 0, or -1 with TypeError or ValueError. */
int connection_read_level(PyObject *value, const char **begin);

/* The isolation level; NULL: None. */
const char *connection_level(const ConnectionObject *self);

/* What stands in properties.c. */
extern PyGetSetDef connection_getset[];

/* Registers the type. 0, or -1 with an exception. */
int connection_init_type(struct module_state *state, PyObject *module);

#endif
