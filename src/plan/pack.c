/* pack.c - where values lie: one buffer for each stored value, and the steps
 * that read and write them. */
#include "plan/passes.h"

#include <string.h>

/* ---- buffers ---- */
/* One buffer for each view and home; -1 if there is none yet. */
static int find(const planner *b, plan_home home, plan_view v)
{
    for (int i = 0; i < b->p->n_buffers; i++)
        if (b->p->buffers[i].home == home && plan_view_eq(b->views[i], v)) return i;
    return -1;
}

/* On surfaces a value takes its port's shape; elsewhere it is packed, as fp32
 * or int32. */
static rc add(planner *b, plan_home home, plan_view v, const char *name, int *out)
{
    plan *p = b->p;
    int cap = b->cap_buffers;
    TRY(plan_grow(b->mem, (void **)&b->views, p->n_buffers, &cap, sizeof *b->views));
    TRY(plan_grow(b->mem, (void **)&p->buffers, p->n_buffers, &b->cap_buffers,
                  sizeof *p->buffers));
    plan_buffer *q = &p->buffers[p->n_buffers];
    ir_shape s = plan_view_shape(v);
    *q = (plan_buffer){.home = home,
                       .name = name,
                       .type = v.base->type,
                       .logical = s,
                       .slot = -1,
                       .at = v.at,
                       .input = v.base->op == IR_input};
    q->row = q->row_stride = s.d[s.rank - 1];
    if (home == PLAN_SURFACE || home == PLAN_WEIGHT) {
        plan_port_shape(b, s, &q->shape, &q->row, &q->row_stride);
        q->bytes = q->shape.bytes;
    } else {
        if (q->type != IR_INT32) q->type = IR_FP32;
        q->bytes = (size_t)v.count * 4;
    }
    b->views[p->n_buffers] = v;
    *out = p->n_buffers++;
    return OK;
}

/* The buffer of a stored value. Params: a WEIGHT for programs, the MASTER for
 * the host. */
static rc buffer_of(planner *b, plan_view v, bool for_engine, int *out)
{
    const ir_node *n = v.base;
    const char *name = n->op == IR_param || n->op == IR_input ? n->name : NULL;
    plan_home home = PLAN_HOST;
    if (n->op == IR_param) home = for_engine ? PLAN_WEIGHT : PLAN_MASTER;
    else if (n->op == IR_input && n->type != IR_FP16) home = PLAN_INPUT;
    else if (n->type == IR_FP16 &&
             (n->op == IR_input || b->info[n->id].at == PLACE_ENGINE ||
              b->info[n->id].on_surface))
        home = PLAN_SURFACE;
    /* Only params are read in pieces that nobody stored. */
    if (n->op == IR_input) v.at = 0, v.count = ir_count(n->shape);
    *out = find(b, home, v);
    return *out >= 0 ? OK : add(b, home, v, name, out);
}

/* The gradient has the param's shape, whatever shape the output has. */
static rc gradient_of(planner *b, const grad_sink *k, int *out)
{
    plan *p = b->p;
    for (int i = 0; i < p->n_buffers; i++)
        if (p->buffers[i].home == PLAN_GRAD &&
            strcmp(p->buffers[i].name, k->param) == 0) {
            *out = i;
            return OK;
        }
    const ir_node *param = ir_find(b->g, k->param);
    if (!param) param = ir_find(b->p->given, k->param);
    if (!param || param->op != IR_param)
        return err_fail(E_CONFIG, "output 'grad:%s': no param of that name", k->param);
    return add(b, PLAN_GRAD, (plan_view){param, 0, ir_count(param->shape)}, k->param,
               out);
}

/* Host values that programs, losses or products read lie on surfaces. */
static void mark_surfaces(planner *b, const plan_item *item)
{
    plan_view part[PLAN_LEAVES];
    const ir_node *n = item->nodes[0];
    for (int i = 0; item->engine && i < item->n_in; i++)
        b->info[item->in[i].view.base->id].on_surface = true;
    if (item->engine) return;
    if (item->host == PLAN_HOST_EMBEDDING) b->info[n->id].on_surface = true;
    if (item->host == PLAN_HOST_EMBEDDING_DW)
        b->info[plan_view_of(b, n->in[1]).base->id].on_surface = true;
    for (int i = 0; item->host == PLAN_HOST_MATMUL && i < 2; i++)
        b->info[plan_view_of(b, n->in[i]).base->id].on_surface = true;
    if (item->host != PLAN_HOST_LOSS) return;
    if (n->op == IR_cross_entropy_dx) b->info[n->id].on_surface = true;
    int count = plan_parts_of(b, n->in[0], part, PLAN_LEAVES);
    for (int i = 0; i < count && i < PLAN_LEAVES; i++)
        b->info[part[i].base->id].on_surface = true;
}

