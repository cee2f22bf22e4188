/* engine/list: order, and that a link may always be taken out of whatever it stands in. */

#include "engine/harness.h"
#include "engine/list.h"

struct item {
    int before; /* so that the link is not the first field */
    struct csq_link link;
    int number;
};

enum { ITEMS = 5 };

static void
fill(struct csq_list *list, struct item *items, int count)
{
    csq_list_init(list);
    for (int i = 0; i < count; i++) {
        items[i].number = i;
        csq_link_init(&items[i].link);
        csq_list_append(list, &items[i].link);
    }
}

static int
shift_number(struct csq_list *list)
{
    struct csq_link *link = csq_list_shift(list);

    return link == NULL ? -1 : csq_item(link, struct item, link)->number;
}

static void
test_order(void)
{
    struct item items[ITEMS];
    struct csq_list list;

    fill(&list, items, ITEMS);
    CHECK(!csq_list_empty(&list));
    for (int i = 0; i < ITEMS; i++) {
        CHECK(shift_number(&list) == i);
    }
    CHECK(csq_list_empty(&list));
    CHECK(csq_list_shift(&list) == NULL);
    csq_list_append(&list, &items[3].link);
    CHECK(shift_number(&list) == 3);
    CHECK(csq_list_empty(&list));
}

static void
test_remove(void)
{
    struct item items[ITEMS];
    struct csq_list list;

    fill(&list, items, ITEMS);
    csq_link_remove(&items[2].link);
    csq_link_remove(&items[2].link); /* stands in none: harmless */
    csq_link_remove(&items[0].link);
    csq_link_remove(&items[4].link);
    CHECK(items[0].link.next == &items[0].link);
    CHECK(shift_number(&list) == 1);
    CHECK(shift_number(&list) == 3);
    CHECK(csq_list_empty(&list));
}

static void
test_move(void)
{
    struct item left[ITEMS];
    struct item right[ITEMS];
    struct csq_list to;
    struct csq_list from;

    fill(&to, left, 2);
    fill(&from, right, 0);
    csq_list_move(&to, &from);
    CHECK(to.head.prev == &left[1].link);

    fill(&from, right, 3);
    csq_list_move(&to, &from);
    CHECK(csq_list_empty(&from));
    for (int i = 0; i < 2; i++) {
        CHECK(shift_number(&to) == i);
    }
    for (int i = 0; i < 3; i++) {
        CHECK(shift_number(&to) == i);
    }
    CHECK(csq_list_empty(&to));

    fill(&from, right, 1);
    csq_list_move(&to, &from);
    csq_link_remove(&right[0].link);
    CHECK(csq_list_empty(&to));
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"order", test_order},
        {"remove", test_remove},
        {"move", test_move},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
