/* weights.c - a model's tensors into and out of files.
 *
 * Public files hold rotary heads half-split: the pair i of a head is its rows
 * (i, i + hd/2). A model trained with interleaved pairs has it in rows
 * (2i, 2i+1). Moving the rows of q and k (and the entries of their norms)
 * the same way leaves every q.k as it was, so an interleaved model saved
 * half-split computes the same numbers. All reading and writing of arrays
 * laid out like the weights (weights, moments, gradients) goes through the
 * two functions below, which move the rows. */
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "model/layout.h"
#include "model/model.h"

static bool rotary(const model *m, const model_param *p)
{
    if (!m->config.rope_interleaved) return false;
    return strstr(p->name, ".q_proj.") || strstr(p->name, ".k_proj.") ||
           strstr(p->name, ".q_norm.") || strstr(p->name, ".k_norm.");
}

/* Where row r of the model's order stands in a public file. */
static size_t public_row(size_t r, size_t head_dim)
{
    size_t head = r / head_dim, i = r % head_dim;
    return head * head_dim + i / 2 + i % 2 * (head_dim / 2);
}

static void move_rows(const model *m, const model_param *p, bool to_public,
                      const float *from, float *to)
{
    size_t cols = p->rank == 2 ? (size_t)p->shape[1] : 1;
    for (size_t r = 0; r < (size_t)p->shape[0]; r++) {
        size_t moved = public_row(r, (size_t)m->config.head_dim);
        size_t src = to_public ? r : moved, dst = to_public ? moved : r;
        memcpy(to + dst * cols, from + src * cols, cols * sizeof *to);
    }
}

static rc fill_tensor(arena *mem, const model *m, const model_param *p,
                      const char *prefix, const float *flat, st_tensor *t)
{
    t->name = arena_printf(mem, "%s%s", prefix, p->name);
    t->dtype = "F32";
    t->rank = p->rank;
    t->shape[0] = p->shape[0], t->shape[1] = p->shape[1];
    t->bytes = p->count * sizeof(float);
    t->data = flat + p->offset;
    if (rotary(m, p)) {
        float *moved = arena_array(mem, p->count, sizeof(float));
        if (!moved) return E_MEMORY;
        move_rows(m, p, true, flat + p->offset, moved);
        t->data = moved;
    }
    return t->name ? OK : E_MEMORY;
}

rc model_write(const model *m, int n, const float *const *flat, const char *const *prefix,
               const char *path)
{
    static const char *const meta[] = {"format", "pt"};
    arena *mem = arena_new();
    st_tensor *t = mem ? arena_array(mem, (size_t)n * (size_t)m->n_params, sizeof *t)
                       : NULL;
    rc r = t ? OK : E_MEMORY;
    for (int i = 0; i < n; i++)
        for (int j = 0; r == OK && j < m->n_params; j++)
            r = fill_tensor(mem, m, &m->params[j], prefix[i], flat[i],
                            &t[i * m->n_params + j]);
    if (r == OK) r = st_write(path, n * m->n_params, t, 1, meta);
    arena_free(mem);
    return r;
}

rc model_read_tensor(const model *m, const model_param *p, const st_tensor *t, float *out)
{
    bool same = t->rank == p->rank;
    for (int i = 0; same && i < p->rank; i++) same = t->shape[i] == p->shape[i];
    if (!same) {
        char had[128] = "[";
        for (int i = 0; i < t->rank; i++)
            snprintf(had + strlen(had), sizeof had - strlen(had), "%s%lld", i ? "," : "",
                     (long long)t->shape[i]);
        if (p->rank == 1)
            return err_fail(E_SHAPE, "tensor %s is %s], wanted [%lld]", p->name, had,
                            (long long)p->shape[0]);
        return err_fail(E_SHAPE, "tensor %s is %s], wanted [%lld,%lld]", p->name, had,
                        (long long)p->shape[0], (long long)p->shape[1]);
    }
    if (!rotary(m, p)) return st_floats(t, out, p->count);
    float *moved = mem_take(p->count * sizeof *moved);
    rc r = moved ? st_floats(t, moved, p->count) : E_MEMORY;
    if (r == OK) move_rows(m, p, false, moved, out);
    mem_drop(moved);
    return r;
}

rc model_read(const model *m, int n, float *const *flat, const char *const *prefix,
              const char *path)
{
    st_file *f;
    TRY(st_open(path, &f));
    rc r = OK;
    for (int i = 0; i < n; i++)
        for (int j = 0; r == OK && j < m->n_params; j++) {
            const model_param *p = &m->params[j];
            str name = {0};
            str_addf(&name, "%s%s", prefix[i], p->name);
            const st_tensor *t = st_find(f, str_text(&name));
            if (str_done(&name) != OK) r = E_MEMORY;
            else if (!t) r = err_fail(E_FORMAT, "tensor %s is missing", name.p);
            else r = model_read_tensor(m, p, t, flat[i] + p->offset);
            str_free(&name);
        }
    st_close(f);
    return r == OK ? OK : err_while(r, "reading %s", path);
}