/* ---- steps ---- */
/* A step whose lists of buffers grow. */
typedef struct {
    planner *b;
    plan_step *s;
    int cap_in, cap_out;
} stepper;

static rc push(stepper *t, bool out, int buffer)
{
    plan_step *s = t->s;
    int **list = out ? &s->out : &s->in, *n = out ? &s->n_out : &s->n_in;
    TRY(plan_grow(t->b->mem, (void **)list, *n, out ? &t->cap_out : &t->cap_in,
                  sizeof **list));
    (*list)[(*n)++] = buffer;
    return OK;
}

static rc push_view(stepper *t, bool out, plan_view v, bool for_engine)
{
    int buffer;
    TRY(buffer_of(t->b, v, for_engine, &buffer));
    return push(t, out, buffer);
}

static rc push_node(stepper *t, bool out, const ir_node *n)
{
    return push_view(t, out, plan_view_of(t->b, n), false);
}

/* A joined value is read part by part. */
static rc push_parts(stepper *t, const ir_node *n, int *count)
{
    plan_view part[PLAN_LEAVES];
    *count = plan_parts_of(t->b, n, part, PLAN_LEAVES);
    if (*count > PLAN_LEAVES)
        return err_fail(E_RULE, "'%s' has %d parts, more than %d", n->scope, *count,
                        (int)PLAN_LEAVES);
    for (int i = 0; i < *count; i++) TRY(push_view(t, false, part[i], false));
    return OK;
}

/* The gradient of long logits is stored in pieces, everything else whole. */
static rc push_result(stepper *t, const ir_node *n)
{
    plan_view v = plan_view_of(t->b, n);
    if (!t->b->info[n->id].pieces) return push_view(t, true, v, false);
    int64_t rows = n->shape.d[1], row = v.count / rows, piece = plan_piece(rows);
    for (int64_t r = 0; r < rows; r += piece) {
        v.at = r * row;
        v.count = (rows - r < piece ? rows - r : piece) * row;
        TRY(push_view(t, true, v, false));
    }
    return OK;
}

/* Operands and results in the order that plan.h states for LOSS. */
static rc fill_loss(stepper *t, const ir_node *n)
{
    plan_step *s = t->s;
    const ir_node *loss = n, *d = NULL;
    TRY(push_parts(t, n->in[0], &s->n_parts));
    TRY(push_node(t, false, n->in[1]));
    s->factor = 1;
    if (n->op == IR_cross_entropy_dx) {
        loss = t->b->info[n->id].partner;
        d = plan_view_of(t->b, n->in[2]).base;
        if (d->op == IR_constant) s->factor = d->data[0];
        else TRY(push_node(t, false, d));
        TRY(push_result(t, n));
    }
    for (int i = 2; n->op == IR_target_loss && i < 4; i++)
        TRY(push_node(t, false, n->in[i]));
    s->n_loss = loss != NULL;
    return loss ? push_node(t, true, loss) : OK;
}

/* "norms", "norms and residuals"; else the op. */
static rc name_step(planner *b, const plan_item *item, const char **out)
{
    unsigned parts = 0;
    const char *name = NULL;
    for (int i = 0; i < item->n_nodes; i++)
        if (b->info[item->nodes[i]->id].moved)
            parts |= 1u << plan_movable_of(item->nodes[i]);
    if (item->sink >= 0) parts = 0; /* a product, whoever asked for it */
    for (int i = 0; i < PLAN_MOVABLES; i++) {
        if (!(parts >> i & 1)) continue;
        name = name ? arena_printf(b->mem, "%s and %s", name, plan_movable_name(i))
                    : plan_movable_name(i);
        if (!name) return E_MEMORY;
    }
    *out = name                          ? name
           : item->host == PLAN_HOST_ADD ? "add"
                                         : ir_op_name(item->nodes[0]->op);
    return OK;
}

static bool lie_alike(const plan_buffer *x, const plan_buffer *y)
{
    bool surface[2] = {x->home == PLAN_SURFACE, y->home == PLAN_SURFACE};
    return surface[0] == surface[1] && x->type == y->type && x->row == y->row &&
           x->row_stride == y->row_stride && ir_shape_eq(x->logical, y->logical);
}

/* Equal layers have equal work for the host: one graph, with operands and results
 * that lie alike. */
static void share_graph(plan *p, plan_step *s)
{
    for (plan_step *q = p->steps; q < s; q++) {
        bool same = q->graph && q->n_in == s->n_in && q->n_out == s->n_out;
        for (int i = 0; same && i < s->n_in; i++)
            same = lie_alike(&p->buffers[q->in[i]], &p->buffers[s->in[i]]);
        for (int i = 0; same && i < s->n_out; i++)
            same = lie_alike(&p->buffers[q->out[i]], &p->buffers[s->out[i]]);
        if (!same || !ir_same(q->graph, s->graph)) continue;
        ir_free(s->graph);
        s->graph = q->graph;
        return;
    }
}

