/* verify.c - what must hold of a finished plan, found out afresh: nothing here
 * trusts what the passes noted down, only the steps, buffers and programs
 * themselves.
 *
 * A rule whose guard a test has switched off is not looked for, since the
 * device is what the test wants to see it found by. */
#include "plan/passes.h"

#include <string.h>

/* ---- values and memory ---- */
typedef struct {
    const plan *p;
    bool *after;    /* after[i * n_steps + j]: step i comes after step j */
    bool *written;  /* by buffer */
    int *holder;    /* by slot: buffer whose value it holds, -1 none */
    int *last_read; /* by buffer */
} checker;

static rc bad(const plan *p, int step, const char *what, int buffer)
{
    const plan_step *s = &p->steps[step];
    const char *name = buffer >= 0 && p->buffers[buffer].name ? p->buffers[buffer].name
                                                              : "";
    return err_fail(E_FAILED, "plan: step %d (%s of '%s') %s buffer %d %s", step,
                    s->engine ? p->programs[s->program].name : s->what, s->scope, what,
                    buffer, name);
}

/* What holds a value before the first step of a pass. */
static bool kept_between_steps(const plan_buffer *q)
{
    return q->home == PLAN_WEIGHT || q->home == PLAN_MASTER || q->home == PLAN_GRAD ||
           q->home == PLAN_INPUT || q->input;
}

/* Play the steps through: each read must find the value that was meant. */
static rc check_values(checker *c)
{
    const plan *p = c->p;
    for (int i = 0; i < p->n_steps; i++) {
        const plan_step *s = &p->steps[i];
        for (int j = 0; j < s->n_in; j++) {
            const plan_buffer *q = &p->buffers[s->in[j]];
            if (!kept_between_steps(q) && !c->written[s->in[j]])
                return bad(p, i, "reads before anyone writes", s->in[j]);
            if (q->slot >= 0 && c->holder[q->slot] != s->in[j])
                return bad(p, i, "reads what has been overwritten:", s->in[j]);
        }
        for (int j = 0; j < s->n_out; j++) {
            const plan_buffer *q = &p->buffers[s->out[j]];
            if (q->home == PLAN_WEIGHT || q->home == PLAN_MASTER || q->home == PLAN_INPUT)
                return bad(p, i, "writes", s->out[j]);
            c->written[s->out[j]] = true;
            if (q->slot < 0) continue;
            if (p->slot_bytes[q->slot] != q->bytes)
                return bad(p, i, "has a slot of another size for", s->out[j]);
            int old = c->holder[q->slot];
            if (old >= 0 && old != s->out[j] && c->last_read[old] > i)
                return bad(p, i, "overwrites what is still needed:", old);
            c->holder[q->slot] = s->out[j];
        }
    }
    return OK;
}

static int memory_of(const plan *p, int buffer)
{
    int slot = p->buffers[buffer].slot;
    return slot >= 0 ? p->n_buffers + slot : buffer;
}

static bool touches(const plan *p, const plan_step *s, int memory, bool writes)
{
    for (int i = 0; i < s->n_out; i++)
        if (memory_of(p, s->out[i]) == memory) return true;
    for (int i = 0; !writes && i < s->n_in; i++)
        if (memory_of(p, s->in[i]) == memory) return true;
    return false;
}

/* Two steps that touch the same memory, one of them writing, must be ordered
 * by waits alone: threads know nothing else. */
static rc check_waits(checker *c)
{
    const plan *p = c->p;
    int n = p->n_steps;
    for (int i = 0; i < n; i++) {
        const plan_step *s = &p->steps[i];
        bool *mine = c->after + (size_t)i * (size_t)n;
        for (int j = 0; j < s->n_wait; j++) {
            if (s->wait[j] >= i) return bad(p, i, "waits for a later step, not", -1);
            mine[s->wait[j]] = true;
            for (int k = 0; k < s->wait[j]; k++)
                mine[k] |= c->after[(size_t)s->wait[j] * (size_t)n + (size_t)k];
        }
        for (int j = 0; j < i; j++) {
            bool clash = false;
            for (int k = 0; k < s->n_in && !clash; k++)
                clash = touches(p, &p->steps[j], memory_of(p, s->in[k]), true);
            for (int k = 0; k < s->n_out && !clash; k++)
                clash = touches(p, &p->steps[j], memory_of(p, s->out[k]), false);
            if (clash && !mine[j])
                return bad(p, i, "does not wait for an earlier step:", j);
        }
    }
    return OK;
}

