/* The line of those who want to write to one database file: who comes first writes first.
 *
 * SQLite lets one connection write to a file at a time, and has the others try again after a
 * while, so that it is chance who comes next. Here the connections of this process stand in a
 * line, one for each file, and who is done hands on to the next. A file is known by its device
 * and inode; it is never opened for that, because closing it would drop the locks that another
 * copy of SQLite has on it. Other processes do not stand in the line.
 *
 * The line says whose turn it is. It is SQLite that has the lock: whoever's turn it is may still
 * find another process at work. */

#ifndef CSQ_WRITERS_H
#define CSQ_WRITERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/list.h"

enum { CSQ_WRITER_SQL = 200 };

struct csq_writers;

/* A connection, as it stands in its file's line. One thread at a time uses it; what other
 * threads look at is guarded by the lock of all lines. */
struct csq_writer {
    struct csq_link link;     /* among those that wait */
    struct csq_writers *line; /* NULL: its database has none */
    pthread_cond_t called;
    bool writes; /* it is its turn; another thread sets that only while it waits */
    bool locks;  /* … and SQLite has given it the lock, which is known of transactions only */
    bool looks;  /* it was woken to look whether it is still to wait */
    int64_t since; /* when its turn came, by csq_now() */
    char sql[CSQ_WRITER_SQL]; /* the beginning of what it wants to write, for others to see */
};

/* Any thread. Makes one that stands in no line, and destroys it. */
void csq_writer_init(struct csq_writer *writer);
void csq_writer_destroy(struct csq_writer *writer);

/* Lets it belong to the line of the file at `path`, which must be open. Where there is no such
 * file, or no memory, it has no line: it is as if nobody else wrote. */
void csq_writers_join(struct csq_writer *writer, const char *path);

/* The opposite; its turn is over. */
void csq_writers_leave(struct csq_writer *writer);

/* Takes its turn at once, if nobody else has it or waits for it. `sql` is copied. */
bool csq_writers_try(struct csq_writer *writer, const char *sql);

/* Waits for its turn until `end`, by csq_now(), or until is_over() says so, which is asked
 * every now and then and when csq_writers_look() was called. False: it is not its turn, and
 * it has left no gap. `look_at`: when it has to be asked; 0: at no time in particular. */
bool csq_writers_wait(struct csq_writer *writer, const char *sql, int64_t end, int64_t look_at,
                      bool (*is_over)(void *), void *argument);

/* Any thread. Lets a writer that waits ask whether it is over. */
void csq_writers_look(struct csq_writer *writer);

/* Its turn goes on with another statement. */
void csq_writers_tell(struct csq_writer *writer, const char *sql);

/* SQLite has given it the lock, and it keeps that. */
void csq_writers_have(struct csq_writer *writer);

/* Whether the one whose turn it is has the lock, so that SQLite would refuse it to others. */
bool csq_writers_are_locked(const struct csq_writer *writer);

/* Its turn is over: the next one has it. */
void csq_writers_done(struct csq_writer *writer);

/* Who is in a writer's way. */
struct csq_writer_before {
    int64_t since;            /* when its turn came */
    int waiting;              /* how many wait */
    char sql[CSQ_WRITER_SQL]; /* the beginning of what it has written last */
};

/* False: nobody of this process. */
bool csq_writers_before(const struct csq_writer *writer, struct csq_writer_before *before);

/* For fork.c: around fork(). In the child nobody stands anywhere. */
void csq_writers_before_fork(void);
void csq_writers_in_parent(void);
void csq_writers_in_child(void);

#endif
