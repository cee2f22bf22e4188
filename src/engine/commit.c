#include "engine/commit.h"

#include "engine/alloc.h"
#include "engine/watched.h"

struct csq_commit *
csq_commit_new(struct csq_changes *changes, unsigned what)
{
    struct csq_commit *commit = csq_malloc(sizeof *commit);

    if (commit != NULL) {
        atomic_init(&commit->references, 1);
        commit->what = what;
        commit->number = csq_watched_number();
        csq_changes_take(changes, &commit->changes);
        csq_changes_look(&commit->changes);
    }
    return commit;
}

void
csq_commit_put(struct csq_commit *commit)
{
    if (commit != NULL && atomic_fetch_sub(&commit->references, 1) == 1) {
        csq_changes_clear(&commit->changes);
        csq_free(commit);
    }
}
