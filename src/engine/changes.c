/* An array that doubles. The names of a table are kept once; most changes are of
 * the table of the change before, so looking for it is two comparisons. */

#include "engine/changes.h"

#include <sqlite3.h>
#include <string.h>

#include "engine/alloc.h"

enum { FIRST_CHANGES = 64, FIRST_TABLES = 4 };

void
csq_changes_init(struct csq_changes *changes, size_t limit)
{
    memset(changes, 0, sizeof *changes);
    changes->limit = limit;
}

void
csq_changes_clear(struct csq_changes *changes)
{
    for (uint32_t i = 0; i < changes->tables_count; i++) {
        csq_free(changes->tables[i].database);
        csq_free(changes->tables[i].name);
    }
    csq_free(changes->tables);
    csq_free(changes->items);
    csq_changes_init(changes, changes->limit);
}

unsigned
csq_changes_bit(int operation)
{
    switch (operation) {
    case SQLITE_INSERT:
        return 1;
    case SQLITE_UPDATE:
        return 2;
    default:
        return 4;
    }
}

/* Gives a block twice the size, in which the old one's `used` bytes are; NULL: no
 * memory, the old one stays. */
static void *
grow(void *block, size_t used, size_t size)
{
    void *larger = csq_malloc(size);

    if (larger != NULL && used > 0) {
        memcpy(larger, block, used);
    }
    if (larger != NULL) {
        csq_free(block);
    }
    return larger;
}

static bool
is_table(const struct csq_changed_table *table, const char *database, const char *name)
{
    return strcmp(table->name, name) == 0 && strcmp(table->database, database) == 0;
}

static bool
add_table(struct csq_changes *changes, const char *database, const char *name)
{
    struct csq_changed_table *tables = changes->tables;
    uint32_t count = changes->tables_count;

    if (count == changes->tables_capacity) {
        uint32_t capacity = count == 0 ? FIRST_TABLES : 2 * count;

        tables = grow(tables, count * sizeof *tables, capacity * sizeof *tables);
        if (tables == NULL) {
            return false;
        }
        changes->tables = tables;
        changes->tables_capacity = capacity;
    }
    tables[count] = (struct csq_changed_table){
        .database = csq_memdup(database, strlen(database)),
        .name = csq_memdup(name, strlen(name)),
    };
    if (tables[count].database == NULL || tables[count].name == NULL) {
        csq_free(tables[count].database);
        csq_free(tables[count].name);
        return false;
    }
    changes->latest = count;
    changes->tables_count++;
    return true;
}

/* Makes `latest` the table of these names. */
static bool
find_table(struct csq_changes *changes, const char *database, const char *name)
{
    if (changes->tables_count > 0 &&
        is_table(&changes->tables[changes->latest], database, name)) {
        return true;
    }
    for (uint32_t i = 0; i < changes->tables_count; i++) {
        if (is_table(&changes->tables[i], database, name)) {
            changes->latest = i;
            return true;
        }
    }
    return add_table(changes, database, name);
}

/* Adds a change of the latest table. */
static bool
add(struct csq_changes *changes, struct csq_row_change change)
{
    if (changes->count >= changes->limit) {
        changes->tables[change.table].beyond |= csq_changes_bit(change.operation);
        changes->overflowed = true;
        changes->unsettled = true;
        return true;
    }
    if (changes->count == changes->capacity) {
        size_t capacity = changes->capacity == 0 ? FIRST_CHANGES : 2 * changes->capacity;
        struct csq_row_change *items =
            grow(changes->items, changes->count * sizeof *items, capacity * sizeof *items);

        if (items == NULL) {
            return false;
        }
        changes->items = items;
        changes->capacity = capacity;
    }
    changes->items[changes->count++] = change;
    changes->unsettled = true;
    return true;
}

bool
csq_changes_add(struct csq_changes *changes, int operation, const char *database,
                const char *table, int64_t rowid)
{
    if (!find_table(changes, database, table)) {
        return false;
    }
    return add(changes, (struct csq_row_change){
                            .rowid = rowid,
                            .table = changes->latest,
                            .operation = (uint8_t)operation,
                        });
}

bool
csq_changes_add_any(struct csq_changes *changes, size_t from, int operation, const char *database,
                    const char *table)
{
    const struct csq_row_change *last;

    if (!find_table(changes, database, table)) {
        return false;
    }
    if (changes->count > from) {
        last = &changes->items[changes->count - 1];
        if (last->any && last->table == changes->latest && last->operation == operation) {
            return true;
        }
    }
    return add(changes, (struct csq_row_change){
                            .table = changes->latest,
                            .operation = (uint8_t)operation,
                            .any = true,
                        });
}

void
csq_changes_cut(struct csq_changes *changes, size_t count, bool beyond)
{
    changes->count = count < changes->count ? count : changes->count;
    if (beyond) {
        changes->overflowed = false;
        for (uint32_t i = 0; i < changes->tables_count; i++) {
            changes->tables[i].beyond = 0;
        }
    }
}

void
csq_changes_blur(struct csq_changes *changes, size_t count)
{
    for (; count < changes->count; count++) {
        changes->items[count].any = true;
        changes->items[count].rowid = 0;
    }
}

void
csq_changes_look(struct csq_changes *changes)
{
    for (uint32_t i = 0; i < changes->tables_count; i++) {
        changes->tables[i].seen = changes->tables[i].beyond;
    }
    for (size_t i = 0; i < changes->count; i++) {
        const struct csq_row_change *change = &changes->items[i];

        changes->tables[change->table].seen |= csq_changes_bit(change->operation);
    }
}

bool
csq_changes_any(const struct csq_changes *changes)
{
    return changes->count > 0 || changes->overflowed;
}

void
csq_changes_settle(struct csq_changes *changes)
{
    changes->settled = changes->count;
    changes->unsettled = false;
    for (uint32_t i = 0; changes->overflowed && i < changes->tables_count; i++) {
        changes->tables[i].settled = changes->tables[i].beyond;
    }
}

/* Forgets the tables behind the first `count`. */
static void
trim_tables(struct csq_changes *changes, uint32_t count)
{
    while (changes->tables_count > count) {
        struct csq_changed_table *table = &changes->tables[--changes->tables_count];

        csq_free(table->database);
        csq_free(table->name);
    }
    changes->latest = 0;
}

void
csq_changes_undo(struct csq_changes *changes)
{
    uint32_t used = 0;

    if (!changes->unsettled) {
        return;
    }
    changes->unsettled = false;
    changes->count = changes->settled;
    for (size_t i = 0; i < changes->count; i++) {
        used = changes->items[i].table >= used ? changes->items[i].table + 1 : used;
    }
    changes->overflowed = false;
    for (uint32_t i = 0; i < changes->tables_count; i++) {
        changes->tables[i].beyond = changes->tables[i].settled;
        if (changes->tables[i].beyond != 0) {
            changes->overflowed = true;
            used = i >= used ? i + 1 : used;
        }
    }
    /* Tables stand in the order of their first change, so those that only changes
     * that are taken back have named are the last. */
    trim_tables(changes, used);
}

void
csq_changes_take(struct csq_changes *changes, struct csq_changes *to)
{
    *to = *changes;
    csq_changes_init(changes, to->limit);
}
