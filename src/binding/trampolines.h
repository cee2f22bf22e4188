/* From SQLite's callbacks into Python.
 *
 * Worker thread, GIL not held: each trampoline enters the gate, calls, and
 * leaves. A callback is owned by SQLite, which frees it with callback_free(). */

#ifndef CSQ_TRAMPOLINES_H
#define CSQ_TRAMPOLINES_H

#include <sqlite3.h>

#include "binding/module.h"
#include "bridge/gate.h"
#include "engine/db.h"

struct callback {
    struct gate *gate;
    const struct csq_db *db; /* lent: it ends after its callbacks */
    struct module_state *state;
    PyObject *owner; /* the type of the connection: keeps the module's state alive */
    PyObject *callable;
};

/* GIL held. Gives a callback, or NULL with MemoryError. */
struct callback *callback_new(struct module_state *state, struct gate *gate,
                              const struct csq_db *db, PyObject *callable);

/* GIL not held. Takes a callback, or NULL. */
void callback_free(void *callback);

/* What SQLite calls. The first argument or the user data is a struct callback *. */
void trampoline_function(sqlite3_context *context, int count, sqlite3_value **values);
void trampoline_step(sqlite3_context *context, int count, sqlite3_value **values);
void trampoline_final(sqlite3_context *context);
int trampoline_collation(void *callback, int size_a, const void *a, int size_b, const void *b);
int trampoline_authorizer(void *callback, int action, const char *a, const char *b,
                          const char *database, const char *trigger);
int trampoline_progress(void *callback);
int trampoline_trace(unsigned event, void *callback, void *statement, void *sql);

#endif
