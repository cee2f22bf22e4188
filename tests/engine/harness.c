/* The counters are atomic, because checks are made on workers, too. */

#include "engine/harness.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECONDS_A_TEST = 120, SECONDS_A_FULL_TEST = 3600 };

static atomic_long passed;
static atomic_long failed;
static const char *running;
static char directory[512];

bool
harness_check(bool held, const char *condition, const char *file, int line)
{
    if (held) {
        atomic_fetch_add(&passed, 1);
    } else {
        atomic_fetch_add(&failed, 1);
        fprintf(stderr, "FAIL %s: %s (%s:%d)\n", running, condition, file, line);
    }
    return held;
}

long
harness_failures(void)
{
    return atomic_load(&failed);
}

const char *
harness_path(const char *name)
{
    static _Thread_local char path[sizeof directory + 300];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void
empty_directory(void)
{
    DIR *entries = opendir(directory);
    const struct dirent *entry;

    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        if (entry->d_name[0] != '.') {
            unlink(harness_path(entry->d_name));
        }
    }
    if (entries != NULL) {
        closedir(entries);
    }
}

static bool
is_chosen(int argc, char **argv, const char *name)
{
    bool chosen = argc < 2;

    for (int i = 1; i < argc; i++) {
        chosen = chosen || strcmp(argv[i], name) == 0;
    }
    return chosen;
}

int
harness_main(int argc, char **argv, const struct harness_test *tests, size_t count)
{
    const char *temporary = getenv("TMPDIR");

    snprintf(directory, sizeof directory, "%s/csq_XXXXXX", temporary ? temporary : "/tmp");
    if (mkdtemp(directory) == NULL) {
        perror("mkdtemp");
        return 2;
    }
    for (size_t i = 0; i < count; i++) {
        if (is_chosen(argc, argv, tests[i].name)) {
            running = tests[i].name;
            alarm(harness_dose(SECONDS_A_TEST, SECONDS_A_FULL_TEST));
            tests[i].run();
            alarm(0);
            empty_directory();
        }
    }
    rmdir(directory);
    printf("%ld passed, %ld failed\n", atomic_load(&passed), atomic_load(&failed));
    return atomic_load(&failed) > 0;
}

void
gate_init(struct gate *gate)
{
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->changed, NULL);
    gate->reached = false;
    gate->open = false;
}

void
gate_destroy(struct gate *gate)
{
    pthread_mutex_destroy(&gate->lock);
    pthread_cond_destroy(&gate->changed);
}

void
gate_reach(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->reached = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

void
gate_pass(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->reached = true;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->open) {
        pthread_cond_wait(&gate->changed, &gate->lock);
    }
    pthread_mutex_unlock(&gate->lock);
}

void
gate_await(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    while (!gate->reached) {
        pthread_cond_wait(&gate->changed, &gate->lock);
    }
    pthread_mutex_unlock(&gate->lock);
}

void
gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

int
harness_dose(int brief, int full)
{
    const char *wanted = getenv("CSQLITE_TEST_FULL");

    return wanted != NULL && strcmp(wanted, "1") == 0 ? full : brief;
}

unsigned
harness_random(unsigned *state, unsigned below)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % below;
}
