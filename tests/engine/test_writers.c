/* engine/writers and engine/target: whose turn it is to write, and what a statement writes to.
 *
 * Who waits is a thread; that it stands in the line is seen in how many wait. */

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/alloc.h"
#include "engine/clock.h"
#include "engine/harness.h"
#include "engine/target.h"
#include "engine/writers.h"

enum { CROWD = 8, ROUNDS = 200 };

static const int64_t LONG = INT64_C(60) * 1000 * 1000 * 1000;

static const char *
make_file(const char *name)
{
    const char *path = harness_path(name);
    FILE *file = fopen(path, "w");

    if (CHECK(file != NULL)) {
        fclose(file);
    }
    return path;
}

/* A connection with a thread that waits for its turn. */
struct waiter {
    struct csq_writer writer;
    pthread_t thread;
    int64_t end;
    atomic_bool over;
    bool got;
    int *order; /* counts who got a turn; guarded by the turn */
    int place;
};

static bool
is_over(void *argument)
{
    return atomic_load(&((struct waiter *)argument)->over);
}

static void
waiter_init(struct waiter *waiter, const char *path)
{
    csq_writer_init(&waiter->writer, NULL);
    csq_writers_join(&waiter->writer, path);
    CHECK(waiter->writer.line != NULL);
    atomic_init(&waiter->over, false);
    waiter->end = csq_now() + LONG;
    waiter->got = false;
    waiter->order = NULL;
    waiter->place = -1;
}

static void
waiter_clear(struct waiter *waiter)
{
    csq_writers_leave(&waiter->writer);
    csq_writer_destroy(&waiter->writer);
}

static enum csq_waited
wait_for(struct waiter *waiter)
{
    return csq_writers_wait(&waiter->writer, "waits",
                            &(struct csq_wait){waiter->end, 0, is_over, waiter});
}

static void *
stand(void *argument)
{
    struct waiter *waiter = argument;

    waiter->got = wait_for(waiter) == CSQ_WAITED_FOR_TURN;
    if (waiter->got && waiter->order != NULL) {
        waiter->place = (*waiter->order)++;
        csq_writers_done(&waiter->writer);
    }
    return NULL;
}

/* Waits until so many wait behind the one that writes. */
static void
await_waiting(const char *path, int count)
{
    struct csq_writer_seen seen[1 + CROWD];

    while (csq_writers_list(path, seen, 1 + CROWD) != 1 + (size_t)count) {
        sched_yield();
    }
}

static void
start(struct waiter *waiter)
{
    CHECK(pthread_create(&waiter->thread, NULL, stand, waiter) == 0);
}

static void
test_first_in_first_out(void)
{
    const char *path = make_file("fifo");
    struct waiter holder;
    struct waiter watcher;
    struct waiter crowd[CROWD];
    int order = 0;

    waiter_init(&holder, path);
    waiter_init(&watcher, path);
    CHECK(csq_writers_try(&holder.writer, "holds"));
    CHECK(!csq_writers_try(&watcher.writer, "tries"));
    for (int i = 0; i < CROWD; i++) {
        waiter_init(&crowd[i], path);
        crowd[i].order = &order;
        start(&crowd[i]);
        await_waiting(path, i + 1);
    }
    csq_writers_done(&holder.writer);
    for (int i = 0; i < CROWD; i++) {
        pthread_join(crowd[i].thread, NULL);
        CHECK(crowd[i].got && crowd[i].place == i);
        waiter_clear(&crowd[i]);
    }
    CHECK(csq_writers_try(&watcher.writer, "tries"));
    waiter_clear(&watcher);
    waiter_clear(&holder);
    CHECK(csq_alloc_live() == 0);
}

/* Whoever gives up leaves no gap: the one behind is the next. */
static void
test_giving_up(void)
{
    const char *path = make_file("gap");
    struct waiter holder;
    struct waiter watcher;
    struct waiter crowd[3];
    int order = 0;

    waiter_init(&holder, path);
    waiter_init(&watcher, path);
    CHECK(csq_writers_try(&holder.writer, "holds"));
    for (int i = 0; i < 3; i++) {
        waiter_init(&crowd[i], path);
        crowd[i].order = &order;
        start(&crowd[i]);
        await_waiting(path, i + 1);
    }
    atomic_store(&crowd[0].over, true);
    csq_writers_look(&crowd[0].writer);
    pthread_join(crowd[0].thread, NULL);
    CHECK(!crowd[0].got);
    await_waiting(path, 2);
    csq_writers_done(&holder.writer);
    for (int i = 1; i < 3; i++) {
        pthread_join(crowd[i].thread, NULL);
        CHECK(crowd[i].got && crowd[i].place == i - 1);
    }
    for (int i = 0; i < 3; i++) {
        waiter_clear(&crowd[i]);
    }
    waiter_clear(&watcher);
    waiter_clear(&holder);
}

