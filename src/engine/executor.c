/* What all executors have in common is that they are counted. */

#include "engine/executor.h"

void
csq_executor_init(struct csq_executor *executor, const struct csq_executor_verbs *verbs)
{
    executor->verbs = verbs;
    csq_link_init(&executor->kept);
    atomic_init(&executor->references, 1);
    atomic_init(&executor->quitting, false);
    executor->published = NULL;
}

struct csq_executor *
csq_executor_get(struct csq_executor *executor)
{
    atomic_fetch_add(&executor->references, 1);
    return executor;
}

void
csq_executor_put(struct csq_executor *executor)
{
    if (atomic_fetch_sub(&executor->references, 1) == 1) {
        executor->verbs->destroy(executor);
    }
}
