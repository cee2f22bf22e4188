/* SQLite's allocator with a countdown, as csq_malloc() has one in test builds. */

#ifndef HEAP_H
#define HEAP_H

/* Puts it in the place of SQLite's own. Before sqlite3_initialize(). */
void heap_install(void);

/* Any thread. Lets the nth allocation from now fail; 0: none. Gives how far away the one
 * asked for before still was; 0 or less: it has failed. */
long heap_fail_at(long nth);

/* Any thread. Lets the nth allocation and all behind it fail, until heap_fail_at(). */
void heap_fail_from(long nth);

#endif
