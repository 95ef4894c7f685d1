/* window.c - keep every product inside the window of the engine's accumulator.
 *
 * The multiply-accumulate array drops a product a * b whole when the exponents
 * of a and b add up to -17 or less, rounds the others to 2^-16, and turns a
 * sum infinite from 2^15 on (kern/exact.h). That is a window of 31 binary
 * places; what matters of a product of fp16 values takes about 14. So the
 * graph is rewritten to store values times powers of two that are chosen while
 * training, and to take them out again, exactly.
 *
 *   weight     its fp16 copy is staged times 2^k: free. The forward products
 *              that read it are moved by this factor.
 *   loss       its gradient leaves the host times 2^k: free.
 *   operand    any other product gets one multiplication of an operand (the
 *              smaller, or the one of a product with a weight that is not the
 *              weight) by a number from a small input of the program.
 *   result     carries the factors of its operands on, through whatever is
 *              linear, until it meets something that is not (silu, an addition
 *              of another form): there one multiplication takes them out. A
 *              constant factor in the graph takes them out for nothing, and
 *              so does the host where it sums gradients.
 *
 * Two products get none. Scores of a softmax: only their absolute error
 * counts, and it is below 2^-16 an element. Values averaged by a softmax: its
 * rows sum to 1, so the result is inside wherever the values are.
 *
 * The program gets its numbers as inputs, so equal layers stay one program.
 * While training it also hands out the largest magnitude of each product. */
#include "plan/window.h"

#include <string.h>

/* Factors that a value may carry, so that sums of forms stay short. */
enum { CARRIED = 4 };

bool plan_is_peaks(const char *output)
{
    return strncmp(output, "peaks:", 6) == 0;
}

/* ---- what the old graph says ---- */
/* The param that an operand is a view or a transpose of. */
static const ir_node *param_under(const ir_node *n)
{
    while (n->op == IR_reshape || n->op == IR_slice || n->op == IR_transpose)
        n = n->in[0];
    return n->op == IR_param ? n : NULL;
}

static bool constant_under(const ir_node *n)
{
    while (n->op == IR_reshape) n = n->in[0];
    return n->op == IR_constant;
}

static bool is_zero(const ir_node *n)
{
    return n->op == IR_constant && n->uniform && n->data[0] == 0;
}

/* A param's copies can carry a factor if products are all that programs make
 * of it. */
static void find_weights(window *s)
{
    const ir_graph *g = s->from;
    for (int i = 0; i < g->n_nodes; i++) {
        const ir_node *n = g->nodes[i];
        bool passes = n->op == IR_reshape || n->op == IR_slice || n->op == IR_transpose;
        if (s->b->info[i].at == PLACE_HOST || s->b->info[i].at == PLACE_SUNK) continue;
        for (int j = 0; j < n->n_in; j++) {
            const ir_node *p = param_under(n->in[j]);
            if (!p || passes) continue;
            if (n->op == IR_matmul) s->weight[p->id] |= WEIGHT_READ;
            else s->weight[p->id] |= WEIGHT_NOT;
        }
    }
    for (int i = 0; i < g->n_outputs; i++) {
        const ir_node *p = param_under(g->outputs[i].node);
        if (p) s->weight[p->id] |= WEIGHT_NOT;
    }
}

static const ir_node *under(const ir_node *n)
{
    while (n->op == IR_reshape || n->op == IR_transpose || n->op == IR_slice)
        n = n->in[0];
    return n;
}

/* The constant factor on one operand of a score can take out the form of the
 * other too, if that is known by then. */
static void find_partner(window *s, const ir_node *n)
{
    for (int j = 0; j < 2; j++) {
        const ir_node *x = under(n->in[j]), *y = under(n->in[1 - j]);
        if (x->op == IR_mul && y->id < x->id) s->partner[x->id] = y;
    }
}

