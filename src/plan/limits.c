/* limits.c - what no process can hold is refused before any of it is compiled or
 * allocated: by which rule, because of what, and what would do. */
#include "plan/passes.h"

#include <stdio.h>

/* ---- programs ---- */
/* Which param makes the most of the programs that are too many. */
static const plan_baked *largest_baked(const plan *p, int64_t *count)
{
    const plan_baked *most = NULL;
    *count = 0;
    for (int i = 0; i < p->n_programs; i++)
        for (int k = 0; k < p->programs[i].n_baked; k++) {
            const plan_baked *q = &p->programs[i].baked[k];
            int64_t n = ir_count(ir_find(p->programs[i].graph, q->constant)->shape);
            if (n > *count) *count = n, most = q;
        }
    return most;
}

/* A budget given on the command line can be given larger; a chip's own cannot. */
static rc more_room(const planner *b, bool slot, int needed, int had)
{
    const dev_profile *chip = b->p->caps.profile;
    int own = chip ? (slot ? chip->programs_max : chip->compiles_max) : 0;
    if (had >= own) return err_hint(E_BUDGET, "try a smaller model.layers");
    return err_hint(E_BUDGET, "%s=%d or more in the device's URI, or leave it out",
                    slot ? "slots" : "compiles", needed);
}

static rc too_many_baked(const plan_baked *w, int64_t count)
{
    err_while(E_BUDGET,
              "baking weights: each layer has programs of its own, the largest "
              "constant is %s with %lld elements",
              w->param, (long long)count);
    return err_hint(E_BUDGET, "plan.weights=streamed lets equal layers share programs");
}

static rc too_many(const planner *b, bool slot, int needed, int had)
{
    const plan *p = b->p;
    str names = {0};
    for (int i = 0; i < p->n_programs && i < 8; i++)
        str_addf(&names, "%s%s", i ? ", " : "", p->programs[i].name);
    if (p->n_programs > 8) str_add(&names, ", ...");
    err_while(E_BUDGET, "planning %s", str_text(&names));
    str_free(&names);
    if (p->update) {
        err_while(E_BUDGET, "planning %d programs more, for AdamW on the engine",
                  p->update->loads);
        err_hint(E_BUDGET, "plan.weights=streamed needs %d", p->loads - p->update->loads);
    }
    return more_room(b, slot, needed, had);
}

/* A set that is compiled again takes the place of the old one program by program,
 * and so needs one slot more (dev_reload). */
static rc check_budget(const planner *b)
{
    const plan *p = b->p;
    int slots = p->loads + (p->rebakes > 0), had = 0;
    const char *rule = NULL;
    int64_t count;
    if (p->caps.compiles_max && p->loads > p->caps.compiles_max)
        rule = "compile_budget", had = p->caps.compiles_max;
    else if (p->caps.programs_max && slots > p->caps.programs_max)
        rule = "program_slots", had = p->caps.programs_max;
    if (!rule) return OK;
    bool slot = *rule == 'p';
    int needed = slot ? slots : p->loads;
    err_fail(E_BUDGET, "rule '%s': the plan needs %d programs, a process %s %d", rule,
             needed, slot ? "holds" : "compiles", had);
    const plan_baked *w = largest_baked(p, &count);
    return w ? too_many_baked(w, count) : too_many(b, slot, needed, had);
}

/* ---- memory ---- */
/* Of weights, inputs and outputs by name, of other values by where they are made. */
static void largest_tensor(const plan *p, char *out, size_t n)
{
    const char *name = NULL, *scope = "";
    double most = 0;
    char t[32];
    for (int i = 0; i < p->given->n_nodes; i++) {
        const ir_node *q = p->given->nodes[i];
        double bytes = q->op == IR_param ? 4 * (double)ir_count(q->shape) : 0;
        if (bytes > most) most = bytes, name = q->name;
    }
    for (int i = 0; i < p->n_steps; i++) {
        const plan_step *s = &p->steps[i];
        for (int k = 0; k < s->n_out; k++) {
            const plan_buffer *q = &p->buffers[s->out[k]];
            if ((double)q->bytes <= most || q->home == PLAN_GRAD) continue;
            most = (double)q->bytes, name = q->name, scope = s->scope;
        }
    }
    if (name) snprintf(out, n, "%s, %s", name, str_bytes(t, most));
    else snprintf(out, n, "a value of %s, %s", scope, str_bytes(t, most));
}

static rc what_would_fit(const plan *p)
{
    const plan_memory *m = &p->memory;
    if (p->update && m->surfaces > m->activations)
        return err_hint(E_MEMORY, "plan.weights=streamed keeps one surface a weight, "
                                  "where resident keeps eight");
    if (m->weights + m->moments + m->gradients + m->surfaces > m->activations + m->host)
        return err_hint(E_MEMORY, "try a smaller model.dim or model.layers");
    return err_hint(E_MEMORY, "try a smaller train.batch or model.seq");
}

static rc check_memory(const plan *p)
{
    const plan_memory *m = &p->memory;
    double limit = p->options.memory_limit_bytes;
    double all = m->weights + m->moments + m->gradients + m->surfaces + m->activations +
                 m->host;
    char t[7][32], largest[300];
    if (limit <= 0 || all <= limit) return OK;
    largest_tensor(p, largest, sizeof largest);
    err_fail(E_MEMORY, "the plan needs %s, the limit is %s", str_bytes(t[0], all),
             str_bytes(t[1], limit));
    err_while(
        E_MEMORY,
        "planning: weights %s, moments %s, gradients %s, surfaces %s, activations %s; "
        "the largest tensor is %s",
        str_bytes(t[2], m->weights), str_bytes(t[3], m->moments),
        str_bytes(t[4], m->gradients), str_bytes(t[5], m->surfaces),
        str_bytes(t[6], m->activations), largest);
    return what_would_fit(p);
}

rc plan_limits(const planner *b)
{
    TRY(check_budget(b));
    return check_memory(b->p);
}
