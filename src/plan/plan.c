/* plan.c - the passes, called in order. */
#include "plan/passes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Doubling in an arena: the old array is lost until the arena goes, which costs
 * less than one array more. */
rc plan_grow(arena *mem, void **array, int n, int *cap, size_t size)
{
    if (n < *cap) return OK;
    int more = *cap ? 2 * *cap : 8;
    void *grown = arena_array(mem, (size_t)more, size);
    if (!grown) return E_MEMORY;
    if (n) memcpy(grown, *array, (size_t)n * size);
    *array = grown;
    *cap = more;
    return OK;
}

bool plan_guard_off(const plan *p, dev_rule r)
{
    return p->options.guards_off[r / 64] >> (r % 64) & 1;
}

bool plan_keeps(const plan *p, dev_rule r)
{
    return p->caps.rule_holds[r] && !plan_guard_off(p, r);
}

bool plan_keeps_costly(const plan *p, dev_rule r)
{
    return plan_keeps(p, r) && (p->options.rules_all || !p->caps.rule_disputed[r]);
}

bool plan_guards(planner *b, dev_rule r, bool needed)
{
    if (!needed || !plan_keeps(b->p, r)) return false;
    b->p->kept[r]++;
    return true;
}

rc plan_note(planner *b, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    TRY(plan_grow(b->mem, (void **)&b->p->notes, b->p->n_notes, &b->cap_notes,
                  sizeof *b->p->notes));
    const char *copy = arena_text(b->mem, text);
    if (!copy) return E_MEMORY;
    b->p->notes[b->p->n_notes++] = copy;
    return OK;
}

static bool has_gradients(const ir_graph *g)
{
    for (int i = 0; i < g->n_outputs; i++)
        if (plan_is_gradient(g->outputs[i].name)) return true;
    return false;
}

static bool wants_windows(const plan *p)
{
    const plan_options *o = &p->options;
    if (o->window != PLAN_WINDOW_AUTO) return o->window == PLAN_WINDOW_ON;
    return p->caps.drops && o->weights == PLAN_STREAMED && has_gradients(p->given);
}

/* Masters are what the host reads: those of weights that stay on the engine are
 * old; and values that carry factors are taken apart on the engine alone. */
static rc check_moved(const planner *b)
{
    const plan *p = b->p;
    if (!b->variant.on_host) return OK;
    if (p->options.weights == PLAN_RESIDENT)
        return err_hint(err_fail(E_CONFIG, "plan.host moves parts of the model to where "
                                           "their weights are, but these stay on the "
                                           "engine"),
                        "plan.host=none, or plan.weights=streamed");
    if (wants_windows(p))
        return err_hint(err_fail(E_CONFIG, "plan.host cannot be combined with exponent "
                                           "windows"),
                        "plan.host=none, or plan.window=off");
    return OK;
}

/* Which products are the engine's is known only when all are placed; what is
 * made then is placed like the rest. */
static rc place(planner *b)
{
    plan *p = b->p;
    int kept[DEV_RULES_MAX];
    memcpy(kept, p->kept, sizeof kept);
    TRY(plan_place(b));
    if (!wants_windows(p)) return OK;
    if (b->variant.loss_on_engine) {
        err_fail(E_CONFIG,
                 "plan.loss=engine, but with exponent windows the host puts the "
                 "factor of the loss on its gradient");
        return err_hint(E_CONFIG, "plan.loss=auto, or plan.window=off");
    }
    if (p->options.weights != PLAN_STREAMED)
        return err_fail(E_CONFIG,
                        "plan.window moves factors of streamed weights; these %s",
                        p->options.weights == PLAN_BAKED ? "are baked into programs"
                                                         : "stay on the engine");
    memcpy(p->kept, kept, sizeof kept);
    TRY_WHILE(plan_window_pass(b), "choosing exponent windows");
    b->n_sinks = 0;
    return plan_place(b);
}

/* Not asked where weights have factors of their own, or stay on the engine. */
static rc pack(planner *b)
{
    plan *p = b->p;
    bool may = !wants_windows(p) && p->options.weights != PLAN_RESIDENT;
    if (b->variant.packed <= PLAN_PACK_NONE)
        return may ? plan_packable(b->g, &p->joinable) : OK;
    if (may) return plan_pack_products(b);
    bool windows = wants_windows(p);
    err_fail(E_CONFIG, "plan.pack joins weights, but these %s",
             windows ? "have factors of their own (exponent windows)"
                     : "stay on the engine");
    return err_hint(E_CONFIG, "plan.pack=auto, or %s",
                    windows ? "plan.window=off" : "plan.weights=streamed");
}

/* `given` is simplified on the way in, which also makes it ours. */
static rc run_passes(planner *b, const ir_graph *given)
{
    plan *p = b->p;
    TRY_WHILE(ir_simplify(given, &p->given, NULL), "reading the graph");
    TRY(check_moved(b));
    bool resident = p->options.weights == PLAN_RESIDENT && has_gradients(p->given);
    if (resident) TRY(plan_resident_split(b));
    TRY(plan_legal(b));
    TRY_WHILE(pack(b), "packing products");
    TRY_WHILE(place(b), "placing nodes");
    TRY(plan_name_products(b));
    TRY_WHILE(plan_split(b), "cutting programs");
    TRY(plan_share(b));
    TRY_WHILE(plan_pack(b), "laying out surfaces");
    TRY(plan_sizes(b));
    TRY(plan_slots(b));
    TRY(plan_waits(b));
    if (resident) TRY(plan_resident_update(b));
    TRY(plan_account(b));
    return plan_verify(p);
}

rc plan_build_one(const ir_graph *given, const dev_caps *caps, const plan_options *o,
                  plan_variant v, plan **out)
{
    arena *mem = arena_new();
    plan *p = mem ? arena_take(mem, sizeof *p) : NULL;
    if (!p) {
        arena_free(mem);
        return E_MEMORY;
    }
    p->mem = mem;
    p->caps = *caps;
    if (o) p->options = *o;
    planner b = {.p = p, .mem = mem, .chip = caps->profile, .variant = v};
    rc r = run_passes(&b, given);
    if (p->options.bake_every < 1) p->options.bake_every = 1;
    p->options.n_baked = 0; /* the caller's, and only until now */
    p->options.baked = NULL;
    if (r != OK) {
        plan_free(p);
        return r;
    }
    *out = p;
    return OK;
}

void plan_free(plan *p)
{
    if (!p) return;
    plan_free(p->update);
    for (int i = 0; i < p->n_programs; i++) ir_free(p->programs[i].graph);
    for (int i = 0; i < p->n_steps; i++) {
        bool shared = false;
        for (int j = 0; j < i && !shared; j++)
            shared = p->steps[j].graph == p->steps[i].graph;
        if (!shared) ir_free(p->steps[i].graph);
    }
    ir_free(p->given);
    ir_free(p->legal);
    arena_free(p->mem);
}

int plan_find_buffer(const plan *p, const char *name)
{
    for (int i = 0; i < p->n_buffers; i++)
        if (p->buffers[i].name && strcmp(p->buffers[i].name, name) == 0) return i;
    for (int i = 0; i < p->n_outputs; i++)
        if (strcmp(p->outputs[i].name, name) == 0) return p->outputs[i].part[0];
    return -1;
}
