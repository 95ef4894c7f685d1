/* blas.c - widening operands and handing a product to cblas_sgemm. */
#include <dlfcn.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include "base/arena.h"
#include "kern/blas.h"

#if defined(KERN_CBLAS)
kern_sgemm cblas_sgemm;
#define LINKED cblas_sgemm
#else
#define LINKED NULL
#endif

#define ACCELERATE "/System/Library/Frameworks/Accelerate.framework/Accelerate"

/* Best first. `path` NULL: linked, where the build has it. */
static const struct {
    const char *name, *path, *symbol;
    bool wide; /* sizes are long */
} libraries[] = {
    {"accelerate", ACCELERATE, "cblas_sgemm$NEWLAPACK$ILP64", true},
    {"accelerate32", ACCELERATE, "cblas_sgemm", false},
    {"cblas", NULL, "cblas_sgemm", false},
};
enum { LIBRARIES = sizeof libraries / sizeof *libraries };
enum { ROW_MAJOR = 101, AS_IT_IS = 111, TURNED = 112 }; /* of cblas.h */
_Static_assert(sizeof(void *) == sizeof(kern_sgemm *), "dlsym gives functions so");
_Static_assert(sizeof(long) == sizeof(ptrdiff_t), "ILP64 sizes are long");

static void call(const kern_library *l, int turn_a, int turn_b, size_t m, size_t n,
                 size_t kk, const float *a, size_t a_stride, const float *b,
                 size_t b_stride, float beta, float *c, ptrdiff_t c_stride)
{
    if (l->wide)
        l->wide(ROW_MAJOR, turn_a, turn_b, (long)m, (long)n, (long)kk, 1, a,
                (long)a_stride, b, (long)b_stride, beta, c, c_stride);
    else
        l->narrow(ROW_MAJOR, turn_a, turn_b, (int)m, (int)n, (int)kk, 1, a, (int)a_stride,
                  b, (int)b_stride, beta, c, (int)c_stride);
}

/* C += A' B in whole numbers small enough to be exact, strides larger than
 * rows, C between guards: a function of another kind does not pass. */
static bool computes(const kern_library *l)
{
    enum { M = 2, N = 3, K = 4, A_STRIDE = 3, B_STRIDE = 5, C_STRIDE = 4 };
    float a[K * A_STRIDE], b[K * B_STRIDE], c[M * C_STRIDE];
    for (int i = 0; i < K * A_STRIDE; i++) a[i] = (float)(i - 4);
    for (int i = 0; i < K * B_STRIDE; i++) b[i] = (float)(7 - i);
    for (int i = 0; i < M * C_STRIDE; i++) c[i] = 100;
    call(l, TURNED, AS_IT_IS, M, N, K, a, A_STRIDE, b, B_STRIDE, 1, c, C_STRIDE);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < C_STRIDE; j++) {
            float want = 100;
            for (int q = 0; q < K && j < N; q++)
                want += a[q * A_STRIDE + i] * b[q * B_STRIDE + j];
            if (c[i * C_STRIDE + j] != want) return false;
        }
    return true;
}

/* The library stays open: its function is used until the process ends. */
static bool find_row(int i, const char *lib, kern_library *out)
{
    const char *path = lib ? lib : libraries[i].path;
    kern_library l = {.name = libraries[i].name};
    if (!path) {
        l.narrow = LINKED;
    } else {
        void *handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
        void *p = handle ? dlsym(handle, libraries[i].symbol) : NULL;
        if (libraries[i].wide) memcpy(&l.wide, &p, sizeof p);
        else memcpy(&l.narrow, &p, sizeof p);
    }
    if (!l.narrow && !l.wide) return false;
    *out = l;
    return true;
}

static rc no_such_library(const char *which, const char *why)
{
    err_fail(E_CONFIG, "the BLAS '%s' %s", which, why);
    return err_hint(E_CONFIG, "blas=auto takes what there is, blas=own our kernels");
}

rc blas_find(const char *which, const char *lib, kern_library *out)
{
    bool any = !which || !strcmp(which, "auto");
    *out = (kern_library){0};
    if (which && !strcmp(which, "own")) return OK;
    for (int i = 0; i < LIBRARIES; i++) {
        kern_library l;
        if (!any && strcmp(which, libraries[i].name)) continue;
        bool there = find_row(i, lib, &l);
        if (there && computes(&l)) {
            *out = l;
            return OK;
        }
        if (!any)
            return no_such_library(which, there ? "computes something else than sgemm"
                                                : "is not on this machine");
    }
    return any ? OK : no_such_library(which, "is not known");
}

/* Below this the call and the widening cost more than they give. */
#define LEAST_WORK ((size_t)1 << 22)

bool blas_wants(const kern *k, size_t m, size_t n, size_t kk, kern_mat a, kern_mat b,
                kern_out c, const kern_tail *tail)
{
    ptrdiff_t most = k->library.wide ? PTRDIFF_MAX : INT_MAX;
    bool fits = m < (size_t)most && n < (size_t)most && kk < (size_t)most && c.rs < most;
    bool plain = (a.cs == 1 || a.rs == 1) && (b.cs == 1 || b.rs == 1) &&
                 c.rs >= (ptrdiff_t)n;
    return k->library.name && !tail && c.type == KERN_F32 && plain && fits &&
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
        call(&k->library, a.cs == 1 ? AS_IT_IS : TURNED, b.cs == 1 ? AS_IT_IS : TURNED, m,
             n, kk, x.wide, x.len, y.wide, y.len, i > 0 || c.add ? 1.0f : 0.0f, c.p,
             c.rs);
    }
    return OK;
}
