/* resident.c - AdamW as programs: weights and moments that stay on the engine.
 *
 * The plan that makes gradients leaves them on surfaces ("dw:PARAM" instead of
 * "grad:PARAM"), and a second plan, `update`, turns old state into new. Whoever
 * runs it binds each output in the place of its input for the next update. All
 * arithmetic is fp16, an op at a time, which decides what is kept:
 *
 *   hi, lo   w = hi + lo 2^-10. hi is w rounded to fp16, what programs read; lo is
 *            the rest, so an update far below half a unit of hi is not lost:
 *            about 22 bits, where fp32 has 24.
 *   m        the first moment times 2^10: gradients below 2^-24 of the loss's
 *            own unit would otherwise be zero.
 *   r        the root of the second moment, times 2^10: the moment itself would
 *            need the square of fp16's range.
 *
 *   g  = dw c                          the loss scale and the clip out, 2^10 in
 *   m' = m + (g - m)(1 - b1)
 *   a  = max(r, |g|, 2^-14)            so that no square can overflow or vanish
 *   r' = a sqrt((r/a)^2 + ((g/a)^2 - (r/a)^2)(1 - b2))
 *   u  = lr 2^12 (m'/bias1 / max(2^2 (r'/sqrt(bias2) + eps), 2^-15) + 2^-2 decay hi)
 *                                      a quotient is a product with an inverse there,
 *                                      which of less than 2^-16 is infinite; the 2^2
 *                                      lifts an eps of 1e-8 above that
 *   s  = lo - u
 *   hi' = hi + s 2^-10
 *   lo' = s - (hi' - hi) 2^10          exact (Dekker's fast two-sum)
 *
 * Numbers that change come as one input, a row each, so that programs stay as
 * they are and equal layers share one. */
#include "plan/passes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PLACES = 32, DIVISOR_PLACES = 2 };
typedef enum {
    N_MANTISSA, /* of the factor of gradients, in two steps: fp16 holds neither */
    N_POWER,    /* a small nor a large one well */
    N_MORE1,    /* 1 - beta1 */
    N_MORE2,    /* 1 - beta2 */
    N_BIAS1,
    N_BIAS2,
    N_EPS,
    N_LR,
    N_DECAY
} number_row;
_Static_assert(N_DECAY + 1 == PLAN_NUMBERS, "one row for each number");

void plan_update_numbers(const kern_adamw_args *a, float *out)
{
    int power;
    double unit = ldexp(1, PLAN_MOMENT_PLACES), lift = ldexp(1, DIVISOR_PLACES);
    double mantissa = frexp((double)a->grad_scale * unit, &power);
    const double row[PLAN_NUMBERS] = {
        [N_MANTISSA] = mantissa,
        [N_POWER] = ldexp(1, power),
        [N_MORE1] = 1 - (double)a->beta1,
        [N_MORE2] = 1 - (double)a->beta2,
        [N_BIAS1] = 1 / (double)a->bias1,
        [N_BIAS2] = lift / sqrt((double)a->bias2),
        [N_EPS] = (double)a->eps * unit * lift,
        [N_LR] = (double)a->lr * ldexp(1, PLAN_LOW_PLACES) * lift,
        [N_DECAY] = (double)a->weight_decay / lift,
    };
    for (int i = 0; i < PLAN_NUMBERS * PLACES; i++) out[i] = (float)row[i / PLACES];
}

/* ---- which params ---- */
/* The host looks rows of an embedding up and adds their gradients row by row;
 * a param that is cut into pieces has no one surface. */
static bool can_stay(const ir_graph *g, const ir_node *param, const dev_profile *chip)
{
    ir_shape s = param->shape;
    int64_t widest = chip && chip->max_axis > PLAN_CHUNK ? chip->max_axis : PLAN_CHUNK;
    if (s.d[0] > PLAN_CHUNK || s.d[s.rank - 1] > widest) return false;
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->op == IR_embedding && g->nodes[i]->in[0] == param) return false;
    return true;
}

