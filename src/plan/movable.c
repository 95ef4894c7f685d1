/* movable.c - which part of a transformer a node is, among those that may go to the
 * host.
 *
 * A node remembers the op it was made for (ir_node.made_for), through gradients and
 * rewriting: of a norm's gradient all that is made for a norm belongs to it. Of
 * attention only what stands between its products is movable, and those are the
 * engine's in any plan. */
#include "plan/passes.h"

#include <string.h>

static const struct {
    const char *name, *about;
} rows[PLAN_MOVABLES] = {
#define MOVABLE(name, about) {#name, about},
#include "plan/movable.def"
#undef MOVABLE
};

const char *plan_movable_name(int i)
{
    return i >= 0 && i < PLAN_MOVABLES ? rows[i].name : NULL;
}

const char *plan_movable_about(int i)
{
    return i >= 0 && i < PLAN_MOVABLES ? rows[i].about : NULL;
}

/* S -> softmax(S + mask), and back P (dP - D) with D = sums of dO O: the mask is a
 * constant, and so are the ones that D is summed with. Not queries multiplied by one
 * number, and not tiles that are joined or added up. */
static bool of_softmax(const ir_node *n)
{
    bool fixed = false, number = false;
    for (int i = 0; i < n->n_in; i++) {
        fixed |= n->in[i]->op == IR_constant;
        number |= n->in[i]->op == IR_constant && n->in[i]->uniform;
    }
    switch (n->op) {
    case IR_softmax:
    case IR_sub:
        return true;
    case IR_add:
        return fixed;
    case IR_mul:
        return !number;
    case IR_matmul:
        return number;
    default:
        return false;
    }
}

/* A branch joined with what it began with: two values of one shape. */
static bool of_residual(const ir_node *n)
{
    return n->op == IR_add && ir_shape_eq(n->in[0]->shape, n->in[1]->shape) &&
           n->in[0]->op != IR_constant && n->in[1]->op != IR_constant;
}

int plan_movable_of(const ir_node *n)
{
    switch (n->made_for) {
    case IR_rms_norm:
    case IR_rms_scale:
    case IR_layer_norm:
        return PLAN_MOVE_norms;
    case IR_attention:
    case IR_attention_dx:
        return of_softmax(n) ? PLAN_MOVE_softmax : -1;
    case IR_relu:
    case IR_silu:
    case IR_gelu:
    case IR_sigmoid:
    case IR_tanh:
        return PLAN_MOVE_activations;
    case IR_add:
        return of_residual(n) ? PLAN_MOVE_residuals : -1;
    case IR_rope:
        return PLAN_MOVE_rotary;
    case IR_matmul: /* in pieces too, and the sums of those */
        return (n->op == IR_matmul || n->op == IR_add) && !strcmp(n->scope, "head")
                   ? PLAN_MOVE_classifier
                   : -1;
    default:
        return -1;
    }
}

bool plan_moves(const planner *b, const ir_node *n)
{
    int part = plan_movable_of(n);
    return part >= 0 && n->type == IR_FP16 && (b->variant.on_host >> part & 1);
}

/* ---- as a setting ---- */
rc plan_host_parse(const char *text, bool *said, unsigned *parts)
{
    *said = strcmp(text, "auto") != 0;
    *parts = 0;
    if (!*said || !strcmp(text, "none")) return OK;
    for (const char *s = text;;) {
        size_t n = strcspn(s, ",");
        int i = 0;
        while (i < PLAN_MOVABLES &&
               (strlen(rows[i].name) != n || strncmp(rows[i].name, s, n) != 0))
            i++;
        if (i == PLAN_MOVABLES) {
            str names = {0};
            for (int k = 0; k < PLAN_MOVABLES; k++)
                str_addf(&names, "%s%s", k ? ", " : "", rows[k].name);
            rc r = err_fail(
                E_CONFIG, "setting 'plan.host' is auto, none, or a list of %s, not '%s'",
                names.p ? names.p : "parts", text);
            str_free(&names);
            return err_hint(r, "try plan.host=%s,%s", rows[0].name, rows[1].name);
        }
        *parts |= 1u << i;
        if (!s[n]) return OK;
        s += n + 1;
    }
}
