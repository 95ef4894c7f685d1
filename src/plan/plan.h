/* plan.h - where each node runs, in which program, on which surfaces, and why.
 *
 * legal -> place -> split -> share -> pack, verified after each. Input: a
 * graph whose inputs, params and outputs are named (forward alone, or forward
 * and gradients); output: programs in MIL text, buffers, and a list of steps.
 * Every decision keeps its cause.
 *
 *   legal  rewrites ops into the device dialect under the rules that hold
 *   place  engine or host for each node, by rule, then by predicted time
 *   split  a list of engine nodes into programs: nodes of one scope together
 *   share  equal program texts become one program with several calls
 *   pack   surfaces: sizes, order of ports, reuse by lifetime, memory  */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "dev/device.h"
#include "dev/profile.h"
#include "ir/ir.h"

typedef enum {
    PLAN_STREAMED,
    PLAN_BAKED,
    PLAN_RESIDENT,
    PLAN_WEIGHTS_AUTO
} plan_weights; /* inputs of a program, constants in it, inputs that are outputs of
                   the update before; or what a step is predicted to take least time
                   with (weights.c), which a plan's own options then say */
typedef enum { PLAN_DW_AUTO, PLAN_DW_HOST, PLAN_DW_ENGINE } plan_dw;
typedef enum { PLAN_LOSS_AUTO, PLAN_LOSS_HOST, PLAN_LOSS_ENGINE } plan_loss;
/* Parts of a model that may go to the host (movable.c); sets of them are bits. */
typedef enum {
#define MOVABLE(name, ...) PLAN_MOVE_##name,
#include "plan/movable.def"
#undef MOVABLE
    PLAN_MOVABLES
} plan_movable;
const char *plan_movable_name(int i); /* NULL past the end */
const char *plan_movable_about(int i);
/* "auto" (not said), "none", or names joined by commas. */
rc plan_host_parse(const char *text, bool *said, unsigned *parts);
/* AUTO: for training, where the device drops products. */
typedef enum { PLAN_WINDOW_OFF, PLAN_WINDOW_ON, PLAN_WINDOW_AUTO } plan_windows;
/* Values of the forward pass that the backward pass reads are stored, or made again:
 * results of elementwise ops, or all of a layer (recompute.c). */
typedef enum {
    PLAN_RECOMPUTE_AUTO,
    PLAN_RECOMPUTE_NONE,
    PLAN_RECOMPUTE_ELEMENTS,
    PLAN_RECOMPUTE_LAYERS
} plan_recompute;
/* Products of one value with several weights, as one product: all, or only those that
 * are summed in the backward pass (legal_pack.c). */
typedef enum {
    PLAN_PACK_AUTO,
    PLAN_PACK_NONE,
    PLAN_PACK_ALL,
    PLAN_PACK_BACKWARD
} plan_packing;
typedef struct {
    plan_weights weights;
    plan_dw dw;     /* where weight gradients are computed */
    plan_loss loss; /* where cross-entropy and its gradient are */
    plan_recompute recompute;
    plan_packing pack;         /* not with windows, nor with resident weights */
    int tiles;                 /* of the queries of attention; 0 = weighed */
    bool host_said;            /* else it is weighed what the host does */
    unsigned host;             /* said: these parts, bits 1 << plan_movable */
    bool rules_all;            /* also keep disputed rules that cost something */
    double memory_limit_bytes; /* refuse a plan that needs more; 0 = none */
    plan_windows window;       /* exponent windows (below); streamed weights only */
    /* Tests only: rules whose guard is off, by bit (rule / 64, rule % 64). */
    uint64_t guards_off[DEV_RULES_MAX / 64];
    /* PLAN_BAKED: values of the params, by name; or none, and then a program
     * with baked params has no files until plan_bake has made them. */
    int n_baked;
    const ir_binding *baked;
    bool accumulates; /* several passes make an update: resident weights cannot */
    int bake_every;   /* PLAN_BAKED: passes that one set of programs serves; 0 = 1 */
    /* Where surfaces have one size (sizes.c): at least this. For plan.update. */
    size_t surface_bytes;
} plan_options;

