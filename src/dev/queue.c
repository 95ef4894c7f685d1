/* queue.c - runs in order: a ring of jobs, workers that serve it, and each
 * run's own result kept until 4096 later ones have ended.
 *
 * Runs start in the order queued. The next one starts once its program is not
 * running (rule one_in_flight) and no run before it still writes what it reads
 * or uses what it writes; so several workers give the numbers of one. Software
 * engines have one worker, which is the whole truth of an engine that serves
 * one program at a time. At most 127 runs are in flight; the 128th caller
 * blocks (rule queue_depth). */
#include <string.h>
#include "base/clock.h"
#include "dev/soft.h"

/* A run cannot be trusted when a run before it failed to write its input. */
static rc check_inputs(const soft_device *d, const soft_job *job)
{
    const soft_program *p = job->program;
    if (d->params.fail && job->ticket == d->params.fail)
        return err_fail(E_DEVICE, "run %llu fails because fail=%llu asks for it",
                        (unsigned long long)job->ticket,
                        (unsigned long long)d->params.fail);
    if ((job->wrong & SOFT_RUN_FAILS) || d->poisoned)
        return err_fail(E_DEVICE, "status=0x1d: program inference error");
    for (int i = 0; i < p->ports.n_in; i++)
        if (job->s[i]->invalid)
            return err_fail(E_DEVICE, "input '%s' was to be written by a run that failed",
                            p->ports.in[i].name);
    return OK;
}

/* The silent failure of some chips: a run that ends well and gives nothing. */
static void give_zeros(const soft_job *job)
{
    for (int i = job->program->ports.n_in; i < job->n; i++)
        memset(job->s[i]->mem, 0, job->s[i]->bytes);
}

/* Outside the lock: the only place where time is spent. */
static rc serve(soft_device *d, soft_job *job, dev_stats *stats)
{
    double start = clock_ms();
    rc r = OK;
    *stats = (dev_stats){.predicted_ms = job->program->predicted_ms};
    if (d->execute) r = d->execute(d, job, stats);
    if (r == OK && (job->wrong & SOFT_ZEROS)) give_zeros(job);
    stats->ms = clock_ms() - start;
    return r;
}

/* Under the lock: may the job at the head start beside those that run? */
static bool can_start(const soft_device *d)
{
    const soft_job *job = &d->jobs[d->head];
    if (!d->n_running) return true;
    if (*job->program->busy) return false;
    for (int i = 0; i < job->n; i++) {
        const soft_surface *s = job->s[i];
        if (s->writing || (i >= job->program->ports.n_in && s->reading)) return false;
    }
    return true;
}

/* Under the lock: a run takes or gives back its program and surfaces. */
static void occupy(soft_device *d, const soft_job *job, int by)
{
    *job->program->busy += by;
    if (by > 0 && !d->n_running) d->busy_from_ms = clock_ms();
    d->n_running += by;
    if (!d->n_running) d->busy_ms += clock_ms() - d->busy_from_ms;
    for (int i = 0; i < job->n; i++)
        if (i < job->program->ports.n_in) job->s[i]->reading += by;
        else job->s[i]->writing += by;
}

/* Under the lock: let go of what the job held and publish its result. */
static void finish(soft_device *d, const soft_job *job, rc code, const dev_stats *stats)
{
    soft_program *p = job->program;
    soft_result *r = &d->results[job->ticket % SOFT_RESULTS];
    mem_drop(r->error);
    *r = (soft_result){.ticket = job->ticket, .code = code, .stats = *stats};
    if (code != OK) {
        r->error = mem_take(sizeof *r->error);
        if (r->error) err_save(code, r->error);
    }
    for (int i = 0; i < job->n; i++) {
        if (i < p->ports.n_in) {
            job->s[i]->readers--;
        } else {
            job->s[i]->writers--;
            job->s[i]->invalid = code != OK;
        }
    }
    if (job->wrong & SOFT_POISONS) d->poisoned = true;
    p->in_flight--;
    pthread_cond_broadcast(&d->done);
}

/* The worker. It ends when told to and nothing is left to do, so closing a
 * device lets queued runs finish. */
