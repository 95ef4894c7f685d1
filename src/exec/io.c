/* io.c - values in and out of buffers: weights to surfaces, inputs, outputs.
 *
 * A surface holds a value's rows one after the other, each perhaps followed by
 * padding (plan_buffer.row, row_stride); staging converts fp32 to fp16 with
 * one rounding, to nearest even. */
#include "exec/internal.h"

#include <string.h>
#include "base/clock.h"

enum { PIECE = 1 << 16 }; /* elements a task converts */

rc exec_map(exec *x, int buffer, void **out)
{
    int m = x->mapping[buffer];
    rc r = OK;
    pthread_mutex_lock(&x->lock);
    if (x->mapped[m] == 0) r = dev_map(x->surfaces[m], &x->address[m]);
    if (r == OK) x->mapped[m]++;
    *out = x->address[m];
    pthread_mutex_unlock(&x->lock);
    return r;
}

rc exec_unmap(exec *x, int buffer)
{
    int m = x->mapping[buffer];
    rc r = OK;
    pthread_mutex_lock(&x->lock);
    if (--x->mapped[m] == 0) r = dev_unmap(x->surfaces[m]);
    pthread_mutex_unlock(&x->lock);
    return r;
}

rc exec_memory(exec *x, int buffer, void **out)
{
    const plan_buffer *q = &x->p->buffers[buffer];
    *out = x->host[buffer];
    if (q->home == PLAN_MASTER || q->home == PLAN_GRAD) {
        const binding *b = &x->bindings[x->bound[buffer]];
        float *p = q->home == PLAN_MASTER ? b->weights : b->grad;
        if (!p)
            return err_fail(E_FAILED, "no %s bound for %s",
                            q->home == PLAN_MASTER ? "weights" : "gradient", q->name);
        *out = p + q->at;
    }
    return OK;
}

/* ---- conversion, threaded ---- */
typedef struct {
    exec *x;
    const plan_buffer *q;
    half *surface;
    float *out;
    const float *in;
    size_t rows; /* of one task */
    size_t n_rows;
    float factor; /* of what is written or added; 1 = none */
    bool adds;    /* to `out` */
} transfer;

enum { SMALL = 256 }; /* elements that are worked on in the first cache */

/* to += values times the factor. */
static void add(const transfer *t, size_t n, float *values, float *to)
{
    if (t->factor != 1)
        kern_binary(t->x->k, KERN_MUL, KERN_F32, n, values, 1, &t->factor, 0, values);
    kern_binary(t->x->k, KERN_ADD, KERN_F32, n, to, 1, values, 1, to);
}

static void widen(const transfer *t, size_t n, const half *from, float *to)
{
    float piece[SMALL];
    if (!t->adds) {
        kern_convert(t->x->k, KERN_F16, KERN_F32, n, from, to);
        return;
    }
    for (size_t i = 0; i < n; i += SMALL) {
        size_t m = n - i < SMALL ? n - i : SMALL;
        kern_convert(t->x->k, KERN_F16, KERN_F32, m, from + i, piece);
        add(t, m, piece, to + i);
    }
}

/* fp32 to fp16 times a power of two: one rounding, as without it. */
static void narrow(const transfer *t, size_t n, const float *from, half *to)
{
    float piece[SMALL];
    if (t->factor == 1) {
        kern_convert(t->x->k, KERN_F32, KERN_F16, n, from, to);
        return;
    }
    for (size_t i = 0; i < n; i += SMALL) {
        size_t m = n - i < SMALL ? n - i : SMALL;
        kern_binary(t->x->k, KERN_MUL, KERN_F32, m, from + i, 1, &t->factor, 0, piece);
        kern_convert(t->x->k, KERN_F32, KERN_F16, m, piece, to + i);
    }
}

static void move_rows(void *ctx, size_t task)
{
    const transfer *t = ctx;
    size_t row = (size_t)t->q->row, stride = (size_t)t->q->row_stride;
    size_t from = task * t->rows,
           to = from + t->rows < t->n_rows ? from + t->rows : t->n_rows;
    size_t step = row == stride ? to - from : 1; /* rows moved at a time */
    for (size_t r = from; r < to; r += step) {
        half *s = t->surface + r * stride;
        if (t->out) {
            widen(t, row * step, s, t->out + r * row);
        } else {
            narrow(t, row * step, t->in + r * row, s);
            if (step == 1 && stride > row) memset(s + row, 0, (stride - row) * sizeof *s);
        }
    }
}

