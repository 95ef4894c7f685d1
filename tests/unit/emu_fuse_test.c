/* Random programs of elementwise ops, views and what stands between them:
 * however nodes are grouped, gathered and placed, the numbers are right (wide,
 * against the oracle), and neither fusing nor threads change a bit (fast). */
#include "emu_help.h"

enum { NODES = 28, LOADS_EACH = 100 };

typedef struct {
    uint64_t seed, at;
    ir_graph *g;
    ir_node *pool[NODES + 8];
    int n;
} draw;

static int64_t pick(draw *r, int64_t n)
{
    return (int64_t)rng_below(r->seed, 3, r->at++, (uint64_t)n);
}

static ir_node *any(draw *r)
{
    /* mostly recent values, so that chains form */
    return r->pool[pick(r, 3) ? r->n - 1 - pick(r, r->n < 6 ? r->n : 6) : pick(r, r->n)];
}

static bool joins(const ir_shape *a, const ir_shape *b)
{
    for (int i = 1; i <= a->rank && i <= b->rank; i++) {
        int64_t m = a->d[a->rank - i], n = b->d[b->rank - i];
        if (m != n && m != 1 && n != 1) return false;
    }
    return true;
}

/* Every value stays within +-1, so that errors do not grow. */
static ir_node *tame(draw *r, ir_node *x)
{
    return ir_unary(r->g, pick(r, 2) ? IR_tanh : IR_sigmoid, x);
}

static ir_node *two(draw *r)
{
    static const ir_op ops[] = {IR_add, IR_sub, IR_mul, IR_maximum, IR_minimum};
    ir_node *x = any(r), *y = any(r);
    if (!joins(&x->shape, &y->shape)) y = x;
    ir_op op = ops[pick(r, COUNT_OF(ops))];
    ir_node *z = ir_binary(r->g, op, x, y);
    return op == IR_add || op == IR_sub ? ir_mul(r->g, z, ir_scalar(r->g, 0.5)) : z;
}

static ir_node *one(draw *r)
{
    static const ir_op ops[] = {IR_abs, IR_relu, IR_tanh, IR_sigmoid};
    return ir_unary(r->g, ops[pick(r, COUNT_OF(ops))], any(r));
}

static ir_node *turned(draw *r)
{
    ir_node *x = any(r);
    int p[IR_RANK];
    for (int i = 0; i < x->shape.rank; i++) p[i] = i;
    for (int i = x->shape.rank - 1; i > 0; i--) {
        int j = (int)pick(r, i + 1), t = p[i];
        p[i] = p[j];
        p[j] = t;
    }
    return ir_transpose(r->g, x, p);
}

static ir_node *reshaped(draw *r)
{
    ir_node *x = any(r);
    int64_t n = ir_count(x->shape), a = 1;
    for (int64_t f = 2; f <= 8; f++)
        if (n % f == 0 && pick(r, 2)) a = f;
    return ir_reshape(r->g, x, pick(r, 2) ? ir_s4(1, n / a, 1, a) : ir_s2(a, n / a));
}

static ir_node *cut(draw *r)
{
    ir_node *x = any(r);
    int64_t begin[IR_RANK] = {0}, size[IR_RANK];
    for (int i = 0; i < x->shape.rank; i++) {
        size[i] = x->shape.d[i] > 3 && pick(r, 2) ? x->shape.d[i] - 2 : x->shape.d[i];
        begin[i] = pick(r, x->shape.d[i] - size[i] + 1);
    }
    return ir_slice(r->g, x, begin, size);
}

static ir_node *joined(draw *r)
{
    ir_node *x = any(r), *list[3] = {x, pick(r, 2) ? x : tame(r, x), x};
    return ir_concat(r->g, 2 + (int)pick(r, 2), list, (int)pick(r, x->shape.rank));
}

static ir_node *across(draw *r)
{
    ir_node *x = any(r);
    int axis = (int)pick(r, x->shape.rank);
    if (pick(r, 2)) return ir_softmax(r->g, x, axis);
    return ir_reduce(r->g, pick(r, 2) ? IR_reduce_max : IR_reduce_mean, x, 1, &axis,
                     true);
}

