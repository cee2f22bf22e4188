/* The method table. A method that gives a request is a row: its name and arguments, what
 * its request does, and how it is filled. One dispatcher calls them all.
 *
 * PyMethodDef wants a C function for each method and gives it nothing to tell methods
 * apart by: METHOD() makes one that adds the row. Loop thread, GIL held. */

#ifndef CSQ_METHOD_H
#define CSQ_METHOD_H

#include "binding/args.h"
#include "binding/connection.h"

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

struct method {
    struct args_spec args; /* args.method is the request's name, as "Connection.execute" */
    const struct request_hooks *hooks;
    enum csq_op op;
    enum method_receiver on;
    bool deadline; /* the last argument is `deadline` */
    bool gated;    /* it hands over a callback: from then on jobs may need the GIL */
    bool anytime;  /* csq_job.anytime */
    const char *foreign; /* the function of csqlite/foreign.py; NULL: it is native only */
    int objects;   /* how many references the payload begins with */
    /* With CSQ_APPLY: what its job does, and the job's argument. */
    int (*run)(struct csq_job *job, sqlite3 *handle);
    const void *argument;
    /* Fills the request from the arguments, borrowed, NULL where none was given. 0, or -1
     * with an exception. NULL: there is nothing to fill. */
    int (*fill)(RequestObject *request, PyObject *const *values);
};

/* Gives the request that a call of the method makes; NULL with an exception. */
PyObject *method_call(const struct method *method, PyObject *self, PyObject *const *args,
                      Py_ssize_t nargs, PyObject *kwnames);

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
