/* One lock for all lines: it is held for a few instructions, and forking has to hold it. The
 * lines are the process's, because files are: two interpreters wait for each other, too.
 *
 * A turn is handed over under the lock, to the one that has waited longest, so that nobody who
 * comes later can be quicker. */

#include "engine/writers.h"

#include <string.h>
#include <sys/stat.h>

#include "engine/alloc.h"
#include "engine/clock.h"

enum {
    BUCKETS = 64,
    LOOK_NANOSECONDS = 100 * 1000 * 1000, /* how long nobody is asked at most */
};

struct csq_writers {
    struct csq_link same; /* in a bucket */
    dev_t device;
    ino_t number;
    struct csq_list members;   /* connections, by csq_writer.member */
    struct csq_writer *writer; /* whose turn it is; NULL: nobody's */
    struct csq_list waiting;   /* by csq_writer.link, the first one is the next */
    int count;                 /* how many wait */
};

struct csq_lines {
    pthread_mutex_t lock;
    struct csq_link *buckets[BUCKETS]; /* of lines that have members, chained by same.next */
};

static struct csq_lines lines = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* -- files --------------------------------------------------------------------- */

static struct csq_link **
bucket_of(dev_t device, ino_t number)
{
    return &lines.buckets[((uint64_t)device * 31 + (uint64_t)number) % BUCKETS];
}

static struct csq_writers *
find(dev_t device, ino_t number)
{
    struct csq_link *link = *bucket_of(device, number);

    for (; link != NULL; link = link->next) {
        struct csq_writers *line = csq_item(link, struct csq_writers, same);

        if (line->device == device && line->number == number) {
            return line;
        }
    }
    return NULL;
}

static struct csq_writers *
make(dev_t device, ino_t number)
{
    struct csq_writers *line = csq_calloc(sizeof *line);
    struct csq_link **bucket = bucket_of(device, number);

    if (line != NULL) {
        line->device = device;
        line->number = number;
        csq_list_init(&line->waiting);
        csq_list_init(&line->members);
        line->same.next = *bucket;
        *bucket = &line->same;
    }
    return line;
}

static void
forget(struct csq_writers *line)
{
    struct csq_link **place = bucket_of(line->device, line->number);

    while (*place != &line->same) {
        place = &(*place)->next;
    }
    *place = line->same.next;
    csq_free(line);
}

void
csq_writer_init(struct csq_writer *writer, struct csq_writer *head)
{
    memset(writer, 0, sizeof *writer);
    csq_link_init(&writer->link);
    csq_link_init(&writer->member);
    writer->head = head == NULL ? writer : head;
    pthread_cond_init(&writer->called, NULL);
}

void
csq_writer_destroy(struct csq_writer *writer)
{
    pthread_cond_destroy(&writer->called);
}

static bool
is_file(const char *path, struct stat *about)
{
    return path != NULL && path[0] != '\0' && stat(path, about) == 0 && S_ISREG(about->st_mode);
}

void
csq_writers_join(struct csq_writer *writer, const char *path)
{
    struct csq_writers *line;
    struct stat about;

    if (!is_file(path, &about)) {
        return;
    }
    pthread_mutex_lock(&lines.lock);
    line = find(about.st_dev, about.st_ino);
    if (line == NULL) {
        line = make(about.st_dev, about.st_ino);
    }
    if (line != NULL) {
        csq_list_append(&line->members, &writer->member);
    }
    writer->line = line;
    pthread_mutex_unlock(&lines.lock);
}

/* -- turns, with the lock held -------------------------------------------------- */

static void
note(struct csq_writer *writer, const char *sql)
{
    size_t size = strnlen(sql, sizeof writer->sql - 1);

    memcpy(writer->sql, sql, size);
    writer->sql[size] = '\0';
}

static void
begin_turn(struct csq_writers *line, struct csq_writer *writer)
{
    line->writer = writer;
    writer->writes = true;
    writer->locks = false;
    writer->since = csq_now();
    writer->head->waits = NULL;
}

static void
end_turn(struct csq_writers *line, struct csq_writer *writer)
{
    struct csq_link *link;

    if (line->writer != writer) {
        return;
    }
    writer->writes = false;
    line->writer = NULL;
    link = csq_list_shift(&line->waiting);
    if (link != NULL) {
        line->count--;
        begin_turn(line, csq_item(link, struct csq_writer, link));
        /* Under the lock: once it is released, that connection may be closed. */
        pthread_cond_signal(&line->writer->head->called);
    }
}

