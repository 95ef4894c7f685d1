/* judge.c - the hardware rules, applied to a program and to a run.
 *
 * Each check only says "this rule is broken here"; broken() decides what that
 * means: nothing where the rule does not hold for the family, a warning where
 * it is disputed, a refusal in strict mode, the chip's own behaviour in
 * faithful mode (effects.def). */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "dev/soft.h"

#define COMPILE 256u

typedef struct {
    soft_device *d;
    soft_program *p;
    unsigned *wrong;
    bool running; /* judging a run: nothing to hang a warning on */
    bool warned[DEV_RULES];
} judge;

static unsigned effect_of(dev_rule r)
{
    switch ((int)r) {
#define EFFECT(rule, what) \
    case RULE_##rule:      \
        return what;
#include "dev/effects.def"
#undef EFFECT
    default:
        return 0;
    }
}

/* One line for each rule, at its first place: a program that breaks a rule often
 * does so in every layer. */
static rc warn(judge *j, dev_rule r, mil_pos at, const char *text)
{
    soft_program *p = j->p;
    if (j->warned[r] || j->running) return OK;
    j->warned[r] = true;
    char where[48] = "";
    if (at.line)
        snprintf(where, sizeof where, " at line %d column %d", at.line, at.column);
    const char *line = arena_printf(p->code->mem, "rule '%s'%s%s: %s (%s)",
                                    dev_rule_at(r)->id,
                                    dev_rule_at(r)->disputed ? " (disputed)" : "", where,
                                    text, dev_rule_at(r)->source);
    if (!line) return E_MEMORY;
    p->warnings[p->n_warnings++] = line;
    return OK;
}