/* Which values a softmax is going to read. */
static void find_scores(window *s)
{
    const ir_graph *g = s->from;
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        const ir_node *n = g->nodes[i];
        bool on = n->op == IR_softmax;
        if (s->scores[i] && n->op == IR_matmul) find_partner(s, n);
        if (s->scores[i] && (n->op == IR_reshape || n->op == IR_transpose)) on = true;
        for (int j = 0; on && j < n->n_in; j++) s->scores[n->in[j]->id] = true;
        for (int j = 0; s->scores[i] && n->op == IR_add && j < 2; j++)
            if (constant_under(n->in[1 - j])) s->scores[n->in[j]->id] = true;
    }
}

static void find_outputs(window *s)
{
    const ir_graph *g = s->from;
    for (int i = 0; i < g->n_outputs; i++) {
        const ir_node *y = g->outputs[i].node;
        if (plan_is_gradient(g->outputs[i].name)) continue;
        for (; y->op == IR_reshape; y = y->in[0]) s->output[y->id] = true;
        s->output[y->id] = true;
    }
}

/* Rows that are not negative and sum to 1 at most. */
static bool averages(const ir_node *n)
{
    return under(n)->op == IR_softmax;
}

/* ---- products ---- */
static rc take_weight(window *s, const ir_node *param, int *factor)
{
    *factor = -1;
    if (s->b->variant.scale_operands) return OK;
    if (!param || s->weight[param->id] != WEIGHT_READ) return OK;
    if (s->weight_factor[param->id] < 0)
        TRY(window_factor(s, PLAN_ON_WEIGHT, param->name, param->name,
                          "staged with the weight", &s->weight_factor[param->id]));
    *factor = s->weight_factor[param->id];
    return OK;
}

/* The operand that is multiplied: never a weight, else the smaller. */
static int lighter(const ir_node *n)
{
    bool w0 = param_under(n->in[0]) != NULL, w1 = param_under(n->in[1]) != NULL;
    if (w0 != w1) return w0 ? 1 : 0;
    return ir_count(n->in[0]->shape) <= ir_count(n->in[1]->shape) ? 0 : 1;
}

/* Multiply operand j by a factor of its own, which replaces what it carries.
 * Products of one scope that multiply the same value share it, but for weight
 * gradients: their other operands differ by many places. A constant belongs to one
 * product, and its factor is taken out of the result at once, which is small. */
static rc multiply_operand(window *s, const ir_node *n, int j, ir_node **in, int *f,
                           int *factor)
{
    bool constant = constant_under(n->in[j]), alone = constant || s->gradient[n->id];
    TRY(window_value_factor(s, alone ? NULL : in[j],
                            constant ? "a constant operand times an input, and the "
                                       "result by its inverse"
                                     : "one operand times an input",
                            factor));
    int form = window_form_of(s, *factor);
    if (form < 0) return E_MEMORY;
    TRY(window_reform(s, &in[j], f[j], form));
    f[j] = form;
    return OK;
}

/* A weight gradient sums over the batch what another product, for dx, makes of the
 * same gradient and a small weight: one factor for both would leave the smaller
 * of them below the window. So it is the activations that are multiplied there. */
static int moved_operand(const window *s, const ir_node *n)
{
    bool b0 = under(n->in[0])->backward, b1 = under(n->in[1])->backward;
    return s->gradient[n->id] && b0 != b1 ? b0 : lighter(n);
}

