/* Each file has a table of the names that somebody watches, so that it makes no difference to a
 * commit how many others watch something else. What was committed is kept once; a watch that
 * wants to know the rows has a place in its queue for it. */

#include "engine/watches.h"

#include <sqlite3.h>
#include <stdint.h>
#include <string.h>

#include "engine/alloc.h"

/* A table that somebody watches. */
struct want {
    struct csq_link link;    /* of the interest */
    struct csq_link of_join;
    struct csq_join *join;
    struct csq_interest *interest;
};

void
csq_news_free(struct csq_news *news)
{
    csq_commit_put(news->commit);
    csq_free(news);
}

/* -- names of tables, with the lock held -------------------------------------------------- */

static void
want_all(struct csq_join *join)
{
    if (!join->all) {
        join->all = true;
        csq_list_append(&join->file->all, &join->of_all);
    }
}

static void
want_one(struct csq_join *join, const char *name)
{
    struct want *want = csq_malloc(sizeof *want);

    if (want == NULL) {
        want_all(join);
        return;
    }
    want->join = join;
    csq_link_init(&want->link);
    csq_link_init(&want->of_join);
    want->interest = csq_interest_add(&join->file->names, name, &want->link);
    if (want->interest == NULL) {
        csq_free(want);
        want_all(join);
        return;
    }
    csq_list_append(&join->wants, &want->of_join);
}

static void
want_nothing(struct csq_join *join)
{
    struct csq_link *link;

    while ((link = csq_list_shift(&join->wants)) != NULL) {
        struct want *want = csq_item(link, struct want, of_join);

        csq_interest_remove(&join->file->names, want->interest, &want->link);
        csq_free(want);
    }
    join->all = false;
    csq_link_remove(&join->of_all);
}

static struct csq_join *
join_of(struct csq_link *link, bool all)
{
    return all ? csq_item(link, struct csq_join, of_all)
               : csq_item(link, struct want, link)->join;
}

/* What the most demanding one of a list wants. */
static enum csq_heed
heed_of(const struct csq_list *list, bool all)
{
    enum csq_heed heed = CSQ_HEED_NOTHING;
    struct csq_link *link = list->head.next;

    for (; link != &list->head && heed < CSQ_HEED_ROWS; link = link->next) {
        heed = join_of(link, all)->watch->rows ? CSQ_HEED_ROWS : CSQ_HEED_TABLE;
    }
    return heed;
}

enum csq_heed
csq_watched_heeds(const struct csq_watched *file, const char *table)
{
    const struct csq_interest *interest;
    enum csq_heed heed;
    enum csq_heed named;

    csq_watched_lock();
    heed = heed_of(&file->all, true);
    interest = csq_interest_find(&file->names, table);
    named = interest == NULL ? CSQ_HEED_NOTHING : heed_of(&interest->wants, false);
    csq_watched_unlock();
    return heed > named ? heed : named;
}

bool
csq_join_wants(const struct csq_join *join, const char *table)
{
    const struct csq_link *link;

    if (join->all) {
        return true;
    }
    for (link = join->wants.head.next; link != &join->wants.head; link = link->next) {
        const struct want *want = csq_item(link, struct want, of_join);

        if (sqlite3_stricmp(want->interest->name, table) == 0) {
            return true;
        }
    }
    return false;
}

/* -- telling, with the lock held ---------------------------------------------------------- */

static void
wake(struct csq_watch *watch)
{
    if (watch->waits) {
        watch->waits = false;
        watch->wake(watch);
    }
}

