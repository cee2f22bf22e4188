/* A number that every commit to a database file makes another one, whoever commits: by it a
 * process hears of the others. A database in memory has none.
 *
 * Worker thread. In a WAL it is that of the shared index, else the change counter of the file. */

#ifndef CSQ_NUMBER_H
#define CSQ_NUMBER_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/* Gives it, as of now, whatever snapshot the connection has. *wal is NULL at first, and kept for
 * the next time: the WAL that was seen. False: there is no number now. */
bool csq_number_read(sqlite3 *handle, const char *schema, const void **wal, uint64_t *number);

#endif
