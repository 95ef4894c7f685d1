/* job_again.c - what another image of the process must be told (train/train.h).
 *
 * Not what files say: a recipe or a text may have changed meanwhile, and the run
 * goes on as it was told. So the settings as they were given go over, the limits of
 * this call, and what was found out: run, data, the recipe the run keeps. */
#include <stdio.h>
#include <string.h>

#include "api/job.h"

enum { PART_SETTINGS, PART_RUN, PART_DATA, PART_RECIPE, PART_JSON, PART_LIMITS };

static void set_part(session_job *j, int i, const char *p)
{
    j->part[i] = (train_part){p, strlen(p)};
}

/* What `auto` has become is what it stays. */
static rc say_device(session_job *j, config *said)
{
    dev_caps caps;
    char chip[512];
    const char *uri = config_text(said, OPT_device_uri);
    if (!dev_auto_chip(uri, chip, sizeof chip)) return OK;
    TRY(dev_caps_of(j->box.dev, &caps));
    return config_set(said, "device.uri", caps.hardware ? chip : caps.uri);
}

rc job_dump(session_job *j)
{
    config *said;
    TRY(config_copy(j->settings, &said));
    rc e = say_device(j, said);
    if (!e) e = config_dump(said, &j->settings_dump);
    config_free(said);
    return e;
}

rc job_parts(session_job *j)
{
    train_job *t = &j->job;
    str_addf(&j->limits, "%lld %.17g", (long long)t->stop_after, t->stop_minutes);
    TRY(str_done(&j->limits));
    j->part[PART_SETTINGS] = (train_part){j->settings_dump.p, j->settings_dump.n};
    set_part(j, PART_RUN, t->run_dir);
    set_part(j, PART_DATA, t->data_dir);
    set_part(j, PART_RECIPE, t->recipe_text);
    set_part(j, PART_JSON, t->settings_json);
    set_part(j, PART_LIMITS, str_text(&j->limits));
    t->parts = j->part;
    return OK;
}

static char *part_text(const train_hand *h, int i, arena *mem)
{
    train_part p = train_hand_part(h, i);
    return arena_textn(mem, p.p, p.n);
}

rc session_take_over(train_hand *h, arena *mem, config **c, session_run *r)
{
    long long after;
    train_part said = train_hand_part(h, PART_SETTINGS);
    char *run = part_text(h, PART_RUN, mem), *limits = part_text(h, PART_LIMITS, mem);
    if (!run || !limits) return E_MEMORY;
    if (sscanf(limits, "%lld %lf", &after, &r->stop_minutes) != 2)
        return err_fail(E_FORMAT, "the limits handed over are malformed");
    r->stop_after = after;
    r->run_dir = run;
    r->own_recipe = r->anew = false;
    r->taken = h;
    TRY(config_new(c));
    rc e = config_undump(*c, said.p, said.n);
    if (e) config_free(*c), *c = NULL;
    return e;
}

rc job_parts_taken(session_job *j, const train_hand *h)
{
    train_job *t = &j->job;
    t->data_dir = part_text(h, PART_DATA, j->mem);
    t->recipe_text = part_text(h, PART_RECIPE, j->mem);
    t->settings_json = part_text(h, PART_JSON, j->mem);
    if (!t->data_dir || !t->recipe_text || !t->settings_json) return E_MEMORY;
    return data_loose_keep(t->data_dir, false);
}
