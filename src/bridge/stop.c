#include "bridge/stop.h"

void
stop_refuse(const char *who)
{
    const char *name = NULL;
    char message[64];

    if (PyErr_Occurred() == NULL) {
        return;
    }
    if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
        name = "StopIteration";
    } else if (PyErr_ExceptionMatches(PyExc_StopAsyncIteration)) {
        name = "StopAsyncIteration";
    }
    if (name != NULL) {
        snprintf(message, sizeof message, "%s raised %s", who, name);
        compat_replace_exception(PyExc_RuntimeError, message);
    }
}
