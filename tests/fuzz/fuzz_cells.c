/* Strips of cells against a list that remembers what was put.
 *
 * The bytes are a program: put, read, trim, move, clear, and let an allocation fail, on
 * two strips. Every cell that is read must be the one that was put, the bytes held must
 * be those of the chunks, and in the end nothing may be left. */

#include <stdlib.h>
#include <string.h>

#include "engine/alloc.h"
#include "engine/cells.h"
#include "fuzz/fuzz.h"

enum { MAX_CELLS = 2000, MAX_BYTES = 70000, MAX_STEPS = 4000 };

/* One cell that was put. A text is `size` bytes of pattern(), from `from` on. */
struct known {
    uint8_t type;
    bool named;
    uint32_t size;
    uint32_t from;
    int64_t integer;
    double real;
    struct csq_array *array;
    struct csq_cell *head; /* lent, to be set later; NULL: no head */
};

struct model {
    struct csq_strip strip;
    struct csq_reader reader;
    size_t count; /* put and not moved away */
    size_t read;  /* of these, read */
    size_t rows;
    struct known cells[MAX_CELLS];
};

static char texts[MAX_BYTES + 256];

/* Bytes that differ by where they begin; ASCII but for one in 256. */
static const char *
pattern(uint32_t from)
{
    if (texts[0] == '\0') {
        for (size_t i = 0; i < sizeof texts; i++) {
            texts[i] = i % 256 == 255 ? (char)0xc3 : (char)('0' + i % 75);
        }
    }
    return texts + from % 256;
}

static bool
same_bytes(const struct csq_cell *cell, const struct known *known)
{
    const char *bytes = pattern(known->from);
    bool ascii = memchr(bytes, 0xc3, known->size) == NULL;

    return cell->size == known->size &&
           (known->size == 0 || memcmp(cell->value.bytes, bytes, known->size) == 0) &&
           (cell->type != CSQ_TEXT || cell->ascii == ascii);
}

static void
compare(const struct csq_cell *cell, const struct known *known)
{
    MUST(cell != NULL);
    MUST(cell->type == known->type);
    if (known->head != NULL) {
        MUST(cell == known->head && csq_head_width(cell) == (int)known->integer);
        MUST(csq_head_named(cell) == known->named);
    } else if (known->type == CSQ_INTEGER) {
        MUST(cell->value.integer == known->integer);
    } else if (known->type == CSQ_FLOAT) {
        MUST(memcmp(&cell->value.real, &known->real, sizeof known->real) == 0);
    } else if (known->type == CSQ_TEXT || known->type == CSQ_BLOB) {
        MUST(same_bytes(cell, known));
    } else if (known->type == CSQ_ARRAY) {
        MUST(cell->value.array == known->array);
    }
}

/* What csq_strip.bytes has to say: the chunks, and the blocks of their own. */
static size_t
count_bytes(const struct csq_strip *strip)
{
    size_t bytes = 0;

    for (const struct csq_chunk *chunk = strip->first; chunk != NULL; chunk = chunk->next) {
        bytes += sizeof *chunk + chunk->capacity;
        MUST((char *)chunk->end <= chunk->floor);
        for (const struct csq_cell *cell = chunk->cells; cell != chunk->end; cell++) {
            bytes += cell->owned && cell->type != CSQ_ARRAY ? cell->size : 0;
        }
    }
    return bytes;
}

static bool
put_bytes(struct csq_strip *strip, struct known *known, struct fuzz_input *input)
{
    known->from = fuzz_byte(input);
    known->size = (uint32_t)fuzz_number(input, fuzz_byte(input) % 3);
    if (known->size == 0x1234) {
        known->size = MAX_BYTES;
    }
    return known->type == CSQ_TEXT ? csq_strip_put_text(strip, pattern(known->from), known->size)
                                   : csq_strip_put_blob(strip, pattern(known->from), known->size);
}

static bool
put_array(struct csq_strip *strip, struct known *known)
{
    bool put;

    known->array = csq_array_new(CSQ_ARRAY_INT64, 2, 8);
    if (known->array == NULL) {
        return false;
    }
    put = csq_strip_put_array(strip, known->array);
    csq_array_put(known->array);
    return put;
}

/* Puts a cell of `type` in both; one that is not put must not be there. */
static void
put(struct model *model, enum csq_type type, bool head, struct fuzz_input *input)
{
    struct csq_strip *strip = &model->strip;
    struct known *known = &model->cells[model->count];
    bool done;

    if (model->count == MAX_CELLS) {
        return;
    }
    memset(known, 0, sizeof *known);
    known->type = (uint8_t)type;
    if (head) {
        known->head = csq_strip_put_head(strip);
        done = known->head != NULL;
    } else if (type == CSQ_NULL) {
        done = csq_strip_put_null(strip);
    } else if (type == CSQ_INTEGER) {
        known->integer = (int64_t)fuzz_number(input, 8);
        done = csq_strip_put_integer(strip, known->integer);
    } else if (type == CSQ_FLOAT) {
        uint64_t bits = fuzz_number(input, 8);

        memcpy(&known->real, &bits, sizeof bits);
        done = csq_strip_put_float(strip, known->real);
    } else if (type == CSQ_TEXT || type == CSQ_BLOB) {
        done = put_bytes(strip, known, input);
    } else if (type == CSQ_ARRAY) {
        done = put_array(strip, known);
    } else {
        done = csq_strip_put_mark(strip, type);
    }
    if (done) {
        model->count++;
    }
}

