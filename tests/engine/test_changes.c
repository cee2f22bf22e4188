/* engine/changes: what is settled survives a rollback, memory is bounded, and a lack of
 * memory loses nothing that was remembered before. */

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "engine/alloc.h"
#include "engine/changes.h"
#include "engine/harness.h"

enum { PLENTY = 1000 };

static bool
is_change(const struct csq_changes *changes, size_t i, int operation, const char *table,
          int64_t rowid)
{
    const struct csq_row_change *change = &changes->items[i];

    return i < changes->count && change->operation == operation && change->rowid == rowid &&
           strcmp(changes->tables[change->table].name, table) == 0;
}

static void
test_remembering(void)
{
    struct csq_changes changes;

    csq_changes_init(&changes, PLENTY);
    CHECK(!csq_changes_any(&changes));
    CHECK(csq_changes_add(&changes, SQLITE_INSERT, "main", "t", 1));
    CHECK(csq_changes_add(&changes, SQLITE_UPDATE, "main", "u", -5));
    CHECK(csq_changes_add(&changes, SQLITE_DELETE, "temp", "t", INT64_MAX));
    CHECK(csq_changes_add(&changes, SQLITE_INSERT, "main", "t", 2));
    CHECK(csq_changes_any(&changes) && changes.count == 4 && changes.tables_count == 3);
    CHECK(is_change(&changes, 0, SQLITE_INSERT, "t", 1));
    CHECK(is_change(&changes, 1, SQLITE_UPDATE, "u", -5));
    CHECK(is_change(&changes, 2, SQLITE_DELETE, "t", INT64_MAX));
    CHECK(strcmp(changes.tables[changes.items[2].table].database, "temp") == 0);
    CHECK(is_change(&changes, 3, SQLITE_INSERT, "t", 2));
    CHECK(changes.items[3].table == changes.items[0].table);
    csq_changes_clear(&changes);
    CHECK(!csq_changes_any(&changes) && changes.limit == PLENTY);
}

static void
test_settling(void)
{
    struct csq_changes changes;

    csq_changes_init(&changes, PLENTY);
    csq_changes_add(&changes, SQLITE_INSERT, "main", "t", 1);
    CHECK(changes.unsettled);
    csq_changes_undo(&changes);
    CHECK(!csq_changes_any(&changes) && changes.tables_count == 0 && !changes.unsettled);

    csq_changes_add(&changes, SQLITE_INSERT, "main", "t", 1);
    csq_changes_add(&changes, SQLITE_INSERT, "main", "u", 1);
    csq_changes_settle(&changes);
    CHECK(!changes.unsettled);
    csq_changes_add(&changes, SQLITE_INSERT, "main", "t", 2);
    csq_changes_add(&changes, SQLITE_INSERT, "main", "v", 3);
    csq_changes_undo(&changes);
    CHECK(changes.count == 2 && changes.tables_count == 2);
    csq_changes_undo(&changes);
    CHECK(changes.count == 2);
    csq_changes_add(&changes, SQLITE_DELETE, "main", "w", 4);
    CHECK(is_change(&changes, 2, SQLITE_DELETE, "w", 4));
    csq_changes_clear(&changes);
}

static void
test_limit(void)
{
    struct csq_changes changes;
    struct csq_changes taken;

    csq_changes_init(&changes, 2);
    csq_changes_add(&changes, SQLITE_INSERT, "main", "t", 1);
    csq_changes_add(&changes, SQLITE_INSERT, "main", "t", 2);
    csq_changes_settle(&changes);
    csq_changes_add(&changes, SQLITE_UPDATE, "main", "t", 3);
    csq_changes_add(&changes, SQLITE_DELETE, "main", "u", 4);
    CHECK(changes.count == 2 && changes.overflowed && changes.unsettled);
    CHECK(changes.tables[0].beyond == csq_changes_bit(SQLITE_UPDATE));
    csq_changes_undo(&changes);
    CHECK(!changes.overflowed && changes.tables_count == 1 && changes.tables[0].beyond == 0);

    csq_changes_add(&changes, SQLITE_DELETE, "main", "u", 4);
    csq_changes_settle(&changes);
    csq_changes_add(&changes, SQLITE_INSERT, "main", "u", 5);
    csq_changes_add(&changes, SQLITE_INSERT, "main", "v", 5);
    csq_changes_undo(&changes);
    CHECK(changes.overflowed && changes.tables_count == 2);
    CHECK(changes.tables[1].beyond == csq_changes_bit(SQLITE_DELETE));

    csq_changes_take(&changes, &taken);
    CHECK(!csq_changes_any(&changes) && changes.limit == 2);
    CHECK(taken.count == 2 && taken.overflowed);
    csq_changes_clear(&taken);
}

static void
test_many(void)
{
    struct csq_changes changes;
    char name[16];

    csq_changes_init(&changes, CSQ_CHANGES_LIMIT);
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "t%d", i % 37);
        csq_changes_add(&changes, SQLITE_INSERT, "main", name, i);
    }
    CHECK(changes.count == 5000 && changes.tables_count == 37);
    for (size_t i = 0; i < changes.count; i++) {
        snprintf(name, sizeof name, "t%d", (int)i % 37);
        CHECK(is_change(&changes, i, SQLITE_INSERT, name, (int64_t)i));
    }
    csq_changes_clear(&changes);
}

/* The nth allocation fails, for every n: the change is refused, those before it stay. */
static void
test_no_memory(void)
{
    long before = csq_alloc_live();

    for (long nth = 1;; nth++) {
        struct csq_changes changes;
        size_t added = 0;
        bool over;

        csq_changes_init(&changes, PLENTY);
        csq_alloc_fail_at(nth);
        for (int i = 0; i < 200; i++) {
            added += csq_changes_add(&changes, SQLITE_INSERT, "main", i % 2 ? "t" : "u", i);
        }
        over = csq_alloc_fail_at(0) > 0;
        CHECK(changes.count == added && added >= 199);
        csq_changes_clear(&changes);
        if (over) {
            CHECK(added == 200 && nth > 5);
            break;
        }
    }
    CHECK(csq_alloc_live() == before);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"remembering", test_remembering},
        {"settling", test_settling},
        {"limit", test_limit},
        {"many", test_many},
        {"no_memory", test_no_memory},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
