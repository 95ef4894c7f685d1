/* tile.c - run a fused group, one tile after another, in cache.
 *
 * A port whose elements stand in the tile's order is read or written in place;
 * one that repeats (a bias, a row of scales) or stands in another layout is
 * first gathered into the port's register. A gathered register is kept while
 * the tiles that follow want the same elements. */
#include <math.h>
#include <string.h>
#include "dev/emu/emu.h"

typedef struct {
    const emu_plan *p;
    const emu_group *g;
    char *regs;
    char *ptr[EMU_OPERANDS];
    int step[EMU_OPERANDS];
    const char *held[EMU_PORTS]; /* what a port's register was gathered from */
    size_t held_n[EMU_PORTS];
    uint64_t n_inf, flushed;
} unit;

/* One tile: where it begins, over the collapsed axes, and its size. */
typedef struct {
    int64_t at[MIL_RANK], rows, cols;
} place;

/* Tiles are numbered along columns, then rows, then outer axes, so neighbours in
 * number are neighbours in memory. */
static void find_place(const emu_group *g, size_t tile, place *t)
{
    int r = g->rank;
    int64_t cols = r ? g->d[r - 1] : 1, rows = r > 1 ? g->d[r - 2] : 1;
    size_t nc = (size_t)((cols + g->cols - 1) / g->cols);
    size_t nr = (size_t)((rows + g->rows - 1) / g->rows);
    int64_t c = (int64_t)(tile % nc) * g->cols, w = (int64_t)(tile / nc % nr) * g->rows;
    int64_t rest = (int64_t)(tile / nc / nr);
    for (int i = r - 3; i >= 0; i--) {
        t->at[i] = rest % g->d[i];
        rest /= g->d[i];
    }
    if (r > 1) t->at[r - 2] = w;
    if (r) t->at[r - 1] = c;
    t->rows = rows - w < g->rows ? rows - w : g->rows;
    t->cols = cols - c < g->cols ? cols - c : g->cols;
}

/* Of the tile's first element. */
static char *port_address(const unit *u, const emu_port *port, const place *t)
{
    int64_t off = 0;
    for (int i = 0; i < u->g->rank; i++) off += t->at[i] * port->st[i];
    return emu_at(u->p, port->val) + off * (int64_t)mil_dtype_bytes(port->store);
}

static int64_t row_stride(const emu_group *g, const emu_port *port)
{
    return g->rank > 1 ? port->st[g->rank - 2] : 0;
}

static int64_t col_stride(const emu_group *g, const emu_port *port)
{
    return g->rank ? port->st[g->rank - 1] : 1;
}

static bool in_order(const emu_group *g, const emu_port *port, const place *t)
{
    return (col_stride(g, port) == 1 || t->cols == 1) &&
           (t->rows == 1 || row_stride(g, port) == t->cols);
}

/* In place if the elements stand in order, one element repeated if the kernel
 * can do that, else gathered. */
static void open_input(unit *u, int i, const place *t)
{
    const emu_port *port = &u->g->port[i];
    char *from = port_address(u, port, t);
    int64_t rs = row_stride(u->g, port), cs = col_stride(u->g, port);
    u->step[i] = 1;
    u->ptr[i] = from;
    if (in_order(u->g, port, t)) return;
    if (cs == 0 && (rs == 0 || t->rows == 1) && !port->walk) {
        u->step[i] = 0;
        return;
    }
    size_t n = (size_t)(t->rows * t->cols);
    char *reg = u->regs + (size_t)i * u->g->reg_bytes;
    u->ptr[i] = reg;
    if (u->held[i] == from && u->held_n[i] == n) return;
    emu_gather(u->p->k, mil_dtype_bytes(port->store), t->rows, t->cols, from, rs, cs,
               reg);
    u->held[i] = from;
    u->held_n[i] = n;
}

