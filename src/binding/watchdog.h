/* The stuck-reader watchdog, where a connection's reader_warning is set: what csqlite/readers.py
 * is told, and asks.
 *
 * Loop thread, GIL held. */

#ifndef CSQ_WATCHDOG_H
#define CSQ_WATCHDOG_H

#include "binding/cursor.h"

/* Takes what connect() or the property was given. 0, or -1 with TypeError or ValueError. */
int watchdog_set(ConnectionObject *self, PyObject *value);

/* When a method is called: keeps where, in the request. 0, or -1 with an exception. */
int watchdog_note(RequestObject *request);

/* In the unpack hook of a request that was noted and leaves its cursor half-read: the cursor
 * has a watch from now on. What fails is not the caller's: it is written as unraisable. */
void watchdog_begin(RequestObject *request);

/* Cursor._tell_if_open(). */
extern const char cursor_tell_doc[];
PyObject *cursor_tell_if_open(CursorObject *self, PyObject *watch);

#endif
