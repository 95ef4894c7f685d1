/* job.c - settings turned into a training: which settings hold, then the device,
 * then the model and its data, then the run. What can be wrong is found in that
 * order, before anything of the run is written; a next image of the process finds
 * nothing anew. */
#include <math.h>

#include "api/job.h"
#include "base/file.h"

enum { VOCAB_ANY = 257 }; /* while the tokenizer's is not known yet */

static bool has_checkpoint(arena *mem, const char *run_dir)
{
    int64_t *steps;
    size_t n = 0;
    if (!file_is_dir(run_dir) || checkpoint_list(mem, run_dir, &steps, &n)) err_clear();
    return n > 0;
}

static rc model_and_data(session_job *j, const session_run *r, bool begun)
{
    config *now = j->settings;
    const char *init = NULL;
    /* once begun, the weights are the run's own, and its recipe says their shape */
    if (begun && !r->anew) config_model(now, &j->job.model);
    else {
        TRY(session_model(now, j->mem, r->run_dir, &init, &j->job.model));
        TRY(job_tokenizer(now, j->mem, init));
        j->job.init_dir = init;
    }
    /* a wrong model is found before a large text is read */
    model_config known = j->job.model;
    if (!known.vocab) known.vocab = VOCAB_ANY;
    TRY(model_config_finish(&known));
    return job_data(now, j->mem, r, &j->job.data_dir);
}

static rc fill_run(session_job *j, const session_run *r)
{
    train_job *t = &j->job;
    t->run_dir = r->run_dir;
    t->anew = r->anew;
    t->dev = j->box.dev;
    t->k = j->box.k;
    t->still_writes = j->box.still_writes;
    t->sink = r->sink;
    t->progress = r->progress;
    t->stop_after = r->stop_after;
    t->stop_minutes = r->stop_minutes;
    t->stop = r->stop;
    t->ask = r->ask;
    t->may_restart = r->may_restart;
    t->taken = r->taken;
    config_plan(j->settings, &t->plan);
    return config_train(j->settings, &t->options);
}

static rc fill_taken(session_job *j, const config *c, const session_run *r)
{
    train_job *t = &j->job;
    TRY(config_copy(c, &j->settings));
    TRY(machine_open(j->settings, &j->box));
    TRY(job_dump(j));
    TRY(fill_run(j, r));
    config_model(j->settings, &t->model);
    return job_parts_taken(j, r->taken);
}

static rc fill_new(session_job *j, const config *c, const session_run *r)
{
    train_job *t = &j->job;
    bool begun = has_checkpoint(j->mem, r->run_dir);
    TRY(job_settings(c, r, begun, j->mem, &j->settings));
    TRY(machine_open(j->settings, &j->box));
    TRY(model_and_data(j, r, begun));
    TRY(job_dump(j));
    TRY(fill_run(j, r));
    TRY(job_settings_kept(j->settings));
    TRY(config_print(j->settings, &j->recipe));
    TRY(config_json(j->settings, &j->json));
    t->recipe_text = str_text(&j->recipe);
    t->settings_json = str_text(&j->json);
    return OK;
}

static rc fill_job(session_job *j, const config *c, const session_run *r)
{
    TRY(r->taken ? fill_taken(j, c, r) : fill_new(j, c, r));
    TRY(job_parts(j));
    return train_check(&j->job, &j->job.model);
}

rc session_job_open(const config *c, const session_run *r, session_job **out)
{
    arena *mem = arena_new();
    session_job *j = mem ? arena_take(mem, sizeof *j) : NULL;
    if (!j) return arena_free(mem), E_MEMORY;
    *j = (session_job){.mem = mem};
    rc e = fill_job(j, c, r);
    if (e) return session_job_close(j), e;
    *out = j;
    return OK;
}

void session_job_close(session_job *j)
{
    if (!j) return;
    if (j->job.data_dir && !j->handed) data_loose_close(j->job.data_dir);
    machine_close(&j->box);
    config_free(j->settings);
    str_free(&j->recipe);
    str_free(&j->json);
    str_free(&j->settings_dump);
    str_free(&j->limits);
    arena_free(j->mem);
}

const train_job *session_job_of(const session_job *j)
{
    return &j->job;
}

rc session_train(const config *c, const session_run *r, train_result *out)
{
    session_job *j;
    *out = (train_result){.loss = NAN,
                          .held_out = NAN,
                          .nats_per_byte = NAN,
                          .saved_step = -1,
                          .handed = -1};
    TRY(session_job_open(c, r, &j));
    rc e = train_run(&j->job, out);
    if (e == E_RESTART) {
        rc kept = data_loose_keep(j->job.data_dir, true);
        j->handed = true;
        if (kept) e = kept;
    }
    session_job_close(j);
    return e;
}

rc session_plan(const session_job *j, plan **out)
{
    const train_job *t = &j->job;
    ir_graph *g;
    dev_caps caps;
    TRY(dev_caps_of(t->dev, &caps));
    TRY(model_graph(&t->model, MODEL_GRAD, t->options.batch, t->model.seq, &g));
    rc e = plan_build(g, &caps, &t->plan, out);
    ir_free(g);
    return e;
}
