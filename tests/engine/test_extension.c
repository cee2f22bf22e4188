/* engine/extension: what is allowed, and that every failure leaves nothing behind. That
 * a library is loaded at all is shown in tests/test_extensions.py. */

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/alloc.h"
#include "engine/extension.h"
#include "engine/harness.h"

/* Keeps harness_path()'s answer. */
static void
path_of(char path[1024], const char *name)
{
    snprintf(path, 1024, "%s", harness_path(name));
}

static void
write_file(const char *path)
{
    FILE *file = fopen(path, "w");

    if (CHECK(file != NULL)) {
        fputs("this is no library\n", file);
        fclose(file);
    }
}

static sqlite3 *
open_memory(void)
{
    sqlite3 *handle = NULL;

    CHECK(sqlite3_open(":memory:", &handle) == SQLITE_OK);
    return handle;
}

/* Whether `path` gets past a list that holds `allowed` alone. A file that is no
 * library is then refused by dlopen(), with another message. */
static bool
passes(const char *allowed, const char *path)
{
    sqlite3 *handle = open_memory();
    struct csq_allowed *list;
    struct csq_error error;
    bool refused = false;

    csq_error_init(&error);
    list = csq_allowed_new(allowed, strlen(allowed) + 1, &error);
    if (CHECK(list != NULL)) {
        CHECK(csq_extension_enable(handle, true, false, &error) == SQLITE_OK);
        CHECK(csq_extension_load(handle, list, path, NULL, &error) == SQLITE_ERROR);
        CHECK(error.message != NULL);
        refused = error.message != NULL && strcmp(error.message, "not authorized") == 0;
    }
    csq_allowed_free(list);
    csq_error_clear(&error);
    sqlite3_close(handle);
    return list != NULL && !refused;
}

static void
test_what_is_on_the_list_is_allowed(void)
{
    char directory[1024];
    char file[1100];
    char other[1024];
    char link[1024];

    path_of(directory, "allowed");
    path_of(other, "allowed-not");
    path_of(link, "link.so");
    CHECK(mkdir(directory, 0700) == 0);
    snprintf(file, sizeof file, "%s/inside.so", directory);
    write_file(file);
    write_file(other);
    CHECK(symlink(other, link) == 0);

    CHECK(passes(file, file));
    CHECK(passes(directory, file));
    CHECK(passes("/", file));
    CHECK(passes(other, link));
    CHECK(!passes(file, other));
    CHECK(!passes(directory, other)); /* whose name begins alike */
    CHECK(!passes(directory, link));
    CHECK(!passes(directory, "/nowhere/at-all"));
    CHECK(!passes(directory, ""));
    snprintf(file, sizeof file, "%s/../allowed-not", directory);
    CHECK(!passes(directory, file));
    snprintf(file, sizeof file, "%s/inside", directory);
    CHECK(passes(directory, file)); /* the suffix is found */
    snprintf(file, sizeof file, "%s/missing", directory);
    CHECK(passes(directory, file)); /* it is allowed, but not there */
}

static void
test_nothing_is_loaded_before_it_is_enabled(void)
{
    sqlite3 *handle = open_memory();
    struct csq_error error;

    csq_error_init(&error);
    CHECK(csq_extension_load(handle, NULL, "/nowhere", NULL, &error) == SQLITE_ERROR);
    CHECK(error.message != NULL && strcmp(error.message, "not authorized") == 0);
    CHECK(csq_extension_enable(handle, true, true, &error) == SQLITE_OK);
    CHECK(csq_extension_load(handle, NULL, "/nowhere", NULL, &error) == SQLITE_ERROR);
    CHECK(error.message != NULL && strcmp(error.message, "not authorized") != 0);
    CHECK(csq_extension_enable(handle, false, true, &error) == SQLITE_OK);
    CHECK(csq_extension_load(handle, NULL, "/nowhere", NULL, &error) == SQLITE_ERROR);
    CHECK(error.message != NULL && strcmp(error.message, "not authorized") == 0);
    csq_error_clear(&error);
    sqlite3_close(handle);
}

static void
test_a_path_that_is_not_there_makes_no_list(void)
{
    static const char paths[] = "/\0/nowhere/at-all";
    long before = csq_alloc_live();
    struct csq_error error;

    csq_error_init(&error);
    CHECK(csq_allowed_new(paths, sizeof paths, &error) == NULL);
    CHECK(error.code == SQLITE_ERROR);
    CHECK(error.message != NULL && strstr(error.message, "/nowhere/at-all: ") != NULL);
    csq_error_clear(&error);
    CHECK(csq_alloc_live() == before);
}

static void
test_no_memory(void)
{
    long before = csq_alloc_live();
    char missing[1024];
    bool failed = true;

    path_of(missing, "no-such-library");
    for (long nth = 1; failed; nth++) {
        sqlite3 *handle = open_memory();
        struct csq_allowed *list;
        struct csq_error error;

        csq_error_init(&error);
        CHECK(csq_extension_enable(handle, true, false, &error) == SQLITE_OK);
        csq_alloc_fail_at(nth);
        list = csq_allowed_new("/", 2, &error);
        if (list != NULL) {
            CHECK(csq_extension_load(handle, list, missing, NULL, &error) != SQLITE_OK);
        } else {
            CHECK(error.code == SQLITE_NOMEM);
        }
        failed = csq_alloc_fail_at(0) <= 0;
        csq_allowed_free(list);
        csq_error_clear(&error);
        sqlite3_close(handle);
        CHECK(csq_alloc_live() == before);
    }
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"what_is_on_the_list_is_allowed", test_what_is_on_the_list_is_allowed},
        {"nothing_is_loaded_before_it_is_enabled", test_nothing_is_loaded_before_it_is_enabled},
        {"a_path_that_is_not_there_makes_no_list", test_a_path_that_is_not_there_makes_no_list},
        {"no_memory", test_no_memory},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