/* Which factor moves this product, and where is it put? -1: none does. */
static rc choose(window *s, const ir_node *n, ir_node **in, int *f, int *factor,
                 const char **cause)
{
    int w[2];
    for (int j = 0; j < 2; j++) TRY(take_weight(s, param_under(n->in[j]), &w[j]));
    *factor = -1;
    for (int j = 0; j < 2 && *factor < 0; j++)
        if (w[j] >= 0 && (!n->backward || !s->owns[w[j]])) *factor = w[j];
    *cause = "staged with the weight";
    for (int j = 0; j < 2 && *factor < 0 && !s->gradient[n->id]; j++) {
        int of = window_single(s, f[j]);
        if (of < 0 || s->w->factors[of].at != PLAN_ON_LOSS) continue;
        *factor = of;
        *cause = "the loss leaves its gradient with it";
    }
    if (*factor >= 0) return OK;
    if (s->scores[n->id]) {
        int sum, j = lighter(n);
        *cause = "none: a softmax reads it, so only absolute errors count";
        TRY(window_sum(s, f[0], f[1], 1, &sum));
        if (sum < 0) return E_MEMORY;
        int less;
        TRY(window_sum(s, f[j], sum, -1, &less));
        TRY(window_reform(s, &in[j], f[j], less));
        f[j] = less;
        return OK;
    }
    if ((averages(n->in[0]) && f[1]) || (averages(n->in[1]) && f[0])) {
        *cause = "none: an average of values that carry a factor already";
        return OK;
    }
    TRY(multiply_operand(s, n, moved_operand(s, n), in, f, factor));
    *cause = s->w->factors[*factor].cause;
    return OK;
}

static rc product(window *s, const ir_node *n, ir_node **in, int *f, ir_node **y,
                  int *form)
{
    int factor, j = moved_operand(s, n);
    const char *cause;
    TRY(choose(s, n, in, f, &factor, &cause));
    TRY(window_sum(s, f[0], f[1], 1, form));
    for (int i = 0; i < 2; i++)
        if (!constant_under(n->in[i])) TRY(window_operand(s, n, in[i], f[i]));
    *y = legal_copy(&s->l, n, in);
    if (!*y) return ir_rc(s->l.to) == OK ? E_MEMORY : ir_rc(s->l.to);
    TRY(window_site(s, n, *y, *form, factor, cause));
    if (factor < 0) return OK;
    s->owns[factor] = true;
    if (s->w->factors[factor].at != PLAN_ON_VALUE || !constant_under(n->in[j])) return OK;
    /* A sum of a whole batch is larger than what it sums, and may be beyond fp16
     * in that form; of a gradient the host takes any form out. */
    if (s->gradient[n->id]) return OK;
    int other = f[1 - j];
    TRY(window_reform(s, y, *form, other));
    *form = other;
    return OK;
}

/* ---- everything else ---- */
/* Both operands get one form: what is smaller is multiplied, or what carries
 * something where the other does not. Zeros are of any form. */
static rc equalise(window *s, const ir_node *n, int a, int b, ir_node **in, int *f,
                   int *form)
{
    *form = f[a];
    if (is_zero(n->in[a])) *form = f[b];
    if (f[a] == f[b] || is_zero(n->in[a]) || is_zero(n->in[b])) return OK;
    int64_t na = ir_count(n->in[a]->shape), nb = ir_count(n->in[b]->shape);
    bool move_a = na != nb ? na < nb : f[b] == 0;
    int move = move_a ? a : b, stay = move_a ? b : a;
    TRY(window_reform(s, &in[move], f[move], f[stay]));
    *form = f[stay];
    return OK;
}

/* All operands as they are meant. The host takes what some program makes. */
static rc plain(window *s, const ir_node *n, ir_node **in, int *f)
{
    bool host = s->b->info[n->id].at == PLACE_HOST;
    for (int j = 0; host && j < n->n_in; j++)
        if (n->in[j]->type == IR_FP16 && window_made_anywhere(s, &in[j], f[j], 0))
            f[j] = 0;
    for (int j = 0; j < n->n_in; j++)
        if (n->in[j]->type == IR_FP16) TRY(window_reform(s, &in[j], f[j], 0));
    return OK;
}

