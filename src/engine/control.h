/* Transactions as PEP 249 has them: commit(), rollback() and `autocommit`.
 *
 * Worker thread, holding the db's lock. */

#ifndef CSQ_CONTROL_H
#define CSQ_CONTROL_H

#include "engine/db.h"

/* Ends the transaction, if there is one; with CSQ_MANUAL begins the next. */
int csq_control_commit(struct csq_db *db, struct csq_error *error);
int csq_control_rollback(struct csq_db *db, struct csq_error *error);

/* Changes transaction control: to CSQ_AUTO commits, to CSQ_MANUAL begins. */
int csq_control_set_autocommit(struct csq_db *db, enum csq_autocommit autocommit,
                               struct csq_error *error);

#endif
