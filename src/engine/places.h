/* The lines of writers in which one connection stands: one for the file of its main database, and
 * one for that of each database that is attached to it: engine/writers.h.
 *
 * Worker thread, holding the db's lock. */

#ifndef CSQ_PLACES_H
#define CSQ_PLACES_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine/writers.h"

/* Of an attached database. */
struct csq_place {
    struct csq_writer
        writer; /* its own, if no other database of the connection is the same file */
    struct csq_writer *stands; /* by which it stands in the line; without one, its own */
    char *schema;
    char *path;
};

struct csq_places {
    struct csq_writer main;
    struct csq_place **attached;
    size_t count;
    bool stale; /* something was detached since */
};

/* Any thread, when nobody else uses it. Makes one of nothing that is open, and destroys it. */
void csq_places_init(struct csq_places *places);
void csq_places_destroy(struct csq_places *places);

/* The main database was opened: joins the line of its file. `shared`: with a cache that connections share, which
 * has locks of its own, so that it has no line. */
void csq_places_open(struct csq_places *places, sqlite3 *handle, bool shared);

/* The opposite; all turns are over. */
void csq_places_close(struct csq_places *places);

/* Looks what is attached. Whether anything is. Without memory, what is attached has no line. */
bool csq_places_look(struct csq_places *places, sqlite3 *handle);

/* A database was detached: what is attached by its name later may be another file. */
void csq_places_forget(struct csq_places *places);

/* Lends the writer of a schema; NULL: it has no line. */
struct csq_writer *csq_places_of(struct csq_places *places, const char *schema);

/* Lends the next writer with a line: the main one first for NULL, NULL behind the last one. */
struct csq_writer *csq_places_next(struct csq_places *places, const struct csq_writer *writer);

/* The same in the order in which several turns are taken. */
struct csq_writer *csq_places_next_in_order(struct csq_places *places,
                                            const struct csq_writer *writer);

/* SQLITE_TXN_…: the state of the transaction in a writer's file. */
int csq_places_state(const struct csq_places *places, sqlite3 *handle,
                     const struct csq_writer *writer);

/* Whether SQLite may write to a writer's file. */
bool csq_places_may_write(const struct csq_places *places, sqlite3 *handle,
                          const struct csq_writer *writer);

/* Lends the path of the file as SQLite knows it. */
const char *csq_places_path(const struct csq_places *places, sqlite3 *handle,
                            const struct csq_writer *writer);

#endif
