/* Strips of cells. The first chunk is small, for a point query; the following
 * ones grow up to a size that malloc still serves from its heap. A value too
 * large to share a chunk gets a block of its own: giving it a chunk would leave
 * the rest of the one before unused, again and again. */

#include "engine/cells.h"

#include <string.h>

#include "engine/alloc.h"

enum {
    FIRST_CHUNK = 1024 - sizeof(struct csq_chunk) - 16,
    LAST_CHUNK = 64 * 1024 - sizeof(struct csq_chunk) - 16,
};

void
csq_strip_init(struct csq_strip *strip)
{
    memset(strip, 0, sizeof *strip);
}

/* Gives how many bytes it held, as csq_strip.bytes counts them. */
static size_t
chunk_free(struct csq_chunk *chunk)
{
    size_t bytes = sizeof *chunk + chunk->capacity;
    struct csq_cell *cell;

    for (cell = chunk->cells; chunk->owned > 0; cell++) {
        if (!cell->owned) {
            continue;
        }
        if (cell->type == CSQ_ARRAY) {
            csq_array_put(cell->value.array);
        } else {
            bytes += cell->size;
            csq_free(cell->value.bytes);
        }
        chunk->owned--;
    }
    csq_free(chunk);
    return bytes;
}

void
csq_strip_free(struct csq_strip *strip)
{
    struct csq_chunk *chunk = strip->first;

    while (chunk != NULL) {
        struct csq_chunk *next = chunk->next;

        chunk_free(chunk);
        chunk = next;
    }
    csq_strip_init(strip);
}

void
csq_strip_move(struct csq_strip *to, struct csq_strip *from)
{
    if (to->last == NULL) {
        *to = *from;
    } else if (from->first != NULL) {
        to->last->next = from->first;
        to->last = from->last;
        to->bytes += from->bytes;
        to->rows += from->rows;
    }
    csq_strip_init(from);
}

static struct csq_chunk *
chunk_add(struct csq_strip *strip)
{
    size_t capacity = FIRST_CHUNK;
    struct csq_chunk *chunk;

    if (strip->last != NULL) {
        capacity = 4 * strip->last->capacity;
        if (capacity > LAST_CHUNK) {
            capacity = LAST_CHUNK;
        }
    }
    chunk = csq_malloc(sizeof *chunk + capacity);
    if (chunk == NULL) {
        return NULL;
    }
    chunk->next = NULL;
    chunk->end = chunk->cells;
    chunk->capacity = capacity;
    chunk->floor = (char *)chunk->cells + capacity;
    chunk->owned = 0;
    if (strip->last == NULL) {
        strip->first = chunk;
    } else {
        strip->last->next = chunk;
    }
    strip->last = chunk;
    strip->bytes += sizeof *chunk + capacity;
    return chunk;
}

static inline bool
has_room(const struct csq_chunk *chunk, size_t need)
{
    return chunk != NULL && (size_t)(chunk->floor - (char *)chunk->end) >= need;
}

/* Adds chunks until one has room. NULL: no memory. */
static struct csq_chunk *
room_add(struct csq_strip *strip, size_t need)
{
    struct csq_chunk *chunk;

    do {
        chunk = chunk_add(strip);
    } while (chunk != NULL && !has_room(chunk, need));
    return chunk;
}

/* A cell with room for `size` bytes behind it in the same chunk. */
static inline struct csq_cell *
cell_add(struct csq_strip *strip, size_t size)
{
    struct csq_chunk *chunk = strip->last;
    size_t need = sizeof(struct csq_cell) + size;

    if (!has_room(chunk, need)) {
        chunk = room_add(strip, need);
        if (chunk == NULL) {
            return NULL;
        }
    }
    chunk->floor -= size;
    chunk->end->owned = false;
    return chunk->end++;
}

bool
csq_strip_put_mark(struct csq_strip *strip, enum csq_type type)
{
    struct csq_cell *cell = cell_add(strip, 0);

    if (cell == NULL) {
        return false;
    }
    cell->type = (uint8_t)type;
    return true;
}

bool
csq_strip_put_null(struct csq_strip *strip)
{
    return csq_strip_put_mark(strip, CSQ_NULL);
}

