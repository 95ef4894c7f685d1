/* like.c - `--like NAME`: the step of a published trainer by the same model of
 * time (plan/like.h), for a model's sizes and the profile of a device. */
#include <stdio.h>
#include <string.h>

#include "cli/bench.h"
#include "plan/anchors.h"
#include "plan/like.h"

static rc find(const args *a, plan_like *like)
{
    const char *name = args_text(a, "like", "");
    const char *names[PLAN_LIKES];
    *like = plan_like_find(name);
    if (*like != PLAN_LIKES) return OK;
    for (int i = 0; i < PLAN_LIKES; i++) names[i] = plan_like_name(i);
    const char *near = err_nearest(name, names, PLAN_LIKES);
    err_fail(E_USAGE,
             "no published trainer '%s'; there are seed, static, dynamic and dw-engine",
             name);
    return near ? err_hint(E_USAGE, "did you mean '%s'?", near) : E_USAGE;
}

static rc predict(const args *a, const model_config *m, bool layers_only, int64_t batch,
                  device *dev, plan_likeness *l)
{
    static const char *const not_with[] = {"svg", "save", "forward", "program"};
    plan_like like;
    dev_caps caps;
    TRY(find(a, &like));
    for (size_t i = 0; i < sizeof not_with / sizeof *not_with; i++)
        if (args_has(a, not_with[i]))
            return err_fail(
                E_USAGE,
                "--%s is for our own plans; a published trainer's with --like "
                "is figures alone",
                not_with[i]);
    TRY(dev_caps_of(dev, &caps));
    if (!caps.profile)
        return err_hint(
            err_fail(E_DEVICE, "nothing is known of the chip of '%s'", caps.uri),
            "try -d null:m4");
    if (batch != 1)
        return err_hint(err_fail(E_USAGE,
                                 "the published trainers take one window at a time, not "
                                 "%d",
                                 (int)batch),
                        "train.batch=1, or --batch 1");
    plan_dims d = {m->dim,      m->hidden, m->heads, m->kv_heads,
                   m->head_dim, m->layers, m->seq,   layers_only ? 0 : m->vocab};
    plan_like_predict(like, &d, caps.profile, NULL, l);
    return OK;
}

rc cli_like_explain(const args *a, const model_config *m, int64_t batch, device *dev)
{
    plan_likeness l;
    str text = {0};
    TRY(predict(a, m, false, batch, dev, &l));
    bool json = args_has(a, "json");
    rc e = json ? plan_like_json(&l, &text) : plan_like_print(&l, &text);
    if (!e) fputs(str_text(&text), stdout);
    if (!e && json) putchar('\n');
    str_free(&text);
    return e;
}

rc cli_like_bench(const args *a, const model_config *m, bool layers_only, int64_t batch,
                  device *dev)
{
    plan_likeness l;
    TRY(predict(a, m, layers_only, batch, dev, &l));
    double tflops = l.flops / l.step_ms * 1e-9, peak = l.chip->peak_tflops;
    double band = plan_error_band(l.chip);
    if (!args_has(a, "json")) {
        printf("%s as %s did, on paper: predicted %.3f ms on %s (within %.0f %% as a "
               "rule), %.2f TFLOP/s, %.1f %% of %.1f\n"
               "  %d launches, %d loads; nothing was run\n",
               a->word[0], plan_like_name(l.like), l.step_ms, l.chip->name, 100 * band,
               tflops, 100 * tflops / peak, peak, l.launches, l.loads);
        return OK;
    }
    json_t *o = json_object();
    json_object_set_new(o, "like", json_string(plan_like_name(l.like)));
    cli_real(o, "predicted_ms", l.step_ms);
    json_object_set_new(o, "launches", json_integer(l.launches));
    json_object_set_new(o, "loads", json_integer(l.loads));
    cli_real(o, "tflops_predicted", tflops);
    cli_real(o, "peak_tflops", peak);
    cli_real(o, "utilisation", tflops / peak);
    json_object_set_new(o, "profile", json_string(l.chip->name));
    cli_real(o, "error_band", band);
    json_object_set_new(o, "source", json_string(l.chip->source));
    return cli_put_json(o);
}