/* In place, or into its register to be scattered by close_output. */
static void open_output(unit *u, int i, const place *t)
{
    const emu_port *port = &u->g->port[i];
    bool direct = in_order(u->g, port, t);
    u->step[i] = 1;
    u->ptr[i] = direct ? port_address(u, port, t) : u->regs + (size_t)i * u->g->reg_bytes;
}

/* Scatter an output that is not in order: rows at their stride. */
static void close_output(unit *u, int i, const place *t)
{
    const emu_port *port = &u->g->port[i];
    if (in_order(u->g, port, t)) return;
    int64_t size = (int64_t)mil_dtype_bytes(port->store);
    int64_t rs = row_stride(u->g, port), cs = col_stride(u->g, port);
    char *to = port_address(u, port, t);
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t c = 0; c < t->cols; c++)
            memcpy(to + (r * rs + c * cs) * size, u->ptr[i] + (r * t->cols + c) * size,
                   (size_t)size);
}

/* ---- the elementwise work that kern has no kernel for ---- */
/* x Phi(x), by erfc so that the tail of negative x keeps its digits. */
static void gelu_exact(mil_dtype t, size_t n, const char *x, char *z)
{
    for (size_t i = 0; i < n; i++) {
        double v = mil_element(t, x, i);
        mil_set_element(t, z, i, 0.5 * v * erfc(-v * 0.70710678118654752));
    }
}

/* Between reals by kernel, else element by element. */
static void convert(const unit *u, const emu_tile_op *o, size_t n, const char *x, char *z)
{
    bool real = (o->store == MIL_FP16 || o->store == MIL_FP32) &&
                (o->to == MIL_FP16 || o->to == MIL_FP32);
    if (u->p->exact && o->to == MIL_FP16) {
        for (size_t i = 0; i < n; i++)
            ((half *)z)[i] = half_from_double_away(mil_element(o->store, x, i));
    } else if (real) {
        kern_convert(u->p->k, emu_kern_type(o->store), emu_kern_type(o->to), n, x, z);
    } else {
        for (size_t i = 0; i < n; i++)
            mil_set_element(o->to, z, i, mil_element(o->store, x, i));
    }
}

/* Exact in float: every fp16 and fp32 is one. */
static void compare(const emu_tile_op *o, size_t n, const char *x, int xs, const char *y,
                    int ys, char *z)
{
    for (size_t i = 0; i < n; i++) {
        float a = (float)mil_element(o->store, x, i * (size_t)xs);
        float b = (float)mil_element(o->store, y, i * (size_t)ys);
        bool r = false;
        switch (o->kernel) {
        case DEV_EQ:
            r = a == b;
            break;
        case DEV_NE:
            r = a != b;
            break;
        case DEV_GT:
            r = a > b;
            break;
        case DEV_GE:
            r = a >= b;
            break;
        case DEV_LT:
            r = a < b;
            break;
        case DEV_LE:
            r = a <= b;
            break;
        }
        z[i] = r;
    }
}

/* |x| > 4094 leaves the Q.4 crop unit as infinity (ANEForge, M1 and M2). */
static void clamp_slice(size_t n, const half *x, half *z)
{
    const half most = 0x6bff; /* 4094 */
    for (size_t i = 0; i < n; i++)
        z[i] = (half)((x[i] & 0x7fff) > most ? (x[i] & 0x8000) | HALF_INF : x[i]);
}

/* The floor of the quotient itself, which a double tells from the next whole
 * number. */
static void floor_div(mil_dtype t, size_t n, const char *x, int xs, const char *y, int ys,
                      char *z)
{
    for (size_t i = 0; i < n; i++)
        mil_set_element(
            t, z, i,
            floor(mil_element(t, x, i * (size_t)xs) / mil_element(t, y, i * (size_t)ys)));
}

/* One op over the tile, in the types it was planned for, rounding its result as
 * if it stood alone. */
