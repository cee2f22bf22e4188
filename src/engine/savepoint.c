/* SAVEPOINT name, RELEASE [SAVEPOINT] name, ROLLBACK [TRANSACTION [name]] TO [SAVEPOINT] name. */

#include "engine/savepoint.h"

#include <sqlite3.h>
#include <stddef.h>
#include <string.h>

#include "engine/scan.h"

struct word {
    const char *behind; /* where to go on; NULL: at the end */
    char text[CSQ_SAVEPOINT_NAME];
    bool quoted;
    bool fits;
};

static bool
is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static void
put(struct word *word, size_t *size, char c)
{
    if (*size + 1 < sizeof word->text) {
        word->text[(*size)++] = c;
    } else {
        word->fits = false;
    }
}

/* Gives where a name in quotes ends; they stand for themselves where they are doubled. */
static const char *
read_quoted(struct word *word, const char *sql, size_t *size)
{
    const char quote = *sql == '[' ? ']' : *sql;

    for (sql++; *sql != '\0' && (*sql != quote || sql[1] == quote); sql++) {
        sql += *sql == quote ? 1 : 0;
        put(word, size, *sql);
    }
    return *sql == '\0' ? sql : sql + 1;
}

/* Takes the next word or name. False: there is none. */
static bool
next(struct word *word)
{
    const char *sql = word->behind == NULL ? NULL : csq_scan_start(word->behind);
    size_t size = 0;

    word->fits = true;
    word->quoted = false;
    word->behind = NULL;
    if (sql == NULL) {
        return false;
    }
    if (strchr("\"'`[", *sql) != NULL) {
        word->quoted = true;
        sql = read_quoted(word, sql, &size);
    } else {
        for (; is_letter(*sql); sql++) {
            put(word, &size, *sql);
        }
    }
    word->text[size] = '\0';
    word->behind = sql;
    return size > 0 || word->quoted;
}

static bool
is(const struct word *word, const char *text)
{
    return !word->quoted && sqlite3_stricmp(word->text, text) == 0;
}

/* Goes on to what stands behind TO, if there is one. */
static bool
find_to(struct word *word)
{
    for (int i = 0; i < 3 && next(word); i++) {
        if (is(word, "to")) {
            return true;
        }
    }
    return false;
}

bool
csq_savepoint_read(const char *sql, struct csq_savepoint *savepoint)
{
    struct word word = {.behind = sql};

    if (!next(&word)) {
        return false;
    }
    if (is(&word, "savepoint")) {
        savepoint->action = CSQ_SAVEPOINT_SET;
    } else if (is(&word, "release")) {
        savepoint->action = CSQ_SAVEPOINT_RELEASE;
    } else if (is(&word, "rollback") && find_to(&word)) {
        savepoint->action = CSQ_SAVEPOINT_BACK;
    } else {
        return false;
    }
    if (!next(&word) || (is(&word, "savepoint") && !next(&word))) {
        return false;
    }
    savepoint->fits = word.fits;
    memcpy(savepoint->name, word.text, sizeof savepoint->name);
    return true;
}
