/* SQLite takes a void pointer, and each operation means another thing by it. Here
 * stand those whose meaning is known and which an application is meant to use. */

#include "binding/file_control.h"

#include "binding/errors.h"
#include "binding/method.h"
#include "binding/status.h"

enum form {
    FORM_INT,   /* int */
    FORM_UINT,  /* unsigned int */
    FORM_INT64, /* sqlite3_int64 */
    FORM_TEXT,  /* char *, for sqlite3_free() */
};

enum use {
    USE_ASK,    /* takes nothing, gives a value */
    USE_TELL,   /* takes a value, gives nothing */
    USE_EITHER, /* takes a value or nothing, gives one */
    USE_DO,     /* neither */
};

struct control {
    int op;
    enum use use;
    enum form form;
};

/* The numbers are written out, as those of numbers.c are. What takes a value or
 * nothing is told "nothing" by -1. */
static const struct control controls[] = {
    {4, USE_ASK, FORM_INT},       /* SQLITE_FCNTL_LAST_ERRNO */
    {5, USE_TELL, FORM_INT64},    /* SQLITE_FCNTL_SIZE_HINT */
    {6, USE_TELL, FORM_INT},      /* SQLITE_FCNTL_CHUNK_SIZE */
    {10, USE_EITHER, FORM_INT},   /* SQLITE_FCNTL_PERSIST_WAL */
    {12, USE_ASK, FORM_TEXT},     /* SQLITE_FCNTL_VFSNAME */
    {13, USE_EITHER, FORM_INT},   /* SQLITE_FCNTL_POWERSAFE_OVERWRITE */
    {16, USE_ASK, FORM_TEXT},     /* SQLITE_FCNTL_TEMPFILENAME */
    {18, USE_EITHER, FORM_INT64}, /* SQLITE_FCNTL_MMAP_SIZE */
    {20, USE_ASK, FORM_INT},      /* SQLITE_FCNTL_HAS_MOVED */
    {34, USE_TELL, FORM_INT},     /* SQLITE_FCNTL_LOCK_TIMEOUT */
    {35, USE_ASK, FORM_UINT},     /* SQLITE_FCNTL_DATA_VERSION */
    {36, USE_EITHER, FORM_INT64}, /* SQLITE_FCNTL_SIZE_LIMIT */
    {38, USE_EITHER, FORM_INT},   /* SQLITE_FCNTL_RESERVE_BYTES */
    {40, USE_ASK, FORM_INT},      /* SQLITE_FCNTL_EXTERNAL_READER */
    {42, USE_DO, FORM_INT},       /* SQLITE_FCNTL_RESET_CACHE */
};

static const struct control *
find_control(int op)
{
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++) {
        if (controls[i].op == op) {
            return &controls[i];
        }
    }
    return NULL;
}

/* Puts what has come of it; false: no memory. */
static bool
put_answer(struct csq_strip *strip, const struct control *control, int integer, unsigned counter,
           sqlite3_int64 large, const char *text)
{
    if (control->use == USE_TELL || control->use == USE_DO) {
        return csq_strip_put_null(strip);
    }
    switch (control->form) {
    case FORM_INT:
        return csq_strip_put_integer(strip, integer);
    case FORM_UINT:
        return csq_strip_put_integer(strip, counter);
    case FORM_INT64:
        return csq_strip_put_integer(strip, large);
    default:
        return text == NULL ? csq_strip_put_null(strip)
                            : csq_strip_put_text(strip, text, strlen(text));
    }
}

struct control_call {
    PyObject *name; /* of the schema */
    const struct control *control;
    Py_ssize_t number;
};