static rc check_steps(const plan *p, arena *mem)
{
    size_t steps = (size_t)p->n_steps, buffers = (size_t)p->n_buffers + 1;
    checker c = {.p = p,
                 .after = arena_array(mem, mem_mul(steps, steps) + 1, sizeof *c.after),
                 .written = arena_array(mem, buffers, sizeof *c.written),
                 .holder = arena_array(mem, (size_t)p->n_slots + 1, sizeof *c.holder),
                 .last_read = arena_array(mem, buffers, sizeof *c.last_read)};
    if (!c.after || !c.written || !c.holder || !c.last_read) return E_MEMORY;
    for (int i = 0; i < p->n_slots; i++) c.holder[i] = -1;
    for (int i = 0; i < p->n_steps; i++)
        for (int j = 0; j < p->steps[i].n_in; j++) c.last_read[p->steps[i].in[j]] = i;
    TRY(check_values(&c));
    return check_waits(&c);
}

/* ---- programs ---- */
static rc broken(const plan *p, const plan_program *q, dev_rule r, const char *what)
{
    if (!plan_keeps(p, r)) return OK;
    return err_fail(E_RULE, "plan: program %s breaks rule %s: %s", q->name,
                    dev_rule_at(r)->id, what);
}

/* Rules about single ops, looked up in the program's own graph. */
static rc check_node(const plan *p, const plan_program *q, const ir_node *n)
{
    const dev_profile *c = p->caps.profile;
    const char *why = NULL;
    int rank = n->shape.rank;
    bool value = n->op != IR_input && n->op != IR_param;
    for (int i = 0; i < rank && c; i++) {
        bool spatial = i + 2 >= rank && !(rank == 3 && i == 1);
        if (n->shape.d[i] > (spatial ? c->max_axis : c->max_channels))
            TRY(broken(p, q, RULE_axis_limit, ir_op_name(n->op)));
    }
    if (n->type == IR_INT32) TRY(broken(p, q, RULE_cast_int32, "an int32 value"));
    if (c && value && !dev_op_supported(ir_op_mil(n->op), c->family, &why))
        return err_fail(E_RULE, "plan: program %s has %s: %s", q->name, ir_op_name(n->op),
                        why);
    if (n->op == IR_concat && n->n_in != 2)
        TRY(broken(p, q, RULE_concat_pairs, "concat"));
    if (n->op == IR_tile) TRY(broken(p, q, RULE_tile_poison, "tile"));
    if (n->op == IR_rsqrt) TRY(broken(p, q, RULE_rsqrt_refused, "rsqrt"));
    if (n->op == IR_gelu) TRY(broken(p, q, RULE_gelu_refused, "gelu"));
    if (n->op == IR_conv && n->in[1]->op != IR_constant && n->in[1]->op != IR_param)
        TRY(broken(p, q, RULE_conv_runtime_weight, "conv"));
    if (n->op == IR_slice && n->attr.begin[rank - 1] != 0 && n->in[0]->op != IR_constant)
        TRY(broken(p, q, RULE_slice_clamp, "slice"));
    if (n->op != IR_matmul) return OK;
    ir_shape x = n->in[0]->shape, y = n->in[1]->shape;
    if (rank > 4) TRY(broken(p, q, RULE_matmul_rank, "matmul"));
    for (int i = 0; i + 2 < rank; i++)
        if (x.rank != y.rank || x.d[i] != y.d[i])
            return broken(p, q, RULE_matmul_batch, "matmul");
    return OK;
}

