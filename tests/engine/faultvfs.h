/* A VFS that fails as disks do: the nth call of a kind, writes that stop half way, a
 * disk that is full, and power that goes.
 *
 * It stands before SQLite's default VFS and becomes the default one. Any thread; it is
 * locked within. What is armed holds for all files at once, so a program has one test
 * at a time. Its files are never really synced: a crash of the machine is acted. */

#ifndef FAULTVFS_H
#define FAULTVFS_H

#include <stdbool.h>
#include <stdint.h>

enum fault_call {
    FAULT_OPEN,
    FAULT_DELETE,
    FAULT_ACCESS,
    FAULT_READ,
    FAULT_WRITE,
    FAULT_TRUNCATE,
    FAULT_SYNC,
    FAULT_SIZE,
    FAULT_LOCK,
    FAULT_UNLOCK,
    FAULT_RESERVED, /* xCheckReservedLock */
    FAULT_SHM_MAP,
    FAULT_SHM_LOCK,
    FAULT_CALLS, /* how many kinds there are */
};

struct fault_plan {
    enum fault_call call;
    long nth;     /* 1: the next one */
    bool forever; /* all that come behind it fail as well */
    bool partial; /* FAULT_WRITE: half of the bytes are written */
};

/* Registers the VFS as the default one. Once, before anything is opened. */
void fault_register(void);

/* Arms `plan`, in place of what was armed before. */
void fault_arm(const struct fault_plan *plan);

/* Lets the disk be full when `bytes` more have been written. */
void fault_fill_after(int64_t bytes);

/* Disarms. Gives how many calls have failed since it was armed. */
long fault_disarm(void);

/* The name of a kind of calls, for messages. */
const char *fault_name(enum fault_call call);

/* -- power ---------------------------------------------------------------------- */

/* What happens to what was written and not synced when the power goes. */
enum fault_loss {
    FAULT_LOSES_ALL,
    FAULT_LOSES_NONE,
    FAULT_LOSES_SOME, /* each sector of each write by itself, as a seed has it */
};

struct fault_disk {
    bool deletes_last; /* a file that was deleted stays so, synced or not */
    int lies; /* one sync in so many is not done; 1: none is; 0: all are */
    unsigned seed;
};

/* Begins to keep what is synced and what is not, of files that are made from now on.
 * What was kept is forgotten. */
void fault_record(const struct fault_disk *disk);

/* Lets the power go before the nth change (write, truncate, sync, creation, deletion)
 * from now on; every call but closing and unlocking fails from then on. 0: never. */
void fault_cut_at(long nth);

/* Whether the power is gone. */
bool fault_is_dark(void);

/* The power is back: the files become what the disk has kept of them. Nothing may be
 * open. Recording ends. */
void fault_restore(enum fault_loss loss);

#endif
