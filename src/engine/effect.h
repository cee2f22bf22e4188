/* How much a statement may do, read off its text: what counts where SQLite is in the
 * middle of something, and calls back. Any thread; nothing is allocated.
 *
 * The text decides, because some statements act while they are prepared (PRAGMA). What
 * is not known counts as doing the most. */

#ifndef CSQ_EFFECT_H
#define CSQ_EFFECT_H

/* From the most to the least. As a bound: a callback may do no more than this. */
enum csq_effect {
    CSQ_SHAPES,    /* anything: changes schemas, attaches, rolls back */
    CSQ_TRANSACTS, /* begins or commits, sets what is the connection's own */
    CSQ_CHANGES,   /* changes rows */
    CSQ_READS,     /* reads */
};

/* What the first statement in `sql` may do. One that looks like a query may change rows
 * all the same: sqlite3_stmt_readonly() tells, once it is prepared. */
enum csq_effect csq_effect_of(const char *sql);

/* What may be done in a callback while the statement `sql` runs, which writes. SQLite
 * frees the schema that it goes by when that changes, and a statement that is undone takes
 * with it what others have written meanwhile, but not what is remembered of the schema.
 * What copies whole tables would miss a row. */
enum csq_effect csq_effect_within(const char *sql);

#endif
