/* Registering. SQLite neither replaces nor removes a function while any statement of the
 * connection runs, and in asyncio a half-read cursor is easily forgotten. So what SQLite
 * has is a callback whose callable can be exchanged: replacing is that, and what cannot be
 * removed yet is emptied, and removed before the first job that finds no statement
 * running. */

#include "binding/registry.h"

#include "binding/connection.h"
#include "binding/trampolines.h"
#include "engine/native.h"

struct callback *
registry_callback(RequestObject *request, int *rc)
{
    ConnectionObject *self = (ConnectionObject *)request->owner;
    PyObject *callable = REQUEST_PAYLOAD(request, struct callable_call)->callable;
    struct callback *callback = NULL;

    *rc = SQLITE_OK;
    if (callable != NULL) {
        gate_enter(request->gate);
        callback =
            callback_new(self->state, request->gate, csq_native_db(request->executor), callable);
        PyErr_Clear();
        gate_leave(request->gate);
        *rc = callback == NULL ? SQLITE_NOMEM : SQLITE_OK;
    }
    return callback;
}

/* -- functions and collations --------------------------------------------------- */

/* What a job asks for. Worker thread. */
struct registration {
    RequestObject *request;
    struct csq_db *db;
    enum callback_kind kind;
    PyObject *callable; /* lent; NULL: it is removed */
    const char *name; /* lent */
    int arity;
    int flags; /* SQLite's */
};

static struct registration
registration_of(struct csq_job *job, enum callback_kind kind)
{
    RequestObject *request = csq_item(job, RequestObject, job);
    const struct callable_call *call = REQUEST_PAYLOAD(request, struct callable_call);

    return (struct registration){
        .request = request,
        .db = csq_native_db(request->executor),
        .kind = kind,
        .callable = call->callable,
        .name = job->sql,
        .arity = call->number,
        .flags = SQLITE_UTF8 | (call->deterministic ? SQLITE_DETERMINISTIC : 0) |
                 (call->directonly ? SQLITE_DIRECTONLY : 0) |
                 (call->innocuous ? SQLITE_INNOCUOUS : 0),
    };
}

/* The callback that SQLite has for the name and, in a function, the arity; or NULL. */
static struct callback *
find(const struct registration *what)
{
    struct csq_list *list = &what->db->registered;

    for (struct csq_link *link = list->head.next; link != &list->head; link = link->next) {
        struct callback *callback = csq_item(link, struct callback, registered);

        if ((callback->kind == CALLBACK_COLLATION) == (what->kind == CALLBACK_COLLATION) &&
            callback->arity == what->arity && sqlite3_stricmp(callback->name, what->name) == 0) {
            return callback;
        }
    }
    return NULL;
}

/* Lets it call `callable` from now on, NULL: nothing. */
static void
exchange(struct callback *callback, PyObject *callable)
{
    struct gate *gate = callback->gate;
    struct csq_db *db = callback->db;
    PyObject *before;

    gate_enter(gate);
    before = callback->callable;
    callback->callable = Py_XNewRef(callable);
    /* Letting go may run any Python code. */
    db->sealed++;
    Py_XDECREF(before);
    db->sealed--;
    gate_leave(gate);
}

/* Gives the callback to be registered, or NULL: no memory. */
static struct callback *
make(const struct registration *what)
{
    int rc;
    struct callback *callback = registry_callback(what->request, &rc);
    size_t size = strlen(what->name) + 1;

    if (callback == NULL) {
        return NULL;
    }
    callback->kind = what->kind;
    callback->arity = what->arity;
    callback->flags = what->flags;
    if ((what->flags & SQLITE_DETERMINISTIC) && sqlite3_compileoption_used("ENABLE_STAT4")) {
        /* SQLite calls it, too, while it plans a statement, for what is compared. */
        callback->bound = CSQ_CHANGES;
    }
    callback->name = PyMem_RawMalloc(size);
    if (callback->name == NULL) {
        callback_free(callback);
        return NULL;
    }
    memcpy(callback->name, what->name, size);
    return callback;
}

/* -- what SQLite is told ------------------------------------------------------- */

/* Registers the callback, NULL: removes what is there. Takes the callback. */
static int
tell(sqlite3 *handle, enum callback_kind kind, const char *name, int arity, int flags,
     struct callback *callback)
{
    int rc;