bool
csq_strip_put_integer(struct csq_strip *strip, int64_t integer)
{
    struct csq_cell *cell = cell_add(strip, 0);

    if (cell == NULL) {
        return false;
    }
    cell->type = CSQ_INTEGER;
    cell->value.integer = integer;
    return true;
}

bool
csq_strip_put_float(struct csq_strip *strip, double real)
{
    struct csq_cell *cell = cell_add(strip, 0);

    if (cell == NULL) {
        return false;
    }
    cell->type = CSQ_FLOAT;
    cell->value.real = real;
    return true;
}

struct csq_cell *
csq_strip_put_head(struct csq_strip *strip)
{
    struct csq_cell *head = cell_add(strip, 0);

    if (head != NULL) {
        csq_head_set(head, 0, false);
    }
    return head;
}

/* Gives all bytes ORed together, eight at a time, of no fewer than eight. The last eight may
 * be some that were read before. */
static uint64_t
merge_words(const char *bytes, size_t size)
{
    const char *last = bytes + size - sizeof(uint64_t);
    uint64_t seen;
    uint64_t word;

    memcpy(&seen, last, sizeof seen);
    for (; bytes < last; bytes += sizeof word) {
        memcpy(&word, bytes, sizeof word);
        seen |= word;
    }
    return seen;
}

static bool
is_ascii(const char *bytes, size_t size)
{
    uint64_t seen = 0;

    if (size >= sizeof seen) {
        seen = merge_words(bytes, size);
    } else {
        for (size_t i = 0; i < size; i++) {
            seen |= (unsigned char)bytes[i];
        }
    }
    return (seen & UINT64_C(0x8080808080808080)) == 0;
}

static struct csq_cell *
put_bytes(struct csq_strip *strip, enum csq_type type, const char *bytes, size_t size)
{
    struct csq_cell *cell;
    char *block = NULL;

    if (size > LAST_CHUNK / 4) {
        block = csq_malloc(size);
        if (block == NULL) {
            return NULL;
        }
    }
    cell = cell_add(strip, block == NULL ? size : 0);
    if (cell == NULL) {
        csq_free(block);
        return NULL;
    }
    if (block != NULL) {
        cell->owned = true;
        strip->last->owned++;
        strip->bytes += size;
    } else {
        block = strip->last->floor;
    }
    if (size > 0) {
        memcpy(block, bytes, size);
    }
    cell->type = (uint8_t)type;
    cell->size = (uint32_t)size;
    cell->value.bytes = block;
    return cell;
}

bool
csq_strip_put_text(struct csq_strip *strip, const char *bytes, size_t size)
{
    struct csq_cell *cell = put_bytes(strip, CSQ_TEXT, bytes, size);

    if (cell == NULL) {
        return false;
    }
    cell->ascii = size == 0 || is_ascii(bytes, size);
    return true;
}

bool
csq_strip_put_blob(struct csq_strip *strip, const void *bytes, size_t size)
{
    return put_bytes(strip, CSQ_BLOB, bytes, size) != NULL;
}

bool
csq_strip_put_array(struct csq_strip *strip, struct csq_array *array)
{
    struct csq_cell *cell = cell_add(strip, 0);

    if (cell == NULL) {
        return false;
    }
    cell->type = CSQ_ARRAY;
    cell->owned = true;
    cell->size = 0;
    cell->value.array = csq_array_get(array);
    strip->last->owned++;
    return true;
}

struct csq_cell *
csq_strip_turn(const struct csq_strip *strip, struct csq_reader *reader)
{
    struct csq_chunk *chunk = reader->chunk == NULL ? strip->first : reader->chunk->next;

    while (chunk != NULL && chunk->cells == chunk->end) {
        chunk = chunk->next;
    }
    if (chunk == NULL) {
        return NULL;
    }
    reader->chunk = chunk;
    reader->cell = chunk->cells;
    return reader->cell++;
}

void
csq_strip_trim(struct csq_strip *strip, struct csq_reader *reader)
{
    while (reader->chunk != NULL && strip->first != reader->chunk) {
        struct csq_chunk *chunk = strip->first;

        strip->first = chunk->next;
        strip->bytes -= chunk_free(chunk);
    }
}