static void *work(void *ctx)
{
    soft_device *d = ctx;
    pthread_mutex_lock(&d->lock);
    for (;;) {
        while (d->n_jobs ? !can_start(d) : !d->stop)
            pthread_cond_wait(&d->work, &d->lock);
        if (!d->n_jobs) break;
        soft_job job = d->jobs[d->head];
        dev_stats stats = {0};
        d->head = (d->head + 1) % d->caps.queue_depth;
        d->n_jobs--;
        occupy(d, &job, 1);
        /* The next may be able to start as well, or there is none to wait for. */
        if (d->workers > 1 && d->n_jobs) pthread_cond_signal(&d->work);
        else if (d->stop) pthread_cond_broadcast(&d->work);
        rc r = check_inputs(d, &job);
        if (r == OK) {
            pthread_mutex_unlock(&d->lock);
            r = serve(d, &job, &stats);
            pthread_mutex_lock(&d->lock);
        }
        occupy(d, &job, -1);
        finish(d, &job, r, &stats);
        if (d->workers > 1 && d->n_jobs) pthread_cond_signal(&d->work);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* All memory of the queue is taken here; queueing a run takes none. */
rc soft_queue_open(soft_device *d)
{
    d->jobs = mem_take(mem_mul((size_t)d->caps.queue_depth, sizeof *d->jobs));
    d->results = mem_take(SOFT_RESULTS * sizeof *d->results);
    if (!d->jobs || !d->results) return E_MEMORY;
    if (d->workers < 1) d->workers = 1;
    if (d->workers > SOFT_WORKERS) d->workers = SOFT_WORKERS;
    for (; d->started < d->workers; d->started++)
        if (pthread_create(&d->worker[d->started], NULL, work, d))
            return err_fail(E_FAILED, "no thread could be started for the device");
    return OK;
}

void soft_queue_close(soft_device *d)
{
    if (d->started) {
        pthread_mutex_lock(&d->lock);
        d->stop = true;
        pthread_cond_broadcast(&d->work);
        pthread_mutex_unlock(&d->lock);
        while (d->started) pthread_join(d->worker[--d->started], NULL);
    }
    for (int i = 0; d->results && i < SOFT_RESULTS; i++) mem_drop(d->results[i].error);
    mem_drop(d->results);
    mem_drop(d->jobs);
}

/* May the surfaces be used like this now? Under the lock. */
static const char *surface_fault(const soft_job *job)
{
    int n_in = job->program->ports.n_in;
    for (int i = n_in; i < job->n; i++) {
        if (job->s[i]->mapped) return "an output surface is mapped; unmap it first";
        for (int j = n_in; j < i; j++)
            if (job->s[i] == job->s[j]) return "two outputs have one surface";
    }
    return NULL;
}

/* Whether a surface is mapped is asked after waiting for room, under the same
 * lock under which it is taken: no one can map it in between. */
rc soft_enqueue(soft_device *d, const soft_job *wanted, uint64_t *ticket)
{
    soft_program *p = wanted->program;
    pthread_mutex_lock(&d->lock);
    while (d->n_jobs + d->n_running >= d->caps.queue_depth)
        pthread_cond_wait(&d->done, &d->lock);
    const char *fault = surface_fault(wanted);
    if (fault) {
        pthread_mutex_unlock(&d->lock);
        return err_fail(E_DEVICE, "the run cannot start: %s", fault);
    }
    soft_job *job = &d->jobs[(d->head + d->n_jobs) % d->caps.queue_depth];
    *job = *wanted;
    job->ticket = *ticket = ++d->next;
    for (int i = 0; i < job->n; i++) {
        if (i < p->ports.n_in) job->s[i]->readers++;
        else job->s[i]->writers++;
    }
    p->in_flight++;
    d->n_jobs++;
    pthread_cond_signal(&d->work);
    pthread_mutex_unlock(&d->lock);
    return OK;
}

/* Tickets end in order, so waiting for one is waiting for `finished` to reach
 * it. The error is copied out, since later runs use the place again. */
rc soft_wait(device *dev, uint64_t ticket, dev_stats *stats)
{
    soft_device *d = (soft_device *)dev;
    err_saved error = {.code = OK};
    pthread_mutex_lock(&d->lock);
    if (ticket == 0 || ticket > d->next) {
        pthread_mutex_unlock(&d->lock);
        return err_fail(E_DEVICE, "no run has ticket %llu", (unsigned long long)ticket);
    }
    /* Far fewer runs are in flight than results are kept, so a place holds
     * tickets in order: a later one means that this one's is gone. */
    const soft_result *r = &d->results[ticket % SOFT_RESULTS];
    while (r->ticket < ticket) pthread_cond_wait(&d->done, &d->lock);
    bool kept = r->ticket == ticket;
    rc code = r->code;
    if (kept && stats) *stats = r->stats;
    if (kept && r->error) error = *r->error;
    pthread_mutex_unlock(&d->lock);
    if (!kept)
        return err_fail(E_DEVICE, "the result of run %llu is gone: the last %d are kept",
                        (unsigned long long)ticket, SOFT_RESULTS);
    if (code == OK) return OK;
    return error.code == OK
               ? err_fail(code, "run %llu failed", (unsigned long long)ticket)
               : err_restore(&error);
}

/* Before a program's constants or memory change. */
void soft_settle(soft_program *p)
{
    soft_device *d = (soft_device *)p->base.dev;
    pthread_mutex_lock(&d->lock);
    while (p->in_flight) pthread_cond_wait(&d->done, &d->lock);
    pthread_mutex_unlock(&d->lock);
}
