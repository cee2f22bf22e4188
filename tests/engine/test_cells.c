/* engine/cells: what is put is read, across chunks and across strips, and the count
 * of bytes that bounds rely on is that of what is held. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/alloc.h"
#include "engine/cells.h"
#include "engine/harness.h"

enum { HUGE_BLOB = 3 * 1000 * 1000 };

static bool
is_bytes(const struct csq_cell *cell, enum csq_type type, const char *bytes, size_t size)
{
    return cell != NULL && cell->type == type && cell->size == size &&
           memcmp(cell->value.bytes, bytes, size) == 0;
}

/* The memory that `strip` holds, counted anew. */
static size_t
count_bytes(const struct csq_strip *strip)
{
    size_t bytes = 0;

    for (const struct csq_chunk *chunk = strip->first; chunk != NULL; chunk = chunk->next) {
        bytes += sizeof *chunk + chunk->capacity;
        for (const struct csq_cell *cell = chunk->cells; cell < chunk->end; cell++) {
            bytes += cell->owned ? cell->size : 0;
        }
    }
    return bytes;
}

static void
test_types(void)
{
    struct csq_strip strip;
    struct csq_reader reader = {NULL, NULL};
    struct csq_cell *cell;

    csq_strip_init(&strip);
    CHECK(csq_strip_read(&strip, &reader) == NULL);
    CHECK(csq_strip_put_null(&strip));
    CHECK(csq_strip_put_integer(&strip, INT64_MIN));
    CHECK(csq_strip_put_integer(&strip, INT64_MAX));
    CHECK(csq_strip_put_float(&strip, -0.0));
    CHECK(csq_strip_put_text(&strip, "a\0b", 3));
    CHECK(csq_strip_put_text(&strip, "", 0));
    CHECK(csq_strip_put_blob(&strip, "\xff\x00", 2));
    CHECK(csq_strip_put_blob(&strip, NULL, 0));
    CHECK(csq_strip_put_mark(&strip, CSQ_MISSING));
    CHECK(csq_strip_put_mark(&strip, CSQ_POISON));

    CHECK(csq_strip_read(&strip, &reader)->type == CSQ_NULL);
    cell = csq_strip_read(&strip, &reader);
    CHECK(cell->type == CSQ_INTEGER && cell->value.integer == INT64_MIN);
    CHECK(csq_strip_read(&strip, &reader)->value.integer == INT64_MAX);
    cell = csq_strip_read(&strip, &reader);
    CHECK(cell->type == CSQ_FLOAT && cell->value.real == 0 && signbit(cell->value.real));
    CHECK(is_bytes(csq_strip_read(&strip, &reader), CSQ_TEXT, "a\0b", 3));
    cell = csq_strip_read(&strip, &reader);
    CHECK(is_bytes(cell, CSQ_TEXT, "", 0) && cell->ascii && cell->value.bytes != NULL);
    CHECK(is_bytes(csq_strip_read(&strip, &reader), CSQ_BLOB, "\xff\x00", 2));
    cell = csq_strip_read(&strip, &reader);
    CHECK(is_bytes(cell, CSQ_BLOB, "", 0) && cell->value.bytes != NULL);
    CHECK(csq_strip_read(&strip, &reader)->type == CSQ_MISSING);
    CHECK(csq_strip_read(&strip, &reader)->type == CSQ_POISON);
    CHECK(csq_strip_read(&strip, &reader) == NULL);
    CHECK(csq_strip_put_null(&strip));
    CHECK(csq_strip_read(&strip, &reader)->type == CSQ_NULL); /* the end was not the end */
    csq_strip_clear(&strip);
    CHECK(strip.first == NULL && strip.bytes == 0);
}

static void
test_heads(void)
{
    struct csq_strip strip;
    struct csq_reader reader = {NULL, NULL};
    struct csq_cell *head;

    csq_strip_init(&strip);
    head = csq_strip_put_head(&strip);
    CHECK(csq_head_width(head) == 0 && !csq_head_named(head));
    for (int i = 0; i < 1000; i++) {
        CHECK(csq_strip_put_integer(&strip, i));
    }
    csq_head_set(head, 1000, true); /* heads never move */
    CHECK(csq_strip_read(&strip, &reader) == head);
    CHECK(csq_head_width(head) == 1000 && csq_head_named(head));
    csq_strip_clear(&strip);
}