/* Adds up tables that have changed. */
static void
sum_up(struct csq_watch *watch, const struct csq_join *join, const char *database,
       const struct csq_commit *commit)
{
    static const int operations[] = {SQLITE_INSERT, SQLITE_UPDATE, SQLITE_DELETE};
    const struct csq_changes *changes = &commit->changes;

    watch->sum_what |= commit->what;
    for (uint32_t i = 0; i < changes->tables_count; i++) {
        const struct csq_changed_table *table = &changes->tables[i];

        if (table->seen == 0 || database == NULL || strcmp(table->database, database) != 0 ||
            !csq_join_wants(join, table->name)) {
            continue;
        }
        for (int j = 0; j < 3; j++) {
            if ((table->seen & csq_changes_bit(operations[j])) &&
                !csq_changes_add_any(&watch->sum, SIZE_MAX, operations[j], join->name,
                                     table->name)) {
                watch->sum_what |= CSQ_TOLD_UNKNOWN;
            }
        }
    }
}

/* Puts news behind the others. False: there is no room. */
static bool
queue(struct csq_watch *watch, struct csq_join *join, char *database, struct csq_commit *commit)
{
    struct csq_news *news;

    if (watch->count >= watch->most || watch->sum_what != 0 || csq_changes_any(&watch->sum)) {
        return false;
    }
    news = csq_malloc(sizeof *news);
    if (news == NULL) {
        return false;
    }
    atomic_fetch_add(&commit->references, 1);
    *news = (struct csq_news){.join = join, .commit = commit, .database = database};
    csq_link_init(&news->link);
    csq_list_append(&watch->news, &news->link);
    watch->count++;
    return true;
}

/* A watch hears once of what concerns all databases of the connection that has committed. */
static void
tell(struct csq_join *join, char *database, struct csq_commit *commit)
{
    struct csq_watch *watch = join->watch;

    if (watch->over || join->told == commit->number ||
        (database == NULL && watch->told == commit->number)) {
        return;
    }
    join->told = watch->told = commit->number;
    if (!watch->rows) {
        watch->sum_what |= CSQ_TOLD_ROWS | commit->what;
    } else if (!queue(watch, join, database, commit)) {
        sum_up(watch, join, database, commit);
    }
    wake(watch);
}

/* Tells who watches all tables or, with `name`, that one. */
static void
tell_list(struct csq_list *list, bool all, char *database, struct csq_commit *commit)
{
    struct csq_link *link = list->head.next;

    for (; link != &list->head; link = link->next) {
        tell(join_of(link, all), database, commit);
    }
}

/* What concerns everybody. */
static void
tell_everybody(struct csq_watched *file, char *database, struct csq_commit *commit)
{
    struct csq_link *link = file->joins.head.next;

    for (; link != &file->joins.head; link = link->next) {
        tell(csq_item(link, struct csq_join, of_file), database, commit);
    }
}

/* What concerns those who watch one of its tables. */
static void
tell_some(struct csq_watched *file, const char *database, struct csq_commit *commit)
{
    for (uint32_t i = 0; i < commit->changes.tables_count; i++) {
        const struct csq_changed_table *table = &commit->changes.tables[i];
        struct csq_interest *interest;

        if (table->seen == 0 || strcmp(table->database, database) != 0) {
            continue;
        }
        tell_list(&file->all, true, table->database, commit);
        interest = csq_interest_find(&file->names, table->name);
        if (interest != NULL) {
            tell_list(&interest->wants, false, table->database, commit);
        }
    }
}

/* The commit's own copy of a name; NULL: it says nothing of that database. */
static char *
name_in(const struct csq_commit *commit, const char *database)
{
    for (uint32_t i = 0; i < commit->changes.tables_count; i++) {
        if (strcmp(commit->changes.tables[i].database, database) == 0) {
            return commit->changes.tables[i].database;
        }
    }
    return NULL;
}

void
csq_watched_tell(struct csq_watched *file, const char *database, struct csq_commit *commit)
{
    csq_watched_lock();
    if (commit->what != 0) {
        tell_everybody(file, name_in(commit, database), commit);
    } else {
        tell_some(file, database, commit);
    }
    csq_watched_unlock();
}

/* Lock held. */
static void
tell_unknown(struct csq_watched *file, bool all, unsigned turns)
{
    struct csq_link *link;

    for (link = file->joins.head.next; link != &file->joins.head; link = link->next) {
        struct csq_join *join = csq_item(link, struct csq_join, of_file);

        if ((all || (int)(join->turn - turns) > 0) && !join->watch->over) {
            join->watch->sum_what |= CSQ_TOLD_UNKNOWN;
            wake(join->watch);
        }
    }
}

