/* like.c - the published trainers' steps: their launches, what their hosts do,
 * and how these follow one another.
 *
 * Letters are theirs: D width, H hidden, Q and K the widths of queries and of
 * keys, S columns. Elements of scores are heads*S*S. A launch is told op by op
 * to dev_cost; what stands in one program, and which values it hands out, is
 * from maderix/ANE (training/, all three pipelines). */
#include "plan/like.h"

#include <math.h>
#include <string.h>

enum { COMPACT = 9205 }; /* tokens that occur in TinyStories' first file */

typedef struct {
    const plan_dims *m;
    dev_cost c;
    bool given;     /* weights are given, not constant */
    bool pack;      /* in the one input, beside the values */
    double width;   /* bytes of a surface's element */
    double in, out; /* elements of surfaces */
    double flops;
    double D, H, Q, K, S;
} launch;

static double scores(const launch *t)
{
    return t->m->heads * t->S * t->S;
}

/* ---- what programs are made of ---- */
static void product(launch *t, double in, double out)
{
    t->flops += 2 * in * out * t->S;
    if (!t->given) {
        dev_cost_conv(&t->c, in, out, 1, t->S, 16);
        return;
    }
    t->in += in * out;
    if (t->pack) dev_cost_move(&t->c, in * out + (in + out) * t->S);
    dev_cost_matmul(&t->c, 1, out, in, t->S);
}

/* n of [S,S] x [S,head] or [S,head] x [head,S], of each head. */
static void head_products(launch *t, int n, bool to_scores)
{
    double h = t->m->heads, d = t->m->head_dim, S = t->S;
    for (int i = 0; i < n; i++) {
        t->flops += 2 * h * S * S * d;
        if (to_scores) dev_cost_matmul(&t->c, h, S, d, S);
        else dev_cost_matmul(&t->c, h, S, S, d);
    }
}

/* x*x, its sum, x*rstd, gain. */
static void norm(launch *t)
{
    dev_cost_each(&t->c, t->D * t->S, 2);
    dev_cost_each(&t->c, t->D * t->S, 1);
    dev_cost_each(&t->c, t->D * t->S, 2);
    dev_cost_each(&t->c, t->D * t->S, 1);
}

/* q k^T / sqrt(d) + mask, softmax: largest, difference and exp, sum, quotient. */
static void probabilities(launch *t)
{
    head_products(t, 1, true);
    dev_cost_each(&t->c, scores(t), 1);
    dev_cost_each(&t->c, scores(t), 2);
    for (int pass = 0; pass < 4; pass++) dev_cost_each(&t->c, scores(t), 1);
}

static void attention(launch *t)
{
    dev_cost_move(&t->c, 4 * t->Q * t->S); /* heads apart and together again */
    probabilities(t);
    head_products(t, 1, false);
}

static void turn(launch *t) /* rotary: x cos + turned x sin, of q and k */
{
    double n = (t->Q + t->K) * t->S;
    dev_cost_move(&t->c, 2 * n);
    for (int i = 0; i < 3; i++) dev_cost_each(&t->c, n, 2);
}

static void gate(launch *t) /* h1 sigmoid(h1) h3 */
{
    dev_cost_each(&t->c, t->H * t->S, 1);
    dev_cost_each(&t->c, t->H * t->S, 2);
    dev_cost_each(&t->c, t->H * t->S, 2);
}

/* Values in and out, in channels of S columns. */
static void values(launch *t, double in, double out)
{
    t->in += in * t->S;
    t->out += out * t->S;
}

/* ---- their programs ---- */
static void fwd_attention(launch *t)
{
    bool dynamic = t->pack;
    if (!dynamic) norm(t);
    product(t, t->D, t->Q);
    product(t, t->D, t->K);
    product(t, t->D, t->K);
    if (dynamic) turn(t);
    attention(t);
    if (!dynamic || t->width == 4) product(t, t->Q, t->D);
    values(t, t->D, t->width == 2 && dynamic ? 2 * t->Q + 2 * t->K + t->D : 6 * t->D);
}

static void fwd_wo(launch *t)
{
    product(t, t->Q, t->D);
    values(t, t->Q, t->D);
}

