/* open.c - choosing an instruction set, starting and ending a kern. */
#if defined(__linux__)
#include <sched.h>
#endif
#include <string.h>
#include <unistd.h>
#include "base/arena.h"
#include "kern/blas.h"

#define MAX_THREADS 1024

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)
/* clang 14 does not know "f16c" here; every processor with AVX2 has it. */
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq");
}
#endif

/* Best first; the last row runs anywhere. */
static const struct {
    const kern_table *table;
    bool (*present)(void);
} tables[] = {
#if defined(__x86_64__)
    {&kern_table_avx512, has_avx512},
    {&kern_table_avx2, has_avx2},
#elif defined(__aarch64__)
    {&kern_table_neon, always},
#endif
    {&kern_table_scalar, always},
};
#define N_TABLES (sizeof tables / sizeof tables[0])

const kern_table *kern_choose(const char *isa)
{
    bool any = !isa || !strcmp(isa, "auto");
    for (size_t i = 0; i < N_TABLES; i++)
        if ((any || !strcmp(isa, tables[i].table->name)) && tables[i].present())
            return tables[i].table;
    return NULL;
}

static rc no_such_isa(const char *isa)
{
    const char *names[N_TABLES];
    size_t n = 0;
    for (size_t i = 0; i < N_TABLES; i++)
        if (tables[i].present()) names[n++] = tables[i].table->name;
    err_fail(E_CONFIG, "this processor has no instruction set '%s'", isa);
    const char *near = err_nearest(isa, names, n);
    return err_hint(E_CONFIG, "isa=%s or isa=auto", near ? near : names[0]);
}

/* Processors this process may run on. */
static int count_cores(void)
{
#if defined(__linux__)
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set)) return CPU_COUNT(&set);
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (int)n;
}

rc kern_open(int threads, const char *isa, kern **out)
{
    const kern_table *table = kern_choose(isa);
    if (!table) return no_such_isa(isa);
    if (threads < 0 || threads > MAX_THREADS)
        return err_fail(E_CONFIG, "threads must be 0 to %d, had %d", MAX_THREADS,
                        threads);
    if (threads == 0) threads = count_cores();
    kern *k = mem_take(sizeof *k);
    if (!k) return E_MEMORY;
    k->table = table;
    k->n_threads = threads;
    if (!isa || !strcmp(isa, "auto")) blas_find("auto", NULL, &k->library);
    k->own = mem_take(mem_mul((size_t)threads, sizeof *k->own));
    rc code = k->own ? pool_open(threads, &k->pool) : E_MEMORY;
    if (code != OK) {
        kern_close(k);
        return code;
    }
    *out = k;
    return OK;
}

void kern_close(kern *k)
{
    if (!k) return;
    pool_close(k->pool);
    if (k->own)
        for (int i = 0; i < k->n_threads; i++) mem_drop(k->own[i].p);
    mem_drop(k->own);
    mem_drop(k->shared.p);
    mem_drop(k);
}

const char *kern_isa(const kern *k)
{
    return k->table->name;
}

const char *kern_blas(const kern *k)
{
    return k->library.name;
}

rc kern_use_blas(kern *k, const char *which, const char *lib)
{
    kern_library found;
    TRY(blas_find(which, lib, &found));
    k->library = found;
    return OK;
}

int kern_threads(const kern *k)
{
    return k->n_threads;
}

rc kern_scratch_grow(kern_scratch *s, size_t bytes)
{
    if (bytes <= s->bytes) return OK;
    void *p = mem_take(bytes);
    if (!p) return E_MEMORY;
    mem_drop(s->p);
    *s = (kern_scratch){p, bytes};
    return OK;
}

typedef struct {
    kern_task fn;
    void *ctx;
} plain_task;

static void run_plain(void *ctx, size_t i, int who)
{
    (void)who;
    const plain_task *t = ctx;
    t->fn(t->ctx, i);
}

void kern_for(kern *k, size_t n, kern_task fn, void *ctx)
{
    plain_task t = {fn, ctx};
    pool_hold(k->pool);
    pool_run(k->pool, n, run_plain, &t);
    pool_release(k->pool);
}
