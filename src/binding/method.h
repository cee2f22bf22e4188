/* The method table. A method that gives a request is a row: its name and arguments, what
 * its request does, and how it is filled. One dispatcher calls them all.
 *
 * PyMethodDef wants a C function for each method and gives it nothing to tell methods
 * apart by: METHOD() makes one that adds the row. Loop thread, GIL held. */

#ifndef CSQ_METHOD_H
#define CSQ_METHOD_H

#include "binding/args.h"
#include "binding/connection.h"

enum { METHOD_TAKES = 7 }; /* the last is TAKE_END */

/* What a method is called on. */
enum method_receiver {
    ON_CONNECTION,
    ON_PART,       /* what begins as a struct part: it is the request's target */
    ON_NEW_CURSOR, /* the connection, but what the request works on is a new cursor */
};

/* How an object that belongs to a connection begins. */
struct part {
    PyObject_HEAD
    ConnectionObject *connection; /* NULL: __init__ was not called */
};

/* How those of them begin that may be made through a transaction: cursors and blobs. */
struct held {
    struct part part;
    PyObject *hold; /* NULL: it was not */
};

/* Lends `target` as one of these; NULL where it is something else, or NULL. */
static inline struct held *
method_held(const struct module_state *state, PyObject *target)
{
    bool held = target != NULL && (PyObject_TypeCheck(target, state->cursor_type) ||
                                   PyObject_TypeCheck(target, state->blob_type));

    return held ? (struct held *)target : NULL;
}

/* What becomes of an argument that was given. What the payload keeps of an object is a
 * reference, so its member stands among those in front. */
enum method_taking {
    TAKE_END,      /* neither of this argument nor of what comes behind it */
    TAKE_NOTHING,  /* `fill` reads it */
    TAKE_OBJECT,   /* kept */
    TAKE_OPTIONAL, /* kept, unless it is None */
    TAKE_CALLABLE, /* the same; TypeError unless it is callable or None */
    TAKE_INT,      /* an int of C */
    TAKE_CLAMPED,  /* the same, the nearest there is */
    TAKE_TRUTH,    /* a bool of C */
    TAKE_ROWID,    /* an int64_t */
    TAKE_NAME,     /* a str, kept, and lent to the job as its SQL */
    TAKE_SCHEMA,   /* the same, but None is none */
    TAKE_MAIN,     /* as TAKE_NAME; "main" where it was not given */
};

struct method_take {
    enum method_taking how;
    size_t where; /* in the payload */
};

#define TAKE(how, type, member) {TAKE_##how, offsetof(type, member)}

struct method {
    struct args_spec args; /* args.method is the request's name, as "Connection.execute" */
    const struct request_hooks *hooks;
    enum method_receiver on;
    enum csq_op op; /* not with `run` */
    bool deadline; /* the last argument is `deadline` */
    bool gated;    /* it hands over a callback: from then on jobs may need the GIL */
    bool anytime;  /* csq_job.anytime */
    bool common;   /* all executors have it as it is */
    bool native;   /* no other executor than csqlite's own has it */
    int objects;   /* how many references the payload begins with */
    int (*run)(struct csq_job *job, sqlite3 *handle); /* what its job does, CSQ_APPLY … */
    const void *argument;                             /* … and its argument */
    struct method_take takes[METHOD_TAKES]; /* what becomes of the arguments, in order */
    /* Fills in what else comes of the arguments, borrowed, NULL where none was given. 0, or -1
     * with an exception. NULL: there is nothing to fill. */
    int (*fill)(RequestObject *request, PyObject *const *values);
};

/* Gives the request that a call of the method makes; NULL with an exception. */
PyObject *method_call(const struct method *method, PyObject *self, PyObject *const *args,
                      Py_ssize_t nargs, PyObject *kwnames);

/* Gives the request of a row, on `target` (NULL: on the connection), not yet filled. NULL with
 * an exception. */
RequestObject *method_request(const struct method *method, ConnectionObject *connection,
                              PyObject *target);

/* The hooks of a method that runs its job and gives None. */
enum request_answer method_simple_pack(RequestObject *request);
enum request_answer method_simple_unpack(RequestObject *request, int64_t slice_end);
extern const struct request_hooks method_simple;

/* Adds methods that stand in a file of their own to a type. 0, or -1 with an exception. */
int method_add(PyTypeObject *type, PyMethodDef *methods);

/* Declares the C function of a row, and begins the row: METHOD(x) = {…}; */
#define METHOD(function)                                                               \
    static const struct method function##_row;                                         \
    static PyObject *function(PyObject *self, PyObject *const *args, Py_ssize_t nargs, \
                              PyObject *kwnames)                                       \
    {                                                                                  \
        return method_call(&function##_row, self, args, nargs, kwnames);               \
    }                                                                                  \
    static const struct method function##_row

/* Its entry in a table of PyMethodDef. */
#define METHOD_ENTRY(name, function, doc) \
    {name, (PyCFunction)(void (*)(void))function, METH_FASTCALL | METH_KEYWORDS, doc}

#endif
