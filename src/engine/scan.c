/* The part of SQLite's tokenizer that tells parameters from everything that
 * only looks like one. A name is letters, digits, "_", "$" and every byte above
 * 0x7f, with "::" anywhere and one "(...)" at the end. sqlite.org/lang_expr.html
 * says so of "$" alone and does not mention the prefix "#"; the tokenizer treats
 * "$", "@", ":" and "#" alike. */

#include "engine/scan.h"

#include <limits.h>
#include <sqlite3.h>
#include <string.h>

static bool
is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* To SQLite a blank, where no name is being read. */
static bool
is_byte_order_mark(const char *sql, const char *end)
{
    return end - sql >= 3 && memcmp(sql, "\xef\xbb\xbf", 3) == 0;
}

static bool
is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r' && c != '\v');
}

/* Behind the closing `quote` of what begins at `sql`; a doubled quote is a
 * quote within, which reads just like two quoted texts side by side. */
static const char *
skip_quoted(const char *sql, const char *end, char quote)
{
    const char *close = memchr(sql + 1, quote, (size_t)(end - sql - 1));

    return close == NULL ? end : close + 1;
}

/* Behind the comment that begins at `sql`, or `sql` itself when none does. */
static const char *
skip_comment(const char *sql, const char *end)
{
    if (end - sql >= 2 && sql[0] == '-' && sql[1] == '-') {
        const char *line = memchr(sql, '\n', (size_t)(end - sql));

        return line == NULL ? end : line + 1;
    }
    if (end - sql >= 2 && sql[0] == '/' && sql[1] == '*') {
        for (sql += 2; end - sql >= 2; sql++) {
            if (sql[0] == '*' && sql[1] == '/') {
                return sql + 2;
            }
        }
        return end;
    }
    return sql;
}

/* Behind the word that begins at `sql`. */
static const char *
skip_word(const char *sql, const char *end)
{
    while (sql < end && is_name(*sql)) {
        sql++;
    }
    return sql;
}

/* Behind the "(...)" that begins at `sql`, in which there are no blanks. Not
 * closed, it is an error, and what is given then does not matter. */
static const char *
skip_suffix(const char *sql, const char *end)
{
    do {
        sql++;
    } while (sql < end && *sql != ')' && *sql != '\v' && !is_blank(*sql));
    return sql < end && *sql == ')' ? sql + 1 : sql;
}

/* Behind the name that begins at `sql`, or `sql` itself when it has no letters. */
static const char *
skip_name(const char *sql, const char *end)
{
    const char *p = sql;
    bool letters = false;

    while (p < end) {
        if (is_name(*p)) {
            p = skip_word(p, end);
            letters = true;
        } else if (end - p >= 2 && p[0] == ':' && p[1] == ':') {
            p += 2;
        } else if (letters && *p == '(') {
            return skip_suffix(p, end);
        } else {
            break;
        }
    }
    return letters ? p : sql;
}

/* Behind the number that begins at `sql`. */
static const char *
skip_digits(const char *sql, const char *end)
{
    while (sql < end && *sql >= '0' && *sql <= '9') {
        sql++;
    }
    return sql;
}

bool
csq_scan_parameter(const char **sql, const char *end, const char **name, size_t *size)
{
    const char *p = *sql;

    while (p < end) {
        const char *behind = skip_comment(p, end);

        if (behind != p) {
            p = behind;
        } else if (*p == '\'' || *p == '"' || *p == '`') {
            p = skip_quoted(p, end, *p);
        } else if (*p == '[') {
            p = skip_quoted(p, end, ']');
        } else if (*p == ':' || *p == '@' || *p == '#' || *p == '$' || *p == '?') {
            behind = *p == '?' ? skip_digits(p + 1, end) : skip_name(p + 1, end);
            if (behind > p + 1) {
                *name = p + 1;
                *size = (size_t)(behind - p - 1);
                *sql = behind;
                return true;
            }
            p++;
        } else if (is_byte_order_mark(p, end)) {
            p += 3;
        } else if (is_name(*p)) {
            p = skip_word(p, end);
        } else {
            p++;
        }
    }
    *sql = end;
    return false;
}

int64_t
csq_scan_most(const char *sql, const char *end)
{
    int64_t count = 0;
    int64_t highest = 0; /* of the numbers in "?12" */

    while (sql < end) {
        char c = *sql++;

        count += c == '?' || c == ':' || c == '@' || c == '$' || c == '#';
        if (c == '?') {
            int64_t number = 0;

            for (; sql < end && *sql >= '0' && *sql <= '9'; sql++) {
                number = number > INT_MAX ? number : number * 10 + (*sql - '0');
            }
            highest = number > highest ? number : highest;
        }
    }
    return highest + count;
}

const char *
csq_scan_start(const char *sql)
{
    const char *end = sql + strlen(sql);

    while (sql < end) {
        const char *behind = skip_comment(sql, end);

        if (behind != sql) {
            sql = behind;
        } else if (is_blank(*sql)) {
            sql++;
        } else {
            return sql;
        }
    }
    return NULL;
}