/* A place for values. SURFACE: device memory, fp16. WEIGHT: a surface that
 * keeps one param over all steps (restaged after each update). HOST: host
 * memory of the plan, fp32 or int32. MASTER, GRAD: the caller's fp32 param and
 * its gradient, summed into (`+=`). INPUT: bytes the caller gives each step
 * (an fp16 input is a SURFACE with a name instead). A param whose rows are
 * used in pieces has several WEIGHT buffers, each from element `at` on; a
 * MASTER may begin there too. */
typedef enum {
    PLAN_SURFACE,
    PLAN_WEIGHT,
    PLAN_HOST,
    PLAN_GRAD,
    PLAN_INPUT,
    PLAN_MASTER
} plan_home;
typedef struct {
    plan_home home;
    const char *name;        /* param, input or output name; else NULL */
    dev_shape shape;         /* as allocated (surfaces: padded) */
    ir_type type;            /* FP16 on surfaces; FP32, INT32 on the host */
    ir_shape logical;        /* the value's own shape */
    int64_t row, row_stride; /* logical last axis and its stride in elements */
    bool input;              /* SURFACE: of a named fp16 input */
    int64_t at;              /* WEIGHT, MASTER: first element of the param */
    size_t bytes;
    int slot; /* memory shared by lifetime: buffers of one
                 slot never live at once; -1 = own */
} plan_buffer;

/* A param that is a constant of a program, or rows of one. */
typedef struct {
    const char *constant, *param; /* name in the program, public name */
    int64_t at;                   /* first element */
} plan_baked;

/* What a product on the engine is to the model (products.c), the same in all
 * layers: "q_proj", "scores", "averages", ... and whether it is of the forward
 * pass, hands a gradient back (dx), or is a weight's gradient (dw). */
typedef enum { PLAN_FORWARD, PLAN_DX, PLAN_DW } plan_product;
typedef struct {
    const char *name;
    plan_product way;
} plan_kind;
const char *plan_way_name(plan_product way); /* "forward", "dx", "dw" */

typedef struct {
    const char *name; /* "layer.fwd" */
    const char *mil;
    size_t mil_bytes;
    mil_blob_file *files;
    int n_files;     /* 0: baked, and no values were given */
    int n_in, n_out; /* ports in binding order */
    const char **in_names, **out_names;
    dev_shape *in_shapes, *out_shapes;
    int calls;                  /* per step */
    size_t in_bytes, out_bytes; /* per call */
    double flops, predicted_ms; /* per call */
    const char *cause;          /* why these nodes stand together */
    ir_graph *graph;            /* the dialect graph it was made from */
    int n_products;             /* matmul and conv, in the order of the text */
    int *products;              /* each one's index in plan.kinds */
    int n_baked;                /* PLAN_BAKED */
    plan_baked *baked;
} plan_program;

/* Work the host does. Operands in plan_step.in, results in .out:
 *   EMBEDDING     (master table, ids) -> surface
 *   EMBEDDING_DW  (ids, dy) -> GRAD, added row by row
 *   LOSS          (n_parts of the logits, ids, [d]) -> (n_parts of d_logits,
 *                 [loss]); the node is cross_entropy_dx, or cross_entropy and
 *                 then only (loss); without a buffer, d is `factor`. Of
 *                 target_loss: (parts of the logits, ids, base, sums) -> (loss)
 *   MATMUL        (x, y) -> GRAD from element `at` on: fp16 operands, fp32 sums
 *   ADD           (x) -> GRAD from element `at` on
 *   EVAL          `graph`: inputs v0, v1, ... in the order of .in, outputs in that
 *                 of .out (one may lie in several buffers). In fp32 by vector
 *                 kernels; ops that have none take the slow path */
typedef enum {
    PLAN_HOST_EVAL,
    PLAN_HOST_EMBEDDING,
    PLAN_HOST_EMBEDDING_DW,
    PLAN_HOST_LOSS,
    PLAN_HOST_MATMUL,
    PLAN_HOST_ADD
} plan_host;

