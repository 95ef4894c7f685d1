/* pool.c - persistent threads that start on a job within about a microsecond.
 *
 * A job is a counter that everyone takes numbers from until it runs out, so
 * fast threads do more and a sleeping thread delays nobody. The word `gate`
 * says it all in one atomic: the number of the job, whether it is still open,
 * and how many workers are inside.
 *
 *     gate = job << 16 | open << 15 | inside
 *
 * A worker enters by adding one to an open gate of a job it has not seen. The
 * caller works too; when the numbers have run out it shuts the gate and waits
 * only for those inside, never for a worker that was still asleep. Workers
 * look at the gate for some microseconds after each job, then sleep on a
 * condition variable.
 *
 * Twice one side writes a word and then reads the other side's, and it must not
 * read too early or both would sleep. The write is an exchange there: a plain
 * sequentially consistent store is enough for every processor, but QEMU 7.2 on
 * x86 lets a later load of an aarch64 program pass it. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "kern/pool.h"

/* A pause that gives the other thread of a core its turn. */
static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb"); /* waits longer than "yield", which does nothing */
#endif
}

#define GATE_OPEN ((uint64_t)1 << 15)
#define GATE_INSIDE (GATE_OPEN - 1)
#define GATE_JOB(gate) ((gate) >> 16)

/* About 30 microseconds of looking before sleep: longer than the gaps between
 * the jobs of one step, shorter than anything a neighbour would notice. The
 * caller looks longer for the last workers, since its core has nothing else to
 * do for us and waking up would cost as much. */
#define SPIN 1200
#define SPIN_LAST (4 * SPIN)

typedef struct {
    pool *p;
    int who;
    pthread_t thread;
} worker;

struct pool {
    _Alignas(64) _Atomic uint64_t gate;
    _Alignas(64) atomic_size_t next; /* next number of the open job */
    _Alignas(64) size_t n;           /* numbers in the open job */
    pool_task fn;
    void *ctx;
    pthread_mutex_t owner; /* held by the call that owns the pool */
    pthread_mutex_t lock;  /* guards sleeping, for both conditions */
    pthread_cond_t wake;   /* workers: a new job, or quit */
    pthread_cond_t left;   /* caller: the last worker has left */
    _Atomic int asleep;    /* workers in pthread_cond_wait or about to be */
    _Atomic bool waiting;  /* the caller sleeps on `left` */
    atomic_bool quit;
    int n_threads;
    worker *workers;
};

static void take_numbers(pool *p, int who)
{
    size_t i;
    while ((i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < p->n)
        p->fn(p->ctx, i, who);
}

/* True when there is a job this worker has not been offered. */
static bool fresh(pool *p, uint64_t seen)
{
    uint64_t gate = atomic_load(&p->gate);
    return (gate & GATE_OPEN) && GATE_JOB(gate) != seen;
}

static void sleep_until_fresh(pool *p, uint64_t seen)
{
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->asleep, 1);
    while (!fresh(p, seen) && !atomic_load(&p->quit))
        pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->asleep, 1);
    pthread_mutex_unlock(&p->lock);
}

static void leave(pool *p)
{
    uint64_t gate = atomic_fetch_sub(&p->gate, 1) - 1;
    if ((gate & (GATE_OPEN | GATE_INSIDE)) || !atomic_load(&p->waiting)) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_signal(&p->left);
    pthread_mutex_unlock(&p->lock);
}

static void *work(void *arg)
{
    worker *w = arg;
    pool *p = w->p;
    uint64_t seen = 0;
    while (!atomic_load(&p->quit)) {
        int spin = 0;
        while (!fresh(p, seen) && spin < SPIN && !atomic_load(&p->quit)) spin++, relax();
        if (spin == SPIN) sleep_until_fresh(p, seen);
        uint64_t gate = atomic_load(&p->gate);
        if (!(gate & GATE_OPEN) || GATE_JOB(gate) == seen) continue;
        if (!atomic_compare_exchange_strong(&p->gate, &gate, gate + 1)) continue;
        seen = GATE_JOB(gate);
        take_numbers(p, w->who);
        leave(p);
    }
    return NULL;
}

rc pool_open(int n_threads, pool **out)
{
    pool *p = mem_take(sizeof *p);
    if (!p) return E_MEMORY;
    pthread_mutex_init(&p->owner, NULL);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->left, NULL);
    p->n_threads = 1;
    p->workers = mem_take(mem_mul((size_t)n_threads, sizeof *p->workers));
    if (!p->workers) {
        pool_close(p);
        return E_MEMORY;
    }
    for (int i = 1; i < n_threads; i++) {
        worker *w = &p->workers[i];
        *w = (worker){.p = p, .who = i};
        if (pthread_create(&w->thread, NULL, work, w)) {
            pool_close(p);
            return err_fail(E_FAILED, "cannot start thread %d of %d", i + 1, n_threads);
        }
        p->n_threads = i + 1;
    }
    *out = p;
    return OK;
}

void pool_close(pool *p)
{
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->quit, true);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 1; i < p->n_threads; i++) pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->left);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->owner);
    mem_drop(p->workers);
    mem_drop(p);
}

void pool_hold(pool *p)
{
    pthread_mutex_lock(&p->owner);
}

void pool_release(pool *p)
{
    pthread_mutex_unlock(&p->owner);
}

static void open_gate(pool *p, size_t n, pool_task fn, void *ctx)
{
    p->n = n;
    p->fn = fn;
    p->ctx = ctx;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    uint64_t job = GATE_JOB(atomic_load(&p->gate)) + 1;
    /* A worker counts itself asleep before it looks at the gate for the last
     * time, so either it saw this job or it is seen here. */
    atomic_exchange(&p->gate, job << 16 | GATE_OPEN);
    if (!atomic_load(&p->asleep)) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

static void shut_gate(pool *p)
{
    uint64_t gate = atomic_fetch_and(&p->gate, ~GATE_OPEN);
    for (int spin = 0; spin < SPIN_LAST && (gate & GATE_INSIDE); spin++) {
        relax();
        gate = atomic_load(&p->gate);
    }
    if (!(gate & GATE_INSIDE)) return;
    pthread_mutex_lock(&p->lock);
    atomic_exchange(&p->waiting, true);
    while (atomic_load(&p->gate) & GATE_INSIDE) pthread_cond_wait(&p->left, &p->lock);
    atomic_store(&p->waiting, false);
    pthread_mutex_unlock(&p->lock);
}

void pool_run(pool *p, size_t n, pool_task fn, void *ctx)
{
    if (n <= 1 || p->n_threads == 1) {
        for (size_t i = 0; i < n; i++) fn(ctx, i, 0);
        return;
    }
    open_gate(p, n, fn, ctx);
    take_numbers(p, 0);
    shut_gate(p);
}