/* Sets one of the heads that have not been read. */
static void
set_head(struct model *model, struct fuzz_input *input)
{
    size_t unread = model->count - model->read;
    struct known *known;

    if (unread == 0) {
        return;
    }
    known = &model->cells[model->read + fuzz_number(input, 2) % unread];
    if (known->head != NULL) {
        known->integer = (int64_t)(fuzz_number(input, 2));
        known->named = fuzz_byte(input) & 1;
        csq_head_set(known->head, (int)known->integer, known->named);
    }
}

static void
read_cells(struct model *model, size_t wanted)
{
    for (; wanted > 0; wanted--) {
        struct csq_cell *cell = csq_strip_read(&model->strip, &model->reader);

        if (model->read == model->count) {
            MUST(cell == NULL);
            return;
        }
        compare(cell, &model->cells[model->read++]);
    }
}

static void
clear(struct model *model)
{
    csq_strip_clear(&model->strip);
    memset(&model->reader, 0, sizeof model->reader);
    model->count = model->read = model->rows = 0;
}

/* Moves what nobody has begun to read, as those do who hand a strip over. */
static void
move(struct model *to, struct model *from)
{
    if (from->read > 0) {
        clear(from);
    }
    if (to->count + from->count > MAX_CELLS) {
        return;
    }
    memcpy(to->cells + to->count, from->cells, from->count * sizeof *from->cells);
    to->count += from->count;
    to->rows += from->rows;
    from->count = from->rows = 0;
    csq_strip_move(&to->strip, &from->strip);
    memset(&from->reader, 0, sizeof from->reader);
}

static void
step(struct model *models, struct fuzz_input *input)
{
    uint8_t code = fuzz_byte(input);
    struct model *model = &models[code >> 7];

    switch (code & 15) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
        put(model, code & 7, false, input);
        break;
    case 8:
        put(model, CSQ_INTEGER, true, input);
        break;
    case 9:
        set_head(model, input);
        break;
    case 10:
        read_cells(model, fuzz_byte(input));
        break;
    case 11:
        csq_strip_trim(&model->strip, &model->reader);
        break;
    case 12:
        move(model, &models[1 - (code >> 7)]);
        break;
    case 13:
        csq_alloc_fail_at(fuzz_byte(input) % 4);
        break;
    case 14:
        if (model->strip.first != NULL) { /* no row is without a cell */
            model->strip.rows++;
            model->rows++;
        }
        break;
    default:
        if (fuzz_byte(input) % 4 == 0) {
            clear(model);
        } else {
            for (int i = fuzz_byte(input); i > 0; i--) {
                put(model, CSQ_BLOB, false, &(struct fuzz_input){input->next, input->end});
            }
        }
    }
    MUST(model->strip.rows == model->rows);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct model models[2];
    struct fuzz_input input = {data, data + size};
    long live = csq_alloc_live();

    for (int i = 0; i < 2; i++) {
        csq_strip_init(&models[i].strip);
        clear(&models[i]);
    }
    for (int steps = 0; input.next < input.end && steps < MAX_STEPS; steps++) {
        step(models, &input);
    }
    csq_alloc_fail_at(0);
    for (int i = 0; i < 2; i++) {
        MUST(models[i].strip.bytes == count_bytes(&models[i].strip));
        read_cells(&models[i], MAX_CELLS + 1);
        csq_strip_trim(&models[i].strip, &models[i].reader);
        MUST(models[i].strip.bytes == count_bytes(&models[i].strip));
        clear(&models[i]);
    }
    MUST(csq_alloc_live() == live);
    return 0;
}

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("\x00\x01\x00\x00\x00\x00\x00\x00\x00\x2a\x02\x40\x09\x21\xfb\x54\x44\x2d\x18"),
    FUZZ_SEED("\x03\x00\x01\x20\x04\xff\x02\x03\x00\x0a\x01\x0b\x0a\x05"),
    FUZZ_SEED("\x08\x01\x00\x00\x00\x00\x00\x00\x00\x07\x09\x00\x00\x00\x02\x01\x0a\xff"),
    FUZZ_SEED("\x03\x05\x02\x12\x34\x04\x05\x02\x40\x00\x05\x06\x07\x0e\x0a\x03\x0b"),
    FUZZ_SEED("\x83\x01\x01\x40\x85\x8e\x0c\x0a\x02\x0b\x8c\x8a\x09\x8b\x0f\x00"),
    FUZZ_SEED("\x0d\x01\x03\x00\x02\x20\x00\x0d\x02\x05\x0d\x03\x04\x00\x02\x50\x00\x00\x0a\x10"),
    FUZZ_SEED("\x0f\x01\xff\x10\x01\x30\x0a\x80\x0b\x0f\x01\xff\x20\x02\x3f\xf0\x0a\xff\x0b"),
};
const size_t fuzz_seed_count = sizeof fuzz_seeds / sizeof *fuzz_seeds;
const int fuzz_dose = 20000;
