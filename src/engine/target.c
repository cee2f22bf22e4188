/* A word or a name at a time. SQLite's grammar has the table behind INTO, FROM or UPDATE, and
 * nothing but "OR word" before it. */

#include "engine/target.h"

#include <sqlite3.h>
#include <string.h>

#include "engine/scan.h"

struct words {
    const char *sql; /* where to go on; NULL: at the end */
    char word[CSQ_NAME];
    bool fits; /* all of it stands in `word` */
};

static bool
is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static void
put(struct words *words, size_t *size, char c)
{
    if (*size + 1 < sizeof words->word) {
        words->word[(*size)++] = c;
    } else {
        words->fits = false;
    }
}

/* Takes a name in quotes, which stand for themselves where they are doubled. */
static void
next_quoted(struct words *words, size_t *size)
{
    const char quote = *words->sql == '[' ? ']' : *words->sql;

    words->sql++;
    while (*words->sql != '\0' && (*words->sql != quote || words->sql[1] == quote)) {
        words->sql += *words->sql == quote ? 1 : 0;
        put(words, size, *words->sql++);
    }
    words->sql += *words->sql == quote ? 1 : 0;
}

/* Takes the next word, name or sign. False: there is none, or it is too long. */
static bool
next(struct words *words)
{
    size_t size = 0;

    words->fits = true;
    words->sql = words->sql == NULL ? NULL : csq_scan_start(words->sql);
    if (words->sql == NULL) {
        return false;
    }
    if (strchr("\"'`[", *words->sql) != NULL) {
        next_quoted(words, &size);
    } else if (is_letter(*words->sql)) {
        while (is_letter(*words->sql)) {
            put(words, &size, *words->sql++);
        }
    } else {
        put(words, &size, *words->sql++);
    }
    words->word[size] = '\0';
    return words->fits;
}

static bool
is(const struct words *words, const char *word)
{
    return sqlite3_stricmp(words->word, word) == 0;
}

/* Takes what stands before the name of the table: `word`, or nothing, behind "OR word". */
static bool
skip_to_name(struct words *words, const char *word)
{
    if (is(words, "or") && !(next(words) && next(words))) {
        return false;
    }
    return word == NULL || (is(words, word) && next(words));
}

/* The name that was just taken may be the schema's. */
static bool
take_names(struct words *words, struct csq_target *target)
{
    struct words behind = *words;

    memcpy(target->table, words->word, sizeof target->table);
    if (next(&behind) && strcmp(behind.word, ".") == 0) {
        memcpy(target->schema, target->table, sizeof target->schema);
        if (!next(&behind)) {
            return false;
        }
        memcpy(target->table, behind.word, sizeof target->table);
    }
    return true;
}

bool
csq_target_of(const char *sql, struct csq_target *target)
{
    struct words words = {.sql = sql};
    bool update;

    memset(target, 0, sizeof *target);
    if (!next(&words)) {
        return false;
    }
    if (is(&words, "create")) {
        target->temporary = next(&words) && (is(&words, "temp") || is(&words, "temporary"));
        return target->temporary;
    }
    update = is(&words, "update");
    if (!update && !is(&words, "insert") && !is(&words, "replace") && !is(&words, "delete")) {
        return false;
    }
    if (is(&words, "delete")) {
        return next(&words) && skip_to_name(&words, "from") && take_names(&words, target);
    }
    return next(&words) && skip_to_name(&words, update ? NULL : "into") &&
           take_names(&words, target);
}
