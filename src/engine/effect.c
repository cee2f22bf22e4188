/* Words are compared as SQLite compares keywords. A quoted name is not read: what has one
 * where a word is looked for is not known. */

#include "engine/effect.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>

#include "engine/scan.h"

struct word {
    const char *start;
    int size; /* 0: there is none */
};

static bool
is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Behind blanks, comments and byte order marks; to the 0 where nothing else is left. */
static const char *
skip_space(const char *sql)
{
    for (;;) {
        const char *start = csq_scan_start(sql);

        if (start == NULL) {
            return sql + strlen(sql);
        }
        if (strncmp(start, "\xef\xbb\xbf", 3) != 0) {
            return start;
        }
        sql = start + 3;
    }
}

/* Reads the word at *sql, and moves *sql behind it and the blanks that follow. */
static struct word
read_word(const char **sql)
{
    struct word word = {*sql, 0};

    while (is_letter(word.start[word.size])) {
        word.size++;
    }
    *sql = skip_space(*sql + word.size);
    return word;
}

static bool
is_one_of(struct word word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if ((size_t)word.size == strlen(words[i]) &&
            sqlite3_strnicmp(word.start, words[i], word.size) == 0) {
            return true;
        }
    }
    return false;
}

#define IS_ONE_OF(word, words) is_one_of(word, words, sizeof(words) / sizeof *(words))

static bool
is_word(struct word word, const char *text)
{
    return is_one_of(word, &text, 1);
}

/* The first statement's first word; behind it is *sql. */
static struct word
read_verb(const char **sql)
{
    *sql = skip_space(*sql);
    while (**sql == ';') {
        *sql = skip_space(*sql + 1);
    }
    return read_word(sql);
}

/* Of a PRAGMA, from its name on. Without a value most only tell; with one, few. */
static enum csq_effect
effect_of_pragma(const char *sql)
{
    static const char *const acting[] = {"incremental_vacuum", "optimize", "shrink_memory"};
    static const char *const telling[] = {
        "foreign_key_check", "foreign_key_list", "index_info", "index_list", "index_xinfo",
        "integrity_check",   "quick_check",      "table_info", "table_list", "table_xinfo"};
    struct word name = read_word(&sql);

    if (*sql == '.') {
        sql = skip_space(sql + 1);
        name = read_word(&sql);
    }
    if (name.size == 0) {
        return CSQ_SHAPES;
    }
    if (is_word(name, "wal_checkpoint")) {
        return CSQ_TRANSACTS;
    }
    if (*sql == '\0' || *sql == ';') {
        return IS_ONE_OF(name, acting) ? CSQ_SHAPES : CSQ_READS;
    }
    return IS_ONE_OF(name, telling) ? CSQ_READS : CSQ_SHAPES;
}

enum csq_effect
csq_effect_of(const char *sql)
{
    static const char *const reading[] = {"select", "values", "with"};
    static const char *const changing[] = {"insert", "update", "delete", "replace"};
    static const char *const transacting[] = {"begin", "commit", "end", "savepoint", "release"};
    struct word verb = read_verb(&sql);
    bool explained = is_word(verb, "explain");

    if (explained) {
        verb = read_word(&sql);
        if (is_word(verb, "query")) {
            read_word(&sql); /* PLAN */
            verb = read_word(&sql);
        }
    }
    if (is_word(verb, "pragma")) {
        return effect_of_pragma(sql);
    }
    if (explained || IS_ONE_OF(verb, reading) || (verb.size == 0 && *sql == '\0')) {
        return CSQ_READS;
    }
    if (IS_ONE_OF(verb, changing)) {
        return CSQ_CHANGES;
    }
    return IS_ONE_OF(verb, transacting) ? CSQ_TRANSACTS : CSQ_SHAPES;
}

enum csq_effect
csq_effect_within(const char *sql)
{
    static const char *const copying[] = {"vacuum", "reindex"};
    struct word verb = read_verb(&sql);

    if (IS_ONE_OF(verb, copying)) {
        return CSQ_READS;
    }
    if (is_word(verb, "create")) {
        verb = read_word(&sql);
        if (is_word(verb, "unique") || is_word(verb, "index")) {
            return CSQ_READS;
        }
    }
    return CSQ_TRANSACTS;
}