static void fwd_ffn(launch *t)
{
    if (!t->pack) norm(t);
    product(t, t->D, t->H);
    product(t, t->D, t->H);
    gate(t);
    product(t, t->H, t->D);
    values(t, t->pack ? 2 * t->D : t->D, (t->pack ? 1 : 2) * t->D + 3 * t->H);
}

static void fwd_w13(launch *t)
{
    product(t, t->D, t->H);
    product(t, t->D, t->H);
    gate(t);
    values(t, t->D, 3 * t->H);
}

static void fwd_w2(launch *t)
{
    product(t, t->H, t->D);
    values(t, t->H, t->D);
}

static void bwd_ffn(launch *t)
{
    product(t, t->D, t->H);
    for (int i = 0; i < 9; i++) dev_cost_each(&t->c, t->H * t->S, 2);
    product(t, t->H, t->D);
    product(t, t->H, t->D);
    values(t, t->D + 2 * t->H, t->D + 2 * t->H);
}

static void bwd_w2(launch *t)
{
    product(t, t->D, t->H);
    values(t, t->D, t->H);
}

static void bwd_w13(launch *t)
{
    product(t, t->H, t->D);
    product(t, t->H, t->D);
    values(t, 2 * t->H, t->D);
}

static void bwd_wo(launch *t)
{
    product(t, t->D, t->Q);
    values(t, t->D, t->Q);
}

static void bwd_sdpa1(launch *t)
{
    if (!t->pack) product(t, t->D, t->Q);
    dev_cost_move(&t->c, 4 * t->Q * t->S);
    probabilities(t);
    head_products(t, 1, false);
    head_products(t, 1, true);
    dev_cost_move(&t->c, 2 * scores(t));
    values(t, 4 * t->Q, t->Q + 2 * t->m->heads * t->S);
}

static void bwd_sdpa2(launch *t)
{
    dev_cost_move(&t->c, 2 * scores(t) + 4 * t->Q * t->S);
    dev_cost_each(&t->c, scores(t), 2);
    dev_cost_each(&t->c, scores(t), 1);
    dev_cost_each(&t->c, scores(t), 2);
    dev_cost_each(&t->c, scores(t), 2);
    dev_cost_each(&t->c, scores(t), 1);
    head_products(t, 2, false);
    values(t, 2 * t->m->heads * t->S + 2 * t->Q, 2 * t->Q);
}

static void bwd_qkv(launch *t)
{
    product(t, t->Q, t->D);
    product(t, t->K, t->D);
    product(t, t->K, t->D);
    values(t, t->Q + 2 * t->K, t->D);
}

static void bwd_q(launch *t)
{
    product(t, t->Q, t->D);
    values(t, t->Q, t->D);
}

static void bwd_kv(launch *t)
{
    product(t, t->K, t->D);
    product(t, t->K, t->D);
    values(t, 2 * t->K, t->D);
}

/* ---- of DW_ENGINE ---- */
/* 13 values are handed out, probabilities among them. */
static void fwd_fused(launch *t)
{
    norm(t);
    product(t, t->D, t->Q);
    product(t, t->D, t->K);
    product(t, t->D, t->K);
    attention(t);
    product(t, t->Q, t->D);
    dev_cost_each(&t->c, t->D * t->S, 2);
    norm(t);
    product(t, t->D, t->H);
    product(t, t->D, t->H);
    gate(t);
    product(t, t->H, t->D);
    dev_cost_each(&t->c, t->D * t->S, 2);
    values(t, t->D, 5 * t->D + 2 * t->Q + 2 * t->K + t->m->heads * t->S + 3 * t->H);
}

/* From the probabilities; gradients of scores never leave. */
static void bwd_sdpa12(launch *t)
{
    product(t, t->D, t->Q);
    dev_cost_move(&t->c, scores(t) + 7 * t->Q * t->S);
    head_products(t, 3, false);
    head_products(t, 1, true);
    dev_cost_each(&t->c, scores(t), 2);
    dev_cost_each(&t->c, scores(t), 1);
    dev_cost_each(&t->c, scores(t), 2);
    dev_cost_each(&t->c, scores(t), 2);
    dev_cost_each(&t->c, scores(t), 1);
    values(t, t->m->heads * t->S + 3 * t->Q + t->D, 3 * t->Q);
}

