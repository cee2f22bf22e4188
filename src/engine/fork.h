/* What keeps SQLite usable in a forked child.
 *
 * A child has only the thread that forked. What another thread held at that moment stays
 * locked for ever, and what SQLite knows of the parent's open files is of no use to it:
 * POSIX locks are not inherited. The parent's connections are not to be used in the child;
 * connections that the child opens itself are as good as any. */

#ifndef CSQ_FORK_H
#define CSQ_FORK_H

/* Any thread. From now on every fork() of this process is attended to; calling it again
 * does nothing. 0, or an errno. */
int csq_fork_watch(void);

#endif
