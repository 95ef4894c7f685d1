/* edge_graphs.h - small graphs, each at the edge of one rule of the engine: as
 * it stands it would break the rule. */
#ifndef EDGE_GRAPHS_H
#define EDGE_GRAPHS_H

#include "dev/profile.h"
#include "ir/ir.h"
#include "test.h"

/* A graph with its inputs and their values. */
typedef struct {
    ir_graph *g;
    int n;
    const char *name[160];
    double *v[160];
} net;

static inline ir_node *edge_input(net *t, const char *name, ir_type type, ir_shape s,
                                  double scale)
{
    size_t n = (size_t)ir_count(s);
    double *v = malloc(n * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = scale * (double)((int)((i * 7919 + 11) % 65) - 32) / 32;
    t->name[t->n] = name;
    t->v[t->n++] = v;
    return ir_input(t->g, name, type, s);
}

static inline void
edge_two_sizes(net *t) /* 64 KB and 128 KB: c = a * b summed over a's axis */
{
    ir_node *big = edge_input(t, "big", IR_FP16, ir_s4(1, 1, 256, 256), 1);
    ir_node *small = edge_input(t, "small", IR_FP16, ir_s4(1, 1, 256, 128), 1);
    ir_output(t->g, "narrow", ir_matmul(t->g, big, small, false, false));
    ir_output(t->g, "wide", ir_unary(t->g, IR_relu, big));
}

static inline void edge_small_rows(net *t)
{
    ir_node *x = edge_input(t, "x0", IR_FP16, ir_s4(1, 8, 5, 7), 1);
    ir_output(t->g, "y", ir_mul(t->g, x, x));
}

static inline void edge_off_page(net *t) /* 69632 bytes */
{
    ir_node *x = edge_input(t, "x0", IR_FP16, ir_s4(1, 64, 17, 32), 1);
    ir_output(t->g, "y", ir_mul(t->g, x, x));
}

static inline void edge_plain(net *t)
{
    ir_node *x = edge_input(t, "x0", IR_FP16, ir_s4(1, 64, 4, 128), 1);
    ir_node *z = edge_input(t, "x1", IR_FP16, ir_s4(1, 64, 4, 128), 1);
    ir_output(t->g, "y", ir_mul(t->g, x, x));
    ir_scope(t->g, "second", false);
    ir_output(t->g, "z", ir_softmax(t->g, z, 3));
}

static inline void edge_many_surfaces(net *t)
{
    static char name[150][8];
    ir_node *sum = NULL;
    for (int i = 0; i < 150; i++) {
        snprintf(name[i], sizeof name[i], "x%d", i);
        ir_node *x = edge_input(t, name[i], IR_FP16, ir_s4(1, 1, 1, 32), 1);
        sum = !sum ? x : i % 2 ? ir_sub(t->g, sum, x) : ir_add(t->g, sum, x);
    }
    ir_output(t->g, "y", sum);
}

static inline void edge_rank_five(net *t)
{
    ir_node *a = edge_input(t, "a", IR_FP16, (ir_shape){5, {2, 1, 3, 4, 32}}, 1);
    ir_node *b = edge_input(t, "b", IR_FP16, (ir_shape){5, {2, 1, 3, 32, 8}}, 1);
    ir_output(t->g, "y", ir_matmul(t->g, a, b, false, false));
}

static inline void edge_batches_differ(net *t)
{
    ir_node *a = edge_input(t, "a", IR_FP16, ir_s4(1, 1, 4, 32), 1);
    ir_node *b = edge_input(t, "b", IR_FP16, ir_s4(1, 3, 32, 8), 1);
    ir_output(t->g, "y", ir_matmul(t->g, a, b, false, false));
}

static inline void edge_long_axis(net *t)
{
    ir_node *a = edge_input(t, "a", IR_FP16, ir_s4(1, 1, 20000, 32), 1);
    ir_node *b = edge_input(t, "b", IR_FP16, ir_s4(1, 1, 32, 32), 0.25);
    ir_output(t->g, "y", ir_matmul(t->g, a, b, false, false));
}

static inline void edge_joins_three(net *t)
{
    ir_node *x = edge_input(t, "x0", IR_FP16, ir_s4(1, 4, 4, 32), 1);
    ir_node *three[] = {x, ir_mul(t->g, x, x), ir_unary(t->g, IR_abs, x)};
    ir_output(t->g, "y", ir_unary(t->g, IR_relu, ir_concat(t->g, 3, three, 1)));
}

static inline void edge_tiles(net *t)
{
    ir_node *x = edge_input(t, "x0", IR_FP16, ir_s4(1, 4, 4, 32), 1);
    ir_output(t->g, "y",
              ir_tile(t->g, ir_unary(t->g, IR_relu, x), (int64_t[]){1, 3, 1, 1}));
}

static inline void edge_takes_rsqrt(net *t)
{
    ir_node *x = edge_input(t, "x0", IR_FP16, ir_s4(1, 4, 4, 32), 1);
    ir_node *y = ir_add(t->g, ir_mul(t->g, x, x), ir_scalar(t->g, 1));
    ir_output(t->g, "y", ir_unary(t->g, IR_rsqrt, y));
}

static inline void edge_takes_gelu(net *t)
{
    ir_node *x = edge_input(t, "x0", IR_FP16, ir_s4(1, 4, 4, 32), 4);
    ir_output(t->g, "y", ir_unary(t->g, IR_gelu, x));
}

static inline void edge_convolves(net *t, int64_t kernel, bool fixed)
{
    double w[8 * 4 * 17];
    ir_shape s = ir_s4(8, 4, 1, kernel);
    ir_node *x = edge_input(t, "x0", IR_FP16, ir_s4(1, 4, 2, 64), 1), *k;
    for (int i = 0; i < 8 * 4 * 17; i++) w[i] = (double)(i % 9 - 4) / 16;
    k = fixed ? ir_const(t->g, IR_FP16, s, w) : edge_input(t, "k", IR_FP16, s, 0.5);
    ir_output(t->g, "y",
              ir_conv(t->g, x, k, (int[]){1, 1}, (int[]){0, 0, 0, (int)kernel - 1},
                      (int[]){1, 1}, 1));
}

static inline void edge_convolves_by_input(net *t)
{
    edge_convolves(t, 1, false);
}
static inline void edge_convolves_by_wide_input(net *t)
{
    edge_convolves(t, 3, false);
}
static inline void edge_convolves_wide(net *t)
{
    edge_convolves(t, 17, true);
}

static inline void edge_many_constants(net *t)
{
    double v[128];
    ir_node *x = edge_input(t, "x0", IR_FP16, ir_s4(1, 4, 1, 32), 1);
    for (int i = 0; i < 20; i++) {
        for (int k = 0; k < 128; k++) v[k] = (double)((k * 31 + i) % 64) / 512;
        x = ir_add(t->g, x, ir_const(t->g, IR_FP16, ir_s4(1, 4, 1, 32), v));
    }
    ir_output(t->g, "y", x);
}

static inline void edge_long_chain(net *t)
{
    ir_node *x = edge_input(t, "x0", IR_FP16, ir_s4(1, 2, 1, 32), 1), *c = x;
    for (int i = 0; i < 450; i++)
        x = ir_binary(t->g, i % 2 ? IR_maximum : IR_minimum, x, c);
    ir_output(t->g, "y", x);
}

static inline void edge_vanishing_factor(net *t)
{
    ir_node *x = edge_input(t, "x0", IR_FP16, ir_s4(1, 4, 4, 32), 30000);
    ir_node *m = ir_reduce(t->g, IR_reduce_max, x, 1, (int[]){1}, true);
    ir_node *y = ir_mul(t->g, m, ir_scalar(t->g, 1e-8));
    ir_output(t->g, "y", ir_mul(t->g, y, ir_scalar(t->g, 2048)));
}

static inline void edge_fp32_input(net *t)
{
    ir_node *x = edge_input(t, "x0", IR_FP32, ir_s4(1, 4, 4, 32), 1);
    ir_output(t->g, "y", ir_unary(t->g, IR_relu, ir_cast(t->g, x, IR_FP16)));
}

static inline void edge_int_inside(net *t)
{
    ir_node *x = edge_input(t, "x0", IR_FP16, ir_s4(1, 4, 4, 32), 8);
    ir_output(t->g, "y", ir_cast(t->g, ir_cast(t->g, x, IR_INT32), IR_FP16));
}

static inline void edge_bool_across(net *t)
{
    ir_node *x = edge_input(t, "x0", IR_FP16, ir_s4(1, 4, 4, 32), 1);
    ir_node *c = ir_greater_equal(t->g, x, ir_scalar(t->g, 0.25));
    ir_output(t->g, "y", ir_select(t->g, c, x, ir_scalar(t->g, 2)));
    ir_scope(t->g, "second", false);
    ir_output(t->g, "z", ir_select(t->g, c, ir_scalar(t->g, 3), x));
}

static inline void edge_cuts_the_width(net *t)
{
    ir_node *x = edge_input(t, "x0", IR_FP16, ir_s4(1, 4, 2, 64), 5000);
    ir_output(t->g, "y",
              ir_slice(t->g, x, (int64_t[]){0, 1, 0, 32}, (int64_t[]){1, 2, 2, 32}));
}

static inline void edge_large_norm(net *t) /* rms about 12, 4096 channels */
{
    ir_node *x = edge_input(t, "x0", IR_FP16, ir_s4(1, 4096, 1, 32), 20);
    ir_output(t->g, "y", ir_mul(t->g, x, ir_rms_scale(t->g, x, 1, 1e-5)));
}

static inline void edge_many_ones(net *t) /* fp16 sums of ones stand still at 2048 */
{
    ir_node *x = edge_input(t, "x0", IR_FP16, ir_s4(1, 4096, 1, 32), 0.125);
    x = ir_add(t->g, x, ir_scalar(t->g, 1));
    ir_output(t->g, "y", ir_reduce(t->g, IR_reduce_sum, x, 1, (int[]){1}, true));
}

typedef struct {
    dev_rule rule;
    const char *chip; /* one where it holds */
    void (*build)(net *);
} edge_graph;
static const edge_graph edge_graphs[] = {
    {RULE_input_order, "m4", edge_two_sizes},
    {RULE_output_order, "m4", edge_two_sizes},
    {RULE_slot_sizes, "m1", edge_two_sizes},
    {RULE_uniform_surfaces, "m4", edge_two_sizes},
    {RULE_surface_minimum, "m4", edge_small_rows},
    {RULE_surface_pages, "m4", edge_off_page},
    {RULE_row_multiple, "m4", edge_small_rows},
    {RULE_inputs_used, "m4", edge_plain},
    {RULE_surface_slots, "m4", edge_many_surfaces},
    {RULE_matmul_rank, "m4", edge_rank_five},
    {RULE_matmul_batch, "m4", edge_batches_differ},
    {RULE_axis_limit, "m1", edge_long_axis},
    {RULE_concat_pairs, "m4", edge_joins_three},
    {RULE_tile_poison, "m4", edge_tiles},
    {RULE_rsqrt_refused, "m4", edge_takes_rsqrt},
    {RULE_gelu_refused, "m4", edge_takes_gelu},
    {RULE_conv_runtime_weight, "m4", edge_convolves_by_input},
    {RULE_conv_runtime_weight, "m4", edge_convolves_by_wide_input},
    {RULE_conv_kernel_width, "m4", edge_convolves_wide},
    {RULE_blob_count, "m4", edge_many_constants},
    {RULE_graph_depth, "m4", edge_long_chain},
    {RULE_mul_zero_after_reduce, "m4", edge_vanishing_factor},
    {RULE_fp16_io, "m1", edge_fp32_input},
    {RULE_cast_int32, "m1", edge_int_inside},
    {RULE_bool_io, "m4", edge_bool_across},
    {RULE_slice_clamp, "m1", edge_cuts_the_width},
    {RULE_mac_cliff, "m4", edge_large_norm},
    {RULE_reduce_narrow, "m4", edge_many_ones},
};

static inline net edge_net(size_t i)
{
    net t = {.g = ir_new()};
    edge_graphs[i].build(&t);
    assert_ok(ir_rc(t.g));
    return t;
}

static inline void edge_free(net *t)
{
    for (int i = 0; i < t->n; i++) free(t->v[i]);
    ir_free(t->g);
}

#endif
