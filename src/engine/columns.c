/* Columns in one block: the array first, then the texts. Sharing them spares
 * every job but the first of a statement the copying of names. */

#include "engine/columns.h"

#include <string.h>

#include "engine/alloc.h"

static size_t
text_size(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

/* Copies `text` to *where and moves *where behind it. */
static const char *
text_copy(char **where, const char *text)
{
    size_t size = text_size(text);
    char *copy = *where;

    if (text == NULL) {
        return NULL;
    }
    memcpy(copy, text, size);
    *where += size;
    return copy;
}

struct csq_columns *
csq_columns_copy(sqlite3_stmt *statement)
{
    int count = sqlite3_column_count(statement);
    size_t size = sizeof(struct csq_columns) + (size_t)count * sizeof(struct csq_column);
    struct csq_columns *columns;
    char *texts;

    for (int i = 0; i < count; i++) {
        const char *name = sqlite3_column_name(statement, i);

        if (name == NULL) {
            return NULL;
        }
        size += text_size(name) + text_size(sqlite3_column_decltype(statement, i));
    }
    columns = csq_malloc(size);
    if (columns == NULL) {
        return NULL;
    }
    atomic_init(&columns->references, 1);
    columns->count = count;
    texts = (char *)&columns->column[count];
    for (int i = 0; i < count; i++) {
        struct csq_column *column = &columns->column[i];

        column->name = text_copy(&texts, sqlite3_column_name(statement, i));
        column->decltype = text_copy(&texts, sqlite3_column_decltype(statement, i));
        column->typed = column->decltype != NULL || strchr(column->name, '[') != NULL;
    }
    return columns;
}

struct csq_columns *
csq_columns_named(const char *name)
{
    size_t size = sizeof(struct csq_columns) + sizeof(struct csq_column) + text_size(name);
    struct csq_columns *columns = csq_malloc(size);
    char *texts;

    if (columns != NULL) {
        atomic_init(&columns->references, 1);
        columns->count = 1;
        texts = (char *)&columns->column[1];
        columns->column[0] = (struct csq_column){.name = text_copy(&texts, name)};
    }
    return columns;
}

struct csq_columns *
csq_columns_get(struct csq_columns *columns)
{
    if (columns != NULL) {
        atomic_fetch_add_explicit(&columns->references, 1, memory_order_relaxed);
    }
    return columns;
}

void
csq_columns_put(struct csq_columns *columns)
{
    if (columns != NULL &&
        atomic_fetch_sub_explicit(&columns->references, 1, memory_order_acq_rel) == 1) {
        csq_free(columns);
    }
}
