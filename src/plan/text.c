/* text.c - a plan for people (plan_print) and for programs (plan_json). */
#include "plan/anchors.h"
#include "plan/timeline.h"

#include <math.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* How the host does it, for people. */
static const char *host_words[] = {
    [PLAN_HOST_EVAL] = "computed",
    [PLAN_HOST_EMBEDDING] = "look-up",
    [PLAN_HOST_EMBEDDING_DW] = "summed into the gradient",
    [PLAN_HOST_LOSS] = "loss",
    [PLAN_HOST_MATMUL] = "summed into the gradient",
    [PLAN_HOST_ADD] = "added to the gradient",
};

static const char *what(const plan *p, const plan_step *s)
{
    return s->engine ? p->programs[s->program].name : s->what;
}

static void print_programs(const plan *p, str *out)
{
    char t[3][32];
    for (int i = 0; i < p->n_programs; i++) {
        const plan_program *q = &p->programs[i];
        str_addf(out, "  %-14s x%-3d in %d (%s) out %d (%s) %s flop %.3f ms: %s\n",
                 q->name, q->calls, q->n_in, str_bytes(t[0], (double)q->in_bytes),
                 q->n_out, str_bytes(t[1], (double)q->out_bytes),
                 str_count(t[2], q->flops), q->predicted_ms, q->cause);
    }
}

/* The param whose gradient a step adds to, or "". */
static const char *param_of(const plan *p, const plan_step *s)
{
    const plan_buffer *q = s->n_out ? &p->buffers[s->out[0]] : NULL;
    return q && q->home == PLAN_GRAD ? q->name : "";
}

/* Steps of the host that only differ in the param are one line. */
static bool same_line(const plan_step *x, const plan_step *y)
{
    return !x->engine && !y->engine && x->host == y->host &&
           x->background == y->background && strcmp(x->what, y->what) == 0 &&
           strcmp(x->scope, y->scope) == 0 && strcmp(x->cause, y->cause) == 0 &&
           x->n_wait == y->n_wait &&
           (!x->n_wait ||
            memcmp(x->wait, y->wait, (size_t)x->n_wait * sizeof *x->wait) == 0);
}

/* "model.layers.0." of a and b: what ends in a point and is in both. */
static size_t common_stem(const char *a, const char *b)
{
    size_t stem = 0;
    for (size_t i = 0; a[i] && a[i] == b[i]; i++)
        if (a[i] == '.') stem = i + 1;
    return stem;
}

/* How the host does steps [begin, end), and for which params. */
static void print_how(const plan *p, int begin, int end, str *out)
{
    const char *first = param_of(p, &p->steps[begin]);
    size_t stem = strlen(first);
    str_addf(out, " (%s", host_words[p->steps[begin].host]);
    for (int j = begin + 1; j < end; j++) {
        size_t n = common_stem(first, param_of(p, &p->steps[j]));
        if (n < stem) stem = n;
    }
    if (*first) str_addf(out, " of %s", first);
    for (int j = begin + 1; *first && j < end; j++)
        str_addf(out, ", %s", param_of(p, &p->steps[j]) + stem);
    str_addc(out, ')');
}

/* "beside": runs while the engine does; "after": the steps it waits for. */
static void print_steps(const plan *p, str *out)
{
    str_add(out, "steps:\n");
    for (int i = 0, end; i < p->n_steps; i = end) {
        const plan_step *s = &p->steps[i];
        for (end = i + 1; end < p->n_steps && same_line(s, &p->steps[end]);) end++;
        str_addf(out, "  %3d %s %s", i,
                 s->engine       ? "engine"
                 : s->background ? "beside"
                                 : "host  ",
                 what(p, s));
        if (end - i > 1) str_addf(out, " x%d", end - i);
        if (!s->engine) print_how(p, i, end, out);
        if (*s->scope) str_addf(out, " of %s", s->scope);
        for (int j = 0; j < s->n_wait; j++)
            str_addf(out, "%s%d", j ? "," : " after ", s->wait[j]);
        str_addf(out, ": %s\n", s->cause);
    }
}

static void print_memory(const plan *p, str *out)
{
    const plan_memory *m = &p->memory;
    plan_times w = plan_times_of(p);
    char t[6][32];
    str_addf(out,
             "memory: weights %s, moments %s, gradients %s, surfaces %s, activations %s, "
             "host %s\n",
             str_bytes(t[0], m->weights), str_bytes(t[1], m->moments),
             str_bytes(t[2], m->gradients), str_bytes(t[3], m->surfaces),
             str_bytes(t[4], m->activations), str_bytes(t[5], m->host));
    str_addf(out,
             "predicted: %.3f ms %s (engine %.3f, host %.3f, staging %.3f, optimizer "
             "%.3f)",
             p->step_ms,
             p->options.bake_every > 1 ? "a pass with its share of an update" : "a step",
             p->engine_ms, p->host_ms, p->staging_ms, p->optimizer_ms);
    if (p->caps.profile)
        str_addf(out, " on %s, within %.0f %% as a rule", p->caps.profile->name,
                 100 * plan_error_band(p->caps.profile));
    str_addc(out, '\n');
    if (p->optimizer_ms > 0)
        str_addf(
            out,
            "  a pass %.3f ms, then the update; %.3f if nothing overlapped; AdamW at "
            "the bandwidth of memory, 28 bytes a parameter: %.3f\n",
            w.pass, w.serial, w.floor);
    if (p->rebakes)
        str_addf(out,
                 "weights are baked: %d programs compiled again for each update of %d "
                 "pass%s, %.3f ms a pass\n",
                 p->rebakes, p->options.bake_every, p->options.bake_every > 1 ? "es" : "",
                 p->compile_ms);
}

