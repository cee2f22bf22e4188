/* Connection.blobopen() and the Blob that it gives. Loop thread, GIL held. */

#ifndef CSQ_BLOB_OBJECT_H
#define CSQ_BLOB_OBJECT_H

#include "binding/connection.h"
#include "bridge/line.h"

/* The half of a blob that the worker uses. It outlives the object by the job that
 * closes it. */
struct blob_rest {
    struct csq_blob blob;
    struct csq_job farewell;
};

typedef struct {
    PyObject_HEAD
    ConnectionObject *connection;
    PyObject *hold; /* the transaction that it was made through; or NULL */
    struct blob_rest *rest;
    struct line line; /* its requests, in order */
    bool opened;   /* the worker may have it open */
    bool closed;
    PyObject *weakrefs;
} BlobObject;

/* Methods of Connection. */
extern PyMethodDef blob_methods[];

/* Registers the type. 0, or -1 with an exception. */
int blob_init_type(struct module_state *state, PyObject *module);

/* What a method of a blob was called with. */
struct blob_call {
    PyObject *data; /* what holds the bytes that are written, or are read into; or NULL */
    PyObject *column;
    PyObject *schema;
    int64_t row;
    int number; /* how many bytes, or where to */
    bool readonly;
};

/* In a `fill` function: what the request's job does. */
void blob_begin(RequestObject *request, enum csq_blob_action action);

/* In a `fill` function, with an exception that says what is wrong with the arguments: as in
 * sqlite3, a blob that is closed is told of first. -1 */
int blob_mistake(RequestObject *request);

/* In a pack hook: checks that blob and connection can be used. 0, or -1 with
 * ProgrammingError. */
int blob_use(RequestObject *request);

/* In an unpack hook: 0, or -1 with the exception that the job ended with. */
int blob_check(RequestObject *request);

/* The unpack hook of what gives None, and lets the data go. */
enum request_answer blob_unpack_none(RequestObject *request, int64_t slice_end);

/* repr(blob): nothing that would have to ask the worker. */
PyObject *blob_repr(BlobObject *self);

/* Raises what a task was refused for. 0: it was not; or -1. */
int blob_check_refusal(const struct csq_blob_task *task);

/* Methods of Blob that stand in files of their own. */
extern PyMethodDef blob_data_methods[];
extern PyMethodDef blob_position_methods[];

/* blob[key], which gives a request. */
PyObject *blob_subscript(PyObject *self, PyObject *key);

#endif