/* Rows in tasks of about PIECE elements. */
static rc carry(exec *x, int buffer, transfer t)
{
    const plan_buffer *q = &x->p->buffers[buffer];
    size_t row = (size_t)q->row;
    void *p;
    t.x = x;
    t.q = q;
    t.n_rows = (size_t)ir_count(q->logical) / row;
    t.rows = row < PIECE ? PIECE / row : 1;
    TRY(exec_map(x, buffer, &p));
    t.surface = p;
    kern_for(x->k, (t.n_rows + t.rows - 1) / t.rows, move_rows, &t);
    return exec_unmap(x, buffer);
}

/* `out` or `in` is NULL. */
static rc move(exec *x, int buffer, float *out, const float *in, float factor)
{
    return carry(x, buffer, (transfer){.out = out, .in = in, .factor = factor});
}

rc exec_add(exec *x, int buffer, float factor, float *out)
{
    transfer t = {.x = x, .out = out, .factor = factor, .adds = true};
    size_t n = (size_t)ir_count(x->p->buffers[buffer].logical);
    float piece[SMALL];
    void *p;
    if (x->surfaces[buffer]) return carry(x, buffer, t);
    TRY(exec_memory(x, buffer, &p));
    for (size_t i = 0; i < n; i += SMALL) {
        size_t m = n - i < SMALL ? n - i : SMALL;
        memcpy(piece, (float *)p + i, m * sizeof *piece);
        add(&t, m, piece, out + i);
    }
    return OK;
}

rc exec_read(exec *x, int buffer, float *out)
{
    const plan_buffer *q = &x->p->buffers[buffer];
    size_t n = (size_t)ir_count(q->logical);
    void *p;
    if (x->surfaces[buffer]) return move(x, buffer, out, NULL, 1);
    TRY(exec_memory(x, buffer, &p));
    if (q->type == IR_INT32)
        for (size_t i = 0; i < n; i++) out[i] = (float)((int32_t *)p)[i];
    else memcpy(out, p, n * sizeof *out);
    return OK;
}

rc exec_write(exec *x, int buffer, const float *in)
{
    const plan_buffer *q = &x->p->buffers[buffer];
    size_t n = (size_t)ir_count(q->logical);
    void *p;
    if (x->surfaces[buffer]) return move(x, buffer, NULL, in, 1);
    TRY(exec_memory(x, buffer, &p));
    if (q->type == IR_INT32)
        for (size_t i = 0; i < n; i++) ((int32_t *)p)[i] = (int32_t)in[i];
    else memcpy(p, in, n * sizeof *in);
    return OK;
}

/* ---- weights ---- */
rc exec_bind(exec *x, const char *param, float *weights, float *grad)
{
    for (int i = 0; i < x->n_bindings; i++)
        if (strcmp(x->bindings[i].name, param) == 0) {
            x->bindings[i].weights = weights;
            x->bindings[i].grad = grad;
            return OK;
        }
    return err_fail(E_CONFIG, "the plan has no param %s", param);
}

/* One fp16 copy of a param, or of some rows of it. */
static rc stage(exec *x, int buffer)
{
    const plan_buffer *q = &x->p->buffers[buffer];
    const binding *b = &x->bindings[x->bound[buffer]];
    if (!b->weights) return err_fail(E_FAILED, "no weights bound for %s", q->name);
    TRY_WHILE(move(x, buffer, NULL, b->weights + q->at, exec_window_weight(x, b)),
              "staging %s", q->name);
    return OK;
}

static rc stage_all(exec *x, const char *param)
{
    double from = clock_ms();
    for (int i = 0; i < x->p->n_buffers; i++)
        if (x->p->buffers[i].home == PLAN_WEIGHT &&
            (!param || strcmp(x->p->buffers[i].name, param) == 0))
            TRY(stage(x, i));
    exec_bake_stale(x, param);
    x->stats.staging_ms += clock_ms() - from;
    return OK;
}

/* Programs that were never compiled are now, so that what the device refuses is
 * refused where it is opened. */
rc exec_stage(exec *x)
{
    bool first = true;
    for (int i = 0; i < x->p->n_programs; i++)
        if (x->p->programs[i].n_baked && x->programs[i]) first = false;
    TRY(stage_all(x, NULL));
    return first ? exec_bake(x, false) : OK;
}

rc exec_stage_param(exec *x, const char *param)
{
    return stage_all(x, param);
}

