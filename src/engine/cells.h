/* A growable strip of typed cells: the one form in which parameters go down
 * and rows come up.
 *
 * A strip is a chain of chunks. In a chunk, cells grow from the front and the
 * bytes of texts and blobs from the back, so a cell never moves once written
 * and a strip changes hands by moving two pointers. Not locked: a strip has one
 * owner at every instant.
 *
 * A strip knows nothing of rows but their number: a row is as many cells as its
 * columns say, and may begin in one chunk and end in the next. */

#ifndef CSQ_CELLS_H
#define CSQ_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/array.h"

enum csq_type {
    CSQ_NULL,
    CSQ_INTEGER,
    CSQ_FLOAT,
    CSQ_TEXT,
    CSQ_BLOB,
    CSQ_ARRAY,   /* a parameter alone: many values for carray() */
    CSQ_MISSING, /* a parameter's name for which the mapping has no value */
    CSQ_POISON,  /* a parameter that could not be packed; binding it is CSQ_PACKED */
};

struct csq_cell {
    uint8_t type;  /* enum csq_type */
    bool ascii;    /* CSQ_TEXT: all bytes are below 0x80 */
    bool owned;    /* the value is a block of its own, let go with the chunk */
    uint32_t size; /* bytes of a text or blob; SQLite allows less than 2^31 */
    union {
        int64_t integer;
        double real;
        char *bytes; /* size bytes, not terminated */
        struct csq_array *array;
    } value;
};

struct csq_chunk {
    struct csq_chunk *next;
    struct csq_cell *end; /* one past the last cell written */
    char *floor;          /* lowest byte in use; the room lies between the two */
    size_t capacity;      /* bytes behind this header */
    size_t owned;         /* cells whose values are blocks of their own */
    struct csq_cell cells[];
};

struct csq_strip {
    struct csq_chunk *first;
    struct csq_chunk *last;
    size_t bytes; /* memory held, for bounds */
    size_t rows;  /* whole rows, counted by the writer */
};

/* Where reading stands. Zeroed, it stands before the first cell. */
struct csq_reader {
    struct csq_chunk *chunk;
    struct csq_cell *cell;
};

/* Any thread. Makes it empty. */
void csq_strip_init(struct csq_strip *strip);

/* The same for a strip that has chunks; csq_strip_clear() is for all. */
void csq_strip_free(struct csq_strip *strip);

/* Any thread. Frees all cells; the strip is empty again. */
static inline void
csq_strip_clear(struct csq_strip *strip)
{
    if (strip->first != NULL) {
        csq_strip_free(strip);
    }
}

/* Any thread. Moves all of `from` behind what `to` holds; `from` is empty then. */
void csq_strip_move(struct csq_strip *to, struct csq_strip *from);

/* Any thread. Each puts one cell at the end; false: no memory, nothing was put. */
bool csq_strip_put_null(struct csq_strip *strip);
bool csq_strip_put_integer(struct csq_strip *strip, int64_t integer);
bool csq_strip_put_float(struct csq_strip *strip, double real);
bool csq_strip_put_text(struct csq_strip *strip, const char *bytes, size_t size);
bool csq_strip_put_blob(struct csq_strip *strip, const void *bytes, size_t size);
/* Holds a new reference to `array`, which `bytes` of the strip does not count. */
bool csq_strip_put_array(struct csq_strip *strip, struct csq_array *array);
/* CSQ_MISSING or CSQ_POISON. */
bool csq_strip_put_mark(struct csq_strip *strip, enum csq_type type);

/* Any thread. Begins a row of parameters: puts and lends its head, to be filled
 * with csq_head_set() when its width is known (heads never move). NULL: no memory. */
struct csq_cell *csq_strip_put_head(struct csq_strip *strip);

/* Any thread. Says that `width` values follow (`named`: pairs of name and value); so many
 * that no statement takes them may be left out. */
static inline void
csq_head_set(struct csq_cell *head, int64_t width, bool named)
{
    head->type = CSQ_INTEGER;
    head->ascii = named;
    head->value.integer = width;
}

static inline int64_t
csq_head_width(const struct csq_cell *head)
{
    return head->value.integer;
}

static inline bool
csq_head_named(const struct csq_cell *head)
{
    return head->ascii;
}

/* Gives the first cell of the next chunk: for csq_strip_read(). */
struct csq_cell *csq_strip_turn(const struct csq_strip *strip, struct csq_reader *reader);

/* Any thread. Gives the next cell (the strip keeps it), or NULL at the end. */
static inline struct csq_cell *
csq_strip_read(const struct csq_strip *strip, struct csq_reader *reader)
{
    if (reader->chunk != NULL && reader->cell != reader->chunk->end) {
        return reader->cell++;
    }
    return csq_strip_turn(strip, reader);
}

/* Any thread. Frees the chunks that `reader` has left behind. */
void csq_strip_trim(struct csq_strip *strip, struct csq_reader *reader);

#endif