static ir_node *repeated(draw *r)
{
    ir_node *x = any(r);
    int64_t reps[IR_RANK] = {1, 1, 1, 1, 1};
    reps[pick(r, x->shape.rank)] = 2;
    return ir_tile(r->g, x, reps);
}

static ir_node *product(draw *r)
{
    ir_node *x = any(r);
    int64_t k = x->shape.d[x->shape.rank - 1];
    if (x->shape.rank < 2 || k > 64) return tame(r, x);
    /* x x^T over the last axis; an exact factor, as the oracle rounds none */
    ir_node *y = ir_matmul(r->g, x, x, false, true);
    return ir_mul(r->g, y, ir_scalar(r->g, 1.0 / 64));
}

static ir_node *chosen(draw *r)
{
    /* compared values are inputs, exact in every arithmetic */
    ir_node *c = ir_greater_equal(r->g, r->pool[0], r->pool[1]);
    ir_node *x = any(r);
    if (!joins(&c->shape, &x->shape)) return tame(r, x);
    return ir_select(r->g, c, x,
                     r->pool[0]->shape.rank == x->shape.rank &&
                             ir_shape_eq(r->pool[0]->shape, x->shape)
                         ? r->pool[0]
                         : x);
}

static ir_graph *random_program(uint64_t seed, bool all_out)
{
    static ir_node *(*const makers[])(draw *) = {
        two,      two, two,    two,    one,      one,     turned,
        reshaped, cut, joined, across, repeated, product, chosen};
    static const ir_shape shapes[] = {
        {4, {1, 12, 1, 64}}, {4, {1, 6, 8, 32}}, {3, {5, 9, 33}}, {2, {96, 70}}};
    draw r = {.seed = seed, .g = ir_new()};
    ir_shape s = shapes[seed % COUNT_OF(shapes)];
    static const char *const names[] = {"in_a", "in_b", "in_c"};
    for (int i = 0; i < 3; i++) {
        if (i == 2) s.d[s.rank - 1 - (int)pick(&r, 2)] = 1;
        r.pool[r.n++] = ir_input(r.g, names[i], IR_FP16, s);
    }
    while (r.n < NODES) {
        ir_node *x = makers[pick(&r, COUNT_OF(makers))](&r);
        assert_ok(ir_rc(r.g));
        if (ir_count(x->shape) > 20000) continue;
        r.pool[r.n++] = x;
    }
    for (int i = 3; i < r.n; i++) {
        char name[16];
        snprintf(name, sizeof name, "out_%02d", i);
        bool made_before = r.pool[i]->n_in == 0;
        for (int j = 0; j < i; j++) made_before |= r.pool[j] == r.pool[i];
        if (!made_before && (all_out || i >= r.n - 3)) ir_output(r.g, name, r.pool[i]);
    }
    return r.g;
}

/* Values that no output needs are dropped by the emitter or stay; an input
 * nobody uses would be refused, so all are kept in use. */
static void use_inputs(ir_graph *g)
{
    ir_node *sum = NULL;
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->op == IR_input) {
            int axes[IR_RANK];
            for (int a = 0; a < g->nodes[i]->shape.rank; a++) axes[a] = a;
            ir_node *x = ir_reduce(g, IR_reduce_mean, g->nodes[i],
                                   g->nodes[i]->shape.rank, axes, true);
            x = ir_reshape(g, x, ir_s1(1));
            sum = sum ? ir_add(g, sum, x) : x;
        }
    ir_output(g, "out_sum", sum);
}

typedef struct {
    arena *mem;
    int n;
    const char *name[NODES + 2];
    double *v[NODES + 2];
    size_t count[NODES + 2];
    ir_graph *g;
} results;

