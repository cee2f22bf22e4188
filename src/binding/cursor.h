/* The cursor: what it holds, and what the methods of other files need of it.
 *
 * Loop thread, GIL held. */

#ifndef CSQ_CURSOR_OBJECT_H
#define CSQ_CURSOR_OBJECT_H

#include "binding/connection.h"
#include "bridge/line.h"
#include "engine/cursor.h"

/* The number of no result set. */
enum { CURSOR_NOTHING = -1 };

/* The half of a cursor that the worker uses. It outlives the object by the job
 * that resets it. */
struct cursor_rest {
    struct csq_cursor cursor;
    struct csq_job farewell;
};

typedef struct {
    PyObject_HEAD
    ConnectionObject *connection; /* NULL: __init__ was not called */
    PyObject *hold;               /* the transaction that it was made through; or NULL */
    struct module_state *state;
    PyObject *foreign;            /* the cursor of a foreign DB-API connection, or NULL */
    struct cursor_rest *rest;     /* NULL until it first executes */
    struct line line;             /* its requests, in order */
    struct iterator *loop;        /* borrowed: what iterates over it (iterate.h), or NULL */
    bool closed;
    bool closing; /* … but the worker has not come to it */
    bool plain; /* texts are str, whatever the connection makes of them */

    /* The result set. */
    int64_t result; /* its number: csq_job.result of what has begun it */
    struct csq_columns *columns; /* NULL: none */
    struct csq_strip strip;      /* rows that are here and not yet asked for */
    struct csq_reader reader;
    bool exhausted;         /* nothing is left with the worker, as far as known here */
    struct csq_error error; /* comes in place of the last row that is here … */
    PyObject *cause;        /* … with the exception of a callback, or NULL */
    long long changes;      /* the rowcount that holds once the last row is taken */
    PyObject *description;  /* made when it is asked for; NULL: not yet */
    PyObject *converters;   /* tuple of callable or None per column; NULL: none */
    PyObject *row_cursor;   /* what the row factory is given; NULL: not yet */
    PyObject *watch;        /* of csqlite/readers.py, since it was executed; NULL: none */
    PyObject *sql;          /* what was executed last, for repr() and notes; NULL: nothing */

    long long rowcount;
    PyObject *lastrowid;
    PyObject *row_factory;
    Py_ssize_t arraysize;
    Py_ssize_t iter_chunk_size;
    Py_ssize_t chunk; /* how many rows were asked for last */
    PyObject *dict;
    PyObject *weakrefs;
} CursorObject;

/* What a request that executes was called with. */
struct execute_call {
    PyObject *sql;
    PyObject *parameters; /* NULL: none */
    PyObject *place;      /* where it was called, for the watchdog; or NULL */
    PyObject *rows;       /* of executemany(): the iterator of parameters, until its end */
    bool described;       /* if it ends in a reset, the description stays */
};

enum { EXECUTE_OBJECTS = 4 };

static inline struct execute_call *
execute_call(RequestObject *request)
{
    return REQUEST_PAYLOAD(request, struct execute_call);
}

/* Gives a cursor of `connection`, with its row factory and chunk size. */
CursorObject *cursor_new(ConnectionObject *connection);

/* Whether its rows are where they seem to be: no request of it is under way, nor a call on
 * the worker, which may use it there. */
static inline bool
cursor_is_idle(const CursorObject *self)
{
    return line_is_idle(&self->line) && self->connection->calls.under_way == 0;
}

/* Makes it one of `connection`. */
void cursor_set_up(CursorObject *self, ConnectionObject *connection);

/* Lets the worker's half go; it may hold a statement. */
void cursor_drop_rest(CursorObject *self);

/* Gives it the row factory and the chunk size that its connection has now. */
void cursor_inherit(CursorObject *self);

/* In a pack hook: checks that the cursor can be used, and its connection, and
 * lends the job the worker's half. 0, or -1 with an exception. */
int cursor_use(RequestObject *request, enum connection_access access);

/* How many rows to ask for at the beginning of a result set, and how many when those
 * before have all been taken: who has read a chunk to its end will go on, so each is
 * twice as large as the one before, up to 16 times the first. One row stays one row. */
size_t cursor_first_chunk(CursorObject *self);
size_t cursor_next_chunk(CursorObject *self);

/* At the end of a pack hook: the job goes to the worker, which may leave something
 * open in the cursor. Only the unpack hook knows better. REQUEST_WAIT. */
enum request_answer cursor_send(RequestObject *request);

/* Keeps the error that the job of `request` met behind its rows, or that there is none. */
void cursor_keep_error(CursorObject *self, RequestObject *request);

/* Drops the rows that are here and not asked for. */
void cursor_drop_rows(CursorObject *self);

/* An abandon hook: nobody took what came of it, so the cursor has no rows any more, unless
 * it was not cancelled but refused, and the cursor is as it was. */
void cursor_abandon(RequestObject *request);

/* Forgets the result set; what the worker has of it is another matter. */
void cursor_forget(CursorObject *self);

/* -1 with ProgrammingError when __init__ was not called. */
int cursor_check(CursorObject *self);

/* What stands in cursor_properties.c. */
extern PyGetSetDef cursor_getset[];

/* Registers the type. 0, or -1 with an exception. */
int cursor_init_type(struct module_state *state, PyObject *module);

/* Methods that stand in files of their own: of cursors, and those of connections that make
 * a cursor. */
extern PyMethodDef execute_cursor_methods[];
extern PyMethodDef execute_connection_methods[];
extern PyMethodDef executemany_cursor_methods[];
extern PyMethodDef executemany_connection_methods[];
extern PyMethodDef fetch_methods[];

/* What `async for` awaits; NULL with MemoryError. */
PyObject *cursor_anext(CursorObject *self);

/* The `leave` hook of a method that gives a cursor. */
PyObject *cursor_leave(PyObject *cursor);

#endif
