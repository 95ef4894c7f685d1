/* job.h - between the files that turn settings into a training.
 *
 *   job.c           the order of things, and training
 *   job_settings.c  which settings hold: said now, of a recipe, of the run itself
 *   job_model.c     the model: as settings describe it, or one that exists
 *   job_data.c      its text as tokens, beside the runs or in memory
 *   job_again.c     what another image of the process must be told */
#ifndef API_JOB_H
#define API_JOB_H

#include "api/session.h"

struct session_job {
    arena *mem;
    config *settings;
    machine box;
    str recipe, json;
    train_job job;
    str settings_dump, limits; /* for another image */
    train_part part[TRAIN_PARTS];
    bool handed; /* what is open is the next image's */
};

/* job_settings.c. What `c` leaves open comes from the run's own recipe, if it has
 * begun or is told to use it; E_CONFIG names what may not change when going on.
 * *out is the caller's. */
rc job_settings(const config *c, const session_run *r, bool begun, arena *mem,
                config **out);
/* As a run keeps them: whole paths, and no library in a URI. */
rc job_settings_kept(config *c);

/* job_data.c. The dataset of a run; *dir in the arena. */
rc job_data(const config *c, arena *mem, const session_run *r, const char **dir);
/* A model that is trained on keeps its tokenizer unless another is named. */
rc job_tokenizer(config *now, arena *mem, const char *init);

/* job_again.c. Settings as they were given, before paths are made whole. */
rc job_dump(session_job *j);
rc job_parts(session_job *j); /* all that is handed on, into j->part */
/* What another image found out: texts of its job, in j->mem. */
rc job_parts_taken(session_job *j, const train_hand *h);

#endif
