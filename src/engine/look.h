/* When a connection looks who watches its files.
 *
 * Worker thread, holding the db's lock; not within a statement. */

#ifndef CSQ_LOOK_H
#define CSQ_LOOK_H

#include "engine/db.h"
#include "engine/job.h"

/* Looks, if anybody has ever watched anything, and does what is to be done for them. */
void csq_look(struct csq_db *db);

/* Behind a job, where csq_record_is_late(): what it has written was not seen for those who have
 * begun to watch meanwhile. */
void csq_look_behind(struct csq_db *db, const struct csq_job *job);

/* Leaves SQLite's place for a pre-update hook to a session that is about to be opened; the next
 * look sees whether it was. */
void csq_look_away(struct csq_db *db);

#endif