static void weight_product(launch *t, double rows, double columns)
{
    t->flops += 2 * rows * columns * t->S;
    dev_cost_move(&t->c, columns * t->S);
    dev_cost_matmul(&t->c, 1, rows, t->S, columns);
    t->out += rows * columns;
}

static void dw_w2(launch *t)
{
    weight_product(t, t->D, t->H);
    values(t, t->D + t->H, 0);
}

static void dw_w13(launch *t)
{
    weight_product(t, t->H, t->D);
    weight_product(t, t->H, t->D);
    values(t, 2 * t->H + t->D, 0);
}

static void dw_qkvo(launch *t)
{
    weight_product(t, t->D, t->Q);
    weight_product(t, t->Q, t->D);
    weight_product(t, t->K, t->D);
    weight_product(t, t->K, t->D);
    values(t, 2 * t->D + 2 * t->Q + 2 * t->K, 0);
}

static void classify(launch *t)
{
    product(t, t->D, t->m->vocab);
    values(t, t->D, t->m->vocab);
}

static void classify_softmax(launch *t)
{
    for (int pass = 0; pass < 4; pass++)
        dev_cost_each(&t->c, (double)t->m->vocab * t->S, 1);
    values(t, t->m->vocab, t->m->vocab);
}

static void classify_back(launch *t)
{
    product(t, t->m->vocab, t->D);
    values(t, t->m->vocab, t->D);
}

/* In which of the four, and in DYNAMIC with or without grouped queries. ONCE: not
 * for each layer. */
enum { BAKED = 1, PLAIN = 2, GROUPED = 4, INPUTS = 8, ONCE = 16 };
static const struct {
    const char *name;
    void (*body)(launch *t);
    int in;
    bool backward;
} kernels[] = {
    {"fwdAttn", fwd_attention, BAKED | PLAIN | GROUPED, false},
    {"woFwd", fwd_wo, GROUPED, false},
    {"fwdFFN", fwd_ffn, BAKED | GROUPED, false},
    {"ffnW13", fwd_w13, PLAIN, false},
    {"ffnW2", fwd_w2, PLAIN, false},
    {"fwdFwd", fwd_fused, INPUTS, false},
    {"classifierFwd", classify, INPUTS | ONCE, false},
    {"softmax", classify_softmax, INPUTS | ONCE, false},
    {"clsBwd", classify_back, INPUTS | ONCE, true},
    {"ffnBwd", bwd_ffn, BAKED | INPUTS, true},
    {"ffnBwdW2t", bwd_w2, PLAIN | GROUPED, true},
    {"ffnBwdW13t", bwd_w13, PLAIN | GROUPED, true},
    {"wotBwd", bwd_wo, PLAIN | GROUPED, true},
    {"sdpaBwd1", bwd_sdpa1, BAKED | PLAIN | GROUPED, true},
    {"sdpaBwd2", bwd_sdpa2, BAKED | PLAIN | GROUPED, true},
    {"sdpaBwd12", bwd_sdpa12, INPUTS, true},
    {"qkvBwd", bwd_qkv, BAKED | PLAIN | INPUTS, true},
    {"qBwd", bwd_q, GROUPED, true},
    {"kvBwd", bwd_kv, GROUPED, true},
    {"dwW2", dw_w2, INPUTS, true},
    {"dwW13", dw_w13, INPUTS, true},
    {"dwWoQKV", dw_qkvo, INPUTS, true},
};

static int kind_of(plan_like like, const plan_dims *m)
{
    if (like == PLAN_LIKE_DW_ENGINE) return INPUTS;
    if (like != PLAN_LIKE_DYNAMIC) return BAKED;
    return m->heads * m->head_dim == m->dim && m->heads == m->kv_heads ? PLAIN : GROUPED;
}

static launch begin(const plan_likeness *l, const plan_dims *m, int kind,
                    const dev_costs *k)
{
    launch t = {.m = m, .given = kind != BAKED, .width = kind == PLAIN ? 4 : 2};
    t.pack = kind == PLAIN || kind == GROUPED;
    t.c = dev_cost_launch(l->chip, k);
    t.D = m->dim, t.H = m->hidden, t.S = m->seq;
    t.Q = m->heads * m->head_dim, t.K = m->kv_heads * m->head_dim;
    return t;
}