/* One byte above 0x7f at each place of texts around the width of a word. */
static void
test_ascii(void)
{
    char text[40];
    struct csq_strip strip;
    struct csq_reader reader = {NULL, NULL};

    csq_strip_init(&strip);
    for (size_t size = 1; size < sizeof text; size++) {
        memset(text, 0x7f, size);
        CHECK(csq_strip_put_text(&strip, text, size));
        CHECK(csq_strip_read(&strip, &reader)->ascii);
        for (size_t place = 0; place < size; place++) {
            text[place] = (char)0x80;
            CHECK(csq_strip_put_text(&strip, text, size));
            CHECK(!csq_strip_read(&strip, &reader)->ascii);
            text[place] = 0x7f;
        }
    }
    csq_strip_clear(&strip);
}

/* Texts of every size around the room that is left in a chunk. */
static void
test_boundaries(void)
{
    static char text[70000];
    static const size_t sizes[] = {900, 1000, 4000, 16000, 16400, 65000, 65500, 66000};
    struct csq_strip strip;

    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t size = sizes[i]; size < sizes[i] + 100; size++) {
            struct csq_reader reader = {NULL, NULL};
            const struct csq_cell *cell;

            csq_strip_init(&strip);
            CHECK(csq_strip_put_integer(&strip, 1));
            CHECK(csq_strip_put_text(&strip, text, size));
            CHECK(csq_strip_put_integer(&strip, 2));
            CHECK(csq_strip_read(&strip, &reader)->value.integer == 1);
            cell = csq_strip_read(&strip, &reader);
            CHECK(is_bytes(cell, CSQ_TEXT, text, size) && cell->ascii);
            CHECK(csq_strip_read(&strip, &reader)->value.integer == 2);
            CHECK(csq_strip_read(&strip, &reader) == NULL);
            CHECK(strip.bytes == count_bytes(&strip));
            csq_strip_clear(&strip);
        }
    }
}

static void
test_huge(void)
{
    char *blob = malloc(HUGE_BLOB);
    struct csq_strip strip;
    struct csq_reader reader = {NULL, NULL};

    memset(blob, 7, HUGE_BLOB);
    csq_strip_init(&strip);
    for (int i = 0; i < 3; i++) {
        CHECK(csq_strip_put_blob(&strip, blob, HUGE_BLOB));
        CHECK(csq_strip_put_integer(&strip, i));
    }
    CHECK(strip.bytes >= 3 * (size_t)HUGE_BLOB && strip.bytes == count_bytes(&strip));
    for (int i = 0; i < 3; i++) {
        CHECK(is_bytes(csq_strip_read(&strip, &reader), CSQ_BLOB, blob, HUGE_BLOB));
        CHECK(csq_strip_read(&strip, &reader)->value.integer == i);
    }
    csq_strip_clear(&strip);
    free(blob);
}

/* A reader goes on through what is moved behind it, and trimming follows it. */
static void
test_move_and_trim(void)
{
    static char text[20000];
    struct csq_strip strip;
    struct csq_strip more;
    struct csq_reader reader = {NULL, NULL};
    int64_t expected = 0;
    int64_t next = 0;

    csq_strip_init(&strip);
    csq_strip_init(&more);
    csq_strip_move(&strip, &more);
    CHECK(strip.first == NULL);
    csq_strip_trim(&strip, &reader); /* nothing has been read: nothing goes */
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < round * 10; i++) {
            CHECK(csq_strip_put_integer(&more, next++));
            more.rows++;
        }
        CHECK(csq_strip_put_text(&more, text, sizeof text)); /* a block of its own */
        csq_strip_move(&strip, &more);
        CHECK(more.first == NULL && more.bytes == 0 && more.rows == 0);
        CHECK(strip.bytes == count_bytes(&strip));
        while (expected < next) {
            struct csq_cell *cell = csq_strip_read(&strip, &reader);

            if (cell->type == CSQ_INTEGER) {
                CHECK(cell->value.integer == expected++);
            }
        }
        csq_strip_trim(&strip, &reader);
        CHECK(strip.first == reader.chunk || reader.chunk == NULL);
        CHECK(strip.bytes == count_bytes(&strip));
    }
    CHECK(strip.rows == (size_t)next);
    CHECK(csq_strip_read(&strip, &reader)->type == CSQ_TEXT);
    CHECK(csq_strip_read(&strip, &reader) == NULL);
    csq_strip_clear(&strip);
}

