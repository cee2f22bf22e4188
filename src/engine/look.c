#include "engine/look.h"

static void
look(struct csq_db *db, bool blind)
{
    if (csq_record_look(&db->recorder, db->handle, &db->hooks, blind)) {
        csq_cache_renew(&db->cache); /* a DELETE that drops all rows at once is seen by no hook */
    }
}

void
csq_look(struct csq_db *db)
{
    if (db->recorder.attentive || csq_record_is_late(&db->recorder)) {
        look(db, !csq_list_empty(&db->sessions));
    }
}

void
csq_look_behind(struct csq_db *db, const struct csq_job *job)
{
    const unsigned before = db->recorder.turns;
    bool wrote = job->op != CSQ_OPEN && job->op != CSQ_APPLY && !db->reading;

    csq_look(db);
    if (csq_watch_has_begun(before, db->recorder.turns) && wrote) {
        csq_record_missed(&db->recorder, before);
    }
}

void
csq_look_away(struct csq_db *db)
{
    if (db->recorder.attentive) {
        look(db, true);
    }
}