static void add_launches(plan_likeness *l, const plan_dims *m, const dev_costs *k)
{
    int kind = kind_of(l->like, m);
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        bool once = kernels[i].in & ONCE;
        if (!(kernels[i].in & kind) || (once && !m->vocab)) continue;
        launch t = begin(l, m, kind, k);
        kernels[i].body(&t);
        dev_cost_surfaces(&t.c, t.width * (t.in + t.out));
        if (t.width == 4) dev_cost_each(&t.c, t.in + t.out, 1); /* casts */
        plan_like_program *p = &l->programs[l->n_programs++];
        *p = (plan_like_program){.name = kernels[i].name,
                                 .backward = kernels[i].backward,
                                 .calls = once ? 1 : m->layers,
                                 .in_bytes = t.width * t.in,
                                 .out_bytes = t.width * t.out,
                                 .flops = t.flops,
                                 .ms = dev_cost_ms(&t.c)};
        l->engine_ms[p->backward] += p->calls * p->ms;
        l->flops += p->calls * p->flops;
        l->launches += p->calls;
    }
    l->loads = kind == PLAIN || kind == GROUPED ? l->n_programs : l->launches;
}

/* ---- their hosts ---- */
typedef struct {
    plan_likeness *l;
    const dev_costs *k;
    double n; /* elements of D channels in all layers */
    double h; /* of H */
} host;

static void work(host *t, bool backward, plan_host_part part, dev_host_work w, double n)
{
    t->l->host_ms[backward][part] += dev_host_ms(t->l->chip, t->k, w, n);
}

/* Values are fp32 on the host and fp16 on surfaces; what one program hands to
 * the next is copied, and so are operands of weight gradients, which wait. */
static void stage_baked(host *t, const plan_dims *m)
{
    double score = (double)m->layers * m->heads * m->seq * m->seq;
    work(t, false, PLAN_HOST_STAGING, DEV_HOST_CAST, 4 * (7 * t->n + 3 * t->h));
    work(t, true, PLAN_HOST_STAGING, DEV_HOST_CAST, 4 * (7 * t->n + 2 * t->h));
    work(t, true, PLAN_HOST_STAGING, DEV_HOST_COPY,
         2 * (8 * t->n + 2 * t->h + 2 * score) + 4 * (7 * t->n + 3 * t->h));
}

/* Only what the host needs is converted; programs' values are copied between
 * surfaces. The softmax comes back, and the gradient of logits goes in. */
static void stage_inputs(host *t, const plan_dims *m)
{
    double score = (double)m->layers * m->heads * m->seq * m->seq;
    double logits = (double)m->vocab * m->seq;
    work(t, false, PLAN_HOST_STAGING, DEV_HOST_CAST, 4 * (3 * t->n + logits));
    work(t, false, PLAN_HOST_STAGING, DEV_HOST_COPY, 4 * t->n + 2 * logits);
    work(t, true, PLAN_HOST_STAGING, DEV_HOST_CAST, 4 * (4 * t->n + logits));
    work(t, true, PLAN_HOST_STAGING, DEV_HOST_COPY, 2 * (14 * t->n + 5 * t->h + score));
}

/* Whole inputs are written for each launch, weights and all, and whole outputs
 * read; once surfaces keep their weights, only values are. */
static void stage_packed(host *t, const plan_dims *m, bool grouped)
{
    for (int i = 0; i < t->l->n_programs; i++) {
        const plan_like_program *p = &t->l->programs[i];
        double weights = 0, bytes = p->in_bytes + p->out_bytes;
        if (grouped) weights = p->in_bytes; /* and values: below */
        work(t, p->backward, PLAN_HOST_STAGING, grouped ? DEV_HOST_CAST : DEV_HOST_COPY,
             p->calls * (grouped ? 2 : 1) * (bytes - weights));
    }
    double q = (double)m->heads * m->head_dim / m->dim, kv = q * m->kv_heads / m->heads;
    if (grouped) {
        work(t, false, PLAN_HOST_STAGING, DEV_HOST_CAST, 4 * t->n * (3 + q));
        work(t, true, PLAN_HOST_STAGING, DEV_HOST_CAST,
             4 * (t->n * (2 + 7 * q + 2 * kv) + 2 * t->h));
    }
    work(t, true, PLAN_HOST_STAGING, DEV_HOST_COPY,
         4 * ((4 + q * 2 + kv * 2) * t->n + 3 * t->h)); /* operands of dW, kept */
}