static rc multiplication(window *s, const ir_node *n, ir_node **in, int *f, ir_node **y,
                         int *form)
{
    for (int j = 0; j < 2; j++) { /* a constant takes the form out */
        const ir_node *c = n->in[j], *partner = s->partner[n->id];
        *form = 0;
        if (partner) TRY(window_sum(s, 0, s->form[partner->id], -1, form));
        if (c->op != IR_constant || !c->uniform || c->data[0] == 0 || f[1 - j] == *form ||
            !ir_shape_eq(n->in[1 - j]->shape, n->shape))
            continue;
        TRY(window_free_mul(s, in[1 - j], f[1 - j], *form, c->data[0], y));
        return OK;
    }
    if (n->in[0] == n->in[1]) return plain(s, n, in, f); /* squares run away */
    /* Two values in the middle of their windows make one beyond fp16. */
    if (f[0] && f[1]) {
        int j = ir_count(n->in[0]->shape) <= ir_count(n->in[1]->shape) ? 0 : 1;
        TRY(window_reform(s, &in[j], f[j], 0));
        f[j] = 0;
    }
    return window_sum(s, f[0], f[1], 1, form);
}

static rc engine_node(window *s, const ir_node *n, ir_node **in, int *f, ir_node **y,
                      int *form)
{
    *form = 0;
    switch (n->op) {
    case IR_input:
    case IR_constant:
        return OK;
    case IR_param: {
        int factor;
        TRY(take_weight(s, n, &factor));
        if (factor >= 0) *form = window_form_of(s, factor);
        return *form < 0 ? E_MEMORY : OK;
    }
    case IR_reshape:
    case IR_slice:
    case IR_transpose:
    case IR_tile:
    case IR_reduce_sum:
        *form = f[0];
        return OK;
    case IR_matmul:
        return product(s, n, in, f, y, form);
    case IR_mul:
        return multiplication(s, n, in, f, y, form);
    case IR_add:
    case IR_sub:
    case IR_maximum:
    case IR_minimum:
        return equalise(s, n, 0, 1, in, f, form);
    case IR_select:
        return equalise(s, n, 1, 2, in, f, form);
    case IR_greater_equal: {
        TRY(equalise(s, n, 0, 1, in, f, form));
        *form = 0;
        return OK;
    }
    case IR_concat: {
        int of = 0;
        while (of + 1 < n->n_in && is_zero(n->in[of])) of++;
        for (int j = 0; j < n->n_in; j++)
            if (f[j] != f[of] && !is_zero(n->in[j])) return plain(s, n, in, f);
        *form = f[of];
        return OK;
    }
    default:
        return plain(s, n, in, f);
    }
}

/* What sums straight into a gradient takes any form; the rest of the host's
 * work wants values as they are meant, and reads params from the masters. */
static rc host_node(window *s, const ir_node *n, ir_node **in, int *f, int *form)
{
    const node_info *at = &s->b->info[n->id];
    *form = 0;
    for (int j = 0; j < n->n_in; j++)
        if (param_under(n->in[j])) f[j] = 0;
    if (at->sink >= 0) {
        for (int j = 0; j < n->n_in; j++) TRY(window_sum(s, *form, f[j], 1, form));
        return OK;
    }
    bool loss = n->op == IR_cross_entropy || n->op == IR_cross_entropy_dx;
    if (loss && plan_loss_fits(s->b, n)) f[0] = 0; /* it takes out what they carry */
    TRY(plain(s, n, in, f));
    if (s->b->variant.scale_operands || n->op != IR_cross_entropy_dx ||
        n->type != IR_FP16 || !plan_loss_fits(s->b, n))
        return OK;
    int factor;
    TRY(window_factor(s, PLAN_ON_LOSS, "loss", NULL,
                      "the host multiplies the gradient of the loss", &factor));
    *form = window_form_of(s, factor);
    return *form < 0 ? E_MEMORY : OK;
}

