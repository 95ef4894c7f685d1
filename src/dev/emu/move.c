/* move.c - copies between strided layouts.
 *
 * A copy is first reduced: axes of one go, neighbours that step alike merge.
 * What is left is rows of contiguous elements, or a transpose when the source
 * steps by one along another axis than the last. */
#include <string.h>
#include "dev/emu/emu.h"

/* A transpose is told apart here, once, so that running only has two ways. */
void emu_plan_copy(emu_copy *c)
{
    int n = 0;
    for (int i = 0; i < c->rank; i++) {
        if (c->d[i] == 1) continue;
        bool merge = n > 0 && c->from[n - 1] == c->from[i] * c->d[i] &&
                     c->to[n - 1] == c->to[i] * c->d[i];
        int at = merge ? n - 1 : n++;
        c->d[at] = merge ? c->d[at] * c->d[i] : c->d[i];
        c->from[at] = c->from[i];
        c->to[at] = c->to[i];
    }
    c->rank = n;
    /* Bring the axis along which the source is contiguous next to the last. */
    if (n >= 2 && c->from[n - 1] != 1 && c->to[n - 1] == 1)
        for (int i = 0; i < n - 1; i++)
            if (c->from[i] == 1) {
                int64_t d = c->d[i], f = c->from[i], t = c->to[i];
                for (int j = i; j < n - 2; j++) {
                    c->d[j] = c->d[j + 1];
                    c->from[j] = c->from[j + 1];
                    c->to[j] = c->to[j + 1];
                }
                c->d[n - 2] = d;
                c->from[n - 2] = f;
                c->to[n - 2] = t;
                c->transpose = true;
                break;
            }
}

typedef struct {
    kern *k;
    const emu_copy *c;
    const char *from;
    char *to;
    int outer;   /* axes handled one index at a time */
    int64_t per; /* outer indices per piece */
    int64_t total;
} copying;

/* One element over a whole row, eight bytes at a time. */
static void repeat(size_t size, int64_t n, const char *from, char *to)
{
    uint64_t eight = 0;
    int64_t i = 0, each = 8 / (int64_t)size;
    for (size_t k = 0; k < 8; k += size) memcpy((char *)&eight + k, from, size);
    for (; i + each <= n; i += each, to += 8) memcpy(to, &eight, 8);
    memcpy(to, &eight, (size_t)(n - i) * size);
}

/* n elements from stride fs to stride ts. */
static void copy_row(const emu_copy *c, int64_t n, const char *from, int64_t fs, char *to,
                     int64_t ts)
{
    if (fs == 1 && ts == 1) {
        memcpy(to, from, (size_t)n * c->size);
        return;
    }
    if (fs == 0 && ts == 1) {
        repeat(c->size, n, from, to);
        return;
    }
    switch (c->size) {
    case 1:
        for (int64_t i = 0; i < n; i++) to[i * ts] = from[i * fs];
        break;
    case 2:
        for (int64_t i = 0; i < n; i++)
            ((uint16_t *)to)[i * ts] = ((const uint16_t *)from)[i * fs];
        break;
    case 4:
        for (int64_t i = 0; i < n; i++)
            ((uint32_t *)to)[i * ts] = ((const uint32_t *)from)[i * fs];
        break;
    default:
        for (int64_t i = 0; i < n; i++)
            memcpy(to + i * ts * (int64_t)c->size, from + i * fs * (int64_t)c->size,
                   c->size);
    }
}

/* Outer indices [piece * per, ...): unravelled, each a row or a square. */
static void copy_piece(void *ctx, size_t piece)
{
    copying *w = ctx;
    const emu_copy *c = w->c;
    int64_t i = (int64_t)piece * w->per, end = i + w->per;
    if (end > w->total) end = w->total;
    for (; i < end; i++) {
        int64_t rest = i, from = 0, to = 0, size = (int64_t)c->size;
        for (int a = w->outer - 1; a >= 0; a--) {
            from += rest % c->d[a] * c->from[a];
            to += rest % c->d[a] * c->to[a];
            rest /= c->d[a];
        }
        int r = c->rank;
        if (c->transpose) /* source: d[r-1] rows of d[r-2] contiguous elements */
            kern_transpose(w->k, c->size, (size_t)c->d[r - 1], (size_t)c->d[r - 2],
                           w->from + from * size, (size_t)c->from[r - 1],
                           w->to + to * size, (size_t)c->to[r - 2]);
        else
            copy_row(c, r ? c->d[r - 1] : 1, w->from + from * size,
                     r ? c->from[r - 1] : 1, w->to + to * size, r ? c->to[r - 1] : 1);
    }
}

/* Threads share the outer indices. */
void emu_copy_run(kern *k, const emu_copy *c, const char *from, char *to)
{
    copying w = {.k = k, .c = c, .from = from, .to = to, .total = 1};
    int inner = c->rank == 0 ? 0 : c->transpose ? 2 : 1;
    int64_t each = (int64_t)c->size;
    w.outer = c->rank - inner;
    for (int i = 0; i < c->rank; i++) {
        if (i < w.outer) w.total *= c->d[i];
        else each *= c->d[i];
    }
    /* Pieces of about 64 KiB. */
    w.per = each >= 65536 ? 1 : 65536 / each + 1;
    size_t n = (size_t)((w.total + w.per - 1) / w.per);
    if (n == 1) copy_piece(&w, 0);
    else kern_for(k, n, copy_piece, &w);
}

/* Serial: called from inside a unit of a group. */
void emu_gather(const kern *k, size_t size, int64_t rows, int64_t cols, const char *from,
                int64_t rs, int64_t cs, char *to)
{
    emu_copy c = {.size = size};
    int64_t s = (int64_t)size;
    if (cs > 1 && rs == 1 && rows > 1) {
        kern_transpose(k, size, (size_t)cols, (size_t)rows, from, (size_t)cs, to,
                       (size_t)cols);
        return;
    }
    for (int64_t r = 0; r < rows; r++)
        copy_row(&c, cols, from + r * rs * s, cs, to + r * cols * s, 1);
}

/* ---- windows of a convolution ---- */
typedef struct {
    const emu_im2col *c;
    size_t size;
    const char *x;
    char *to;
} unfolding;

/* Places outside the image are zeros: the padding. */
static void unfold_channel(void *ctx, size_t ch)
{
    const unfolding *u = ctx;
    const emu_im2col *c = u->c;
    int64_t size = (int64_t)u->size;
    const char *x = u->x + (int64_t)ch * c->h * c->w * size;
    char *to = u->to + (int64_t)ch * c->kh * c->kw * c->oh * c->ow * size;
    for (int64_t i = 0; i < c->kh; i++)
        for (int64_t j = 0; j < c->kw; j++)
            for (int64_t oy = 0; oy < c->oh; oy++) {
                int64_t y = oy * c->stride[0] + i * c->dilation[0] - c->pad[0];
                for (int64_t ox = 0; ox < c->ow; ox++, to += size) {
                    int64_t z = ox * c->stride[1] + j * c->dilation[1] - c->pad[1];
                    if (y < 0 || y >= c->h || z < 0 || z >= c->w) memset(to, 0, u->size);
                    else memcpy(to, x + (y * c->w + z) * size, u->size);
                }
            }
}

/* A channel is a piece of work. */
void emu_im2col_run(kern *k, const emu_im2col *c, size_t size, const char *x, char *to)
{
    unfolding u = {c, size, x, to};
    kern_for(k, (size_t)c->ch, unfold_channel, &u);
}
