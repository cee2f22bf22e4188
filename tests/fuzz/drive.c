/* Runs a target without libFuzzer:
 *
 *     fuzz_scan                      every seed, then a dose of inputs made at random
 *     fuzz_scan --seconds 60 [SEED]  as many as fit
 *     fuzz_scan FILE...              those inputs alone
 *
 * An input is a seed, or one of the latest inputs, changed at a few places. The
 * generator's seed is fixed, so what fails once fails again; the input that ends the
 * program is printed as it does. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/harness.h"
#include "fuzz/fuzz.h"

enum { LATEST = 64, MAX_INPUT = 4096, FULL = 200 };

struct input {
    size_t size;
    uint8_t bytes[MAX_INPUT];
};

static struct input latest[LATEST];
static struct input current;
static long number;

/* In a signal handler: write() alone. */
static void
print_input(int signal_number)
{
    static const char digits[] = "0123456789abcdef";
    char line[2 * MAX_INPUT + 2];
    size_t length = 0;
    ssize_t ignored;

    for (size_t i = 0; i < current.size; i++) {
        line[length++] = digits[current.bytes[i] >> 4];
        line[length++] = digits[current.bytes[i] & 15];
    }
    line[length++] = '\n';
    ignored = write(2, "the input was, in hexadecimal: ", 31);
    ignored = write(2, line, length);
    (void)ignored;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* A copy of exactly this size, so that a sanitizer sees every step too far. */
static void
run(const struct input *input)
{
    uint8_t *copy = malloc(input->size > 0 ? input->size : 1);

    if (copy == NULL) {
        abort();
    }
    memcpy(copy, input->bytes, input->size);
    LLVMFuzzerTestOneInput(copy, input->size);
    free(copy);
    number++;
}

static void
take(struct input *input, const void *bytes, size_t size)
{
    input->size = size < MAX_INPUT ? size : MAX_INPUT;
    memcpy(input->bytes, bytes, input->size);
}

/* Puts `size` bytes in at `at`, as far as there is room. */
static void
put_in(struct input *input, size_t at, const void *bytes, size_t size)
{
    uint8_t piece[MAX_INPUT]; /* `bytes` may be a part of the input */

    if (size > MAX_INPUT - input->size) {
        size = MAX_INPUT - input->size;
    }
    memcpy(piece, bytes, size);
    memmove(input->bytes + at + size, input->bytes + at, input->size - at);
    memcpy(input->bytes + at, piece, size);
    input->size += size;
}

static void
change(struct input *input, unsigned *state)
{
    static const char often[] = "\0\x01\x7f\x80\xff;'\"`[]():@$#?-/*\n \xef\xbb\xbf";
    size_t at = harness_random(state, (unsigned)input->size + 1);
    size_t left = input->size - at;
    size_t span = left == 0 ? 0 : 1 + harness_random(state, left < 32 ? (unsigned)left : 32);
    const struct fuzz_seed *seed = &fuzz_seeds[harness_random(state, (unsigned)fuzz_seed_count)];
    size_t from = harness_random(state, (unsigned)seed->size + 1);
    uint8_t byte = (uint8_t)harness_random(state, 256);

    switch (harness_random(state, 7)) {
    case 0:
        if (left > 0) {
            input->bytes[at] ^= (uint8_t)(1u << harness_random(state, 8));
        }
        break;
    case 1:
        if (left > 0) {
            input->bytes[at] = byte;
        }
        break;
    case 2:
        put_in(input, at, &byte, 1);
        break;
    case 3:
        put_in(input, at, &often[harness_random(state, sizeof often - 1)], 1);
        break;
    case 4:
        memmove(input->bytes + at, input->bytes + at + span, left - span);
        input->size -= span;
        break;
    case 5:
        put_in(input, harness_random(state, (unsigned)input->size + 1), input->bytes + at, span);
        break;
    default:
        put_in(input, at, seed->bytes + from,
               harness_random(state, (unsigned)(seed->size - from) + 1));
    }
}

/* Makes the next input of seeds, the latest inputs and chance. */
static void
next_input(unsigned *state)
{
    unsigned chosen = harness_random(state, 2 * (unsigned)fuzz_seed_count + LATEST);

    if (chosen < LATEST) {
        current = latest[chosen];
    } else {
        const struct fuzz_seed *seed = &fuzz_seeds[(chosen - LATEST) / 2];

        take(&current, seed->bytes, seed->size);
    }
    for (unsigned more = 1 + harness_random(state, 6); more > 0; more--) {
        change(&current, state);
    }
    if (current.size < 512) { /* they would grow for ever */
        latest[harness_random(state, LATEST)] = current;
    }
}

static int
run_files(int count, char **paths)
{
    for (int i = 0; i < count; i++) {
        FILE *file = fopen(paths[i], "rb");

        if (file == NULL) {
            perror(paths[i]);
            return 1;
        }
        current.size = fread(current.bytes, 1, MAX_INPUT, file);
        fclose(file);
        run(&current);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    unsigned state = argc > 3 ? (unsigned)atoi(argv[3]) : 20240229;
    long inputs = harness_dose(fuzz_dose, FULL * fuzz_dose);
    time_t end = 0;

    signal(SIGABRT, print_input);
    signal(SIGSEGV, print_input);
    if (argc > 2 && strcmp(argv[1], "--seconds") == 0) {
        end = time(NULL) + atoi(argv[2]);
    } else if (argc > 1) {
        return run_files(argc - 1, argv + 1);
    }
    for (size_t i = 0; i < fuzz_seed_count; i++) {
        take(&current, fuzz_seeds[i].bytes, fuzz_seeds[i].size);
        latest[i % LATEST] = current;
        run(&current);
    }
    while (end > 0 ? time(NULL) < end : number < inputs) {
        next_input(&state);
        run(&current);
    }
    printf("%ld passed, 0 failed\n", number);
    return 0;
}