static rc check_ports(const plan *p, const plan_program *q, bool output)
{
    int n = output ? q->n_out : q->n_in;
    const char **names = output ? q->out_names : q->in_names;
    const dev_shape *s = output ? q->out_shapes : q->in_shapes;
    for (int i = 0; i < n; i++) {
        const ir_node *node = ir_find(q->graph, names[i]);
        if (!node)
            return err_fail(E_FAILED, "plan: program %s has no %s", q->name, names[i]);
        if (i && strcmp(names[i - 1], names[i]) >= 0)
            TRY(broken(p, q, output ? RULE_output_order : RULE_input_order, names[i]));
        if (s[i].d[s[i].rank - 1] % 32) TRY(broken(p, q, RULE_row_multiple, names[i]));
        if (s[i].bytes < 49152) TRY(broken(p, q, RULE_surface_minimum, names[i]));
        if (s[i].bytes % 16384) TRY(broken(p, q, RULE_surface_pages, names[i]));
        if (i && (output ? s[i].bytes > s[i - 1].bytes : s[i].bytes < s[i - 1].bytes))
            TRY(broken(p, q, RULE_slot_sizes, names[i]));
        if (node->type != IR_FP16)
            TRY(broken(p, q, node->type == IR_BOOL ? RULE_bool_io : RULE_fp16_io,
                       names[i]));
        if (output && node->n_in == 0) TRY(broken(p, q, RULE_outputs_computed, names[i]));
    }
    return OK;
}

static rc check_program(const plan *p, const plan_program *q, arena *mem)
{
    const ir_graph *g = q->graph;
    int *depth = arena_array(mem, (size_t)g->n_nodes + 1, sizeof *depth);
    bool *used = arena_array(mem, (size_t)g->n_nodes + 1, sizeof *used);
    if (!depth || !used) return E_MEMORY;
    if (!p->options.guards_off[0])
        TRY_WHILE(ir_verify_dialect(g), "checking program %s", q->name);
    for (int i = 0; i < g->n_nodes; i++) {
        const ir_node *n = g->nodes[i];
        TRY(check_node(p, q, n));
        for (int j = 0; j < n->n_in; j++) {
            used[n->in[j]->id] = true;
            if (depth[n->in[j]->id] > depth[i]) depth[i] = depth[n->in[j]->id];
        }
        depth[i] += n->n_in > 0 && n->op != IR_reshape;
        if (depth[i] > 383) TRY(broken(p, q, RULE_graph_depth, ir_op_name(n->op)));
    }
    for (int i = 0; i < g->n_outputs; i++) used[g->outputs[i].node->id] = true;
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->op == IR_input && !used[i])
            TRY(broken(p, q, RULE_inputs_used, g->nodes[i]->name));
    if (q->n_in + q->n_out > 128)
        TRY(broken(p, q, RULE_surface_slots, "too many surfaces"));
    TRY(check_ports(p, q, false));
    return check_ports(p, q, true);
}

/* Buffers given to a program are at least what its ports say. */
static rc check_call(const plan *p, int step)
{
    const plan_step *s = &p->steps[step];
    const plan_program *q = &p->programs[s->program];
    if (s->n_in != q->n_in || s->n_out != q->n_out)
        return bad(p, step, "has other ports than its program, at", -1);
    for (int i = 0; i < s->n_in; i++)
        if (p->buffers[s->in[i]].bytes < plan_packed_bytes(&q->in_shapes[i]))
            return bad(p, step, "gives its program too small a", s->in[i]);
    for (int i = 0; i < s->n_out; i++)
        if (p->buffers[s->out[i]].bytes < plan_packed_bytes(&q->out_shapes[i]))
            return bad(p, step, "gives its program too small a", s->out[i]);
    return OK;
}

rc plan_verify(const plan *p)
{
    arena *mem = arena_new();
    rc r = mem ? check_steps(p, mem) : E_MEMORY;
    for (int i = 0; i < p->n_programs && r == OK; i++)
        r = check_program(p, &p->programs[i], mem);
    for (int i = 0; i < p->n_steps && r == OK; i++)
        if (p->steps[i].engine) r = check_call(p, i);
    arena_free(mem);
    return r;
}