static void run_op(unit *u, const emu_tile_op *o, size_t n)
{
    const kern *k = u->p->k;
    char *x = u->ptr[o->src[0]], *y = u->ptr[o->src[1]], *z = u->ptr[o->dst];
    int xs = u->step[o->src[0]], ys = u->step[o->src[1]];
    bool chip = u->p->exact && o->store == MIL_FP16;
    uint64_t *flushed = u->p->params->count ? &u->flushed : NULL;
    switch (o->ew) {
    case EMU_BINARY:
        if (chip)
            emu_chip_binary((kern_binary_op)o->kernel, n, (half *)x, xs, (half *)y, ys,
                            (half *)z, u->p->table[KERN_U_INVERSE], flushed);
        else
            kern_binary(k, (kern_binary_op)o->kernel, emu_kern_type(o->store), n, x, xs,
                        y, ys, z);
        break;
    case EMU_UNARY:
        if (chip)
            emu_chip_unary(u->p->table[o->kernel], o->kernel, n, (half *)x, (half *)z,
                           flushed);
        else if (o->kernel == EMU_GELU_EXACT) gelu_exact(o->store, n, x, z);
        else kern_unary(k, (kern_unary_op)o->kernel, emu_kern_type(o->store), n, x, z);
        break;
    case EMU_SELECT:
        kern_select(k, emu_kern_type(o->store), n, (uint8_t *)x, xs, y, ys,
                    u->ptr[o->src[2]], u->step[o->src[2]], z);
        break;
    case EMU_COMPARE:
        compare(o, n, x, xs, y, ys, z);
        break;
    case EMU_NOT:
        for (size_t i = 0; i < n; i++) z[i] = !x[i];
        break;
    case EMU_CONVERT:
        convert(u, o, n, x, z);
        break;
    case EMU_FUNCTION:
        if (o->f->table)
            emu_chip_unary(o->f->table, o->kernel, n, (half *)x, (half *)z, NULL);
        else
            for (size_t i = 0; i < n; i++)
                ((float *)z)[i] = (float)o->f->f(((float *)x)[i], o->f->a, o->f->b);
        break;
    case EMU_FLOORDIV:
        floor_div(o->store, n, x, xs, y, ys, z);
        break;
    case EMU_CLAMP:
        clamp_slice(n, (half *)x, (half *)z);
        break;
    }
    if (o->counts && (o->to == MIL_FP16 || o->to == MIL_FP32))
        u->n_inf += kern_count_bad(k, emu_kern_type(o->to), n, z);
}

/* Inputs first, then all ops, then outputs that are not in place. */
static void run_tile(unit *u, size_t tile)
{
    const emu_group *g = u->g;
    place t;
    find_place(g, tile, &t);
    for (int i = 0; i < g->n_in; i++) open_input(u, i, &t);
    for (int i = 0; i < g->n_out; i++) open_output(u, g->n_in + i, &t);
    for (int i = 0; i < g->n_ops; i++) run_op(u, &g->op[i], (size_t)(t.rows * t.cols));
    for (int i = 0; i < g->n_out; i++) close_output(u, g->n_in + i, &t);
}

/* Tiles [index, index+1) * tiles / units; registers are the unit's own, so units
 * run at once. */
void emu_tile_unit(void *ctx, size_t index)
{
    const emu_tiles *w = ctx;
    const emu_group *g = w->g;
    unit u = {.p = w->p, .g = g};
    int ports = g->n_in + g->n_out;
    u.regs = w->p->scratch + index * (size_t)g->n_regs * g->reg_bytes;
    for (int i = ports; i < g->n_regs; i++) {
        u.ptr[i] = u.regs + (size_t)i * g->reg_bytes;
        u.step[i] = 1;
    }
    size_t end = (index + 1) * g->tiles / g->units;
    for (size_t t = index * g->tiles / g->units; t < end; t++) run_tile(&u, t);
    if (u.n_inf) atomic_fetch_add(w->n_inf, u.n_inf);
    if (u.flushed) atomic_fetch_add(w->flushed, u.flushed);
}