void
csq_watched_tell_unknown(struct csq_watched *file, bool all, unsigned turns)
{
    csq_watched_lock();
    tell_unknown(file, all, turns);
    csq_watched_unlock();
}

/* -- other processes ----------------------------------------------------------------- */

/* Lock held. Takes the number that was read. */
static void
take_number(struct csq_watched *file, uint64_t number)
{
    bool own =
        !file->numbered || number == file->last || (file->ahead && number == file->last + 1);

    if (file->numbered && number != file->last) {
        file->ahead = false;
    }
    file->numbered = true;
    file->last = number;
    if (!own) {
        tell_unknown(file, true, 0);
    }
}

void
csq_watched_commits(struct csq_watched *file, uint64_t number)
{
    csq_watched_lock();
    take_number(file, number);
    file->ahead = true;
    csq_watched_unlock();
}

void
csq_watched_looks(struct csq_watched *file, uint64_t number)
{
    csq_watched_lock();
    take_number(file, number);
    csq_watched_unlock();
}

/* What was taken for this commit meanwhile was another process's. */
void
csq_watched_stays(struct csq_watched *file, uint64_t number)
{
    csq_watched_lock();
    if (file->numbered && file->last == number) {
        file->ahead = false;
    } else if (file->numbered) {
        tell_unknown(file, true, 0);
    }
    csq_watched_unlock();
}

void
csq_watched_renumber(struct csq_watched *file, uint64_t number)
{
    csq_watched_lock();
    file->numbered = true;
    file->ahead = false;
    file->last = number;
    csq_watched_unlock();
}

/* -- watches -------------------------------------------------------------------------------- */

void
csq_watch_init(struct csq_watch *watch, bool rows, size_t most, void (*wake)(struct csq_watch *))
{
    memset(watch, 0, sizeof *watch);
    csq_link_init(&watch->own);
    csq_list_init(&watch->joins);
    csq_list_init(&watch->news);
    csq_changes_init(&watch->sum, 0);
    watch->rows = rows;
    watch->most = most;
    watch->wake = wake;
}

void
csq_watch_leave(struct csq_watch *watch)
{
    struct csq_link *link;

    csq_watched_lock();
    csq_link_remove(&watch->own);
    while ((link = csq_list_shift(&watch->news)) != NULL) {
        csq_news_free(csq_item(link, struct csq_news, link));
    }
    watch->count = 0;
    while ((link = csq_list_shift(&watch->joins)) != NULL) {
        struct csq_join *join = csq_item(link, struct csq_join, of_watch);

        want_nothing(join);
        csq_link_remove(&join->of_file);
        csq_watched_put_locked(join->file);
        csq_free(join->name);
        csq_free(join);
    }
    csq_watched_unlock();
    atomic_fetch_add(&csq_watch_turns, CSQ_WATCH_CEASES);
}

void
csq_watch_destroy(struct csq_watch *watch)
{
    csq_watch_leave(watch);
    csq_changes_clear(&watch->sum);
}

bool
csq_watch_join(struct csq_watch *watch, struct csq_watched *file, const char *name)
{
    struct csq_join *join = csq_calloc(sizeof *join);
    char *copy = csq_memdup(name, strlen(name));

    if (join == NULL || copy == NULL) {
        csq_free(join);
        csq_free(copy);
        return false;
    }
    join->watch = watch;
    join->file = file;
    join->name = copy;
    csq_list_init(&join->wants);
    csq_link_init(&join->of_watch);
    csq_link_init(&join->of_file);
    csq_link_init(&join->of_all);
    csq_watched_lock();
    file->references++;
    if (csq_list_empty(&file->joins)) {
        file->numbered = file->ahead = false; /* nobody has counted meanwhile */
    }
    csq_list_append(&file->joins, &join->of_file);
    csq_list_append(&watch->joins, &join->of_watch);
    join->turn = atomic_fetch_add(&csq_watch_turns, CSQ_WATCH_BEGINS) + CSQ_WATCH_BEGINS;
    csq_watched_unlock();
    return true;
}

