/* account.c - what a plan takes: memory before anything is allocated, and
 * predicted time. */
#include "plan/cost.h"
#include "plan/timeline.h"

#include <string.h>

/* What the caller holds: fp32 weights, and while training their gradients and
 * AdamW's two moments. */
static void count_params(planner *b)
{
    plan_memory *m = &b->p->memory;
    const ir_graph *g = b->p->given;
    bool training = false;
    for (int i = 0; i < b->p->n_buffers; i++)
        if (b->p->buffers[i].home == PLAN_GRAD) {
            m->gradients += (double)b->p->buffers[i].bytes;
            training = true;
        }
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->op == IR_param)
            m->weights += 4.0 * (double)ir_count(g->nodes[i]->shape);
    if (training || b->p->update) m->moments = 2 * m->weights;
    if (!b->p->update) return;
    m->gradients = m->weights; /* read for their norm */
    m->host += m->weights;     /* what fp32 has lost of weights, to save it */
}

/* What the host computes of a graph lies in fp32 meanwhile, for equal steps in one
 * place: at most every value, and less where one takes the place of another. */
static double scratch_of(const plan *p, int step)
{
    const ir_graph *g = p->steps[step].graph;
    double bytes = 0;
    for (int i = 0; i < step; i++)
        if (p->steps[i].graph == g) return 0;
    for (int i = 0; g && i < g->n_nodes; i++)
        if (g->nodes[i]->op != IR_reshape)
            bytes += 4.0 * (double)ir_count(g->nodes[i]->shape);
    return bytes;
}

/* What exec will take: surfaces that live as long as the plan, slots shared by
 * lifetime, host memory, and the programs' weight files. */
static void count_buffers(planner *b)
{
    const plan *p = b->p;
    plan_memory *m = &b->p->memory;
    for (int i = 0; i < p->n_buffers; i++) {
        const plan_buffer *q = &p->buffers[i];
        double bytes = (double)q->bytes;
        if (q->home == PLAN_WEIGHT || (q->home == PLAN_SURFACE && q->slot < 0))
            m->surfaces += bytes;
        if (q->home == PLAN_HOST || q->home == PLAN_INPUT) m->host += bytes;
        /* two sets of hi, lo, m, r, of which one hi is counted */
        if (q->home == PLAN_WEIGHT && plan_stays(p, q->name)) m->surfaces += 7 * bytes;
    }
    for (int i = 0; i < p->n_slots; i++) m->activations += (double)p->slot_bytes[i];
    for (int i = 0; i < p->n_programs; i++)
        for (int k = 0; k < p->programs[i].n_files; k++)
            m->host += (double)p->programs[i].files[k].size;
    for (int i = 0; i < p->n_steps; i++) m->host += scratch_of(p, i);
    if (p->update) {
        m->activations += p->update->memory.activations;
        m->host += p->update->memory.host;
    }
    for (int i = 0; i < p->n_programs; i++) { /* and those that are still to come */
        const plan_program *q = &p->programs[i];
        for (int k = 0; k < q->n_baked && !q->n_files; k++)
            m->host += 2.0 *
                       (double)ir_count(ir_find(q->graph, q->baked[k].constant)->shape);
    }
}

/* Between updates: the optimizer, and staging of what it made. What stays on the
 * engine is updated there; the host reads its gradients. Of an update for several
 * passes each has its share; bake_every is 1 but for PLAN_BAKED. */
static void predict_update(planner *b)
{
    plan *p = b->p;
    double stays = 0, passes = p->options.bake_every > 1 ? p->options.bake_every : 1;
    if (!(p->memory.moments > 0)) return;
    for (int i = 0; i < p->n_buffers; i++) {
        const plan_buffer *q = &p->buffers[i];
        if (q->home != PLAN_WEIGHT) continue;
        if (plan_stays(p, q->name)) {
            stays += (double)ir_count(q->logical);
            continue;
        }
        p->staged_bytes += (double)q->bytes;
        p->staging_ms += plan_cost_host(b, DEV_HOST_COPY, (double)q->bytes);
    }
    p->optimizer_ms = plan_cost_optimizer(b, p->memory.weights / 4 - stays) / passes;
    if (!p->update) return;
    p->optimizer_ms += plan_cost_host(b, DEV_HOST_CAST, 4 * stays);
    p->optimizer_ms += p->update->engine_ms;
}

/* What overlaps is what the plan's waits let overlap. */
static rc predict(planner *b)
{
    plan *p = b->p;
    plan_block *blocks;
    int n;
    for (int i = 0; i < p->n_steps; i++) {
        plan_step *s = &p->steps[i];
        if (!s->engine) s->predicted_ms = plan_cost_host_step(b, s);
        if (s->engine) p->engine_ms += s->predicted_ms;
        else p->host_ms += s->predicted_ms;
    }
    predict_update(b);
    /* The first programs of a pass run while the later ones compile, but all
     * have been compiled by its end: a compile takes longer than a program. */
    p->compile_ms = plan_cost_compile(b, p->rebakes) /
                    (p->options.bake_every > 1 ? p->options.bake_every : 1);
    return plan_blocks(p, b->mem, &blocks, &n, &p->step_ms);
}

/* Disputed rules that cost something and are broken, once each. */
static rc note_broken(planner *b)
{
    const plan *p = b->p;
    bool joins = false, told = false;
    for (int i = 0; i < p->n_programs; i++) {
        const ir_graph *g = p->programs[i].graph;
        int blobs = 0;
        for (int k = 0; k < g->n_nodes; k++) {
            const ir_node *n = g->nodes[k];
            joins |= n->op == IR_concat;
            blobs += (n->op == IR_constant || n->op == IR_param) &&
                     ir_count(n->shape) > 64;
        }
        if (blobs <= 15 || told || !plan_keeps(p, RULE_blob_count) ||
            plan_keeps_costly(p, RULE_blob_count))
            continue;
        told = true;
        TRY(plan_note(
            b, "rule blob_count is disputed and not kept: %s has %d weight tensors",
            p->programs[i].name, blobs));
    }
    if (joins && plan_keeps(p, RULE_concat_refused) &&
        !plan_keeps_costly(p, RULE_concat_refused))
        return plan_note(
            b, "rule concat_refused is disputed and not kept: joins by products "
               "instead of concat would multiply by more zeros than values");
    return OK;
}

/* A chip whose exact arithmetic nobody has measured has one all the same. */
static rc note_assumed(planner *b)
{
    const dev_caps *c = &b->p->caps;
    if (!c->drops || !c->profile || c->profile->exact_measured) return OK;
    return plan_note(b,
                     "the arithmetic of %s was not measured: exact is that which all "
                     "measured chips share",
                     c->profile->name);
}

rc plan_account(planner *b)
{
    if (b->p->update) {
        b->p->loads += b->p->update->loads;
        b->p->launches += b->p->update->launches;
    }
    count_params(b);
    count_buffers(b);
    TRY(predict(b));
    TRY(note_broken(b));
    TRY(note_assumed(b));
    return plan_limits(b);
}
