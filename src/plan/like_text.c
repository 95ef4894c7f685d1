/* like_text.c - a published trainer's step for people and for programs. The
 * keys are those of a plan (docs/cli.md) as far as such a step has them. */
#include "plan/like.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[PLAN_LIKES] = {"seed", "static", "dynamic", "dw-engine"};
static const char *const about[PLAN_LIKES] = {
    "one launch for each of six programs a layer, weights baked in; weight gradients "
    "on the host beside the whole step",
    "six programs a layer, weights baked in; classifier and loss on the host, weight "
    "gradients beside the backward pass",
    "weights packed into inputs beside the values; norms, the gradient of silu and the "
    "classifier (over the tokens that occur) on the host",
    "weights as inputs, weight gradients and classifier on the engine; loss and norms' "
    "gradients on the host"};
static const char *const parts[PLAN_HOST_PARTS] = {"staging", "classifier", "elementwise",
                                                   "silu", "norms"};

const char *plan_like_name(int like)
{
    return like >= 0 && like < PLAN_LIKES ? names[like] : NULL;
}

plan_like plan_like_find(const char *name)
{
    int i = 0;
    while (i < PLAN_LIKES && strcmp(names[i], name)) i++;
    return (plan_like)i;
}

const char *plan_host_part_name(int part)
{
    return part >= 0 && part < PLAN_HOST_PARTS ? parts[part] : NULL;
}

double plan_like_host_ms(const plan_likeness *l)
{
    double ms = 0;
    for (int way = 0; way < 2; way++)
        for (int i = 0; i < PLAN_HOST_PARTS; i++)
            if (i != PLAN_HOST_STAGING) ms += l->host_ms[way][i];
    return ms;
}

double plan_like_staging_ms(const plan_likeness *l)
{
    return l->host_ms[0][PLAN_HOST_STAGING] + l->host_ms[1][PLAN_HOST_STAGING];
}

rc plan_like_print(const plan_likeness *l, str *out)
{
    char t[3][32];
    str_addf(out, "as %s did on %s, on paper: %s\n", names[l->like], l->chip->name,
             about[l->like]);
    str_addf(out, "programs: %d to load, %d launches a step\n", l->loads, l->launches);
    for (int i = 0; i < l->n_programs; i++) {
        const plan_like_program *p = &l->programs[i];
        str_addf(out, "  %-14s x%-3d in %s out %s %s flop %.3f ms%s\n", p->name, p->calls,
                 str_bytes(t[0], p->in_bytes), str_bytes(t[1], p->out_bytes),
                 str_count(t[2], p->flops), p->ms, p->backward ? ", backward" : "");
    }
    for (int way = 0; way < 2; way++) {
        str_addf(out, "%s: engine %.3f ms", way ? "backward" : "forward ",
                 l->engine_ms[way]);
        for (int i = 0; i < PLAN_HOST_PARTS; i++)
            if (l->host_ms[way][i] > 0)
                str_addf(out, ", %s %.3f", parts[i], l->host_ms[way][i]);
        str_addc(out, '\n');
    }
    str_addf(out, "beside: weight gradients on the host %.3f ms, %.3f of it waited for\n",
             l->dw_ms, l->waited_ms);
    if (l->vocab) str_addf(out, "classifier over %d tokens\n", l->vocab);
    str_addf(out, "predicted: %.3f ms a step without the optimizer, as they timed it\n",
             l->step_ms);
    return str_done(out);
}

static json_t *json_programs(const plan_likeness *l)
{
    json_t *all = json_array();
    for (int i = 0; i < l->n_programs; i++) {
        const plan_like_program *p = &l->programs[i];
        json_array_append_new(all, json_pack("{s:s, s:i, s:f, s:f, s:f, s:s, s:f}",
                                             "name", p->name, "calls", p->calls,
                                             "in_bytes", p->in_bytes, "out_bytes",
                                             p->out_bytes, "flops", p->flops, "cause",
                                             about[l->like], "predicted_ms", p->ms));
    }
    return all;
}

static json_t *json_host(const plan_likeness *l)
{
    json_t *all = json_array();
    for (int way = 0; way < 2; way++)
        for (int i = 0; i < PLAN_HOST_PARTS; i++)
            if (l->host_ms[way][i] > 0)
                json_array_append_new(
                    all, json_pack("{s:s, s:s, s:b, s:f}", "op", parts[i], "cause",
                                   way ? "backward" : "forward", "background", 0,
                                   "predicted_ms", l->host_ms[way][i]));
    if (l->dw_ms > 0)
        json_array_append_new(all, json_pack("{s:s, s:s, s:b, s:f}", "op",
                                             "weight gradients", "cause", "backward",
                                             "background", 1, "predicted_ms", l->dw_ms));
    return all;
}

rc plan_like_json(const plan_likeness *l, str *out)
{
    json_t *all = json_pack(
        "{s:s, s:o, s:i, s:i, s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:s}", "like",
        names[l->like], "programs", json_programs(l), "loads", l->loads,
        "launches_per_step", l->launches, "host", json_host(l), "predicted_step_ms",
        l->step_ms, "engine_ms", l->engine_ms[0] + l->engine_ms[1], "host_ms",
        plan_like_host_ms(l), "staging_ms", plan_like_staging_ms(l), "waited_ms",
        l->waited_ms, "optimizer_ms", 0.0, "profile", l->chip->name);
    char *text = all ? json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(all);
    if (!text) return err_fail(E_MEMORY, "no memory for the step as text");
    str_add(out, text);
    free(text);
    return str_done(out);
}
