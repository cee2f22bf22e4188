/* Limits and switches: which one, and what to set it to. */

#include "binding/settings.h"

#include "binding/errors.h"
#include "binding/method.h"
#include "engine/bounds.h"
#include "engine/harden.h"
#include "engine/native.h"

/* SQLITE_DBCONFIG_ENABLE_FKEY and SQLITE_DBCONFIG_ENABLE_COMMENTS: what lies between
 * them, both included, is on or off. What the library does not know, it refuses. */
enum { FIRST_SWITCH = 1002, LAST_SWITCH = 1022 };

struct setting_call {
    int which;
    int value;
    int answer;
};

/* -- limits ------------------------------------------------------------------- */

/* Worker thread. A negative value only asks. */
static int
limit(struct csq_job *job, sqlite3 *handle, int value)
{
    struct setting_call *call =
        REQUEST_PAYLOAD(csq_item(job, RequestObject, job), struct setting_call);

    call->answer = sqlite3_limit(handle, call->which, value);
    return call->answer >= 0
               ? SQLITE_OK
               : csq_error_set(&job->error, CSQ_USAGE, "'category' is out of bounds");
}

static int
run_setlimit(struct csq_job *job, sqlite3 *handle)
{
    struct setting_call *call =
        REQUEST_PAYLOAD(csq_item(job, RequestObject, job), struct setting_call);

    return limit(job, handle, call->value);
}

static int
run_getlimit(struct csq_job *job, sqlite3 *handle)
{
    return limit(job, handle, -1);
}

static enum request_answer
limit_unpack(RequestObject *request, int64_t slice_end)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;

    (void)slice_end;
    if (errors_check(self->state, request) < 0) {
        return REQUEST_FAILED;
    }
    request->result = PyLong_FromLong(REQUEST_PAYLOAD(request, struct setting_call)->answer);
    return request->result == NULL ? REQUEST_FAILED : REQUEST_READY;
}

static const char setlimit_doc[] =
    "setlimit($self, category, limit, /)\n--\n\n"
    "Set a limit of the connection and give the one before.\n\n"
    "category: one of SQLITE_LIMIT_*. limit: an int; a negative one changes nothing, and one\n"
    "above what SQLite was compiled with counts as that. As sqlite3's\n"
    "Connection.setlimit(); sqlite3_limit(). Raises ProgrammingError for an unknown category.";

static const struct request_hooks limit_hooks = {.pack = method_simple_pack,
                                                 .unpack = limit_unpack};

METHOD(connection_setlimit) = {
    .args = ARGS_PLAIN("Connection.setlimit", 2, "category", "limit"),
    .hooks = &limit_hooks,
    .run = run_setlimit,
    .takes = {TAKE(INT, struct setting_call, which), TAKE(INT, struct setting_call, value)},
};

static const char getlimit_doc[] =
    "getlimit($self, category, /)\n--\n\n"
    "Give a limit of the connection.\n\n"
    "category: one of SQLITE_LIMIT_*. As sqlite3's Connection.getlimit(); sqlite3_limit().";

METHOD(connection_getlimit) = {
    .args = ARGS_PLAIN("Connection.getlimit", 1, "category"),
    .hooks = &limit_hooks,
    .run = run_getlimit,
    .takes = {TAKE(INT, struct setting_call, which)},
};

/* -- switches ----------------------------------------------------------------- */

/* Worker thread. */
static int
run_config(struct csq_job *job, sqlite3 *handle)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    struct setting_call *call = REQUEST_PAYLOAD(request, struct setting_call);
    int rc;

    if (call->value >= 0 && csq_native_db(request->executor)->bound != CSQ_SHAPES) {
        return csq_bounds_refuse(&job->error);
    }
    if (csq_native_db(request->executor)->untrusted &&
        csq_harden_forbids(call->which, call->value)) {
        return csq_error_set(&job->error, CSQ_UNSUPPORTED,
                             "untrusted=True does not let this switch be changed");
    }
    rc = sqlite3_db_config(handle, call->which, call->value, &call->answer);
    if (rc != SQLITE_OK) {
        return csq_error_copy(&job->error, NULL, rc);
    }
    if (call->value >= 0 && call->answer != call->value) {
        return csq_error_set(&job->error, SQLITE_ERROR, "Unable to set config");
    }
    return SQLITE_OK;
}

static enum request_answer
config_unpack(RequestObject *request, int64_t slice_end)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;

    (void)slice_end;
    if (errors_check(self->state, request) < 0) {
        return REQUEST_FAILED;
    }
    request->result = PyBool_FromLong(REQUEST_PAYLOAD(request, struct setting_call)->answer);
    return REQUEST_READY;
}

static int
fill_switch(RequestObject *request, PyObject *const *values)
{
    struct setting_call *call = REQUEST_PAYLOAD(request, struct setting_call);

    if (args_int(values[0], &call->which) < 0) {
        return -1;
    }
    if (call->which < FIRST_SWITCH || call->which > LAST_SWITCH) {
        PyErr_Format(PyExc_ValueError, "unknown config 'op': %d", call->which);
        return -1;
    }
    return 0;
}

static const char setconfig_doc[] =
    "setconfig($self, op, enable=True, /)\n--\n\n"
    "Turn a switch of the connection on or off.\n\n"
    "op: one of SQLITE_DBCONFIG_*. As sqlite3's Connection.setconfig() since Python 3.12;\n"
    "sqlite3_db_config(). Raises ValueError for an unknown op, OperationalError when\n"
    "SQLite does not know it or it cannot be set, NotSupportedError when it would undo what\n"
    "connect(untrusted=True) has set.";

static int
fill_set_switch(RequestObject *request, PyObject *const *values)
{
    int on = values[1] == NULL ? 1 : PyObject_IsTrue(values[1]);

    REQUEST_PAYLOAD(request, struct setting_call)->value = on;
    return on < 0 ? -1 : fill_switch(request, values);
}

METHOD(connection_setconfig) = {
    .args = ARGS_PLAIN("Connection.setconfig", 1, "op", "enable"),
    .hooks = &method_simple,
    .run = run_config,
    .fill = fill_set_switch,
};

static const char getconfig_doc[] =
    "getconfig($self, op, /)\n--\n\n"
    "Give whether a switch of the connection is on.\n\n"
    "op: one of SQLITE_DBCONFIG_*. As sqlite3's Connection.getconfig() since Python 3.12;\n"
    "sqlite3_db_config().";

static int
fill_get_switch(RequestObject *request, PyObject *const *values)
{
    REQUEST_PAYLOAD(request, struct setting_call)->value = -1;
    return fill_switch(request, values);
}

static const struct request_hooks config_hooks = {.pack = method_simple_pack,
                                                  .unpack = config_unpack};

METHOD(connection_getconfig) = {
    .args = ARGS_PLAIN("Connection.getconfig", 1, "op"),
    .hooks = &config_hooks,
    .run = run_config,
    .fill = fill_get_switch,
};

PyMethodDef settings_methods[] = {
    METHOD_ENTRY("setlimit", connection_setlimit, setlimit_doc),
    METHOD_ENTRY("getlimit", connection_getlimit, getlimit_doc),
    METHOD_ENTRY("setconfig", connection_setconfig, setconfig_doc),
    METHOD_ENTRY("getconfig", connection_getconfig, getconfig_doc),
    {NULL, NULL, 0, NULL},
};
