/* worker.c - the second thread: host steps beside the engine.
 *
 * Steps are issued in the plan's order. A step waits for the steps its plan
 * names, all of them issued earlier, so whoever waits can always be served: an
 * engine step by waiting for its ticket oneself, a background step because
 * what it waits for is earlier still. */
#include "exec/internal.h"

#include "base/clock.h"

void exec_fail(exec *x, int step, rc code)
{
    err_saved here;
    err_save(code, &here);
    pthread_mutex_lock(&x->lock);
    if (x->failure.code == OK) {
        x->failure = here;
        x->failed_step = step;
    }
    pthread_mutex_unlock(&x->lock);
}

/* With the lock held. */
static void finish(exec *x, int i)
{
    x->state[i] = STEP_DONE;
    pthread_cond_broadcast(&x->moved);
}

/* Infinities are named by the first step in plan order, whichever landed
 * first. */
static void count(exec *x, int i, const dev_stats *s)
{
    exec_stats *all = &x->stats;
    all->engine_ms += s->ms;
    all->flops += s->flops;
    all->infinities += s->infinities;
    all->dropped += s->dropped_products;
    all->saturated += s->saturated;
    all->flushed += s->flushed;
    if (s->infinities && (x->infinite_step < 0 || i < x->infinite_step))
        x->infinite_step = i;
}

/* Called and left with the lock held. */
static void land(exec *x, int i)
{
    dev_stats stats = {0};
    x->state[i] = STEP_LANDING;
    uint64_t ticket = x->ticket[i];
    pthread_mutex_unlock(&x->lock);
    rc r = dev_wait(x->d, ticket, &stats);
    if (r != OK) exec_fail(x, i, r);
    pthread_mutex_lock(&x->lock);
    if (r == OK) count(x, i, &stats);
    finish(x, i);
}

rc exec_await(exec *x, int i)
{
    pthread_mutex_lock(&x->lock);
    while (x->state[i] != STEP_DONE) {
        if (x->state[i] == STEP_FLYING && x->p->steps[i].engine) land(x, i);
        else pthread_cond_wait(&x->moved, &x->lock);
    }
    rc code = x->failure.code;
    pthread_mutex_unlock(&x->lock);
    return code;
}

rc exec_run_host(exec *x, int i)
{
    const plan_step *s = &x->p->steps[i];
    rc r = OK;
    for (int w = 0; w < s->n_wait && r == OK; w++) r = exec_await(x, s->wait[w]);
    double from = clock_ms();
    if (r == OK && (r = exec_host_run(x, i)) != OK) exec_fail(x, i, r);
    pthread_mutex_lock(&x->lock);
    x->stats.host_ms += clock_ms() - from;
    if (r == OK) {
        dev_stats stats = {.flops = plan_host_flops(s),
                           .infinities = x->work[i].infinities};
        count(x, i, &stats);
    }
    finish(x, i);
    pthread_mutex_unlock(&x->lock);
    return r;
}

/* Steps are taken in the order given, which is the plan's: sums into one
 * gradient always come in the same order. */
static void *work(void *arg)
{
    exec *x = arg;
    pthread_mutex_lock(&x->lock);
    while (!x->stop) {
        if (x->queue_at == x->queue_n) {
            pthread_cond_wait(&x->moved, &x->lock);
            continue;
        }
        int i = x->queue[x->queue_at++];
        pthread_mutex_unlock(&x->lock);
        exec_run_host(x, i);
        pthread_mutex_lock(&x->lock);
    }
    pthread_mutex_unlock(&x->lock);
    return NULL;
}

rc exec_worker_start(exec *x)
{
    bool needed = false;
    for (int i = 0; i < x->p->n_steps; i++) needed |= x->p->steps[i].background;
    if (!needed) return OK;
    if (pthread_create(&x->worker, NULL, work, x) != 0)
        return err_fail(E_FAILED, "cannot start a thread for the host's steps");
    x->threaded = true;
    return OK;
}

void exec_worker_stop(exec *x)
{
    if (!x->threaded) return;
    pthread_mutex_lock(&x->lock);
    x->stop = true;
    pthread_cond_broadcast(&x->moved);
    pthread_mutex_unlock(&x->lock);
    pthread_join(x->worker, NULL);
    x->threaded = false;
}

void exec_worker_give(exec *x, int step)
{
    pthread_mutex_lock(&x->lock);
    x->state[step] = STEP_FLYING;
    x->queue[x->queue_n++] = step;
    pthread_cond_broadcast(&x->moved);
    pthread_mutex_unlock(&x->lock);
}