typedef struct {
    bool engine;
    int program; /* engine: index */
    plan_host host;
    const ir_node *node; /* host: the op (attributes, shapes); EVAL: the first */
    const char *what;    /* host: what is done, in one word or several */
    ir_graph *graph;     /* EVAL; equal steps share one */
    int64_t at;          /* MATMUL, ADD: first element of GRAD */
    int n_parts, n_loss; /* LOSS; n_loss 1: the last out is the loss */
    double factor;       /* LOSS */
    int form;            /* window: MATMUL, ADD, EMBEDDING_DW take it out of what
                            they add; LOSS puts it on its gradient; 0 = none */
    int logits_form;     /* LOSS: what its logits carry */
    bool background;     /* host: may overlap the engine's next programs */
    int n_in, n_out;
    int *in, *out; /* buffers; engine: in port order */
    int n_wait;
    int *wait;         /* earlier steps that must be done first
                          (values read, and memory reused) */
    const char *scope; /* "layer.3 backward" */
    const char *cause; /* why here */
    double predicted_ms;
} plan_step;

/* In bytes. weights, moments, gradients: fp32, the caller's. surfaces: fp16
 * weights and what lives as long as the plan; activations: slots. */
typedef struct {
    double weights, moments, gradients, surfaces, activations, host;
} plan_memory;

/* A named output (gradients excepted): the buffers that hold its elements, one
 * after the other. */
typedef struct {
    const char *name;
    ir_shape shape;
    int n_parts;
    int *part;
} plan_output;

/* ---- exponent windows (window.c, docs/plan.md) ----
 * A *factor* is a power of two chosen while training: 2^k, k an integer the
 * caller sets (exec_window). A value is stored as its true value times its
 * *form*, a product of factors: form f stands for 2^(sum of times[i] *
 * k[factor[i]]). Form 0 is 1. */
typedef enum {
    PLAN_ON_WEIGHT, /* staged: the fp16 copies of `param` carry it */
    PLAN_ON_LOSS,   /* the gradient of the loss leaves the host with it */
    PLAN_ON_VALUE,  /* one multiplication on the engine */
} plan_factor_at;
typedef struct {
    plan_factor_at at;
    const char *name;  /* unique, the same in every plan of the model */
    const char *param; /* ON_WEIGHT */
    const char *cause; /* where it went, for people */
} plan_factor;

enum { PLAN_TERMS = 12 };
typedef struct {
    int n, factor[PLAN_TERMS], times[PLAN_TERMS];
} plan_form;

/* A row of the input `input`, [1,rows,1,32] fp16: c * 2^(form), in each of its
 * 32 places. */
typedef struct {
    int input, row, form;
    double c;
} plan_scale;
typedef struct {
    const char *name;
    int rows;
} plan_scales;

/* A product on the engine, or an operand that one is given times a factor. The
 * magnitude of its largest element, as stored, is the largest of row `row` of the
 * output `peaks`: while training, and where a factor can be moved for it. */
typedef struct {
    const char *name;
    const char *scope; /* and direction, as steps have it */
    plan_product kind;
    bool operand;      /* else the result */
    int form;          /* of it */
    int factor;        /* the one that is moved for it, or -1 */
    const char *peaks; /* [1,rows,1,32]; NULL: not handed out */
    int row;
    const char *cause;
} plan_site;

typedef struct {
    int n_factors, n_forms, n_scales, n_inputs, n_sites, n_muls;
    plan_factor *factors; /* a site's own comes after all others of its form */
    plan_form *forms;
    plan_scale *scales;
    plan_scales *inputs;
    plan_site *sites;
} plan_window;
int plan_form_value(const plan_window *w, int form, const int *k);
/* The first scale that leaves fp16 with these factors, -1 = all fit. *by: how
 * many binary places its exponent is too high (> 0) or too low (< 0). */
int plan_window_misfit(const plan_window *w, const int *k, int *by);

/* A decision by predicted time (weigh.c): what was taken and what not, a pass
 * (forward and backward) or step with each in ms, and what else counts; or, where
 * other_ms is NAN, why there is no such plan. */