static void
test_time_is_over(void)
{
    const char *path = make_file("late");
    struct csq_writer_seen before;
    struct waiter holder;
    struct waiter late;

    waiter_init(&holder, path);
    waiter_init(&late, path);
    CHECK(!csq_writers_before(&late.writer, &before));
    CHECK(csq_writers_try(&holder.writer, "holds"));
    late.end = csq_now() + 1000 * 1000;
    stand(&late);
    CHECK(!late.got);
    late.end = 0;
    stand(&late);
    CHECK(!late.got);
    CHECK(csq_writers_before(&late.writer, &before));
    CHECK(before.writes && strcmp(before.sql, "holds") == 0);
    csq_writers_tell(&holder.writer, "goes on");
    CHECK(csq_writers_before(&late.writer, &before) && strcmp(before.sql, "goes on") == 0);
    CHECK(!csq_writers_before(&holder.writer, &before));
    waiter_clear(&holder); /* whoever closes lets the others go on */
    CHECK(csq_writers_try(&late.writer, "tries"));
    waiter_clear(&late);
}

/* What others see: the one whose turn it is, then those that wait, in their order. */
static void
test_list(void)
{
    const char *path = make_file("list");
    struct csq_writer_seen seen[3];
    struct waiter holder;
    struct waiter crowd[2];

    CHECK(csq_writers_list(path, seen, 3) == 0);
    CHECK(csq_writers_list("missing", seen, 3) == 0);
    waiter_init(&holder, path);
    CHECK(csq_writers_list(path, seen, 3) == 0);
    CHECK(csq_writers_try(&holder.writer, "holds"));
    for (int i = 0; i < 2; i++) {
        waiter_init(&crowd[i], path);
        start(&crowd[i]);
        await_waiting(path, i + 1);
    }
    CHECK(csq_writers_list(path, seen, 0) == 3 && csq_writers_list(path, seen, 1) == 3);
    CHECK(csq_writers_list(path, seen, 3) == 3);
    CHECK(seen[0].writes && strcmp(seen[0].sql, "holds") == 0);
    CHECK(!seen[1].writes && !seen[2].writes && strcmp(seen[2].sql, "waits") == 0);
    CHECK(seen[0].since <= seen[1].since && seen[1].since <= seen[2].since);
    csq_writers_done(&holder.writer);
    pthread_join(crowd[0].thread, NULL);
    csq_writers_done(&crowd[0].writer);
    pthread_join(crowd[1].thread, NULL);
    for (int i = 0; i < 2; i++) {
        waiter_clear(&crowd[i]);
    }
    waiter_clear(&holder);
}

/* Two connections, each of which has its turn in one of two files. */
struct pair {
    struct waiter first;
    struct waiter second;
    struct csq_writer also_first;  /* the first one's, in the file of the second */
    struct csq_writer also_second; /* the second one's, in the file of the first */
    char path[512];
    char other[512];
};

static void
pair_init(struct pair *pair)
{
    snprintf(pair->path, sizeof pair->path, "%s", make_file("circle"));
    snprintf(pair->other, sizeof pair->other, "%s", make_file("circle too"));
    waiter_init(&pair->first, pair->path);
    waiter_init(&pair->second, pair->other);
    csq_writer_init(&pair->also_first, &pair->first.writer);
    csq_writer_init(&pair->also_second, &pair->second.writer);
    csq_writers_join(&pair->also_first, pair->other);
    csq_writers_join(&pair->also_second, pair->path);
    CHECK(csq_writers_try(&pair->also_first, "has the other's"));
    CHECK(csq_writers_try(&pair->also_second, "has the first's"));
}

static void
pair_clear(struct pair *pair)
{
    csq_writers_leave(&pair->also_first);
    csq_writers_leave(&pair->also_second);
    csq_writer_destroy(&pair->also_first);
    csq_writer_destroy(&pair->also_second);
    waiter_clear(&pair->first);
    waiter_clear(&pair->second);
    CHECK(csq_alloc_live() == 0);
}