/* Rule r is broken at a place of the program (line 0: the whole of it). */
static rc broken(judge *j, dev_rule r, mil_pos at, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
static rc broken(judge *j, dev_rule r, mil_pos at, const char *fmt, ...)
{
    const dev_caps *caps = &j->d->caps;
    char text[256];
    if (!caps->rule_holds[r]) return OK;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (caps->rule_disputed[r]) return warn(j, r, at, text);
    if (!j->d->params.faithful) {
        rc code = at.line ? mil_fail(j->p->code->mil, at, E_RULE, "rule '%s': %s",
                                     dev_rule_at(r)->id, text)
                          : err_fail(E_RULE, "rule '%s': %s", dev_rule_at(r)->id, text);
        return err_hint(code, "%s; on the chip: %s", dev_rule_at(r)->text,
                        dev_rule_at(r)->symptom);
    }
    unsigned effect = effect_of(r);
    if (effect == COMPILE)
        return err_fail(E_DEVICE, "InvalidMILProgram: the program does not compile");
    *j->wrong |= effect;
    return OK;
}

static const dev_value *value(const judge *j, int id)
{
    return &j->p->code->values[id];
}

/* ---- one value ---- */
static rc judge_value(judge *j, const dev_value *v)
{
    static const char *const risky[] = {"var", "diff", "mean", "std", "eps", "x",
                                        "y",   "mul",  "add",  "c",   "C"};
    const dev_profile *f = j->d->params.profile;
    const mil_type *t = &v->type;
    const char *name = v->name ? v->name : "a literal";
    if (t->rank > 5)
        TRY(broken(j, RULE_rank_limit, v->pos, "'%s' has rank %d", name, t->rank));
    for (int i = 0; i < t->rank && t->dtype != MIL_STRING; i++) {
        bool spatial = i >= t->rank - 2 && !(t->rank == 3 && i == 1);
        int64_t most = spatial ? f->max_axis : f->max_channels;
        if (t->d[i] > most)
            TRY(broken(j, RULE_axis_limit, v->pos,
                       "axis %d of '%s' has %lld elements, %lld "
                       "is the most",
                       i, name, (long long)t->d[i], (long long)most));
    }
    for (size_t i = 0; v->name && i < sizeof risky / sizeof *risky; i++)
        if (!strcmp(v->name, risky[i]))
            TRY(broken(j, RULE_risky_names, v->pos, "a value is named '%s'", v->name));
    if (v->constant && !v->name && v->op >= 0 &&
        dev_op_class_of(j->p->code->ops[v->op].kind) != DEV_CONST)
        TRY(broken(j, RULE_inline_bool, v->pos, "an argument is written in place"));
    return OK;
}

/* ---- one op ---- */
static bool all_zero(const dev_value *v)
{
    if (!v->constant || !v->data || v->type.dtype == MIL_STRING) return false;
    int64_t n = v->splat ? 1 : mil_count(&v->type);
    for (int64_t i = 0; i < n; i++)
        if (half_from_double(dev_const_at(v, (size_t)i)) & 0x7fff) return false;
    return true;
}

static bool from_reduction(const judge *j, const dev_value *v)
{
    return v->op >= 0 && !v->constant &&
           dev_op_class_of(j->p->code->ops[v->op].kind) == DEV_REDUCE;
}

/* Only a reduction that is multiplied directly; the compiler folds no further. */
static rc judge_mul(judge *j, const dev_op *o)
{
    const dev_value *x = value(j, o->arg[0]), *y = value(j, o->arg[1]);
    if ((from_reduction(j, x) && all_zero(y)) || (from_reduction(j, y) && all_zero(x)))
        return broken(j, RULE_mul_zero_after_reduce, o->mil->pos,
                      "a reduction is multiplied by a constant zero");
    return OK;
}

/* The contracted axis has the limit of widths wherever it stands. */
static rc judge_matmul(judge *j, const dev_op *o)
{
    const mil_type *x = &value(j, o->arg[0])->type, *y = &value(j, o->arg[1])->type;
    int64_t k = x->d[x->rank - (o->a.tx ? 2 : 1)];
    if (x->rank > 4 || y->rank > 4)
        TRY(broken(j, RULE_matmul_rank, o->mil->pos,
                   "matmul has operands of rank %d and %d", x->rank, y->rank));
    if (k > j->d->params.profile->max_axis)
        TRY(broken(j, RULE_axis_limit, o->mil->pos, "%lld elements are contracted",
                   (long long)k));
    bool equal = x->rank == y->rank;
    for (int i = 0; equal && i < x->rank - 2; i++) equal = x->d[i] == y->d[i];
    if (!equal)
        TRY(broken(j, RULE_matmul_batch, o->mil->pos, "batch axes of matmul differ"));
    return OK;
}

/* Fed weights, biases and wide kernels. */
static rc judge_conv(judge *j, const dev_op *o)
{
    const dev_value *w = value(j, o->arg[1]);
    int64_t width = w->type.d[w->type.rank - 1];
    int64_t most = j->d->params.profile->family == DEV_H13 ? 13 : 15;
    if (!w->constant)
        TRY(broken(j, RULE_conv_runtime_weight, o->mil->pos,
                   "the weight '%s' of conv is not "
                   "a constant",
                   w->name));
    if (o->arg[2] >= 0) TRY(broken(j, RULE_conv_bias, o->mil->pos, "conv has a bias"));
    if (width > most)
        TRY(broken(j, RULE_conv_kernel_width, o->mil->pos,
                   "a kernel is %lld wide, %lld is the most", (long long)width,
                   (long long)most));
    return OK;
}

/* A slice along the last axis that does not begin at its start. */
static rc judge_width_slice(judge *j, const dev_op *o)
{
    const mil_type *x = &value(j, o->arg[0])->type;
    int last = x->rank - 1;
    bool cut = o->kind == DEV_OP_split            ? o->a.axis == last && o->n_out > 1
               : o->kind == DEV_OP_batch_to_space ? o->a.pad[2] > 0
                                                  : last >= 0 && o->a.begin[last] > 0;
    if (cut && j->d->caps.rule_holds[RULE_slice_clamp])
        return warn(j, RULE_slice_clamp, o->mil->pos,
                    "values beyond 4094 become infinite in this slice");
    return OK;
}

/* From 2048 on a running sum of ones in fp16 stands still. */
static rc judge_sum(judge *j, const dev_op *o)
{
    const mil_type *x = &value(j, o->arg[0])->type;
    int64_t n = 1;
    for (int i = 0; i < o->a.n_axes; i++) n *= x->d[o->a.axes[i]];
    if (n > 2048 && j->d->caps.rule_holds[RULE_reduce_narrow])
        return warn(j, RULE_reduce_narrow, o->mil->pos,
                    "a long sum is made in fp16; matmul with ones sums wide");
    return OK;
}

/* Rules that one op alone can break. */
static rc judge_op(judge *j, const dev_op *o)
{
    const char *why;
    mil_pos at = o->mil->pos;
    dev_family f = j->d->params.profile->family;
    if (!dev_op_supported(o->mil->op, f, &why)) {
        if (j->d->params.faithful)
            return err_fail(E_DEVICE, "InvalidMILProgram: the program does not compile");
        return mil_fail(j->p->code->mil, at, E_RULE, "op '%s' does not run on %s: %s",
                        o->mil->op, dev_family_name(f), why);
    }
    const dev_limit *limit = dev_limit_broken(j->p->code, o, f);
    if (limit && j->d->params.faithful)
        return err_fail(E_DEVICE, "InvalidMILProgram: the program does not compile");
    if (limit)
        return mil_fail(j->p->code->mil, at, E_RULE, "op '%s' on %s: %s (%s)", o->mil->op,
                        dev_family_name(f), limit->text, limit->source);
    switch (o->kind) {
    case DEV_OP_mul:
        return judge_mul(j, o);
    case DEV_OP_matmul:
        return judge_matmul(j, o);
    case DEV_OP_conv:
        return judge_conv(j, o);
    case DEV_OP_reduce_sum:
    case DEV_OP_reduce_mean:
    case DEV_OP_reduce_sum_square:
    case DEV_OP_reduce_l1_norm:
    case DEV_OP_reduce_l2_norm:
    case DEV_OP_reduce_log_sum:
        return judge_sum(j, o);
    case DEV_OP_split:
    case DEV_OP_slice_by_size:
    case DEV_OP_slice_by_index:
    case DEV_OP_crop:
    case DEV_OP_batch_to_space:
        return judge_width_slice(j, o);
    case DEV_OP_concat:
        TRY(broken(j, RULE_concat_refused, at, "concat is used"));
        if (o->n_list != 2)
            TRY(broken(j, RULE_concat_pairs, at, "concat joins %d values", o->n_list));
        return OK;
    case DEV_OP_tile:
        return broken(j, RULE_tile_poison, at, "tile is used");
    case DEV_OP_rsqrt:
        return broken(j, RULE_rsqrt_refused, at, "rsqrt is used");
    case DEV_OP_gelu:
        return broken(j, RULE_gelu_refused, at, "gelu is used");
    case DEV_OP_scaled_dot_product_attention:
        if (o->arg[3] >= 0)
            return broken(j, RULE_sdpa_mask, at,
                          "scaled_dot_product_attention has a mask");
        return OK;
    case DEV_OP_cast:
        if (value(j, o->out[0])->type.dtype == MIL_INT32)
            return broken(j, RULE_cast_int32, at, "cast to int32");
        return OK;
    default:
        return OK;
    }
}

/* ---- the program ---- */
static rc judge_blobs(judge *j)
{
    const dev_code *c = j->p->code;
    int blobs = 0, most = 16;
    for (int i = 0; i < c->n_values; i++) {
        const dev_value *v = &c->values[i];
        if (!v->blob) continue;
        blobs++;
        for (int k = 0; k < i; k++)
            if (c->values[k].blob && !strcmp(c->values[k].blob->text, v->blob->text) &&
                c->values[k].blob->offset != v->blob->offset) {
                TRY(broken(j, RULE_blob_single_file, v->pos,
                           "weight file '%s' has several "
                           "chunks",
                           v->blob->text));
                break;
            }
    }
    for (int i = 0; i < c->n_ops; i++)
        if (dev_op_class_of(c->ops[i].kind) == DEV_BINARY)
            for (int k = 0; k < 2; k++) {
                const dev_value *v = &c->values[c->ops[i].arg[k]];
                if (v->constant && mil_count(&v->type) == 1) most = 15;
            }
    if (blobs > most)
        TRY(broken(j, RULE_blob_count, (mil_pos){0}, "%d blob tensors, %d is the most",
                   blobs, most));
    if (c->const_bytes > 2e9)
        TRY(broken(j, RULE_baked_bytes, (mil_pos){0}, "%.0f bytes of constants",
                   c->const_bytes));
    return OK;
}

/* The longest chain of layers. quantize and dequantize belong to the layer whose
 * result they take: 128 convolutions with both between them ran on M4
 * (maderix/ANE, INT8 benchmark), and those are 384 operations. */
static rc judge_depth(judge *j)
{
    const dev_code *c = j->p->code;
    int *depth = arena_array(c->mem, (size_t)c->n_values + 1, sizeof *depth);
    int most = 0;
    if (!depth) return E_MEMORY;
    for (int i = 0; i < c->n_ops; i++) {
        const dev_op *o = &c->ops[i];
        int in = 0;
        for (int k = 0; k < DEV_SLOTS + o->n_list; k++) {
            int id = k < DEV_SLOTS ? o->arg[k] : o->list[k - DEV_SLOTS];
            if (id >= 0 && depth[id] > in) in = depth[id];
        }
        dev_op_class cls = dev_op_class_of(o->kind);
        bool layer = cls != DEV_VIEW && cls != DEV_QUANT;
        int here = cls == DEV_CONST ? 0 : in + layer;
        for (int k = 0; k < o->n_out; k++) depth[o->out[k]] = here;
        if (here > most) most = here;
    }
    if (most > 383)
        return broken(j, RULE_graph_depth, (mil_pos){0}, "%d layers stand in a chain",
                      most);
    return OK;
}

/* What holds for every input and output. */
static rc judge_port(judge *j, const dev_value *v)
{
    const mil_type *t = &v->type;
    if (t->dtype == MIL_BOOL)
        TRY(broken(j, RULE_bool_io, v->pos, "'%s' is bool", v->name));
    if (t->dtype != MIL_FP16)
        TRY(broken(j, RULE_fp16_io, v->pos, "'%s' is %s", v->name,
                   mil_dtype_text(t->dtype)));
    if (t->rank && t->d[t->rank - 1] % 32)
        TRY(broken(j, RULE_row_multiple, v->pos,
                   "the last axis of '%s' has %lld elements", v->name,
                   (long long)t->d[t->rank - 1]));
    return OK;
}

/* The slot limit is also the size of a job, so it holds in every mode. */
static rc judge_ports(judge *j)
{
    const dev_code *c = j->p->code;
    for (int i = 0; i < c->n_in; i++) {
        const dev_value *v = &c->values[c->in[i]];
        TRY(judge_port(j, v));
        if (!v->uses)
            TRY(broken(j, RULE_inputs_used, v->pos, "input '%s' is not used", v->name));
    }
    for (int i = 0; i < c->n_out; i++) {
        const dev_value *v = &c->values[c->out[i]];
        TRY(judge_port(j, v));
        if (v->op < 0 || v->constant)
            TRY(broken(j, RULE_outputs_computed, v->pos, "output '%s' is not computed",
                       v->name));
    }
    if (c->n_in + c->n_out <= SOFT_SURFACES) return OK;
    TRY(broken(j, RULE_surface_slots, (mil_pos){0},
               "%d inputs and outputs, a run takes %d surfaces", c->n_in + c->n_out,
               SOFT_SURFACES));
    return err_fail(E_UNIMPL, "a run of %d surfaces; this engine takes %d",
                    c->n_in + c->n_out, SOFT_SURFACES);
}

/* Any value of the version will do (FieldGuide, loraANE). */
static rc judge_build_info(judge *j)
{
    const mil_value *v = &j->p->code->mil->build_info;
    for (int i = 0; i + 1 < v->n; i += 2)
        if (v->items[i].text && !strcmp(v->items[i].text, "coremlc-version")) return OK;
    return broken(j, RULE_build_info, (mil_pos){0}, "buildInfo has no 'coremlc-version'");
}

/* Rules of the op first: their errors have the most exact place. */
rc soft_judge_program(soft_device *d, soft_program *p)
{
    judge j = {.d = d, .p = p, .wrong = &p->wrong};
    const dev_code *c = p->code;
    p->warnings = arena_array(c->mem, DEV_RULES, sizeof *p->warnings);
    if (!p->warnings) return E_MEMORY;
    TRY(judge_build_info(&j));
    for (int i = 0; i < c->n_ops; i++) TRY(judge_op(&j, &c->ops[i]));
    for (int i = 0; i < c->n_values; i++) TRY(judge_value(&j, &c->values[i]));
    TRY(judge_ports(&j));
    TRY(judge_blobs(&j));
    return judge_depth(&j);
}

/* ---- one run ---- */
static bool holds(const soft_surface *s, const mil_type *t)
{
    return s->bytes >= mem_mul((size_t)mil_count(t), mil_dtype_bytes(s->shape.dtype));
}

static bool same_shape(const soft_surface *s, const mil_type *t)
{
    if (s->shape.rank != t->rank || s->shape.dtype != t->dtype) return false;
    for (int i = 0; i < t->rank; i++)
        if (s->shape.d[i] != t->d[i]) return false;
    return true;
}

/* Were the surfaces given as declared, where binding is alphabetical? True
 * when one is too small for its port, or when their shapes are those of the
 * declaration and not those of the ports. */
static bool wrong_order(const dev_code *c, soft_surface *const *s, int n, const int *ids,
                        const int *order)
{
    bool as_declared = true, as_bound = true;
    for (int i = 0; i < n; i++) {
        const mil_type *bound = &c->values[ids[order[i]]].type;
        if (!holds(s[i], bound)) return true;
        as_bound &= same_shape(s[i], bound);
        as_declared &= same_shape(s[i], &c->values[ids[i]].type);
    }
    return as_declared && !as_bound;
}

/* Rules about the sizes of surfaces, by themselves and beside each other. */
static rc judge_slots(judge *j, soft_surface *const *s, int n, bool inputs)
{
    mil_pos none = {0};
    const char *what = inputs ? "input" : "output";
    for (int i = 0; i < n; i++) {
        if (s[i]->bytes < 49152)
            TRY(broken(j, RULE_surface_minimum, none, "%s %d has %zu bytes", what, i,
                       s[i]->bytes));
        if (s[i]->bytes % 16384)
            TRY(broken(j, RULE_surface_pages, none, "%s %d has %zu bytes", what, i,
                       s[i]->bytes));
        if (i && s[i]->bytes != s[i - 1]->bytes)
            TRY(broken(j, RULE_uniform_surfaces, none,
                       "%s %d has %zu bytes, the one before "
                       "%zu",
                       what, i, s[i]->bytes, s[i - 1]->bytes));
        if (i && (inputs ? s[i]->bytes < s[i - 1]->bytes : s[i]->bytes > s[i - 1]->bytes))
            TRY(broken(j, RULE_slot_sizes, none,
                       "%s %d has %zu bytes, the one before %zu", what, i, s[i]->bytes,
                       s[i - 1]->bytes));
    }
    return OK;
}

/* Elements of another type are never what was meant; no rule row is needed. */
static rc judge_types(const soft_device *d, const soft_program *p, soft_surface *const *s)
{
    int n_in = p->ports.n_in;
    for (int i = 0; i < n_in + p->ports.n_out; i++) {
        const dev_port *port = i < n_in ? &p->in[i] : &p->out[i - n_in];
        mil_dtype had = s[i]->shape.dtype, want = port->type.dtype;
        /* The yardstick may also be handed full precision. */
        bool wide = d->params.arithmetic == SOFT_WIDE && had == MIL_FP32 &&
                    want == MIL_FP16;
        if (had != want && !wide)
            return err_fail(E_DEVICE, "'%s' is %s, but its surface is %s", port->name,
                            mil_dtype_text(want), mil_dtype_text(had));
    }
    return OK;
}

rc soft_judge_run(soft_device *d, soft_program *p, soft_surface *const *s,
                  unsigned *wrong)
{
    judge j = {.d = d, .p = p, .wrong = wrong, .running = true};
    const dev_code *c = p->code;
    soft_surface *const *out = s + c->n_in;
    *wrong = p->wrong;
    TRY(judge_types(d, p, s));
    for (int side = 0; side < 2; side++) {
        int n = side ? c->n_out : c->n_in;
        soft_surface *const *at = side ? out : s;
        const int *ids = side ? c->out : c->in,
                  *order = side ? c->out_order : c->in_order;
        dev_rule rule = side ? RULE_output_order : RULE_input_order;
        for (int i = 0; i < n; i++)
            if (!holds(at[i], &c->values[ids[order[i]]].type)) *wrong |= SOFT_RUN_FAILS;
        if (wrong_order(c, at, n, ids, order))
            TRY(broken(&j, rule, (mil_pos){0},
                       "the surfaces do not fit in alphabetical order "
                       "of the names"));
        TRY(judge_slots(&j, at, n, !side));
    }
    return OK;
}
