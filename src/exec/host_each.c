/* host_each.c - elementwise ops and moves of fp32 values on the host.
 *
 * A value with broadcast axes, or one that is cut or turned, is another walk over the
 * same memory: a step for each axis of the result. Axes that follow each other in all
 * values are walked as one, so most ops are a single long row; rows are worked on by
 * all threads, a piece each, which changes no bit. */
#include "exec/host_eval.h"

enum { PIECE = 8192, AXES = 2 * IR_RANK }; /* elements of a task */

typedef struct {
    const host_op *o;
    int n_in, rank;
    int64_t d[AXES], step[3][AXES], to[AXES]; /* of each operand, of the result */
    int64_t rows, width, per_task, cuts;      /* a task: some rows, or part of one */
    const float *in[3];
    float *out;
} walk;

/* ---- one row ---- */
static const struct {
    ir_op op;
    int binary, unary; /* -1 = none */
} kernels[] = {
    {IR_add, KERN_ADD, -1},          {IR_sub, KERN_SUB, -1},
    {IR_mul, KERN_MUL, -1},          {IR_real_div, KERN_DIV, -1},
    {IR_maximum, KERN_MAX2, -1},     {IR_minimum, KERN_MIN2, -1},
    {IR_pow, KERN_POW, -1},          {IR_abs, -1, KERN_U_ABS},
    {IR_exp, -1, KERN_U_EXP},        {IR_log, -1, KERN_U_LOG},
    {IR_sqrt, -1, KERN_U_SQRT},      {IR_rsqrt, -1, KERN_U_RSQRT},
    {IR_tanh, -1, KERN_U_TANH},      {IR_sigmoid, -1, KERN_U_SIGMOID},
    {IR_relu, -1, KERN_U_RELU},      {IR_silu, -1, KERN_U_SILU},
    {IR_gelu, -1, KERN_U_GELU_TANH}, {IR_select, -1, -1},
    {IR_greater_equal, -1, -1},
};

static int kernel_of(ir_op op)
{
    int i = (int)(sizeof kernels / sizeof *kernels);
    while (--i >= 0 && kernels[i].op != op) continue;
    return i;
}

bool host_is_each(ir_op op)
{
    return kernel_of(op) >= 0;
}

/* Steps are 0 or 1 but for moves. */
static void row(const walk *w, int64_t n, const float *const *in, float *z)
{
    int inner = w->rank - 1, at = kernel_of(w->o->n->op);
    int64_t s[3] = {0}, to = w->to[inner];
    for (int j = 0; j < w->n_in; j++) s[j] = w->step[j][inner];
    const float *x = in[0], *y = in[1], *c = in[2];
    if (at < 0) {
        for (int64_t i = 0; i < n; i++) z[i * to] = x[i * s[0]];
    } else if (kernels[at].binary >= 0) {
        kern_binary(w->o->k, (kern_binary_op)kernels[at].binary, KERN_F32, (size_t)n, x,
                    (int)s[0], y, (int)s[1], z);
    } else if (kernels[at].unary >= 0) {
        kern_unary(w->o->k, (kern_unary_op)kernels[at].unary, KERN_F32, (size_t)n, x, z);
    } else if (w->o->n->op == IR_select) {
        for (int64_t i = 0; i < n; i++)
            z[i] = x[i * s[0]] != 0 ? y[i * s[1]] : c[i * s[2]];
    } else {
        for (int64_t i = 0; i < n; i++) z[i] = x[i * s[0]] >= y[i * s[1]];
    }
}

/* ---- the walk ---- */
static void some_rows(void *ctx, size_t task)
{
    const walk *w = ctx;
    int64_t from = (int64_t)task / w->cuts * w->per_task, cut = (int64_t)task % w->cuts;
    int64_t to = from + w->per_task < w->rows ? from + w->per_task : w->rows;
    int64_t first = cut * PIECE, n = w->width - first;
    int inner = w->rank - 1;
    if (w->cuts > 1 && n > PIECE) n = PIECE;
    for (int64_t r = from; r < to; r++) {
        const float *in[3] = {NULL};
        float *out = w->out + first * w->to[inner];
        for (int j = 0; j < w->n_in; j++) in[j] = w->in[j] + first * w->step[j][inner];
        int64_t rest = r;
        for (int a = inner - 1; a >= 0; a--) {
            int64_t i = rest % w->d[a];
            for (int j = 0; j < w->n_in; j++) in[j] += i * w->step[j][a];
            out += i * w->to[a];
            rest /= w->d[a];
        }
        row(w, n, in, out);
    }
}

