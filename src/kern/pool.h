/* pool.h - the one pool of threads, as kern's own files see it. */
#ifndef KERN_POOL_H
#define KERN_POOL_H

#include <stddef.h>
#include "base/err.h"

typedef struct pool pool;
/* `who` is 0 for the caller and 1..n_threads-1 for the others: it picks a
 * thread's own scratch. */
typedef void (*pool_task)(void *ctx, size_t i, int who);

rc pool_open(int n_threads, pool **out);
void pool_close(pool *p); /* NULL is fine; no call may be under way */

/* One call at a time owns the pool and the scratch that goes with it.
 * pool_run() is only for the owner; it may run several times in one hold. */
void pool_hold(pool *p);
void pool_release(pool *p);
void pool_run(pool *p, size_t n, pool_task fn, void *ctx);

#endif