/* Worker thread. */
static int
run_control(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    const struct control_call *call = REQUEST_PAYLOAD(request, struct control_call);
    const struct control *control = call->control;
    sqlite3_int64 large = call->number;
    int integer = (int)call->number;
    unsigned counter = 0;
    char *text = NULL;
    void *const arguments[] = {
        [FORM_INT] = &integer,
        [FORM_UINT] = &counter,
        [FORM_INT64] = &large,
        [FORM_TEXT] = &text,
    };
    int rc;

    rc = sqlite3_file_control(handle, job->sql, control->op, arguments[control->form]);
    if (rc == SQLITE_NOTFOUND) {
        csq_error_set(&job->error, CSQ_UNSUPPORTED,
                      "The VFS of database %s does not know file control %d.", job->sql,
                      control->op);
    } else if (rc != SQLITE_OK) {
        status_check_name(job, handle, rc);
    } else if (!put_answer(&job->up, control, integer, counter, large, text)) {
        csq_error_copy(&job->error, NULL, SQLITE_NOMEM);
    }
    sqlite3_free(text);
    return job->error.code;
}

/* Reads the value for a control. 0, or -1 with TypeError or OverflowError. */
static int
read_value(const struct control *control, PyObject *value, Py_ssize_t *number)
{
    PyObject *index;
    long long read;

    *number = control->use == USE_EITHER ? -1 : 0;
    if (value == NULL || value == Py_None) {
        if (control->use == USE_TELL) {
            PyErr_Format(PyExc_TypeError, "file control %d needs a value", control->op);
            return -1;
        }
        return 0;
    }
    if (control->use == USE_ASK || control->use == USE_DO) {
        PyErr_Format(PyExc_TypeError, "file control %d takes no value", control->op);
        return -1;
    }
    index = PyNumber_Index(value);
    if (index == NULL) {
        return -1;
    }
    read = PyLong_AsLongLong(index);
    Py_DECREF(index);
    if (read == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (read > PY_SSIZE_T_MAX || read < PY_SSIZE_T_MIN ||
        (control->form == FORM_INT && (read > INT_MAX || read < INT_MIN))) {
        PyErr_Format(PyExc_OverflowError, "the value of file control %d is too large",
                     control->op);
        return -1;
    }
    *number = (Py_ssize_t)read;
    return 0;
}

PyDoc_STRVAR(file_control_doc,
             "file_control($self, op, value=None, *, name='main')\n--\n\n"
             "Ask or tell the VFS below a database; give its answer, or None.\n\n"
             "op: SQLITE_FCNTL_... value: an int; None asks, where asking is possible. name: of\n"
             "the schema. These can be used: LAST_ERRNO, VFSNAME (str), TEMPFILENAME (str),\n"
             "HAS_MOVED, DATA_VERSION, EXTERNAL_READER give a value; CHUNK_SIZE, SIZE_HINT,\n"
             "LOCK_TIMEOUT take one; PERSIST_WAL, POWERSAFE_OVERWRITE, MMAP_SIZE, SIZE_LIMIT,\n"
             "RESERVE_BYTES do both; RESET_CACHE does neither.\n\n"
             "Raises ValueError for any other, NotSupportedError when the VFS does not know it,\n"
             "OperationalError (\"unknown database ...\"). After apsw's\n"
             "Connection.file_control(), which takes the name first and a pointer.\n"
             "sqlite3_file_control().");

static int
fill_control(RequestObject *request, PyObject *const *values)
{
    struct control_call *call = REQUEST_PAYLOAD(request, struct control_call);
    int op;

    if (args_clamped(values[0], &op) < 0) {
        return -1;
    }
    call->control = find_control(op);
    if (call->control == NULL) {
        PyErr_Format(PyExc_ValueError, "file_control() does not offer operation %R", values[0]);
        return -1;
    }
    return read_value(call->control, values[1], &call->number);
}

METHOD(connection_file_control) = {
    .args = ARGS("Connection.file_control", 1, 2, 0, "op", "value", "name"),
    .hooks = &status_value,
    .objects = 1,
    .run = run_control,
    .takes = {{TAKE_NOTHING}, {TAKE_NOTHING}, TAKE(MAIN, struct control_call, name)},
    .fill = fill_control,
};

PyMethodDef file_control_methods[] = {
    METHOD_ENTRY("file_control", connection_file_control, file_control_doc),
    {NULL, NULL, 0, NULL},
};
