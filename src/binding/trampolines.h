/* From SQLite's callbacks into Python.
 *
 * Worker thread, GIL not held: each trampoline is one visit. The first argument or the
 * user data is a struct callback *; that of a handler may be NULL, then it does nothing. */

#ifndef CSQ_TRAMPOLINES_H
#define CSQ_TRAMPOLINES_H

#include "binding/visit.h"

void trampoline_function(sqlite3_context *sql_call, int count, sqlite3_value **values);
void trampoline_step(sqlite3_context *sql_call, int count, sqlite3_value **values);
void trampoline_inverse(sqlite3_context *sql_call, int count, sqlite3_value **values);
void trampoline_value(sqlite3_context *sql_call);
void trampoline_final(sqlite3_context *sql_call);
int trampoline_collation(void *callback, int size_a, const void *a, int size_b, const void *b);
int trampoline_authorizer(void *callback, int action, const char *a, const char *b,
                          const char *database, const char *trigger);
int trampoline_progress(void *callback);
int trampoline_trace(unsigned event, void *callback, void *statement, void *sql);

#endif