typedef struct {
    const char *what, *taken, *other;
    double ms, other_ms;
    const char *why;
    bool of_step;
} plan_choice;
enum { PLAN_CAUSE_MAX = 160 };

typedef struct plan plan;
struct plan {
    arena *mem;
    dev_caps caps;
    plan_options options;
    ir_graph *given, *legal; /* before and after legal (owned) */
    int n_programs;
    plan_program *programs;
    int n_kinds; /* of products on the engine; programs say which they have */
    plan_kind *kinds;
    int n_buffers;
    plan_buffer *buffers;
    int n_slots;
    size_t *slot_bytes;
    int n_steps;
    plan_step *steps;
    int n_outputs;
    plan_output *outputs;
    int loads, launches; /* programs to compile; engine steps a step */
    int rebakes;         /* PLAN_BAKED: of these, compiled again for each update */
    double staged_bytes; /* fp16 weights written to surfaces, an update */
    plan_memory memory;  /* moments: 8 bytes a param when there are gradients */
    double engine_ms, host_ms, staging_ms, optimizer_ms, step_ms; /* predicted */
    double compile_ms;       /* of step_ms: PLAN_BAKED, a pass's share of its set */
    int kept[DEV_RULES_MAX]; /* how often the guard of each rule changed something */
    plan_window *window;     /* NULL = off */
    char *dw_cause;          /* of weight gradients; NULL = there are none to place */
    bool joinable;           /* has products of one value that lie apart */
    int n_choices;           /* what whole plans were compared for (weigh.c) */
    plan_choice *choices;
    plan *update; /* PLAN_RESIDENT with gradients: AdamW (resident.c) */
    int n_notes;
    const char **notes; /* rules kept at a cost, rules not kept and why */
};

/* Output names: anything; an output named "grad:NAME" is the gradient of param
 * NAME and gets a GRAD buffer. Errors: E_RULE when no placement keeps a rule
 * (names rule, node, scope), E_MEMORY when it needs more than the limit (says
 * what takes how much). `given` is copied. */
rc plan_build(const ir_graph *given, const dev_caps *caps, const plan_options *o,
              plan **out);
void plan_free(plan *p);
bool plan_host_has(ir_op op); /* a vector kernel (exec), or the slow path? */
double plan_host_flops(const plan_step *s);            /* of its products */
int plan_find_buffer(const plan *p, const char *name); /* named buffers; -1 */

/* Check all that must hold after planning: every value made before it is read,
 * rules of the profile kept by every program, no two live buffers in a slot,
 * waits cover reuse. plan_build ends with it: it takes milliseconds, and a plan
 * that breaks a rule would be a wrong number on the engine. */
rc plan_verify(const plan *p);

/* The weight files of a program with new values of its baked params, for
 * dev_load and dev_reload: by public name, as in plan_options; n 0: zeros. In
 * `mem`. */
rc plan_bake(const plan *p, int program, int n, const ir_binding *values, arena *mem,
             mil_blob_file **files, int *n_files);

/* ---- PLAN_RESIDENT (resident.c, docs/weights.md) ----
 * For each param X that stays on the engine the plan has an output "dw:X" in
 * the place of "grad:X", and `update` has inputs "hi:X", "lo:X", "m:X", "r:X",
 * "g:X" and outputs "new_hi:X" ... "new_r:X", whose surfaces lie like the plan's
 * own for X ("g:X": like "dw:X"). */
bool plan_stays(const plan *p, const char *param);
#define PLAN_NUMBERS_NAME "numbers:"
enum { PLAN_LOW_PLACES = 10, PLAN_MOMENT_PLACES = 10, PLAN_NUMBERS = 9 };
/* What each input "numbers:..." of an update is, PLAN_NUMBERS * 32 values.
 * grad_scale: what makes true, clipped gradients of those on the surfaces. */
void plan_update_numbers(const kern_adamw_args *a, float *out);

/* Text forms for `explain`. */
rc plan_print(const plan *p, str *out); /* programs, steps, causes, memory */
rc plan_json(const plan *p, str *out);  /* keys of docs/cli.md */

#endif
