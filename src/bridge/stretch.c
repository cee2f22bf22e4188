/* One stretch for all threads of an interpreter is enough: whoever finds another's begins
 * anew, and the GIL does not go to and fro as often as once a millisecond. */

#include "bridge/stretch.h"

#include "bridge/compat.h"
#include "engine/clock.h"

enum {
    ANSWERS_BETWEEN_LOOKS = 16,
    STRETCH_NANOSECONDS = 1000 * 1000,
};

bool
stretch_is_over(struct stretch *stretch)
{
    unsigned long thread = PyThread_get_thread_ident();
    int64_t now = csq_now();
    bool over;

    over = stretch->thread == thread && now - stretch->since >= STRETCH_NANOSECONDS;
    if (!over) {
        stretch->left = ANSWERS_BETWEEN_LOOKS;
    }
    if (stretch->thread != thread) {
        stretch->thread = thread;
        stretch->since = now;
    }
    return over;
}

void
stretch_begin(struct stretch *stretch)
{
    if (stretch->thread == PyThread_get_thread_ident()) {
        stretch->since = csq_now();
        stretch->left = ANSWERS_BETWEEN_LOOKS;
    }
}
