/* The watch's lock guards `job`: it is set before the watch waits, and whoever makes the watch
 * wait no more has it. */

#include "engine/watcher.h"

#include "engine/alloc.h"
#include "engine/mailbox.h"

struct watcher {
    struct csq_executor executor;
    struct csq_watch watch;
    struct csq_job *job; /* lent: what waits */
};

static struct watcher *
watcher_of(struct csq_executor *executor)
{
    return csq_item(executor, struct watcher, executor);
}

static void
post(struct watcher *watcher)
{
    struct csq_job *job = watcher->job;

    watcher->job = NULL;
    csq_mailbox_post(job, true);
}

/* Whoever commits, holding the watch's lock. */
static void
wake(struct csq_watch *watch)
{
    post(csq_item(watch, struct watcher, watch));
}

static bool
push(struct csq_executor *executor, struct csq_job *job)
{
    struct watcher *watcher = watcher_of(executor);

    watcher->job = job;
    if (!csq_watch_wait(&watcher->watch)) {
        post(watcher);
    }
    return true;
}

static void
abandon(struct csq_executor *executor, struct csq_job *job)
{
    struct watcher *watcher = watcher_of(executor);

    (void)job;
    if (csq_watch_wait_no_more(&watcher->watch)) {
        post(watcher);
    }
}

static bool
run_here(struct csq_executor *executor, struct csq_job *job, const struct csq_here *here)
{
    (void)executor;
    (void)job;
    (void)here;
    return false;
}

static void
do_nothing(struct csq_executor *executor)
{
    (void)executor;
}

static void
stop(struct csq_executor *executor)
{
    csq_watch_end(&watcher_of(executor)->watch);
}

static bool
is_idle(struct csq_executor *executor)
{
    return watcher_of(executor)->job == NULL;
}

static bool
is_never(struct csq_executor *executor)
{
    (void)executor;
    return false;
}

static void
destroy(struct csq_executor *executor)
{
    struct watcher *watcher = watcher_of(executor);

    csq_watch_destroy(&watcher->watch);
    csq_free(watcher);
}

/* Who has a thread, or a callback that waits, is asked for the others. */
static const struct csq_executor_verbs verbs = {
    .push = push,
    .abandon = abandon,
    .run_here = run_here,
    .interrupt = do_nothing,
    .stop = stop,
    .quit = stop,
    .is_empty = is_idle,
    .is_idle = is_idle,
    .is_running = is_never,
    .is_current = is_never,
    .destroy = destroy,
};

struct csq_executor *
csq_watcher_new(bool rows, size_t most)
{
    struct watcher *watcher = csq_calloc(sizeof *watcher);

    if (watcher == NULL) {
        return NULL;
    }
    csq_executor_init(&watcher->executor, &verbs);
    csq_watch_init(&watcher->watch, rows, most, wake);
    return &watcher->executor;
}

struct csq_watch *
csq_watcher_watch(struct csq_executor *executor)
{
    return &watcher_of(executor)->watch;
}
