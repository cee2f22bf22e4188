/* The buckets are never more: ten thousand names make lists of ten, and each is looked for once
 * in a run of rows of the same table. */

#include "engine/interest.h"

#include <sqlite3.h>
#include <stdint.h>
#include <string.h>

#include "engine/alloc.h"

/* Letters of ASCII are the same in either case. */
static unsigned
hash_of(const char *name)
{
    uint32_t hash = 2166136261U;

    for (; *name != '\0'; name++) {
        unsigned char c = (unsigned char)*name;

        c = c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
        hash = (hash ^ c) * 16777619U;
    }
    return hash % CSQ_INTEREST_BUCKETS;
}

void
csq_interests_clear(struct csq_interests *interests)
{
    csq_free(interests->buckets);
    interests->buckets = NULL;
}

struct csq_interest *
csq_interest_find(const struct csq_interests *interests, const char *name)
{
    struct csq_interest *interest;

    if (interests->buckets == NULL) {
        return NULL;
    }
    interest = interests->buckets[hash_of(name)];
    while (interest != NULL && sqlite3_stricmp(interest->name, name) != 0) {
        interest = interest->next;
    }
    return interest;
}

static struct csq_interest *
make(struct csq_interests *interests, const char *name)
{
    size_t size = strlen(name) + 1;
    struct csq_interest *interest;
    struct csq_interest **place;

    if (interests->buckets == NULL) {
        interests->buckets = csq_calloc(CSQ_INTEREST_BUCKETS * sizeof *interests->buckets);
        if (interests->buckets == NULL) {
            return NULL;
        }
    }
    interest = csq_malloc(sizeof *interest + size);
    if (interest == NULL) {
        return NULL;
    }
    memcpy(interest->name, name, size);
    csq_list_init(&interest->wants);
    place = &interests->buckets[hash_of(name)];
    interest->next = *place;
    *place = interest;
    return interest;
}

struct csq_interest *
csq_interest_add(struct csq_interests *interests, const char *name, struct csq_link *want)
{
    struct csq_interest *interest = csq_interest_find(interests, name);

    if (interest == NULL) {
        interest = make(interests, name);
    }
    if (interest != NULL) {
        csq_list_append(&interest->wants, want);
    }
    return interest;
}

void
csq_interest_remove(struct csq_interests *interests, struct csq_interest *interest,
                    struct csq_link *want)
{
    struct csq_interest **place;

    csq_link_remove(want);
    if (!csq_list_empty(&interest->wants)) {
        return;
    }
    place = &interests->buckets[hash_of(interest->name)];
    while (*place != interest) {
        place = &(*place)->next;
    }
    *place = interest->next;
    csq_free(interest);
}