    if (kind == CALLBACK_COLLATION) {
        rc = sqlite3_create_collation_v2(handle, name, SQLITE_UTF8, callback,
                                         callback == NULL ? NULL : trampoline_collation,
                                         callback_free);
        if (rc != SQLITE_OK) {
            /* Unlike functions, a refused collation is not freed by SQLite. */
            callback_free(callback);
        }
        return rc;
    }
    if (callback == NULL) {
        return sqlite3_create_function_v2(handle, name, arity, SQLITE_UTF8, NULL, NULL, NULL,
                                          NULL, NULL);
    }
    if (kind == CALLBACK_WINDOW) {
        return sqlite3_create_window_function(handle, name, arity, flags, callback,
                                              trampoline_step, trampoline_final, trampoline_value,
                                              trampoline_inverse, callback_free);
    }
    if (kind == CALLBACK_AGGREGATE) {
        return sqlite3_create_function_v2(handle, name, arity, flags, callback, NULL,
                                          trampoline_step, trampoline_final, callback_free);
    }
    return sqlite3_create_function_v2(handle, name, arity, flags, callback, trampoline_function,
                                      NULL, NULL, callback_free);
}

/* -- what is put off until nothing runs ------------------------------------------- */

/* Removes what was to be removed while a statement used it. False: some is still in use. */
static bool
remove_emptied(struct csq_db *db)
{
    struct csq_link *link = db->registered.head.next;
    bool complete = true;

    while (link != &db->registered.head) {
        struct callback *callback = csq_item(link, struct callback, registered);
        char *name = callback->name;

        link = link->next;
        if (callback->callable != NULL) {
            continue;
        }
        /* SQLite reads the name after it has freed the callback. */
        callback->name = NULL;
        if (tell(db->handle, callback->kind, name, callback->arity, 0, NULL) == SQLITE_OK) {
            PyMem_RawFree(name);
        } else {
            callback->name = name;
            complete = false;
        }
    }
    return complete;
}

static int
note_reads(void *argument, int action, const char *a, const char *b, const char *database,
           const char *trigger)
{
    struct csq_db *db = argument;

    if (db == NULL) {
        return SQLITE_OK;
    }
    csq_reads_note(&db->recorder.reads, action, a, database);
    return trampoline_authorizer(db->handlers[CSQ_AUTHORIZER].argument, action, a, b, database,
                                 trigger);
}

int
registry_tell_authorizer(struct csq_db *db, struct callback *callback)
{
    if (csq_reads_any(&db->recorder.reads)) {
        return sqlite3_set_authorizer(db->handle, note_reads, db);
    }
    return sqlite3_set_authorizer(db->handle, callback == NULL ? NULL : trampoline_authorizer,
                                  callback);
}

/* What csq_db.tidy is set to, when something is left to do. */
static void
tidy(struct csq_db *db)
{
    if (db->unsettled) {
        registry_tell_authorizer(db, db->handlers[CSQ_AUTHORIZER].argument);
        csq_hooks_set_trace(&db->hooks, db->hooks.trace, db->hooks.trace_argument);
        db->unsettled = false;
    }
    if (remove_emptied(db)) {
        db->tidy = NULL;
    }
}

/* SQLite keeps the authorizer aside while it reads the schema, and the trace callback while
 * it vacuums, and puts back the function it knew, with the argument that it knows now. So a
 * trampoline has to bear an argument that is NULL, and what is set meanwhile is set again. */
void
registry_put_off(struct csq_db *db)
{
    if (db->sealed > 0) {
        db->unsettled = true;
        db->tidy = tidy;
    }
}

/* -- changing -------------------------------------------------------------------- */

static int
remove_it(const struct registration *what, sqlite3 *handle)
{
    struct callback *callback;
    int rc = SQLITE_BUSY;

    if (what->db->sealed == 0) {
        rc = tell(handle, what->kind, what->name, what->arity, 0, NULL);
    }
    if (rc == SQLITE_BUSY) {
        callback = find(what);
        if (callback != NULL) {
            exchange(callback, NULL);
            what->db->tidy = tidy;
            rc = SQLITE_OK;
        }
    }
    return rc;
}

static int
put(const struct registration *what, sqlite3 *handle)
{
    struct callback *callback = find(what);
    int rc;

    if (callback != NULL && callback->kind == what->kind && callback->flags == what->flags) {
        exchange(callback, what->callable);
        return SQLITE_OK;
    }
    /* A statement that is being prepared may have found the other kind already. */
    if (callback != NULL && what->db->sealed > 0) {
        return SQLITE_BUSY;
    }
    callback = make(what);
    if (callback == NULL) {
        return SQLITE_NOMEM;
    }
    rc = tell(handle, what->kind, what->name, what->arity, what->flags, callback);
    if (rc == SQLITE_OK) {
        csq_list_append(&what->db->registered, &callback->registered);
    }
    return rc;
}

int
registry_set(struct csq_job *job, sqlite3 *handle, enum callback_kind kind)
{
    struct registration what = registration_of(job, kind);

    return what.callable == NULL ? remove_it(&what, handle) : put(&what, handle);
}