rc plan_resident_split(planner *b)
{
    ir_graph *g = b->p->given;
    int held = 0, all = 0;
    if (b->p->options.dw == PLAN_DW_HOST) {
        err_fail(E_CONFIG, "plan.dw=host, but plan.weights=resident updates weights from "
                           "gradients on the engine");
        return err_hint(E_CONFIG, "plan.dw=auto, or plan.weights=streamed");
    }
    for (int i = 0; i < g->n_outputs; i++) {
        const char *name = g->outputs[i].name;
        if (!plan_is_gradient(name)) continue;
        const ir_node *param = ir_find(g, name + strlen("grad:"));
        all++;
        if (!param || param->op != IR_param || !can_stay(g, param, b->p->caps.profile)) {
            held++;
            TRY(plan_note(b,
                          "%s stays with the host: rows are looked up there, or it "
                          "does not fit one surface",
                          name + strlen("grad:")));
            continue;
        }
        name = arena_printf(g->mem, "dw:%s", param->name);
        if (!name) return E_MEMORY;
        g->outputs[i].name = name;
    }
    if (held == all && all)
        return err_fail(E_CONFIG,
                        "plan.weights=resident: no weight can stay on the engine");
    return OK;
}

bool plan_stays(const plan *p, const char *param)
{
    char name[256];
    snprintf(name, sizeof name, "hi:%s", param);
    return p->update && plan_find_buffer(p->update, name) >= 0;
}

/* ---- the graph of an update ---- */
/* Of each scope its own: one for all would be cut up in the first program, which
 * would be no other's equal, and handed on. */
static ir_node *numbers_of(ir_graph *g, const char *scope)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s", PLAN_NUMBERS_NAME, scope);
    ir_node *n = ir_find(g, name);
    return n ? n : ir_input(g, name, IR_FP16, ir_s4(1, PLAN_NUMBERS, 1, PLACES));
}

static ir_node *number(ir_graph *g, ir_node *numbers, number_row row)
{
    int64_t from[4] = {0, row, 0, 0}, size[4] = {1, 1, 1, 1};
    return ir_slice(g, numbers, from, size);
}

static ir_node *state(ir_graph *g, const char *what, const char *param, ir_shape s,
                      ir_shape as)
{
    char name[256];
    snprintf(name, sizeof name, "%s:%s", what, param);
    return ir_reshape(g, ir_input(g, name, IR_FP16, s), as);
}

static void result(ir_graph *g, const char *what, const char *param, ir_node *x)
{
    char name[256];
    snprintf(name, sizeof name, "new_%s:%s", what, param);
    ir_output(g, name, x);
}

/* The last two axes as they are, whatever stands before them. */
static ir_shape flat(ir_shape s)
{
    int64_t width = s.d[s.rank - 1], height = s.rank > 1 ? s.d[s.rank - 2] : 1;
    return ir_s4(1, ir_count(s) / (width * height), height, width);
}

static void update_one(ir_graph *g, ir_node *numbers, const ir_node *param, ir_shape dw)
{
    const char *name = param->name;
    ir_shape s = param->shape, as = flat(s);
    ir_node *hi = state(g, "hi", name, s, as), *lo = state(g, "lo", name, s, as);
    ir_node *m = state(g, "m", name, s, as), *r = state(g, "r", name, s, as);
    ir_node *d = state(g, "g", name, dw, as);
    d = ir_mul(g, ir_mul(g, d, number(g, numbers, N_MANTISSA)),
               number(g, numbers, N_POWER));
    m = ir_add(g, m, ir_mul(g, ir_sub(g, d, m), number(g, numbers, N_MORE1)));
    ir_node *size = ir_unary(g, IR_abs, d);
    ir_node *a = ir_binary(g, IR_maximum, ir_binary(g, IR_maximum, r, size),
                           ir_scalar(g, 0x1p-14));
    ir_node *q = ir_div(g, r, a), *p = ir_div(g, size, a);
    q = ir_mul(g, q, q);
    p = ir_mul(g, p, p);
    p = ir_add(g, q, ir_mul(g, ir_sub(g, p, q), number(g, numbers, N_MORE2)));
    r = ir_mul(g, a, ir_unary(g, IR_sqrt, p));
    ir_node *below = ir_add(g, ir_mul(g, r, number(g, numbers, N_BIAS2)),
                            number(g, numbers, N_EPS));
    below = ir_binary(g, IR_maximum, below, ir_scalar(g, 0x1p-15));
    ir_node *u = ir_div(g, ir_mul(g, m, number(g, numbers, N_BIAS1)), below);
    if (s.rank > 1 && s.d[0] > 1) /* a matrix: gains of norms do not decay */
        u = ir_add(g, u, ir_mul(g, hi, number(g, numbers, N_DECAY)));
    ir_node *sum = ir_sub(g, lo, ir_mul(g, u, number(g, numbers, N_LR)));
    ir_node *next = ir_add(g, hi,
                           ir_mul(g, sum, ir_scalar(g, ldexp(1, -PLAN_LOW_PLACES))));
    lo = ir_sub(g, sum,
                ir_mul(g, ir_sub(g, next, hi), ir_scalar(g, ldexp(1, PLAN_LOW_PLACES))));
    result(g, "hi", name, next);
    result(g, "lo", name, lo);
    result(g, "m", name, m);
    result(g, "r", name, r);
}