bool
csq_watch_has_joined(const struct csq_watch *watch)
{
    bool joined;

    csq_watched_lock();
    joined = !csq_list_empty(&watch->joins);
    csq_watched_unlock();
    return joined;
}

/* Lock held. */
static void
want(struct csq_join *join, const struct csq_table *table)
{
    if (table->database != NULL && sqlite3_stricmp(table->database, join->name) != 0) {
        return;
    }
    if (table->name == NULL) {
        want_all(join);
    } else {
        want_one(join, table->name);
    }
}

/* Whoever has watched all tables begins nothing with some of them. */
void
csq_watch_want(struct csq_watch *watch, const struct csq_table *tables, size_t count)
{
    unsigned turns = CSQ_WATCH_CEASES;
    struct csq_link *link;

    csq_watched_lock();
    for (link = watch->joins.head.next; link != &watch->joins.head; link = link->next) {
        struct csq_join *join = csq_item(link, struct csq_join, of_watch);

        if (!join->all) {
            turns = CSQ_WATCH_BEGINS;
            join->turn = atomic_load(&csq_watch_turns) + CSQ_WATCH_BEGINS;
        }
        want_nothing(join);
        for (size_t i = 0; i < count; i++) {
            want(join, &tables[i]);
        }
    }
    atomic_fetch_add(&csq_watch_turns, turns);
    csq_watched_unlock();
}

void
csq_watch_tell(struct csq_watch *watch, unsigned what)
{
    csq_watched_lock();
    watch->sum_what |= what;
    wake(watch);
    csq_watched_unlock();
}

void
csq_watch_belong(struct csq_watch *watch, struct csq_list *own)
{
    csq_watched_lock();
    csq_list_append(own, &watch->own);
    csq_watched_unlock();
}

/* Lock held. */
static void
end(struct csq_watch *watch)
{
    csq_link_remove(&watch->own);
    watch->over = true;
    wake(watch);
}

void
csq_watch_end(struct csq_watch *watch)
{
    csq_watched_lock();
    end(watch);
    csq_watched_unlock();
}

void
csq_watch_end_all(struct csq_list *own)
{
    csq_watched_lock();
    while (!csq_list_empty(own)) {
        end(csq_item(own->head.next, struct csq_watch, own));
    }
    csq_watched_unlock();
}

bool
csq_watch_take(struct csq_watch *watch, struct csq_news **news, struct csq_changes *sum,
               unsigned *what)
{
    struct csq_link *link;
    bool any = true;

    *news = NULL;
    *what = 0;
    csq_watched_lock();
    link = csq_list_shift(&watch->news);
    if (link != NULL) {
        *news = csq_item(link, struct csq_news, link);
        watch->count--;
    } else if (watch->sum_what != 0 || csq_changes_any(&watch->sum)) {
        csq_changes_take(&watch->sum, sum);
        *what = watch->sum_what;
        watch->sum_what = 0;
    } else {
        any = false;
    }
    csq_watched_unlock();
    return any;
}

bool
csq_watch_wait(struct csq_watch *watch)
{
    bool waits;

    csq_watched_lock();
    waits = !watch->over && watch->sum_what == 0 && csq_list_empty(&watch->news) &&
            !csq_changes_any(&watch->sum);
    watch->waits = waits;
    csq_watched_unlock();
    return waits;
}

bool
csq_watch_wait_no_more(struct csq_watch *watch)
{
    bool waited;

    csq_watched_lock();
    waited = watch->waits;
    watch->waits = false;
    csq_watched_unlock();
    return waited;
}

bool
csq_watch_is_over(const struct csq_watch *watch)
{
    bool over;

    csq_watched_lock();
    over = watch->over;
    csq_watched_unlock();
    return over;
}
