/* Ends by abort(), which libFuzzer and drive.c both notice, and keep the input. */

#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
fuzz_must(bool held, const char *condition, const char *file, int line)
{
    if (!held) {
        fprintf(stderr, "FAIL %s (%s:%d)\n", condition, file, line);
        abort();
    }
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *directory = getenv("FUZZ_SEEDS");

    for (size_t i = 0; directory != NULL && i < fuzz_seed_count; i++) {
        char path[4096];
        FILE *file;

        snprintf(path, sizeof path, "%s/seed-%zu", directory, i);
        file = fopen(path, "wb");
        if (file == NULL ||
            fwrite(fuzz_seeds[i].bytes, 1, fuzz_seeds[i].size, file) != fuzz_seeds[i].size ||
            fclose(file) != 0) {
            perror(path);
            exit(1);
        }
    }
    return 0;
}

uint8_t
fuzz_byte(struct fuzz_input *input)
{
    return input->next < input->end ? *input->next++ : 0;
}

uint64_t
fuzz_number(struct fuzz_input *input, int bytes)
{
    uint64_t number = 0;

    for (int i = 0; i < bytes; i++) {
        number = number << 8 | fuzz_byte(input);
    }
    return number;
}

char *
fuzz_text(struct fuzz_input *input)
{
    size_t left = (size_t)(input->end - input->next);
    const uint8_t *stop = left == 0 ? NULL : memchr(input->next, 0, left);
    size_t size = stop == NULL ? left : (size_t)(stop - input->next);
    char *text = malloc(size + 1);

    if (text == NULL) {
        abort();
    }
    if (size > 0) {
        memcpy(text, input->next, size);
    }
    text[size] = '\0';
    input->next += stop == NULL ? size : size + 1;
    return text;
}