/* Both have locks: who would close the circle is not kept waiting. */
static void
test_circle(void)
{
    struct pair pair;

    pair_init(&pair);
    CHECK(csq_writers_precede(&pair.first.writer, &pair.also_first) !=
          csq_writers_precede(&pair.second.writer, &pair.also_second));
    csq_writers_have(&pair.also_first);
    csq_writers_have(&pair.also_second);
    start(&pair.second); /* it waits for the first one … */
    await_waiting(pair.other, 1);
    CHECK(wait_for(&pair.first) == CSQ_WAITED_NOT); /* … which is told so */
    csq_writers_done(&pair.also_first);
    pthread_join(pair.second.thread, NULL);
    CHECK(pair.second.got);
    csq_writers_done(&pair.also_second);
    CHECK(wait_for(&pair.first) == CSQ_WAITED_FOR_TURN);
    pair_clear(&pair);
}

/* The one that waits has its turn only: it loses that to who has a lock. */
static void
test_losing_a_turn(void)
{
    struct pair pair;

    pair_init(&pair);
    csq_writers_have(&pair.also_first);
    start(&pair.second);
    await_waiting(pair.other, 1);
    CHECK(wait_for(&pair.first) == CSQ_WAITED_FOR_TURN);
    CHECK(pair.first.writer.writes && !pair.also_second.writes);
    csq_writers_done(&pair.first.writer);
    csq_writers_done(&pair.also_first);
    pthread_join(pair.second.thread, NULL);
    CHECK(pair.second.got && csq_writers_try(&pair.also_second, "again"));
    pair_clear(&pair);
}

/* The same, where the one that closes the circle has no lock: it goes on waiting. */
static void
test_giving_a_turn(void)
{
    struct pair pair;

    pair_init(&pair);
    csq_writers_have(&pair.also_second);
    start(&pair.second);
    await_waiting(pair.other, 1);
    start(&pair.first);
    pthread_join(pair.second.thread, NULL);
    CHECK(pair.second.got && !pair.also_first.writes);
    await_waiting(pair.path, 1);
    csq_writers_done(&pair.second.writer);
    csq_writers_done(&pair.also_second);
    pthread_join(pair.first.thread, NULL);
    CHECK(pair.first.got);
    pair_clear(&pair);
}

/* A file is known by its inode: other names are the same file, another file of the same name
 * is another one. */
static void
test_files(void)
{
    char path[512];
    char other[512];
    struct waiter first;
    struct waiter linked;
    struct waiter fresh;
    struct csq_writer none;

    snprintf(path, sizeof path, "%s", make_file("file"));
    snprintf(other, sizeof other, "%s", harness_path("other name"));
    waiter_init(&first, path);
    CHECK(link(path, other) == 0);
    waiter_init(&linked, other);
    CHECK(first.writer.line == linked.writer.line);
    CHECK(remove(path) == 0);
    make_file("file");
    waiter_init(&fresh, path);
    CHECK(first.writer.line != fresh.writer.line);
    CHECK(csq_writers_try(&first.writer, "a") && csq_writers_try(&fresh.writer, "b"));
    CHECK(!csq_writers_try(&linked.writer, "c"));
    waiter_clear(&first);
    waiter_clear(&linked);
    waiter_clear(&fresh);
    csq_writer_init(&none, NULL);
    csq_writers_join(&none, "");
    CHECK(none.line == NULL);
    csq_writers_join(&none, harness_path("missing"));
    CHECK(none.line == NULL);
    csq_alloc_fail_at(1);
    csq_writers_join(&none, other);
    csq_alloc_fail_at(0);
    CHECK(none.line == NULL);
    csq_writers_leave(&none);
    csq_writer_destroy(&none);
    CHECK(csq_alloc_live() == 0);
}

/* Many at once, some of whom give up: a counter that only the turn guards is right. */
struct crowd {
    struct waiter waiter;
    int *counter;
    int turns;
};

static void *
take_turns(void *argument)
{
    struct crowd *one = argument;

    for (int i = 0; i < harness_dose(ROUNDS, 20 * ROUNDS); i++) {
        struct waiter *waiter = &one->waiter;

        waiter->end = i % 5 == 0 ? csq_now() + 1000 : csq_now() + LONG;
        if (wait_for(waiter) == CSQ_WAITED_FOR_TURN) {
            ++*one->counter;
            one->turns++;
            csq_writers_done(&waiter->writer);
        }
    }
    return NULL;
}