/* Logits in pieces, of one form if only losses read them. */
static rc joined(window *s, const ir_node *n, ir_node **in, int *f, int *form)
{
    bool same = !s->output[n->id];
    for (int j = 1; j < n->n_in; j++) same &= f[j] == f[0];
    *form = same ? f[0] : 0;
    return same ? OK : plain(s, n, in, f);
}

static rc visit(window *s, const ir_node *n)
{
    ir_graph *to = s->l.to;
    place_at at = s->b->info[n->id].at;
    ir_node **in = arena_array(to->mem, (size_t)n->n_in + 1, sizeof *in), *y = NULL;
    int *f = arena_array(to->mem, (size_t)n->n_in + 1, sizeof *f), form = 0;
    if (!in || !f) return E_MEMORY;
    for (int j = 0; j < n->n_in; j++)
        in[j] = s->map[n->in[j]->id], f[j] = s->form[n->in[j]->id];
    ir_scope(to, n->scope, n->backward);
    TRY(window_at(s, n));
    if (at == PLACE_HOST) TRY(host_node(s, n, in, f, &form));
    else if (at == PLACE_JOINED) TRY(joined(s, n, in, f, &form));
    else if (at != PLACE_SUNK) TRY(engine_node(s, n, in, f, &y, &form));
    if (!y) y = legal_copy(&s->l, n, in);
    if (ir_rc(to) != OK) return ir_rc(to);
    if (!y) return E_MEMORY;
    if (s->w->forms[form].n > CARRIED && at == PLACE_ENGINE) {
        TRY(window_reform(s, &y, form, 0));
        form = 0;
    }
    s->map[n->id] = y;
    s->form[n->id] = form;
    return OK;
}

/* Gradients keep their form, which the host takes out. */
static rc outputs(window *s)
{
    const ir_graph *g = s->from;
    for (int i = 0; i < g->n_outputs; i++) {
        const ir_node *n = g->outputs[i].node;
        ir_node *y = s->map[n->id];
        ir_scope(s->l.to, n->scope, n->backward);
        TRY(window_at(s, n));
        if (!plan_is_gradient(g->outputs[i].name) && n->type == IR_FP16 &&
            n->op != IR_param)
            TRY(window_reform(s, &y, s->form[n->id], 0));
        ir_output(s->l.to, g->outputs[i].name, y);
    }
    return window_peaks(s);
}

static rc rewrite(window *s)
{
    const ir_graph *g = s->from;
    TRY(window_start(s));
    find_weights(s);
    find_scores(s);
    find_outputs(s);
    plan_find_gradients(s->b, g, s->gradient);
    for (int i = 0; i < g->n_nodes; i++) TRY(visit(s, g->nodes[i]));
    TRY(outputs(s));
    return ir_rc(s->l.to);
}

/* The planner's graph becomes the new one, with the form of each value. */
static rc adopt(window *s)
{
    planner *b = s->b;
    ir_graph *simple;
    ir_node **map;
    TRY(ir_simplify(s->l.to, &simple, &map));
    b->forms = arena_array(b->mem, (size_t)simple->n_nodes + 1, sizeof *b->forms);
    if (!b->forms) {
        ir_free(simple);
        return E_MEMORY;
    }
    for (int i = 0; i < s->from->n_nodes; i++) {
        const ir_node *y = map[s->map[i]->id];
        if (y) b->forms[y->id] = s->form[i];
    }
    ir_free(b->p->legal);
    b->g = b->p->legal = simple;
    b->p->window = s->w;
    return OK;
}

/* Twice: first to see how many numbers each scope takes, then with inputs of
 * that size. */
rc plan_window_pass(planner *b)
{
    window s = {.b = b, .from = b->g};
    rc r = OK;
    for (s.round = 0; s.round < 2 && r == OK; s.round++) {
        s.l = (legal){.b = b, .to = ir_new()};
        if (!s.l.to) return E_MEMORY;
        r = rewrite(&s);
        if (s.round == 1 && r == OK) r = adopt(&s);
        ir_free(s.l.to);
    }
    return r;
}
