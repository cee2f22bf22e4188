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
    char sign; /* it is no word and no name, but this; 0: it is */
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
    words->sign = '\0';
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
        words->sign = *words->sql;
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

/* Skips words that may stand there, as "IF NOT EXISTS"; the next one is taken. */
static bool
skip_all(struct words *words, const char *const *some, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is(words, some[i]) && !next(words)) {
            return false;
        }
    }
    return true;
}

/* Behind CREATE, DROP or ALTER. */
static bool
take_shaped(struct words *words, struct csq_target *target)
{
    static const char *const kinds[] = {"unique",  "virtual", "table", "index", "view",
                                        "trigger", "if",      "not",   "exists"};

    if (!next(words)) {
        return false;
    }
    target->temporary = is(words, "temp") || is(words, "temporary");
    return target->temporary ||
           (skip_all(words, kinds, sizeof kinds / sizeof *kinds) && take_names(words, target));
}

/* What is created without a schema is in the main one. */
static bool
take_created(struct words *words, struct csq_target *target)
{
    if (!take_shaped(words, target)) {
        return false;
    }
    if (!target->temporary && target->schema[0] == '\0') {
        memcpy(target->schema, "main", sizeof "main");
    }
    return true;
}

/* Behind PRAGMA: a schema, or the main one. */
static bool
take_pragma(struct words *words, struct csq_target *target)
{
    if (!next(words) || !take_names(words, target)) {
        return false;
    }
    if (target->schema[0] == '\0') {
        memcpy(target->schema, "main", sizeof "main");
    }
    return true;
}

/* Behind VACUUM: a schema's name alone, or the main one. */
static bool
take_vacuumed(struct words *words, struct csq_target *target)
{
    if (next(words) && !is(words, ";") && !is(words, "into")) {
        memcpy(target->schema, words->word, sizeof target->schema);
    } else {
        memcpy(target->schema, "main", sizeof "main");
    }
    return words->fits;
}

/* Behind WITH: what is written stands behind the queries, which stand in brackets. */
static bool
skip_queries(struct words *words)
{
    int depth = 0;

    while (next(words)) {
        depth += words->sign == '(' ? 1 : words->sign == ')' ? -1 : 0;
        if (depth == 0 && (is(words, "insert") || is(words, "replace") || is(words, "update") ||
                           is(words, "delete"))) {
            return true;
        }
    }
    return false;
}

/* From INSERT, REPLACE, UPDATE or DELETE on. */
static bool
take_changed(struct words *words, struct csq_target *target)
{
    const bool update = is(words, "update");

    if (is(words, "delete")) {
        return next(words) && skip_to_name(words, "from") && take_names(words, target);
    }
    return next(words) && skip_to_name(words, update ? NULL : "into") &&
           take_names(words, target);
}

bool
csq_target_of(const char *sql, struct csq_target *target)
{
    static const struct {
        const char *word;
        bool (*take)(struct words *words, struct csq_target *target);
    } kinds[] = {
        {"insert", take_changed}, {"replace", take_changed}, {"update", take_changed},
        {"delete", take_changed}, {"create", take_created},  {"drop", take_shaped},
        {"alter", take_shaped},   {"pragma", take_pragma},   {"vacuum", take_vacuumed},
    };
    struct words words = {.sql = sql};

    memset(target, 0, sizeof *target);
    if (!next(&words) || (is(&words, "with") && !skip_queries(&words))) {
        return false;
    }
    if ((is(&words, "reindex") || is(&words, "analyze")) && next(&words)) {
        return take_names(&words, target) && target->schema[0] != '\0';
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (is(&words, kinds[i].word)) {
            return kinds[i].take(&words, target);
        }
    }
    return false;
}