/* "...layers.3..." -> "update.layer.3"; other params are the head's. */
static void scope_of(const char *param, char scope[48])
{
    const char *at = strstr(param, "layers.");
    int layer;
    if (at && sscanf(at, "layers.%d", &layer) == 1)
        snprintf(scope, 48, "update.layer.%d", layer);
    else snprintf(scope, 48, "update.head");
}

/* The one surface that holds all of a param in this plan. */
static const plan_buffer *whole_weight(const plan *p, const ir_node *param)
{
    const plan_buffer *found = NULL;
    for (int i = 0; i < p->n_buffers; i++) {
        const plan_buffer *q = &p->buffers[i];
        if (q->home != PLAN_WEIGHT || strcmp(q->name, param->name) != 0) continue;
        if (found || ir_count(q->logical) != ir_count(param->shape)) return NULL;
        found = q;
    }
    return found;
}

static rc fill(planner *b, ir_graph *g)
{
    const plan *p = b->p;
    for (int i = 0; i < p->n_outputs; i++) {
        const plan_output *o = &p->outputs[i];
        char scope[48];
        if (strncmp(o->name, "dw:", 3) != 0) continue;
        const ir_node *param = ir_find(p->given, o->name + 3);
        const plan_buffer *dw = &p->buffers[o->part[0]];
        if (o->n_parts != 1 || dw->home != PLAN_SURFACE || !whole_weight(p, param))
            return err_fail(E_RULE,
                            "plan.weights=resident: %s or its gradient is not on one "
                            "surface",
                            param->name);
        scope_of(param->name, scope);
        ir_scope(g, scope, false);
        update_one(g, numbers_of(g, scope), param, dw->logical);
    }
    return ir_rc(g);
}

static bool same_place(const plan_buffer *x, const plan_buffer *y)
{
    return x->bytes == y->bytes && x->row == y->row && x->row_stride == y->row_stride;
}

/* A surface is given to both plans, so both must read it alike. */
static rc check_places(const plan *p, const plan *u)
{
    static const char *const names[] = {
        "hi:", "lo:", "m:", "r:", "new_hi:", "new_lo:", "new_m:", "new_r:"};
    for (int i = 0; i < u->n_steps; i++)
        if (!u->steps[i].engine)
            return err_fail(E_RULE,
                            "plan.weights=resident: %s of the update cannot run on "
                            "the engine: %s",
                            ir_op_name(u->steps[i].node->op), u->steps[i].cause);
    for (int i = 0; i < p->n_outputs; i++) {
        const plan_output *o = &p->outputs[i];
        char name[256];
        if (strncmp(o->name, "dw:", 3) != 0) continue;
        const plan_buffer *w = whole_weight(p, ir_find(p->given, o->name + 3));
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            snprintf(name, sizeof name, "%s%s", names[k], o->name + 3);
            int at = plan_find_buffer(u, name);
            if (at < 0 || !same_place(w, &u->buffers[at]))
                return err_fail(E_RULE,
                                "plan.weights=resident: %s lies otherwise in the update "
                                "than in %s",
                                name, w->name);
        }
        snprintf(name, sizeof name, "g:%s", o->name + 3);
        int at = plan_find_buffer(u, name);
        if (at < 0 || !same_place(&p->buffers[o->part[0]], &u->buffers[at]))
            return err_fail(E_RULE,
                            "plan.weights=resident: the gradient of %s lies otherwise in "
                            "the update",
                            o->name + 3);
    }
    return OK;
}

rc plan_resident_update(planner *b)
{
    plan *p = b->p;
    dev_caps caps = p->caps;
    plan_options o = p->options;
    caps.compiles_max = caps.programs_max = 0; /* counted with the plan's own, */
    for (int i = 0; i < p->n_buffers && plan_keeps_costly(p, RULE_uniform_surfaces); i++)
        if (p->buffers[i].shape.rank) o.surface_bytes = p->buffers[i].bytes;
    o.weights = PLAN_STREAMED;
    o.window = PLAN_WINDOW_OFF;
    o.memory_limit_bytes = 0; /* and so is the memory */
    ir_graph *g = ir_new();
    rc r = g ? fill(b, g) : E_MEMORY;
    if (r == OK) r = plan_build(g, &caps, &o, &p->update);
    ir_free(g);
    if (r == OK) r = check_places(p, p->update);
    return r == OK ? OK : err_while(r, "planning AdamW on the engine");
}
