/* Requests without a loop: the synchronous view of a connection.
 *
 * Any thread, GIL held. */

#ifndef CSQ_DIRECT_H
#define CSQ_DIRECT_H

#include "bridge/line.h"
#include "bridge/request.h"

/* For a call that is to run in place: takes in, in order, what the jobs that are done have
 * brought. False: somebody is in the middle of that. */
bool direct_catch_up(struct line *line);

/* Runs it in the calling thread and gives its result, or NULL with an exception.
 * Takes the request. The db's lock is waited for, at most its timeout. */
PyObject *direct_run(RequestObject *request);

/* Runs it in the calling thread if nothing else runs on the connection now and it finds no
 * lock in its way. 1: it ran; 0: it is as it was; -1 with an exception. */
int direct_try(RequestObject *request);

#endif