static results compute(device *d, uint64_t seed, bool all_out)
{
    results r = {.mem = arena_new(), .g = random_program(seed, all_out)};
    use_inputs(r.g);
    test_program t = test_load_graph(d, r.g, 0, NULL);
    for (int i = 0; i < t.ports.n_in; i++) {
        size_t n = test_count(&t.ports.in[i].type);
        double *v = arena_array(r.mem, n, sizeof *v);
        for (size_t k = 0; k < n; k++) v[k] = test_number(seed + (uint64_t)i, k, -1, 1);
        test_write(t.in[i], &t.ports.in[i].type, v);
    }
    test_run(d, &t);
    assert_int_equal(t.stats.infinities, 0);
    for (int i = 0; i < t.ports.n_out; i++, r.n++) {
        r.name[i] = arena_text(r.mem, t.ports.out[i].name);
        r.count[i] = test_count(&t.ports.out[i].type);
        r.v[i] = arena_array(r.mem, r.count[i], sizeof(double));
        test_read(t.out[i], &t.ports.out[i].type, r.v[i]);
    }
    test_unload(&t);
    return r;
}

static void drop(results *r)
{
    ir_free(r->g);
    arena_free(r->mem);
}

static device *fresh(device *d, const char *uri, kern *k, int used)
{
    if (d && used % LOADS_EACH) return d; /* the compile budget */
    dev_close(d);
    assert_ok(dev_open(uri, k, &d));
    return d;
}

/* Rounded once on its way out; sums over up to 28 steps in fp32 before. */
static void wide_agrees_with_the_oracle(void **state)
{
    (void)state;
    device *d = NULL;
    for (uint64_t seed = 0; seed < 150; seed++) {
        d = fresh(d, "emu:m4,wide", NULL, (int)seed);
        results r = compute(d, seed, seed % 2);
        ir_binding bind[3];
        double **want;
        for (int i = 0; i < 3; i++) {
            const ir_node *n = ir_find(r.g, (const char *[]){"in_a", "in_b", "in_c"}[i]);
            double *v = arena_array(r.mem, (size_t)ir_count(n->shape), sizeof *v);
            for (int64_t k = 0; k < ir_count(n->shape); k++)
                v[k] = test_number(seed + (uint64_t)i, (uint64_t)k, -1, 1);
            bind[i] = (ir_binding){n->name, v};
        }
        assert_ok(ir_eval(r.g, r.mem, 3, bind, &want));
        for (int i = 0; i < r.n; i++) {
            const double *w = want[ir_find(r.g, r.name[i])->id];
            for (size_t k = 0; k < r.count[i]; k++) {
                if (fabs(r.v[i][k] - w[k]) <= ldexp(fabs(w[k]), -11) + 2e-5) continue;
                print_error("seed %d, %s[%zu]: had %.9g, wanted %.9g\n", (int)seed,
                            r.name[i], k, r.v[i][k], w[k]);
                fail();
            }
        }
        drop(&r);
    }
    dev_close(d);
}

/* The same program with every value an output, or with few: the groups and
 * registers differ, the bits do not. And with one thread or three. */
static void grouping_and_threads_change_no_bit(void **state)
{
    (void)state;
    kern *k1, *k3;
    device *one = NULL, *three = NULL;
    assert_ok(kern_open(1, NULL, &k1));
    assert_ok(kern_open(3, NULL, &k3));
    for (uint64_t seed = 0; seed < 150; seed++) {
        one = fresh(one, "emu:m4", k1, (int)seed);
        three = fresh(three, "emu:m4", k3, (int)seed);
        results all = compute(one, seed, true), few = compute(three, seed, false);
        int met = 0;
        for (int i = 0; i < few.n; i++)
            for (int j = 0; j < all.n; j++) {
                if (strcmp(few.name[i], all.name[j]) != 0) continue;
                met++;
                if (memcmp(few.v[i], all.v[j], few.count[i] * sizeof(double)) != 0) {
                    print_error("seed %d, %s differs\n", (int)seed, few.name[i]);
                    fail();
                }
            }
        assert_int_equal(met, few.n);
        drop(&all);
        drop(&few);
    }
    dev_close(one);
    dev_close(three);
    kern_close(k1);
    kern_close(k3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wide_agrees_with_the_oracle),
        cmocka_unit_test(grouping_and_threads_change_no_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
