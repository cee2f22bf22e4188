/* The line of one cursor or blob: its requests, in the order in which they were pushed.
 *
 * What a request brings back belongs behind what those before it have brought. So only the
 * head of the line takes in its answer; when it has, it hands on to the next. Who does not
 * wait any more keeps its place until its job is done: what it leaves behind, a cursor
 * without rows, comes in its turn, too.
 *
 * GIL held; any thread, as several loops may use one cursor. */

#ifndef CSQ_LINE_H
#define CSQ_LINE_H

#include "bridge/request_object.h"
#include "engine/list.h"

void line_init(struct line *line);

/* Whether nothing is under way, and nobody is taking rows out. */
static inline bool
line_is_idle(const struct line *line)
{
    return line->under_way == 0 && line->held == 0 && csq_list_empty(&line->requests);
}

/* Lends the head of a line that is not empty. */
static inline RequestObject *
line_first(const struct line *line)
{
    return csq_item(line->requests.head.next, RequestObject, place);
}

/* Whether the head has begun to take in what came of its job. */
static inline bool
line_is_begun(const struct line *line)
{
    return line_first(line)->running || line_first(line)->decoding;
}

/* Puts a request that is pushed at the end of its line. */
void line_enter(RequestObject *request);

/* Whether it is the request's turn to take in what has come. */
bool line_is_up(RequestObject *request);

/* The head may have gone: whoever is first now is brought its news, if it has any. The
 * caller holds the target. */
void line_go_on(struct line *line);

/* Rows are about to be taken out of the target, which may run any Python code: until the
 * release, nobody takes in anything. */
static inline void
line_hold(struct line *line)
{
    line->held++;
}

static inline void
line_release(struct line *line)
{
    line->held--;
    if (!csq_list_empty(&line->requests)) {
        line_go_on(line);
    }
}

/* Puts a request that runs in place before all others, whose jobs come behind it. False:
 * somebody is in the middle of taking in. */
bool line_cut_in(RequestObject *request);

#endif