static void
test_crowd(void)
{
    const char *path = make_file("crowd");
    struct crowd crowd[CROWD];
    int counter = 0;
    int turns = 0;

    for (int i = 0; i < CROWD; i++) {
        waiter_init(&crowd[i].waiter, path);
        crowd[i].counter = &counter;
        crowd[i].turns = 0;
    }
    for (int i = 0; i < CROWD; i++) {
        CHECK(pthread_create(&crowd[i].waiter.thread, NULL, take_turns, &crowd[i]) == 0);
    }
    for (int i = 0; i < CROWD; i++) {
        pthread_join(crowd[i].waiter.thread, NULL);
        turns += crowd[i].turns;
    }
    CHECK(turns == counter && turns >= CROWD * ROUNDS * 4 / 5);
    for (int i = 0; i < CROWD; i++) {
        waiter_clear(&crowd[i].waiter);
    }
}

static void
test_targets(void)
{
    static const struct {
        const char *sql;
        const char *schema;
        const char *table; /* NULL: not known */
    } cases[] = {
        {"insert into t values(1)", "", "t"},
        {"INSERT OR IGNORE INTO Main.T(a) select 1", "Main", "T"},
        {"/* a */ replace -- b\n into\t\"a \"\"b\" values(1)", "", "a \"b"},
        {"insert into [a b].`c``d` default values", "a b", "c`d"},
        {"update t set a = 1", "", "t"},
        {"update or rollback temp . t set a = 1", "temp", "t"},
        {"delete from 't' where 1", "", "t"},
        {"delete from aux.t", "aux", "t"},
        {"delete", "", NULL},
        {"update or", "", NULL},
        {"insert into", "", NULL},
        {"insert t", "", NULL},
        {"insert into a.", "", NULL},
        {"create", "", NULL},
        {"create table t(a)", "main", "t"},
        {"create unique index if not exists aux.i on t(a)", "aux", "i"},
        {"create virtual table a.b using fts5(c)", "a", "b"},
        {"drop table if exists aux.t", "aux", "t"},
        {"drop view v", "", "v"},
        {"alter table t add column b", "", "t"},
        {"pragma aux.user_version = 1", "aux", "user_version"},
        {"pragma user_version = 1", "main", "user_version"},
        {"vacuum", "main", ""},
        {"vacuum aux", "aux", ""},
        {"vacuum into 'a'", "main", ""},
        {"vacuum;", "main", ""},
        {"reindex aux.t", "aux", "t"},
        {"reindex t", "", NULL},
        {"analyze", "", NULL},
        {"with x as (select 1) select 1", "", NULL},
        {"with x(a) as (select (1)), y as (values('insert')) update aux.t set a = 1", "aux", "t"},
        {"begin immediate", "", NULL},
        {"with x as (select 1) insert into t select * from x", "", "t"},
        {"", "", NULL},
        {"'", "", NULL},
    };
    struct csq_target target;
    char sql[2 * CSQ_NAME + 32];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool known = csq_target_of(cases[i].sql, &target);

        CHECK(known == (cases[i].table != NULL));
        if (known && cases[i].table != NULL) {
            CHECK(strcmp(target.schema, cases[i].schema) == 0);
            CHECK(strcmp(target.table, cases[i].table) == 0);
        }
    }
    CHECK(csq_target_of("create temp table t(a)", &target) && target.temporary);
    CHECK(csq_target_of("CREATE TEMPORARY view v", &target) && target.temporary);
    snprintf(sql, sizeof sql, "insert into %0*d values(1)", CSQ_NAME, 0);
    CHECK(!csq_target_of(sql, &target));
    snprintf(sql, sizeof sql, "insert into %0*d values(1)", CSQ_NAME - 1, 0);
    CHECK(csq_target_of(sql, &target) && strlen(target.table) == CSQ_NAME - 1);
}

int
main(int argc, char **argv)
{
    static const struct harness_test tests[] = {
        {"first in, first out", test_first_in_first_out},
        {"giving up", test_giving_up},
        {"time is over", test_time_is_over},
        {"list", test_list},
        {"circle", test_circle},
        {"losing a turn", test_losing_a_turn},
        {"giving a turn", test_giving_a_turn},
        {"files", test_files},
        {"crowd", test_crowd},
        {"targets", test_targets},
    };

    return harness_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