static void print_choices(const plan *p, str *out)
{
    const char *why = NULL;
    if (p->n_choices)
        str_add(out, "weighed: predicted ms of a pass, forward and backward\n");
    for (int i = 0; i < p->n_choices; i++) {
        const plan_choice *c = &p->choices[i];
        bool more = i + 1 < p->n_choices && strcmp(c->what, c[1].what) == 0;
        if (i == 0 || strcmp(c->what, c[-1].what) != 0) {
            why = NULL;
            str_addf(out, "  %s: %s %.3f%s", c->what, c->taken, c->ms,
                     c->of_step ? " a step" : "");
        }
        if (isnan(c->other_ms)) str_addf(out, ", %s refused", c->other);
        else str_addf(out, ", %s %.3f", c->other, c->other_ms), why = c->why;
        if (!more) str_addf(out, ": %s\n", why ? why : c->why);
    }
}

static void print_rules(const plan *p, str *out)
{
    const char *before = "rules kept: ";
    for (int i = 0; i < DEV_RULES; i++) {
        if (!p->kept[i]) continue;
        str_addf(out, "%s%s x%d", before, dev_rule_at((dev_rule)i)->id, p->kept[i]);
        before = ", ";
    }
    if (*before == ',') str_addc(out, '\n');
}

/* ---- exponent windows ---- */
/* Its factors, as one multiplies them. */
static void add_form(const plan_window *w, int form, str *out)
{
    const plan_form *f = &w->forms[form];
    for (int i = 0; i < f->n; i++)
        str_addf(out, "%s%s%s", i ? " * " : "", w->factors[f->factor[i]].name,
                 f->times[i] < 0   ? "^-1"
                 : f->times[i] > 1 ? "^2"
                                   : "");
    if (!f->n) str_add(out, "1");
}

static void print_window(const plan *p, str *out)
{
    const plan_window *w = p->window;
    if (!w) return;
    int products = 0;
    for (int i = 0; i < w->n_sites; i++) products += !w->sites[i].operand;
    str_addf(out,
             "window: %d factors for %d products, %d multiplications more; each line: "
             "product, its factor and where that went, what its result is stored "
             "times\n",
             w->n_factors, products, w->n_muls);
    for (int i = 0; i < w->n_sites; i++) {
        const plan_site *s = &w->sites[i];
        if (s->operand) continue;
        str_addf(out, "  %s (%s) %s: %s; ", s->name, plan_way_name(s->kind),
                 s->factor < 0 ? "-" : w->factors[s->factor].name, s->cause);
        add_form(w, s->form, out);
        str_addc(out, '\n');
    }
}

rc plan_print(const plan *p, str *out)
{
    str_addf(out, "programs: %d to load, %d launches a step\n", p->loads, p->launches);
    print_programs(p, out);
    if (p->update) print_programs(p->update, out);
    print_steps(p, out);
    if (p->update) {
        str_add(out, "AdamW, after the host has seen that gradients are finite:\n");
        print_steps(p->update, out);
    }
    print_window(p, out);
    TRY(plan_print_timeline(p, out));
    print_memory(p, out);
    print_choices(p, out);
    print_rules(p, out);
    for (int i = 0; i < p->n_notes; i++) str_addf(out, "note: %s\n", p->notes[i]);
    return str_done(out);
}

/* ---- JSON: keys of docs/cli.md ---- */
static json_t *json_programs(const plan *p)
{
    json_t *all = p->update ? json_programs(p->update) : json_array();
    for (int i = 0; i < p->n_programs; i++) {
        const plan_program *q = &p->programs[i];
        json_array_insert_new(
            all, (size_t)i,
            json_pack("{s:s, s:i, s:I, s:I, s:f, s:s, s:f}", "name", q->name, "calls",
                      q->calls, "in_bytes", (json_int_t)q->in_bytes, "out_bytes",
                      (json_int_t)q->out_bytes, "flops", q->flops, "cause", q->cause,
                      "predicted_ms", q->predicted_ms));
    }
    return all;
}

