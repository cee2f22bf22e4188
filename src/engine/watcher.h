/* Who waits for a watch, as an executor: a job that is pushed to it is done when there is
 * something to take, or when there will be nothing new. It has no thread: whoever commits posts
 * the job. One waits at a time. */

#ifndef CSQ_WATCHER_H
#define CSQ_WATCHER_H

#include "engine/executor.h"
#include "engine/watches.h"

/* Any thread. Gives one that watches nothing, or NULL. */
struct csq_executor *csq_watcher_new(bool rows, size_t most);

/* Any thread. Lends its watch. */
struct csq_watch *csq_watcher_watch(struct csq_executor *executor);

#endif
