/* A tiny test harness: a table of named functions, checks that count, one closing
 * line.
 *
 * CHECK() may be used on any thread. It never ends a test: a test goes on as far as
 * it can, and what it cannot do without, it asks for with `if (!CHECK(...)) return;`. */

#ifndef HARNESS_H
#define HARNESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct harness_test {
    const char *name;
    void (*run)(void);
};

/* Counts one check and says where it failed. Gives whether it held. */
#define CHECK(condition) harness_check((condition), #condition, __FILE__, __LINE__)

bool harness_check(bool held, const char *condition, const char *file, int line);

/* Gives how many checks have failed so far, to tell under what. */
long harness_failures(void);

/* Runs the table's tests, or those that the command line names, and prints
 * "N passed, M failed". Gives the exit status. A test that hangs is ended by
 * SIGALRM, so that a deadlock is a failure like any other. */
int harness_main(int argc, char **argv, const struct harness_test *tests, size_t count);

/* Lends the path of a file `name` that does not exist yet, in a directory that
 * goes when the program ends. Valid until the next call on the same thread. */
const char *harness_path(const char *name);

/* A place where one thread waits until another has come as far as this. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool reached; /* somebody stands before it */
    bool open;    /* whoever comes may pass */
};

void gate_init(struct gate *gate);
void gate_destroy(struct gate *gate);

/* Notes that somebody has come, and goes on. */
void gate_reach(struct gate *gate);

/* Stands before the gate until it is open. */
void gate_pass(struct gate *gate);

/* Waits until somebody stands before it. */
void gate_await(struct gate *gate);

/* Lets pass who stands there and who comes later. */
void gate_open(struct gate *gate);

/* Gives how much of a long test runs: `brief` in `make test`, `full` in
 * `make test-full`. */
int harness_dose(int brief, int full);

/* A generator with a seed that a test fixes: what fails once fails again. */
unsigned harness_random(unsigned *state, unsigned below);

#endif
