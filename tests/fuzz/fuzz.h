/* What a fuzz target has: one function that takes bytes, and the texts to begin with.
 *
 * A target is linked with libFuzzer, which finds its own way from the seeds, or with
 * drive.c, which changes them at random: see the top of that file. What must hold is
 * said with MUST(); where it does not hold the program ends by abort(). */

#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The name that libFuzzer gives it. Called with any bytes, again and again, on one
 * thread; `data` is exactly `size` bytes long. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Called by libFuzzer before the first input. Writes the seeds into the directory that
 * FUZZ_SEEDS names, if it does: it reads no others but files. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Each target's own: what to begin with, and pieces to put in. `count` of them. */
struct fuzz_seed {
    const char *bytes;
    size_t size;
};
#define FUZZ_SEED(text) {text, sizeof(text) - 1}

extern const struct fuzz_seed fuzz_seeds[];
extern const size_t fuzz_seed_count;

/* How many inputs drive.c runs in `make test`. */
extern const int fuzz_dose;

#define MUST(condition) fuzz_must((condition), #condition, __FILE__, __LINE__)

void fuzz_must(bool held, const char *condition, const char *file, int line);

/* Bytes as a program: what is read one after the other, zeros at the end. */
struct fuzz_input {
    const uint8_t *next;
    const uint8_t *end;
};

uint8_t fuzz_byte(struct fuzz_input *input);
uint64_t fuzz_number(struct fuzz_input *input, int bytes);

/* The rest up to the first 0 byte, which is skipped, as a text of its own (free). */
char *fuzz_text(struct fuzz_input *input);

#endif