enum { NORM_PASSES = 5, NORM_BACK_PASSES = 9 }; /* over a norm's input */

static void layers_on_host(host *t, const plan_dims *m)
{
    double norms = 2 * t->n + (double)m->dim * m->seq;
    bool dynamic = t->l->like == PLAN_LIKE_DYNAMIC;
    work(t, true, PLAN_HOST_NORMS, DEV_HOST_PASS, NORM_BACK_PASSES * norms);
    if (dynamic) work(t, false, PLAN_HOST_NORMS, DEV_HOST_PASS, NORM_PASSES * norms);
    if (dynamic) work(t, true, PLAN_HOST_SILU, DEV_HOST_EXP, t->h);
    work(t, false, PLAN_HOST_ELEMENTWISE, DEV_HOST_PASS, 2 * t->n);
    work(t, true, PLAN_HOST_ELEMENTWISE, DEV_HOST_PASS, 2 * t->n);
    if (m->vocab == 0) /* mean square error and its gradient */
        work(t, false, PLAN_HOST_ELEMENTWISE, DEV_HOST_PASS, 3.0 * m->dim * m->seq);
}

/* C += A B of `flops`, with `elements` of C: these are read and written. */
static void add_products(host *t, double flops, double elements)
{
    t->l->flops += flops;
    t->l->dw_ms += dev_host_ms(t->l->chip, t->k, DEV_HOST_BLAS, flops) +
                   dev_host_ms(t->l->chip, t->k, DEV_HOST_MEMORY, 8 * elements);
}

static void add_classifier(host *t, const plan_dims *m)
{
    plan_likeness *l = t->l;
    bool compact = l->like == PLAN_LIKE_DYNAMIC;
    l->vocab = compact && m->vocab > COMPACT ? COMPACT : m->vocab;
    double elements = (double)l->vocab * m->seq, flops = 2 * elements * m->dim;
    add_products(t, flops, (double)l->vocab * m->dim);
    if (l->like == PLAN_LIKE_DW_ENGINE) { /* copied and scaled; the rest is done */
        work(t, false, PLAN_HOST_ELEMENTWISE, DEV_HOST_PASS, 2 * elements);
        return;
    }
    work(t, false, PLAN_HOST_CLASSIFIER, DEV_HOST_BLAS, flops);
    work(t, true, PLAN_HOST_CLASSIFIER, DEV_HOST_BLAS, flops);
    work(t, false, compact ? PLAN_HOST_CLASSIFIER : PLAN_HOST_ELEMENTWISE, DEV_HOST_EXP,
         elements);
    l->flops += 2 * flops;
}

static void add_weight_gradients(host *t, const plan_dims *m)
{
    double q = (double)m->heads * m->head_dim, kv = (double)m->kv_heads * m->head_dim;
    double products = m->dim * (2 * q + 2 * kv + 3.0 * m->hidden) * m->layers;
    add_products(t, 2 * products * m->seq, products);
}

static double sum_of(const plan_likeness *l, bool backward)
{
    double ms = l->engine_ms[backward];
    for (int i = 0; i < PLAN_HOST_PARTS; i++) ms += l->host_ms[backward][i];
    return ms;
}

void plan_like_predict(plan_like like, const plan_dims *m, const dev_profile *chip,
                       const dev_costs *k, plan_likeness *out)
{
    double columns = (double)m->layers * m->seq;
    host t = {out, k, columns * m->dim, columns * m->hidden};
    *out = (plan_likeness){.like = like, .chip = chip};
    add_launches(out, m, k);
    if (like == PLAN_LIKE_DYNAMIC) stage_packed(&t, m, kind_of(like, m) == GROUPED);
    else if (like == PLAN_LIKE_DW_ENGINE) stage_inputs(&t, m);
    else stage_baked(&t, m);
    layers_on_host(&t, m);
    if (m->vocab) add_classifier(&t, m);
    if (like != PLAN_LIKE_DW_ENGINE) add_weight_gradients(&t, m);
    double forward = sum_of(out, false), backward = sum_of(out, true);
    double beside = like == PLAN_LIKE_SEED ? forward + backward : backward;
    out->waited_ms = fmax(0, out->dw_ms - beside);
    out->step_ms = forward + backward + out->waited_ms;
}
