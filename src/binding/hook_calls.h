/* From SQLite's hooks into Python.
 *
 * Worker thread, GIL not held, but for hook_new(). Each takes the GIL once. What an
 * exception means stands with each; one that nobody else hears of goes to
 * sys.unraisablehook. */

#ifndef CSQ_HOOK_CALLS_H
#define CSQ_HOOK_CALLS_H

#include "binding/trampolines.h"
#include "engine/hooks.h"

struct hook {
    struct callback *callback;
    PyObject *id;      /* what tells it from others of its kind; NULL: nothing does */
    PyObject *factory; /* makes what it is called with, where that needs one; or NULL */
};

/* GIL held. Gives a hook, or NULL with MemoryError. `id` and `factory` may be NULL. */
struct hook *hook_new(struct module_state *state, struct gate *gate, struct csq_db *db,
                      PyObject *callable, PyObject *id, PyObject *factory);

/* Takes a hook, or NULL. */
void hook_free(void *hook);

/* What is put into a union csq_hook_call. The argument is a struct hook *. */
void hook_update(void *hook, int operation, const char *database, const char *table,
                 int64_t rowid);
void hook_changes(void *hook, struct csq_changes *changes);
void hook_preupdate(void *hook, const struct csq_preupdate *change);
bool hook_commit(void *hook); /* an exception rolls back */
void hook_rollback(void *hook);
int hook_wal(void *hook, const char *database, int pages);
void hook_trace(void *hook, unsigned event, void *p, void *x);
void hook_profile(void *hook, unsigned event, void *p, void *x);
bool hook_progress(void *hook); /* an exception stops the statement */

#endif
