/* held.c - the mean loss over text never trained on, in nats per token and,
 * through the bytes those tokens stand for, in nats per byte: the number that
 * compares models with different tokenizers. */
#include <math.h>
#include "train/internal.h"

enum { EVAL_COLUMNS = 512 }; /* batch * seq of an evaluation on its own */

static int64_t count(const int32_t *targets, size_t n)
{
    int64_t counted = 0;
    for (size_t i = 0; i < n; i++) counted += targets[i] >= 0;
    return counted;
}

/* Windows to evaluate: `n` of all `total`, spread evenly over the text, so that
 * a few stand for all of its documents. */
typedef struct {
    uint64_t n, total;
} spread;

static uint64_t window_at(const spread *w, uint64_t i)
{
    return (uint64_t)((double)i * (double)w->total / (double)w->n);
}

/* Windows first, first + 1, ... of the spread; places past the last hold no
 * targets. */
static rc fill(const session *s, dataset *data, const spread *w, uint64_t first,
               int32_t *ids, int32_t *targets)
{
    for (int b = 0; b < s->batch; b++) {
        size_t at = (size_t)b * (size_t)s->seq;
        uint64_t i = first + (uint64_t)b;
        if (i < w->n) {
            TRY(dataset_held(data, window_at(w, i), s->seq, ids + at, targets + at));
            continue;
        }
        for (int j = 0; j < s->seq; j++)
            ids[at + (size_t)j] = 0, targets[at + (size_t)j] = -1;
    }
    return OK;
}

static void say_how_far(const run *r, uint64_t done, uint64_t of)
{
    if (!r || !r->job->progress.put) return;
    r->job->progress.put(r->job->progress.ctx, r->s.step, done < of ? done : of, of);
}

rc held_loss(session *s, dataset *data, int64_t max_windows, const run *r, int32_t *ids,
             int32_t *targets, eval_result *out)
{
    const atomic_int *stop = r ? r->job->stop : NULL;
    spread w = {.total = dataset_held_windows(data, s->seq)};
    size_t columns = (size_t)s->batch * (size_t)s->seq;
    double sum = 0, loss;
    *out = (eval_result){.held_out = (double)NAN, .nats_per_byte = (double)NAN};
    w.n = w.total;
    if (max_windows > 0 && w.n > (uint64_t)max_windows) w.n = (uint64_t)max_windows;
    for (uint64_t i = 0; i < w.n; i += (uint64_t)s->batch) {
        if (stop && *stop) return err_fail(E_STOPPED, "stopped while evaluating");
        TRY(fill(s, data, &w, i, ids, targets));
        int64_t counted = count(targets, columns);
        if (!counted) continue;
        TRY(session_step(s, ids, targets, 0, &loss, NULL));
        sum += loss * (double)counted;
        out->tokens += (uint64_t)counted;
        say_how_far(r, i + (uint64_t)s->batch, w.n);
    }
    if (!out->tokens) return OK;
    out->held_out = sum / (double)out->tokens;
    double bytes = dataset_held_bytes_per_token(data);
    if (bytes > 0) out->nats_per_byte = out->held_out / bytes;
    return OK;
}

rc train_eval(model *mo, const char *data_dir, device *d, kern *k, int64_t max_windows,
              eval_result *out)
{
    static const plan_options streamed;
    dataset *data;
    session s = {0};
    int seq = mo->config.seq;
    TRY(dataset_open(data_dir, &data));
    data_facts facts;
    dataset_facts(data, &facts);
    uint64_t windows = dataset_held_windows(data, seq);
    int batch = seq < EVAL_COLUMNS ? EVAL_COLUMNS / seq : 1;
    if ((uint64_t)batch > windows) batch = windows ? (int)windows : 1;
    size_t n = mem_mul((size_t)batch * (size_t)seq, sizeof(int32_t));
    int32_t *ids = mem_take(n), *targets = mem_take(n);
    rc r = ids && targets ? OK : E_MEMORY;
    if (r == OK && facts.vocab > mo->config.vocab)
        r = err_fail(E_CONFIG, "the data has %d token ids, the model %d", facts.vocab,
                     mo->config.vocab);
    if (r == OK && !windows)
        r = err_fail(E_CONFIG, "%s holds nothing out to evaluate on", data_dir);
    if (r == OK) r = session_open(mo, MODEL_LOSS, batch, seq, &streamed, d, k, NULL, &s);
    if (r == OK) r = held_loss(&s, data, max_windows, NULL, ids, targets, out);
    session_close(&s);
    mem_drop(ids);
    mem_drop(targets);
    dataset_close(data);
    return r;
}

/* Weights are streamed whatever the policy of the run: its programs are compiled
 * once, and the number is the same. */
rc held_layout(run *r, const model_config *c)
{
    plan_options o = r->job->plan;
    o.weights = PLAN_STREAMED;
    o.memory_limit_bytes = 0; /* the limit was for the plan that trains */
    o.window = r->step.plan->window ? PLAN_WINDOW_ON : PLAN_WINDOW_OFF;
    return session_layout(c, MODEL_LOSS, r->o.batch, c->seq, &o, r->job->dev, &r->held);
}

rc run_evaluate(run *r)
{
    eval_result e;
    if (!dataset_held_windows(r->data, r->mo->config.seq)) return OK;
    if (r->resident) TRY(resident_pull(r->resident));
    TRY(budget_held(r));
    TRY(window_lend(r->window, r->held.plan, r->held.exec));
    /* The number a finished run is judged by is over all that was held out. */
    int64_t windows = r->s.step < r->o.steps ? r->o.eval_windows : 0;
    TRY(held_loss(&r->held, r->data, windows, r, r->ids, r->targets, &e));
    r->s.held_out = e.held_out;
    r->s.nats_per_byte = e.nats_per_byte;
    r->s.held_out_step = r->s.step;
    r->evaluated = true;
    report_eval(r);
    return OK;
}