/* Is axis a + 1 the continuation of axis a in every value? */
static bool follows(const walk *w, int a)
{
    bool same = w->to[a] == w->to[a + 1] * w->d[a + 1];
    for (int j = 0; j < w->n_in; j++)
        same &= w->step[j][a] == w->step[j][a + 1] * w->d[a + 1];
    return same;
}

static void drop_axis(walk *w, int a)
{
    for (int i = a; i + 1 < w->rank; i++) {
        w->d[i] = w->d[i + 1];
        w->to[i] = w->to[i + 1];
        for (int j = 0; j < w->n_in; j++) w->step[j][i] = w->step[j][i + 1];
    }
    w->rank--;
}

static void take_walk(walk *w)
{
    for (int a = w->rank - 1; a >= 0; a--)
        if (w->d[a] == 1 && w->rank > 1) drop_axis(w, a);
    for (int a = w->rank - 2; a >= 0; a--) {
        if (!follows(w, a)) continue;
        w->d[a + 1] *= w->d[a];
        drop_axis(w, a);
    }
    w->width = w->d[w->rank - 1];
    w->rows = 1;
    for (int a = 0; a + 1 < w->rank; a++) w->rows *= w->d[a];
    w->per_task = w->width < PIECE ? PIECE / w->width : 1;
    w->cuts = w->per_task == 1 ? (w->width + PIECE - 1) / PIECE : 1;
    int64_t tasks = (w->rows + w->per_task - 1) / w->per_task * w->cuts;
    kern_for(w->o->k, (size_t)tasks, some_rows, w);
}

/* Row-major, also where an axis is 1. */
static void packed(ir_shape s, int64_t step[])
{
    int64_t n = 1;
    for (int i = s.rank - 1; i >= 0; i--) step[i] = n, n *= s.d[i];
}

bool host_each(const host_op *o)
{
    const ir_node *n = o->n;
    walk w = {.o = o, .n_in = n->n_in, .rank = n->shape.rank, .out = o->out};
    if (!host_is_each(n->op)) return false;
    packed(n->shape, w.to);
    for (int i = 0; i < w.rank; i++) w.d[i] = n->shape.d[i];
    for (int j = 0; j < n->n_in; j++) {
        ir_shape s = n->in[j]->shape;
        int64_t step[IR_RANK];
        int more = w.rank - s.rank;
        packed(s, step);
        for (int i = 0; i < s.rank; i++) w.step[j][more + i] = s.d[i] > 1 ? step[i] : 0;
        w.in[j] = o->in[j];
    }
    take_walk(&w);
    return true;
}

/* ---- moves ---- */
bool host_move(const host_op *o)
{
    const ir_node *n = o->n;
    const ir_attr *a = &n->attr;
    ir_shape s = n->in[0]->shape;
    int64_t from[IR_RANK], to[IR_RANK];
    walk w = {.o = o, .n_in = 1, .rank = s.rank, .in = {o->in[0]}, .out = o->out};
    packed(s, from);
    packed(n->shape, to);
    if (n->op == IR_tile) w.rank = 2 * s.rank; /* turn, and place in the operand */
    for (int i = 0; i < s.rank; i++) {
        int at = n->op == IR_transpose ? a->perm[i] : i;
        int axis = n->op == IR_tile ? 2 * i + 1 : i;
        w.d[axis] = n->op == IR_tile ? s.d[i] : n->shape.d[i];
        w.step[0][axis] = from[at];
        w.to[axis] = to[i];
        if (n->op == IR_slice) w.in[0] += a->begin[i] * from[i];
        if (n->op != IR_tile) continue;
        w.d[axis - 1] = a->reps[i];
        w.to[axis - 1] = to[i] * s.d[i];
    }
    if (n->op == IR_split) w.in[0] += a->index * n->shape.d[a->axis] * from[a->axis];
    take_walk(&w);
    return true;
}

void host_join(kern *k, const ir_node *n, int j, const float *in, float *out)
{
    ir_shape s = n->in[j]->shape;
    int64_t to[IR_RANK];
    host_op o = {.k = k, .n = n};
    walk w = {.o = &o, .n_in = 1, .rank = s.rank, .in = {in}, .out = out};
    packed(s, w.step[0]);
    packed(n->shape, to);
    for (int i = 0; i < s.rank; i++) w.d[i] = s.d[i], w.to[i] = to[i];
    for (int i = 0; i < j; i++)
        w.out += n->in[i]->shape.d[n->attr.axis] * to[n->attr.axis];
    take_walk(&w);
}
