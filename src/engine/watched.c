/* The files that connections have open and somebody may watch. One lock for all of them: it is
 * held for a few instructions, and forking has to hold it. */

#include "engine/watched.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/alloc.h"

enum { FILES = 64 };

/* All of the process. */
struct csq_watches {
    pthread_mutex_t lock;
    struct csq_link *files[FILES]; /* by hash, chained by csq_watched.same.next */
    long number;                   /* csq_watched_number() */
};

static struct csq_watches watches = {.lock = PTHREAD_MUTEX_INITIALIZER};

atomic_uint csq_watch_turns;

void
csq_watched_lock(void)
{
    pthread_mutex_lock(&watches.lock);
}

void
csq_watched_unlock(void)
{
    pthread_mutex_unlock(&watches.lock);
}

long
csq_watched_number(void)
{
    long number;

    csq_watched_lock();
    number = ++watches.number;
    csq_watched_unlock();
    return number;
}

/* -- files ---------------------------------------------------------------------------- */

static struct csq_link **
place_of(dev_t device, ino_t number)
{
    return &watches.files[((uint64_t)device * 31 + (uint64_t)number) % FILES];
}

/* Lock held. NULL: no such file is known. */
static struct csq_watched *
find(dev_t device, ino_t number)
{
    struct csq_link *link = *place_of(device, number);

    for (; link != NULL; link = link->next) {
        struct csq_watched *file = csq_item(link, struct csq_watched, same);

        if (file->device == device && file->number == number) {
            return file;
        }
    }
    return NULL;
}

/* Lock held. */
static struct csq_watched *
make(const struct stat *about)
{
    struct csq_watched *file = csq_calloc(sizeof *file);
    struct csq_link **place;

    if (file == NULL) {
        return NULL;
    }
    csq_list_init(&file->joins);
    csq_list_init(&file->all);
    if (about != NULL) {
        file->shared = true;
        file->device = about->st_dev;
        file->number = about->st_ino;
        place = place_of(about->st_dev, about->st_ino);
        file->same.next = *place;
        *place = &file->same;
    }
    return file;
}

struct csq_watched *
csq_watched_get(const char *path)
{
    struct csq_watched *file = NULL;
    struct stat about;
    bool shared =
        path != NULL && path[0] != '\0' && stat(path, &about) == 0 && S_ISREG(about.st_mode);

    csq_watched_lock();
    if (shared) {
        file = find(about.st_dev, about.st_ino);
    }
    if (file == NULL) {
        file = make(shared ? &about : NULL);
    }
    if (file != NULL) {
        file->references++;
    }
    csq_watched_unlock();
    return file;
}

void
csq_watched_put_locked(struct csq_watched *file)
{
    struct csq_link **place;

    if (--file->references > 0) {
        return;
    }
    if (file->shared) {
        place = place_of(file->device, file->number);
        while (*place != &file->same) {
            place = &(*place)->next;
        }
        *place = file->same.next;
    }
    csq_interests_clear(&file->names);
    csq_free(file);
}

void
csq_watched_put(struct csq_watched *file)
{
    csq_watched_lock();
    csq_watched_put_locked(file);
    csq_watched_unlock();
}

bool
csq_watched_any(const struct csq_watched *file)
{
    bool any;

    csq_watched_lock();
    any = !csq_list_empty(&file->joins);
    csq_watched_unlock();
    return any;
}

/* -- fork() ------------------------------------------------------------------------------------ */

void
csq_watched_before_fork(void)
{
    csq_watched_lock();
}

void
csq_watched_in_parent(void)
{
    csq_watched_unlock();
}

/* The connections that are open have stayed behind, and so have those who wait for them. */
void
csq_watched_in_child(void)
{
    for (int i = 0; i < FILES; i++) {
        struct csq_link *link = watches.files[i];

        for (; link != NULL; link = link->next) {
            csq_item(link, struct csq_watched, same)->shared = false;
        }
        watches.files[i] = NULL;
    }
    csq_watched_unlock();
}
