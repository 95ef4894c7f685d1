/* views.c - which memory a node's value is: names for what is stored already. */
#include "plan/passes.h"

bool plan_outermost(ir_shape s, int axis)
{
    for (int i = 0; i < axis; i++)
        if (s.d[i] != 1) return false;
    return true;
}

/* Does a slice cut one axis only, and that the outermost that is not 1? Then it
 * is a contiguous piece of memory. */
static bool only_rows(const ir_node *n)
{
    ir_shape s = n->in[0]->shape;
    int cut = -1;
    for (int i = 0; i < s.rank; i++) {
        if (n->attr.size[i] == s.d[i]) continue;
        if (cut >= 0) return false;
        cut = i;
    }
    return cut < 0 || plan_outermost(s, cut);
}

int64_t plan_piece(int64_t n)
{
    int64_t pieces = (n + PLAN_CHUNK - 1) / PLAN_CHUNK, size = (n + pieces - 1) / pieces;
    return (size + 31) / 32 * 32;
}

/* Values kept in row pieces, of which a program may take one: params, and the
 * gradient of the logits where its readers want no more than pieces. */
static bool has_pieces(const planner *b, const ir_node *n)
{
    while (n->op == IR_reshape || (n->op == IR_slice && only_rows(n))) n = n->in[0];
    return n->op == IR_param || (n->op == IR_cross_entropy_dx && b->info[n->id].pieces);
}

/* A reshape is always another name for the same memory; a slice only of what
 * is stored in pieces, since elsewhere no surface begins there. */
bool plan_is_view(const planner *b, const ir_node *n)
{
    if (n->op == IR_reshape) return true;
    return n->op == IR_slice && only_rows(n) && has_pieces(b, n->in[0]);
}

plan_view plan_view_of(const planner *b, const ir_node *n)
{
    plan_view v = {n, 0, ir_count(n->shape)};
    while (plan_is_view(b, v.base)) {
        const ir_node *x = v.base->in[0];
        int64_t inner = ir_count(x->shape);
        for (int i = 0; v.base->op == IR_slice && i < x->shape.rank; i++) {
            inner /= x->shape.d[i];
            v.at += v.base->attr.begin[i] * inner;
        }
        v.base = x;
    }
    return v;
}

bool plan_view_eq(plan_view a, plan_view b)
{
    return a.base == b.base && a.at == b.at && a.count == b.count;
}

/* A JOINED node in a JOINED node flattens. */
int plan_parts_of(const planner *b, const ir_node *n, plan_view *out, int max)
{
    plan_view v = plan_view_of(b, n);
    if (b->info[v.base->id].at != PLACE_JOINED) {
        if (max > 0) out[0] = v;
        return 1;
    }
    int count = 0;
    for (int i = 0; i < v.base->n_in; i++)
        count += plan_parts_of(b, v.base->in[i], out + count,
                               max > count ? max - count : 0);
    return count;
}

int plan_leaves(const planner *b, const ir_node *n, plan_view *out, int count)
{
    plan_view v = plan_view_of(b, n);
    place_at at = b->info[v.base->id].at;
    if (at == PLACE_FREE || at == PLACE_JOINED) {
        for (int i = 0; i < v.base->n_in; i++)
            count = plan_leaves(b, v.base->in[i], out, count);
        return count;
    }
    for (int i = 0; i < count && i < PLAN_LEAVES; i++)
        if (plan_view_eq(out[i], v)) return count;
    if (count < PLAN_LEAVES) out[count] = v;
    return count + 1;
}

ir_shape plan_view_shape(plan_view v)
{
    ir_shape s = v.base->shape;
    int64_t rest = ir_count(s);
    if (v.count == rest) return s;
    for (int i = 0; i < s.rank; i++) { /* cut the first axis that is not 1 */
        if (s.d[i] == 1) continue;
        s.d[i] = v.count / (rest / s.d[i]);
        break;
    }
    return s;
}