static json_t *json_host(const plan *p)
{
    json_t *all = json_array();
    for (int i = 0; i < p->n_steps; i++) {
        const plan_step *s = &p->steps[i];
        if (s->engine) continue;
        json_array_append_new(
            all, json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:f}", "op", what(p, s),
                           "does", host_words[s->host], "gradient", param_of(p, s),
                           "cause", s->cause, "scope", s->scope, "background",
                           (int)s->background, "predicted_ms", s->predicted_ms));
    }
    return all;
}

static json_t *json_rules(const plan *p)
{
    json_t *all = json_object();
    for (int i = 0; i < DEV_RULES; i++)
        if (p->kept[i])
            json_object_set_new(all, dev_rule_at((dev_rule)i)->id,
                                json_integer(p->kept[i]));
    return all;
}

static json_t *json_notes(const plan *p)
{
    json_t *all = json_array();
    for (int i = 0; i < p->n_notes; i++)
        json_array_append_new(all, json_string(p->notes[i]));
    return all;
}

static json_t *json_window(const plan *p)
{
    const plan_window *w = p->window;
    json_t *factors = json_array(), *products = json_array();
    if (!w) {
        json_decref(factors);
        json_decref(products);
        return json_null();
    }
    for (int i = 0; i < w->n_factors; i++)
        json_array_append_new(factors, json_pack("{s:s, s:s}", "name", w->factors[i].name,
                                                 "where", w->factors[i].cause));
    for (int i = 0; i < w->n_sites; i++) {
        const plan_site *s = &w->sites[i];
        if (s->operand) continue;
        str form = {0};
        add_form(w, s->form, &form);
        const char *factor = s->factor < 0 ? NULL : w->factors[s->factor].name;
        json_array_append_new(products,
                              json_pack("{s:s, s:s, s:s?, s:s, s:s}", "name", s->name,
                                        "kind", plan_way_name(s->kind), "factor", factor,
                                        "where", s->cause, "form", form.p ? form.p : ""));
        str_free(&form);
    }
    return json_pack("{s:o, s:o, s:i}", "factors", factors, "products", products,
                     "multiplications", w->n_muls);
}

static json_t *json_choices(const plan *p)
{
    json_t *all = json_array();
    for (int i = 0; i < p->n_choices; i++) {
        const plan_choice *c = &p->choices[i];
        json_t *row = json_pack("{s:s, s:s, s:s, s:f, s:s, s:s}", "what", c->what, "of",
                                c->of_step ? "step" : "pass", "taken", c->taken, "ms",
                                c->ms, "other", c->other, "cause", c->why);
        if (!isnan(c->other_ms))
            json_object_set_new(row, "other_ms", json_real(c->other_ms));
        json_array_append_new(all, row);
    }
    return all;
}

static json_t *json_timeline(const plan *p)
{
    plan_block *b;
    int n = 0;
    double end;
    json_t *all = json_array();
    arena *mem = arena_new();
    if (mem && plan_blocks(p, mem, &b, &n, &end) != OK) n = 0;
    for (int i = 0; i < n; i++)
        json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:f, s:f}", "lane",
                                             plan_lane_name((int)b[i].lane), "name",
                                             b[i].name, "scope", b[i].scope, "from_ms",
                                             b[i].from_ms, "ms", b[i].ms));
    arena_free(mem);
    return all;
}

rc plan_json(const plan *p, str *out)
{
    const plan_memory *m = &p->memory;
    plan_times t = plan_times_of(p);
    json_t *memory = json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "weights", m->weights,
                               "moments", m->moments, "gradients", m->gradients,
                               "surfaces", m->surfaces, "activations", m->activations,
                               "host", m->host);
    json_t *all = json_pack(
        "{s:o, s:i, s:i, s:I, s:i, s:o, s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:o, s:o, "
        "s:o, s:f, s:f, s:f, s:o, s:o}",
        "programs", json_programs(p), "loads", p->loads, "compiles_per_update",
        p->rebakes, "staged_bytes", (json_int_t)p->staged_bytes, "launches_per_step",
        p->launches, "host", json_host(p), "memory", memory, "predicted_step_ms",
        p->step_ms, "engine_ms", p->engine_ms, "host_ms", p->host_ms, "staging_ms",
        p->staging_ms, "optimizer_ms", p->optimizer_ms, "compile_ms", p->compile_ms,
        "rules_kept", json_rules(p), "notes", json_notes(p), "window", json_window(p),
        "optimizer_floor_ms", t.floor, "pass_ms", t.pass, "serial_ms", t.serial,
        "timeline", json_timeline(p), "choices", json_choices(p));
    if (all && p->caps.profile) {
        json_object_set_new(all, "profile", json_string(p->caps.profile->name));
        json_object_set_new(all, "error_band",
                            json_real(plan_error_band(p->caps.profile)));
    }
    char *text = all ? json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(all);
    if (!text) return err_fail(E_MEMORY, "no memory for the plan as text");
    str_add(out, text);
    free(text);
    return str_done(out);
}
