/* An intrusive FIFO list: whoever wants to stand in a queue carries the link.
 *
 * Any thread; not locked. The owner of a list guards it. Nothing is allocated,
 * so nothing here can fail. */

#ifndef CSQ_LIST_H
#define CSQ_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* One place in a list. A link that stands nowhere points to itself. */
struct csq_link {
    struct csq_link *next;
    struct csq_link *prev;
};

/* A list is a link that belongs to no item: next is the first, prev the last. */
struct csq_list {
    struct csq_link head;
};

/* The item of `type` whose field `member` is the link `link`. */
#define csq_item(link, type, member) ((type *)((char *)(link) - offsetof(type, member)))

static inline void
csq_link_init(struct csq_link *link)
{
    link->next = link;
    link->prev = link;
}

/* Whether `link` stands in no list. */
static inline bool
csq_link_alone(const struct csq_link *link)
{
    return link->next == link;
}

static inline void
csq_list_init(struct csq_list *list)
{
    csq_link_init(&list->head);
}

static inline bool
csq_list_empty(const struct csq_list *list)
{
    return list->head.next == &list->head;
}

/* Makes `link` the last one. It must stand in no list. */
static inline void
csq_list_append(struct csq_list *list, struct csq_link *link)
{
    link->next = &list->head;
    link->prev = list->head.prev;
    list->head.prev->next = link;
    list->head.prev = link;
}

/* Makes `link` the first one. It must stand in no list. */
static inline void
csq_list_prepend(struct csq_list *list, struct csq_link *link)
{
    link->next = list->head.next;
    link->prev = &list->head;
    list->head.next->prev = link;
    list->head.next = link;
}

/* Takes `link` out of whatever list it stands in; harmless if it stands in none. */
static inline void
csq_link_remove(struct csq_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    csq_link_init(link);
}

/* Takes out the first link and gives it; NULL when the list is empty. */
static inline struct csq_link *
csq_list_shift(struct csq_list *list)
{
    struct csq_link *first = list->head.next;

    if (first == &list->head) {
        return NULL;
    }
    csq_link_remove(first);
    return first;
}

/* Moves everything in `from` to the end of `to`, keeping the order. */
static inline void
csq_list_move(struct csq_list *to, struct csq_list *from)
{
    if (csq_list_empty(from)) {
        return;
    }
    from->head.next->prev = to->head.prev;
    to->head.prev->next = from->head.next;
    from->head.prev->next = &to->head;
    to->head.prev = from->head.prev;
    csq_list_init(from);
}

#endif
