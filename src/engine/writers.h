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

/* What a connection belongs to: by that others look at it. */
struct csq_writer_owner {
    void *owner; /* NULL: nobody may look at it */
    void (*keep)(void *owner, bool kept); /* keeps it from being freed, or does no longer */
};

/* A connection, as it stands in the line of one of its files. One thread at a time uses it; what other
 * threads look at is guarded by the lock of all lines. A connection may stand in several
 * lines, but waits in one at a time. */
struct csq_writer {
    struct csq_link link;     /* among those that wait */
    struct csq_writers *line; /* NULL: its database has none */
    struct csq_writer *head; /* of its connection, perhaps itself; what follows is the head's */
    pthread_cond_t called;
    bool looks; /* it was woken to look whether it is still to wait */
    struct csq_writer_owner owner; /* set before it joins */
    struct csq_writer *waits; /* by which the connection waits; NULL: it does not */
    /* Each one's. */
    struct csq_link member; /* in its line */
    bool writes; /* it is its turn; another thread changes that only while its connection waits */
    bool locks; /* … and SQLite has given it the lock, which is known of transactions only */
    int64_t since; /* when its turn came, or when it began to wait, by csq_now() */
    char sql[CSQ_WRITER_SQL]; /* the beginning of what it wants to write, for others to see */
};

/* Any thread. Makes one that stands in no line, of the connection of `head` (NULL: its own), and
 * destroys it. */
void csq_writer_init(struct csq_writer *writer, struct csq_writer *head);
void csq_writer_destroy(struct csq_writer *writer);

/* Lets it belong to the line of the file at `path`, which must be open. Where there is no such
 * file, or no memory, it has no line: it is as if nobody else wrote. */
void csq_writers_join(struct csq_writer *writer, const char *path);

/* The opposite; its turn is over. */
void csq_writers_leave(struct csq_writer *writer);

/* Whether the file of `a` comes before that of `b`, where somebody wants several turns at once:
 * all take them in the same order. Both must have a line. */
bool csq_writers_precede(const struct csq_writer *a, const struct csq_writer *b);

/* Takes its turn at once, if nobody else has it or waits for it. `sql` is copied. */
bool csq_writers_try(struct csq_writer *writer, const char *sql);

enum csq_waited {
    CSQ_WAITED_IN_VAIN,
    CSQ_WAITED_FOR_TURN,
    CSQ_WAITED_NOT, /* who has the lock waits for one of this connection, perhaps by way of others */
};

struct csq_wait {
    int64_t end; /* by csq_now() */
    int64_t look_at; /* when is_over() has to be asked; 0: at no time in particular */
    bool (*is_over)(void *argument);
    void *argument;
};

/* Meanwhile the connection may lose turns that it has in other lines, where it has not been given the lock, to
 * one that has a lock for which it waits.
 *
 * Waits for its turn until the end, or until is_over() says so, which is asked every now and then
 * and when csq_writers_look() was called. But for CSQ_WAITED_FOR_TURN it is not its turn, and it
 * has left no gap. */
enum csq_waited csq_writers_wait(struct csq_writer *writer, const char *sql,
                                 const struct csq_wait *wait);

/* Any thread. Lets a connection that waits ask whether it is over. */
void csq_writers_look(struct csq_writer *head);

/* Its turn goes on with another statement. */
void csq_writers_tell(struct csq_writer *writer, const char *sql);

/* SQLite has given it the lock, and it keeps that. */
void csq_writers_have(struct csq_writer *writer);

/* Whether the one whose turn it is has the lock, so that SQLite would refuse it to others. */
bool csq_writers_are_locked(const struct csq_writer *writer);

/* Its turn is over: the next one has it. */
void csq_writers_done(struct csq_writer *writer);

/* One that has its turn or waits for it, as others see it. */
struct csq_writer_seen {
    bool writes; /* it is its turn */
    int64_t since; /* when that came, or when it began to wait */
    char sql[CSQ_WRITER_SQL]; /* the beginning of what it has written last, or waits to write */
};

/* Copies the one whose turn it is. False: it is nobody else's. */
bool csq_writers_before(const struct csq_writer *writer, struct csq_writer_seen *before);

/* Keeps the owner of the connection that has the place `place` in the writer's line, counted from 0: it has to be let
 * go. False: there is none. */
bool csq_writers_keep(const struct csq_writer *writer, size_t place,
                      struct csq_writer_owner *owner);

/* Any thread. Copies those of the file at `path`, at most `room`, the one whose turn it is first, then those that wait, in
 * their order. Gives how many there are. The file is not opened. */
size_t csq_writers_list(const char *path, struct csq_writer_seen *seen, size_t room);

/* For fork.c: around fork(). In the child nobody stands anywhere. */
void csq_writers_before_fork(void);
void csq_writers_in_parent(void);
void csq_writers_in_child(void);

#endif
