/* bind.c - constants from weight files: found by path, read strictly. */
#include <string.h>
#include "dev/code.h"

/* The chunk must have the type and the bytes that the program declares; a path
 * that was not given gets the nearest one as a hint. */
static rc bind_one(const dev_code *c, const dev_value *v, const mil_blob_file *files,
                   int n, const void **data)
{
    const mil_value *b = v->blob;
    size_t bytes = mem_mul((size_t)mil_count(&v->type), mil_dtype_bytes(v->type.dtype));
    const char *near[64];
    size_t n_near = 0;
    for (int i = 0; i < n; i++) {
        if (!strcmp(files[i].path, b->text)) {
            rc r = mil_blob_read(files[i].bytes, files[i].size, b->offset, v->type.dtype,
                                 bytes, data);
            return r == OK ? OK
                           : err_while(r, "reading '%s' from '%s' at offset %llu",
                                       v->name ? v->name : "a literal", b->text,
                                       (unsigned long long)b->offset);
        }
        if (n_near < 64) near[n_near++] = files[i].path;
    }
    rc r = mil_fail(c->mil, v->pos, E_FORMAT, "weight file '%s' was not given", b->text);
    const char *hit = err_nearest(b->text, near, n_near);
    return hit ? err_hint(r, "did you mean '%s'?", hit) : r;
}

/* w = (q - zero_point) * scale, rounded once. */
static void dequantize(dev_code *c, const dev_op *o)
{
    const dev_value *q = &c->values[o->arg[0]], *s = &c->values[o->arg[1]],
                    *z = &c->values[o->arg[2]];
    const dev_value *w = &c->values[o->out[0]];
    void *to = (void *)(uintptr_t)w->data; /* taken for writing in take_results */
    int64_t inner = 1, axis = q->type.d[o->a.axis];
    bool many_s = mil_count(&s->type) > 1, many_z = mil_count(&z->type) > 1;
    for (int i = o->a.axis + 1; i < q->type.rank; i++) inner *= q->type.d[i];
    for (int64_t i = 0; i < mil_count(&q->type); i++) {
        size_t at = (size_t)(i / inner % axis);
        double v = (dev_const_at(q, (size_t)i) - dev_const_at(z, many_z ? at : 0)) *
                   dev_const_at(s, many_s ? at : 0);
        if (w->type.dtype == MIL_FP16) ((half *)to)[i] = half_from_double(v);
        else ((float *)to)[i] = (float)v;
    }
}

/* Two passes, so that an error in the last file leaves the first untouched. */
rc dev_code_bind(dev_code *c, const mil_blob_file *files, int n)
{
    const void *data;
    for (int i = 0; i < c->n_values; i++)
        if (c->values[i].blob) TRY(bind_one(c, &c->values[i], files, n, &data));
    for (int i = 0; i < c->n_values; i++)
        if (c->values[i].blob) {
            TRY(bind_one(c, &c->values[i], files, n, &data));
            c->values[i].data = data;
        }
    for (int i = 0; i < c->n_ops; i++)
        if (c->ops[i].kind == DEV_OP_constexpr_affine_dequantize)
            dequantize(c, &c->ops[i]);
    return OK;
}