static bool
begins_with(const char *sql, const char *const *words, size_t count)
{
    const char *start = csq_scan_start(sql);

    for (size_t i = 0; start != NULL && i < count; i++) {
        if (sqlite3_strnicmp(start, words[i], (int)strlen(words[i])) == 0) {
            return true;
        }
    }
    return false;
}

bool
csq_scan_is_dml(const char *sql)
{
    static const char *const words[] = {"insert", "update", "delete", "replace"};

    return begins_with(sql, words, sizeof words / sizeof *words);
}

bool
csq_scan_is_query(const char *sql)
{
    static const char *const words[] = {"select", "values", "with"};

    return begins_with(sql, words, sizeof words / sizeof *words);
}

bool
csq_scan_is_control(const char *sql)
{
    static const char *const words[] = {"begin",    "commit",    "end",
                                        "rollback", "savepoint", "release"};

    return begins_with(sql, words, sizeof words / sizeof *words);
}

enum csq_shaping
csq_scan_shaping(const char *sql)
{
    static const struct {
        const char *word;
        enum csq_shaping shaping;
    } words[] = {
        {"create", CSQ_SHAPES_SCHEMA},   {"drop", CSQ_SHAPES_SCHEMA},
        {"alter", CSQ_SHAPES_SCHEMA},    {"vacuum", CSQ_SHAPES_FILE},
        {"attach", CSQ_SHAPES_ATTACHED}, {"detach", CSQ_SHAPES_ATTACHED},
    };
    const char *start = csq_scan_start(sql);

    /* Of what changes rows, most needs no second look. */
    if (start == NULL || strchr("cCdDaAvV", *start) == NULL) {
        return CSQ_SHAPES_NOTHING;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (sqlite3_strnicmp(start, words[i].word, (int)strlen(words[i].word)) == 0) {
            return words[i].shaping;
        }
    }
    return CSQ_SHAPES_NOTHING;
}

/* Behind a word. */
static const char *
behind_word(const char *sql)
{
    while ((*sql >= 'a' && *sql <= 'z') || (*sql >= 'A' && *sql <= 'Z')) {
        sql++;
    }
    return csq_scan_start(sql);
}

bool
csq_scan_ends(const char *sql)
{
    static const char *const words[] = {"commit", "end"};
    static const char *const back[] = {"rollback"};
    static const char *const kind[] = {"transaction"};
    static const char *const to[] = {"to"};
    static const char mark[] = "\xef\xbb\xbf"; /* of UTF-8, which SQLite takes for a blank */
    const char *behind;

    for (sql = csq_scan_start(sql); sql != NULL; sql = csq_scan_start(sql)) {
        if (*sql == ';') {
            sql++; /* a statement with nothing in it */
        } else if (strncmp(sql, mark, 3) == 0) {
            sql += 3;
        } else {
            break;
        }
    }
    if (sql == NULL) {
        return false;
    }
    if (!begins_with(sql, back, 1)) {
        return begins_with(sql, words, sizeof words / sizeof *words);
    }
    behind = behind_word(csq_scan_start(sql));
    if (behind != NULL && begins_with(behind, kind, 1)) {
        behind = behind_word(behind);
    }
    return behind == NULL || !begins_with(behind, to, 1);
}

bool
csq_scan_begins_to_write(const char *sql)
{
    static const char *const begin[] = {"begin"};
    static const char *const kinds[] = {"immediate", "exclusive"};
    const char *behind = begins_with(sql, begin, 1) ? behind_word(csq_scan_start(sql)) : NULL;

    return behind != NULL && begins_with(behind, kinds, sizeof kinds / sizeof *kinds);
}

bool
csq_scan_mentions(const char *sql, size_t size, const char *word)
{
    const ptrdiff_t length = (ptrdiff_t)strlen(word);
    const ptrdiff_t before = strchr(word, '_') - word;
    const char *const end = sql + size;
    const char *p = memchr(sql, '_', size);

    while (p != NULL) {
        if (p - sql >= before && end - p >= length - before &&
            sqlite3_strnicmp(p - before, word, (int)length) == 0) {
            return true;
        }
        p++;
        p = memchr(p, '_', (size_t)(end - p));
    }
    return false;
}

bool
csq_scan_is_pragma(const char *sql)
{
    static const char *const words[] = {"pragma", "explain"};

    return begins_with(sql, words, sizeof words / sizeof *words);
}

bool
csq_scan_is_upkeep(const char *sql)
{
    static const char *const words[] = {"pragma", "explain", "vacuum", "attach", "detach"};

    return begins_with(sql, words, sizeof words / sizeof *words);
}

bool
csq_scan_may_write(const char *sql)
{
    static const char *const words[] = {"pragma", "vacuum"};

    return begins_with(sql, words, sizeof words / sizeof *words);
}

enum csq_lending
csq_scan_lending(const char *sql, size_t size)
{
    if (!csq_scan_mentions(sql, size, "busy_timeout")) {
        return CSQ_LENT_NEVER;
    }
    if (csq_scan_is_pragma(sql)) {
        return CSQ_LENT_PREPARING;
    }
    return csq_scan_mentions(sql, size, "pragma_busy_timeout") ? CSQ_LENT_STEPPING
                                                               : CSQ_LENT_NEVER;
}
