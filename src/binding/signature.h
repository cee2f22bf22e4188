/* What methods are to `inspect` and to `unittest.mock`: functions of Python.
 *
 * aiosqlite's methods are coroutine functions, by which mocks and frameworks know that they have
 * to be awaited. A method of C is found to be none, so the types' dicts hold objects that look
 * like such functions, with attributes that csqlite/signatures.py makes when they are asked for. A
 * call of a method does not come by there: it goes to the C function at once.
 *
 * Loop thread, GIL held. */

#ifndef CSQ_SIGNATURE_H
#define CSQ_SIGNATURE_H

#include "binding/module.h"

/* Registers the type, and lets the methods of connections, cursors, blobs and sessions look so.
 * After those types. 0, or -1 with an exception. */
int signature_init(struct module_state *state, PyObject *module);

#endif