/* Whether who has the turn of `line` waits, by way of however many others, for a turn of
 * this connection's. No such circle stays closed, so the way along it has an end. */
static bool
is_circle(const struct csq_writers *line, const struct csq_writer *head)
{
    while (line != NULL && line->writer != NULL && line->writer->head != head) {
        const struct csq_writer *waits = line->writer->head->waits;

        line = waits == NULL ? NULL : waits->line;
    }
    return line != NULL && line->writer != NULL;
}

/* Gives the turn to one that waits for it, or is about to. */
static void
pass(struct csq_writers *line, struct csq_writer *writer)
{
    line->writer->writes = false;
    if (!csq_link_alone(&writer->link)) {
        csq_link_remove(&writer->link);
        line->count--;
    }
    begin_turn(line, writer);
    pthread_cond_signal(&writer->head->called);
}

/* Opens the circle that `writer` is about to close, where one along it has its turn and not the lock: it gives the
 * turn to the one that waits for it. False: each has a lock. */
static bool
open_circle(struct csq_writer *writer)
{
    struct csq_writer *waiter = writer;

    while (waiter->line->writer->locks) {
        if (waiter->line->writer->head == writer->head) {
            return false;
        }
        waiter = waiter->line->writer->head->waits;
    }
    pass(waiter->line, waiter);
    return true;
}

/* Stands in the line, or takes its turn where nobody has it. */
static void
stand(struct csq_writers *line, struct csq_writer *writer)
{
    if (line->writer == NULL) {
        begin_turn(line, writer);
        return;
    }
    csq_list_append(&line->waiting, &writer->link);
    line->count++;
    writer->since = csq_now();
    writer->head->waits = writer;
    writer->head->looks = false;
}

/* Sleeps until its turn has come, it is to look, or the time is over. */
static void
sleep_in_line(struct csq_writer *writer, int64_t nanoseconds)
{
    struct csq_writer *head = writer->head;
    struct timespec end = csq_deadline(nanoseconds);
    int rc = 0;

    while (!writer->writes && !head->looks && rc == 0) {
        rc = pthread_cond_timedwait(&head->called, &lines.lock, &end);
    }
    head->looks = false;
}

static int64_t
min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* -- turns ----------------------------------------------------------------------- */

void
csq_writers_leave(struct csq_writer *writer)
{
    struct csq_writers *line = writer->line;

    if (line == NULL) {
        return;
    }
    pthread_mutex_lock(&lines.lock);
    end_turn(line, writer);
    writer->line = NULL;
    csq_link_remove(&writer->member);
    if (csq_list_empty(&line->members)) {
        forget(line);
    }
    pthread_mutex_unlock(&lines.lock);
}

bool
csq_writers_precede(const struct csq_writer *a, const struct csq_writer *b)
{
    const struct csq_writers *first = a->line;
    const struct csq_writers *second = b->line;

    return first->device != second->device ? first->device < second->device
                                           : first->number < second->number;
}

bool
csq_writers_try(struct csq_writer *writer, const char *sql)
{
    struct csq_writers *line = writer->line;
    bool taken;

    pthread_mutex_lock(&lines.lock);
    taken = line->writer == NULL;
    if (taken) {
        note(writer, sql);
        begin_turn(line, writer);
    }
    pthread_mutex_unlock(&lines.lock);
    return taken;
}

enum csq_waited
csq_writers_wait(struct csq_writer *writer, const char *sql, const struct csq_wait *wait)
{
    struct csq_writers *line = writer->line;
    int64_t now = csq_now();
    bool writes = false;

    pthread_mutex_lock(&lines.lock);
    if (is_circle(line, writer->head) && !open_circle(writer)) {
        pthread_mutex_unlock(&lines.lock);
        return CSQ_WAITED_NOT;
    }
    note(writer, sql);
    if (!writer->writes) {
        stand(line, writer);
    }
    while (!writer->writes && now < wait->end && !wait->is_over(wait->argument)) {
        int64_t until = min(wait->end, now + LOOK_NANOSECONDS);

        sleep_in_line(writer,
                      wait->look_at > now ? min(until, wait->look_at) - now : until - now);
        now = csq_now();
    }
    writes = writer->writes;
    if (!writes) {
        csq_link_remove(&writer->link);
        line->count--;
        writer->head->waits = NULL;
    }
    pthread_mutex_unlock(&lines.lock);
    return writes ? CSQ_WAITED_FOR_TURN : CSQ_WAITED_IN_VAIN;
}