/* What sums into a gradient may run beside the engine: only later sums into
 * the same gradient wait for it. */
static rc fill_host(stepper *t, const plan_item *item)
{
    planner *b = t->b;
    plan_step *s = t->s;
    const ir_node *n = item->nodes[0];
    s->node = n;
    s->host = item->host;
    TRY(name_step(b, item, &s->what));
    s->background = item->sink >= 0;
    if (b->forms && (item->sink >= 0 || item->host == PLAN_HOST_LOSS))
        s->form = b->forms[n->id];
    if (b->forms && item->host == PLAN_HOST_LOSS) s->logits_form = b->forms[n->in[0]->id];
    int grad, parts;
    if (item->sink >= 0) {
        s->at = b->sinks[item->sink].at;
        TRY(gradient_of(b, &b->sinks[item->sink], &grad));
        TRY(push(t, true, grad));
    }
    switch (item->host) {
    case PLAN_HOST_LOSS:
        return fill_loss(t, n);
    case PLAN_HOST_ADD:
        return push_parts(t, n, &parts);
    case PLAN_HOST_EMBEDDING:
        TRY(push_node(t, true, n));
        break;
    case PLAN_HOST_EVAL:
        TRY(plan_build_eval(b, item, &s->graph));
        for (int i = 0; i < item->n_in; i++)
            TRY(push_view(t, false, item->in[i].view, false));
        for (int i = 0; i < item->n_out; i++)
            TRY(push_view(t, true, item->out[i].view, false));
        if (!item->n_out) TRY(push_result(t, n));
        share_graph(b->p, s);
        return OK;
    default:
        break;
    }
    for (int i = 0; i < n->n_in; i++) TRY(push_node(t, false, n->in[i]));
    return OK;
}

/* Ports are in binding order already; baked params are no ports. */
static rc fill_engine(stepper *t, const plan_item *item)
{
    const plan_program *p = &t->b->p->programs[item->program];
    t->s->engine = true;
    t->s->program = item->program;
    t->s->predicted_ms = p->predicted_ms;
    for (int i = 0; i < item->n_in; i++)
        if (!item->in[i].baked) TRY(push_view(t, false, item->in[i].view, true));
    for (int i = 0; i < item->n_out; i++)
        TRY(push_view(t, true, item->out[i].view, true));
    return OK;
}

static rc add_steps(planner *b)
{
    plan *p = b->p;
    p->steps = arena_array(b->mem, (size_t)b->n_items + 1, sizeof *p->steps);
    if (!p->steps) return E_MEMORY;
    for (int i = 0; i < b->n_items; i++) mark_surfaces(b, &b->items[i]);
    for (int i = 0; i < b->n_items; i++) {
        const plan_item *item = &b->items[i];
        stepper t = {.b = b, .s = &p->steps[p->n_steps++]};
        t.s->cause = item->cause;
        t.s->program = -1;
        t.s->scope = item->backward ? arena_printf(b->mem, "%s backward", item->scope)
                                    : item->scope;
        if (!t.s->scope) return E_MEMORY;
        if (item->engine) TRY(fill_engine(&t, item));
        else TRY(fill_host(&t, item));
        p->launches += item->engine;
    }
    return OK;
}

/* An output is a list of parts; most have one. A buffer takes the name of the
 * first output it holds, so that plan_find_buffer finds it. */
static rc add_outputs(planner *b)
{
    plan *p = b->p;
    plan_view part[PLAN_LEAVES];
    p->outputs = arena_array(b->mem, (size_t)b->g->n_outputs + 1, sizeof *p->outputs);
    if (!p->outputs) return E_MEMORY;
    for (int i = 0; i < b->g->n_outputs; i++) {
        const char *name = b->g->outputs[i].name;
        if (plan_is_gradient(name)) continue;
        const ir_node *n = b->g->outputs[i].node;
        plan_output *o = &p->outputs[p->n_outputs++];
        o->name = name;
        o->shape = n->shape;
        o->n_parts = plan_parts_of(b, n, part, PLAN_LEAVES);
        if (o->n_parts > PLAN_LEAVES)
            return err_fail(E_RULE, "output '%s' has too many parts", name);
        o->part = arena_array(b->mem, (size_t)o->n_parts, sizeof *o->part);
        if (!o->part) return E_MEMORY;
        for (int j = 0; j < o->n_parts; j++) {
            TRY(buffer_of(b, part[j], false, &o->part[j]));
            plan_buffer *q = &p->buffers[o->part[j]];
            if (!q->name) q->name = name;
        }
    }
    return OK;
}

rc plan_pack(planner *b)
{
    TRY(add_steps(b));
    return add_outputs(b);
}
