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

/* A sparse constant's mask has a bit for each of its numbers, or they would be
 * read beyond their end. */
static rc check_mask(const dev_code *c, const dev_op *o, const mil_blob_file *files,
                     int n)
{
    const dev_value *mask = &c->values[o->arg[1]];
    const void *data = mask->data;
    int64_t bits = 0, want = mil_count(&c->values[o->arg[0]].type);
    int64_t places = mil_count(&c->values[o->out[0]].type);
    if (mask->blob) TRY(bind_one(c, mask, files, n, &data));
    for (int64_t i = 0; data && i < places; i++)
        bits += ((const uint8_t *)data)[mask->splat ? 0 : i / 8] >> i % 8 & 1;
    if (bits == want) return OK;
    return dev_bad(c, o, "the mask keeps %lld places, but %lld numbers are given",
                   (long long)bits, (long long)want);
}

/* Two passes, so that an error in the last file leaves the first untouched. */
rc dev_code_bind(dev_code *c, const mil_blob_file *files, int n)
{
    const void *data;
    for (int i = 0; i < c->n_values; i++)
        if (c->values[i].blob) TRY(bind_one(c, &c->values[i], files, n, &data));
    for (int i = 0; i < c->n_ops; i++)
        if (c->ops[i].kind == DEV_OP_constexpr_sparse_to_dense)
            TRY(check_mask(c, &c->ops[i], files, n));
    for (int i = 0; i < c->n_values; i++)
        if (c->values[i].blob) {
            TRY(bind_one(c, &c->values[i], files, n, &data));
            c->values[i].data = data;
        }
    for (int i = 0; i < c->n_ops; i++) dev_unpack(c, &c->ops[i]);
    return OK;
}