/* The one WEIGHT buffer that holds all of a param, packed; -1 if none does. */
static int whole(const exec *x, const char *param)
{
    int found = -1;
    for (int i = 0; i < x->p->n_buffers; i++) {
        const plan_buffer *q = &x->p->buffers[i];
        if (q->home != PLAN_WEIGHT || strcmp(q->name, param) != 0) continue;
        if (found >= 0 || q->row != q->row_stride ||
            ir_count(q->logical) != x->bindings[x->bound[i]].count)
            return -1;
        found = i;
    }
    return found;
}

/* The caller writes into it: not into what is written elsewhere. */
static bool has_half(const exec *x, int buffer)
{
    return x->p->buffers[buffer].home == PLAN_WEIGHT && !x->lent[buffer];
}

/* Those of the first n buffers, all of them whatever fails; the first error. */
static rc unmap_weights(exec *x, int n)
{
    err_saved first = {.code = OK};
    for (int i = 0; i < n; i++) {
        if (!has_half(x, i)) continue;
        rc r = exec_unmap(x, i);
        if (r != OK && first.code == OK) err_save(r, &first);
    }
    return first.code == OK ? OK : err_restore(&first);
}

/* All these surfaces stay mapped until exec_halves_end or the next step. */
rc exec_halves_begin(exec *x)
{
    if (x->halves_open) return OK;
    for (int i = 0; i < x->p->n_buffers; i++) {
        void *p;
        if (!has_half(x, i)) continue;
        rc r = exec_map(x, i, &p);
        if (r != OK) {
            err_saved why;
            err_save(r, &why);
            unmap_weights(x, i);
            return err_restore(&why);
        }
    }
    x->halves_open = true;
    return OK;
}

half *exec_half(exec *x, const char *param)
{
    int i = x->halves_open ? whole(x, param) : -1;
    return i < 0 || x->lent[i] ? NULL : x->address[x->mapping[i]];
}

rc exec_halves_end(exec *x)
{
    if (!x->halves_open) return OK;
    x->halves_open = false;
    return unmap_weights(x, x->p->n_buffers);
}

/* ---- inputs and outputs ---- */
rc exec_input(exec *x, const char *name, const void *data, size_t bytes)
{
    for (int i = 0; i < x->p->n_buffers; i++) {
        const plan_buffer *q = &x->p->buffers[i];
        bool surface = q->home == PLAN_SURFACE && q->input;
        if ((q->home != PLAN_INPUT && !surface) || strcmp(q->name, name) != 0) continue;
        size_t want = (size_t)ir_count(q->logical) * 4;
        if (bytes != want)
            return err_fail(E_SHAPE, "input %s has %zu bytes, wanted %zu", name, bytes,
                            want);
        if (surface) return exec_write(x, i, data);
        memcpy(x->host[i], data, bytes);
        return OK;
    }
    return err_fail(E_CONFIG, "the plan has no input %s", name);
}

/* The buffer of a named input that is a surface of its own; -1 if none is. */
static int kept_input(const exec *x, const char *name)
{
    for (int i = 0; i < x->p->n_buffers; i++) {
        const plan_buffer *q = &x->p->buffers[i];
        if (q->home == PLAN_SURFACE && q->input && q->slot < 0 &&
            strcmp(q->name, name) == 0)
            return i;
    }
    return -1;
}

rc exec_map_input(exec *x, const char *name, half **out, size_t *stride)
{
    int i = kept_input(x, name);
    void *p;
    if (i < 0) return err_fail(E_CONFIG, "the plan keeps no fp16 input %s", name);
    TRY(exec_map(x, i, &p));
    *out = p;
    *stride = (size_t)x->p->buffers[i].row_stride;
    return OK;
}

rc exec_unmap_input(exec *x, const char *name)
{
    int i = kept_input(x, name);
    return i < 0 ? err_fail(E_CONFIG, "the plan keeps no fp16 input %s", name)
                 : exec_unmap(x, i);
}

rc exec_output(exec *x, const char *name, float *out, size_t n)
{
    for (int i = 0; i < x->p->n_outputs; i++) {
        const plan_output *o = &x->p->outputs[i];
        if (strcmp(o->name, name) != 0) continue;
        if (n != (size_t)ir_count(o->shape))
            return err_fail(E_SHAPE, "output %s has %lld elements, not %zu", name,
                            (long long)ir_count(o->shape), n);
        for (int j = 0; j < o->n_parts; j++) {
            TRY(exec_read(x, o->part[j], out));
            out += ir_count(x->p->buffers[o->part[j]].logical);
        }
        return OK;
    }
    return err_fail(E_CONFIG, "the plan has no output %s", name);
}