/* Puts one of each kind of cell; false at the first that fails. */
static bool
put_all(struct csq_strip *strip, const char *bytes)
{
    return csq_strip_put_head(strip) != NULL && csq_strip_put_null(strip) &&
           csq_strip_put_integer(strip, 1) && csq_strip_put_float(strip, 1) &&
           csq_strip_put_mark(strip, CSQ_MISSING) && csq_strip_put_text(strip, bytes, 12000) &&
           csq_strip_put_blob(strip, bytes, 15000) && csq_strip_put_text(strip, bytes, 30000) &&
           csq_strip_put_blob(strip, bytes, 60000);
}

static void
test_no_memory(void)
{
    static char bytes[60000];
    long live = csq_alloc_live();
    bool whole = false;

    for (long nth = 1; !whole && nth < 100; nth++) {
        struct csq_strip strip;
        struct csq_reader reader = {NULL, NULL};
        int cells = 0;

        csq_strip_init(&strip);
        csq_alloc_fail_at(nth);
        whole = put_all(&strip, bytes);
        CHECK(whole == (csq_alloc_fail_at(0) > 0));
        while (csq_strip_read(&strip, &reader) != NULL) {
            cells++;
        }
        CHECK(whole == (cells == 9)); /* of a put that failed, there is nothing */
        CHECK(csq_strip_put_integer(&strip, 42));
        CHECK(csq_strip_read(&strip, &reader)->value.integer == 42);
        CHECK(strip.bytes == count_bytes(&strip));
        csq_strip_clear(&strip);
        CHECK(csq_alloc_live() == live);
    }
    CHECK(whole);
}

/* An array is let go by the last that holds it, in whichever order. */
static void
test_arrays(void)
{
    long live = csq_alloc_live();
    struct csq_array *array = csq_array_new(CSQ_ARRAY_INT64, 3, 5);
    struct csq_strip strip;
    struct csq_reader reader = {NULL, NULL};
    struct csq_cell *cell;

    if (!CHECK(array != NULL)) {
        return;
    }
    CHECK(array->count == 3 && array->room == (char *)&array->values[3]);
    memset(array->room, 7, 5);
    array->values[2].integer = INT64_MIN;
    csq_strip_init(&strip);
    CHECK(csq_strip_put_integer(&strip, 1));
    CHECK(csq_strip_put_array(&strip, array));
    CHECK(csq_strip_put_array(&strip, array));
    csq_array_put(array);
    CHECK(strip.bytes == count_bytes(&strip));
    csq_strip_read(&strip, &reader);
    cell = csq_strip_read(&strip, &reader);
    CHECK(cell->type == CSQ_ARRAY && cell->value.array == array);
    CHECK(csq_strip_read(&strip, &reader)->value.array->values[2].integer == INT64_MIN);
    csq_strip_clear(&strip);
    CHECK(csq_alloc_live() == live);

    csq_array_put(NULL);
    CHECK(csq_array_new(CSQ_ARRAY_TEXT, 1, SIZE_MAX - 8) == NULL);
    array = csq_array_new(CSQ_ARRAY_INT32, 0, 0);
    CHECK(array != NULL && array->count == 0);
    csq_alloc_fail_at(1);
    CHECK(!csq_strip_put_array(&strip, array));
    csq_alloc_fail_at(1);
    CHECK(csq_array_new(CSQ_ARRAY_BLOB, 1, 0) == NULL);
    csq_array_put(array);
    CHECK(csq_alloc_live() == live);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"types", test_types},         {"heads", test_heads},
        {"ascii", test_ascii},         {"boundaries", test_boundaries},
        {"huge", test_huge},           {"move_and_trim", test_move_and_trim},
        {"no_memory", test_no_memory}, {"arrays", test_arrays},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
