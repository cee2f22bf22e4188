/* What SQLite tells of a connection. Methods run on
 * the loop thread and give requests. */

#ifndef CSQ_STATUS_H
#define CSQ_STATUS_H

#include "binding/connection.h"

/* The connection's methods that stand here. */
extern PyMethodDef status_methods[];

/* Unpack hooks of jobs that leave their answer in `job.up`: the first cell alone, or a
 * tuple of all; None for no cell. Texts are decoded as UTF-8. */
enum request_answer status_unpack_value(RequestObject *request, int64_t slice_end);
enum request_answer status_unpack_tuple(RequestObject *request, int64_t slice_end);

/* What gives the first cell. */
extern const struct request_hooks status_value;

/* Gives the object that a cell stands for; NULL with an exception. */
PyObject *status_object(const struct csq_cell *cell);

/* Worker thread. The error that there is no schema of the job's name, or that there was
 * no memory; SQLITE_OK for SQLITE_OK. */
int status_check_name(struct csq_job *job, sqlite3 *handle, int rc);

#endif