void
csq_writers_look(struct csq_writer *head)
{
    pthread_mutex_lock(&lines.lock);
    head->looks = true;
    pthread_cond_signal(&head->called);
    pthread_mutex_unlock(&lines.lock);
}

void
csq_writers_tell(struct csq_writer *writer, const char *sql)
{
    pthread_mutex_lock(&lines.lock);
    note(writer, sql);
    pthread_mutex_unlock(&lines.lock);
}

void
csq_writers_have(struct csq_writer *writer)
{
    pthread_mutex_lock(&lines.lock);
    writer->locks = true;
    pthread_mutex_unlock(&lines.lock);
}

bool
csq_writers_are_locked(const struct csq_writer *writer)
{
    const struct csq_writers *line = writer->line;
    bool locked;

    pthread_mutex_lock(&lines.lock);
    locked = line->writer != NULL && line->writer->locks;
    pthread_mutex_unlock(&lines.lock);
    return locked;
}

void
csq_writers_done(struct csq_writer *writer)
{
    pthread_mutex_lock(&lines.lock);
    end_turn(writer->line, writer);
    pthread_mutex_unlock(&lines.lock);
}

/* -- what others see ------------------------------------------------------------- */

/* With the lock held. */
static void
copy(struct csq_writer_seen *seen, const struct csq_writer *writer)
{
    seen->writes = writer->writes;
    seen->since = writer->since;
    memcpy(seen->sql, writer->sql, sizeof seen->sql);
}

bool
csq_writers_before(const struct csq_writer *writer, struct csq_writer_seen *before)
{
    const struct csq_writer *other;
    bool found;

    if (writer->line == NULL) {
        return false;
    }
    pthread_mutex_lock(&lines.lock);
    other = writer->line->writer;
    found = other != NULL && other->head != writer->head;
    if (found) {
        copy(before, other);
    }
    pthread_mutex_unlock(&lines.lock);
    return found;
}

bool
csq_writers_keep(const struct csq_writer *writer, size_t place, struct csq_writer_owner *owner)
{
    const struct csq_list *members = &writer->line->members;
    const struct csq_link *link;

    *owner = (struct csq_writer_owner){NULL, NULL};
    pthread_mutex_lock(&lines.lock);
    link = members->head.next;
    while (place > 0 && link != &members->head) {
        link = link->next;
        place--;
    }
    if (link != &members->head) {
        *owner = csq_item(link, struct csq_writer, member)->head->owner;
    }
    if (owner->owner != NULL) {
        owner->keep(owner->owner, true);
    }
    pthread_mutex_unlock(&lines.lock);
    return link != &members->head;
}

/* With the lock held. */
static size_t
list(const struct csq_writers *line, struct csq_writer_seen *seen, size_t room)
{
    const struct csq_link *link = line->waiting.head.next;
    size_t count = 0;

    if (line->writer != NULL) {
        count = 1;
        if (room > 0) {
            copy(seen, line->writer);
        }
    }
    for (; link != &line->waiting.head; link = link->next) {
        if (count < room) {
            copy(&seen[count], csq_item(link, struct csq_writer, link));
        }
        count++;
    }
    return count;
}

size_t
csq_writers_list(const char *path, struct csq_writer_seen *seen, size_t room)
{
    const struct csq_writers *line;
    struct stat about;
    size_t count = 0;

    if (!is_file(path, &about)) {
        return 0;
    }
    pthread_mutex_lock(&lines.lock);
    line = find(about.st_dev, about.st_ino);
    if (line != NULL) {
        count = list(line, seen, room);
    }
    pthread_mutex_unlock(&lines.lock);
    return count;
}

/* -- fork() ---------------------------------------------------------------------- */

void
csq_writers_before_fork(void)
{
    pthread_mutex_lock(&lines.lock);
}

void
csq_writers_in_parent(void)
{
    pthread_mutex_unlock(&lines.lock);
}

/* What the parent's connections have is not freed: nothing of theirs is. */
void
csq_writers_in_child(void)
{
    memset(lines.buckets, 0, sizeof lines.buckets);
    pthread_mutex_unlock(&lines.lock);
}
