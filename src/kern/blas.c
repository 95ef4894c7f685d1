/* blas.c - widening operands and handing a product to cblas_sgemm. */
#include <limits.h>
#include "base/arena.h"
#include "kern/blas.h"

#if defined(__APPLE__)
#include <dlfcn.h>

/* Looked up at run time: no Apple header or library is needed to build. */
kern_sgemm *blas_find(const char **name)
{
    union {
        void *object;
        kern_sgemm *function;
    } found = {NULL};
    void *lib = dlopen("/System/Library/Frameworks/Accelerate.framework/Accelerate",
                       RTLD_LAZY | RTLD_LOCAL);
    if (lib) found.object = dlsym(lib, "cblas_sgemm");
    *name = found.object ? "accelerate" : NULL;
    return found.function;
}
#elif defined(KERN_CBLAS)
kern_sgemm cblas_sgemm;

kern_sgemm *blas_find(const char **name)
{
    *name = "cblas";
    return cblas_sgemm;
}
#else
kern_sgemm *blas_find(const char **name)
{
    *name = NULL;
    return NULL;
}
#endif

enum { ROW_MAJOR = 101, AS_IT_IS = 111, TURNED = 112 }; /* of cblas.h */

/* Below this the call and the widening cost more than they give. */
#define LEAST_WORK ((size_t)1 << 22)

bool blas_wants(const kern *k, size_t m, size_t n, size_t kk, kern_mat a, kern_mat b,
                kern_out c, const kern_tail *tail)
{
    bool fits = m < INT_MAX && n < INT_MAX && kk < INT_MAX && c.rs < INT_MAX;
    bool plain = (a.cs == 1 || a.rs == 1) && (b.cs == 1 || b.rs == 1) &&
                 c.rs >= (ptrdiff_t)n;
    return k->sgemm && !tail && c.type == KERN_F32 && plain && fits &&
           mem_mul(mem_mul(m, n), kk) >= LEAST_WORK;
}

/* A matrix as it lies in memory: `runs` of `len` numbers, and as fp32. */
typedef struct {
    const kern_table *table;
    kern_mat mat;
    size_t runs, len, batch;
    float *wide;
} operand;

static operand operand_of(const kern *k, kern_mat x, size_t rows, size_t cols,
                          float *wide)
{
    bool turned = x.cs != 1;
    return (operand){k->table, x, turned ? cols : rows, turned ? rows : cols, 0, wide};
}

static void widen_run(void *ctx, size_t i, int who)
{
    (void)who;
    const operand *o = ctx;
    ptrdiff_t step = o->mat.cs == 1 ? o->mat.rs : o->mat.cs;
    ptrdiff_t at = (ptrdiff_t)o->batch * o->mat.batch + (ptrdiff_t)i * step;
    const char *from = (const char *)o->mat.p + at * (ptrdiff_t)kern_size(o->mat.type);
    o->table->convert(o->mat.type, KERN_F32, o->len, from, o->wide + i * o->len);
}

rc blas_sum(kern *k, size_t n_batch, size_t m, size_t n, size_t kk, kern_mat a,
            kern_mat b, kern_out c)
{
    size_t floats = mem_mul(mem_add(m, n), kk);
    TRY(kern_scratch_grow(&k->shared, mem_mul(floats, sizeof(float))));
    operand x = operand_of(k, a, m, kk, k->shared.p);
    operand y = operand_of(k, b, kk, n, x.wide + m * kk);
    for (size_t i = 0; i < n_batch; i++) {
        x.batch = y.batch = i;
        pool_run(k->pool, x.runs, widen_run, &x);
        pool_run(k->pool, y.runs, widen_run, &y);
        k->sgemm(ROW_MAJOR, a.cs == 1 ? AS_IT_IS : TURNED, b.cs == 1 ? AS_IT_IS : TURNED,
                 (int)m, (int)n, (int)kk, 1, x.wide, (int)x.len, y.wide, (int)y.len,
                 i > 0 || c.add ? 1.0f : 0.0f, c.p, (int)c.rs);
    }
    return OK;
}
