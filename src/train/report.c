/* report.c - what a run says, as events: to events.jsonl and to the caller.
 *
 * A line goes to the file by one write. When that fails (a full disk) the
 * event still reaches the caller, the failure is kept, and the loop ends the
 * run at the next step, saving what can be saved. */
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "train/internal.h"

double run_seconds(const run *r)
{
    return r->wall_before_s + (clock_ms() - r->began_ms) / 1000;
}

static event *begin(run *r, const char *kind)
{
    event_begin(&r->event, run_seconds(r), kind);
    return &r->event;
}

/* A run that writes nothing keeps so much of what it had to say. */
enum { KEPT_MAX = 64 << 20 };

static rc drop_older_half(run *r)
{
    const char *from = memchr(r->kept.p + r->kept.n / 2, '\n', r->kept.n / 2);
    size_t n = from ? r->kept.n - (size_t)(++from - r->kept.p) : 0;
    for (const char *p = r->kept.p; from && p < from; p++) r->lost_lines += *p == '\n';
    if (n) memmove(r->kept.p, from, n);
    r->kept.n = n;
    r->kept.p[n] = 0;
    return OK;
}

static rc keep_line(run *r, const str *line)
{
    if (r->kept.n + line->n > KEPT_MAX && r->kept.n) TRY(drop_older_half(r));
    str_addn(&r->kept, line->p, line->n);
    return str_done(&r->kept);
}

rc run_log_flush(run *r)
{
    if (!r->log || !r->kept.n) return OK;
    rc bad = file_write(r->log, r->kept.p, r->kept.n);
    str_clear(&r->kept);
    return bad;
}

/* later: it is written with what comes next. */
static void send_or_keep(run *r, bool later)
{
    rc bad = event_end(&r->event);
    str *line = &r->event.line;
    if (bad == OK && r->job->sink.put)
        r->job->sink.put(r->job->sink.ctx, line->p, line->n);
    if (bad == OK && (r->log || r->hold || later)) {
        str_addc(line, '\n');
        bad = str_done(line);
        bool wait = r->hold || later || r->kept.n;
        if (bad == OK && wait) bad = keep_line(r, line);
        else if (bad == OK) bad = file_write(r->log, line->p, line->n);
        if (bad == OK && !r->hold && !later) bad = run_log_flush(r);
    }
    if (bad != OK && r->log_error.code == OK) err_save(bad, &r->log_error);
}

static void send(run *r)
{
    send_or_keep(r, false);
}

static void add_model(event *e, const model_config *c)
{
    event_int(e, "layers", c->layers);
    event_int(e, "dim", c->dim);
    event_int(e, "seq", c->seq);
    event_int(e, "vocab", c->vocab);
    event_int(e, "params", (int64_t)model_param_count(c));
}

static void add_plan(event *e, const plan *p)
{
    event_int(e, "programs", p->n_programs);
    event_int(e, "loads", p->loads);
    event_int(e, "launches", p->launches);
    event_real(e, "memory",
               p->memory.weights + p->memory.moments + p->memory.gradients +
                   p->memory.surfaces + p->memory.activations + p->memory.host);
    event_real(e, "predicted_step_ms", p->step_ms);
    event_text(e, "weights", policy_name(p->options.weights));
    if (p->rebakes) event_int(e, "compiles_per_update", p->rebakes);
}

void report_start(run *r)
{
    event *e = begin(r, "start");
    event_text(e, "run", r->job->run_dir);
    event_int(e, "step", r->s.step);
    event_text(e, "device", r->s.device);
    event_text(e, "isa", r->s.isa);
    event_text(e, "blas", *r->s.blas ? r->s.blas : "own");
    event_int(e, "threads", r->s.threads);
    event_text(e, "data", r->job->data_dir);
    event_int(e, "tokens", (int64_t)r->facts.tokens);
    event_int(e, "held_out_tokens", (int64_t)r->facts.held_out_tokens);
    add_model(e, &r->mo->config);
    event_int(e, "steps", r->o.steps);
    event_int(e, "batch", r->o.batch);
    event_int(e, "accum", r->o.accum);
    event_real(e, "lr", r->o.lr);
    if (r->job->settings_json) event_json(e, "settings", r->job->settings_json);
    if (r->step.plan) add_plan(e, r->step.plan);
    send(r);
}

/* What the device's meters say, where it has any. */
static void add_readings(event *e, device *d)
{
    dev_sample s;
    if (dev_sample_of(d, &s) != OK) return;
    if (s.valid & 1u << DEV_WATTS) event_real(e, "watts", s.value[DEV_WATTS]);
    if (s.valid & 1u << DEV_GBS) event_real(e, "gbs", s.value[DEV_GBS]);
}

void report_step(run *r, double norm, double lr, double ms)
{
    event *e = begin(r, "step");
    double tokens = (double)r->o.batch * r->o.accum * r->mo->config.seq;
    event_int(e, "step", r->s.step);
    event_real(e, "loss", r->s.loss);
    event_real(e, "norm", norm);
    event_real(e, "lr", lr);
    event_real(e, "scale", r->s.loss_scale);
    event_real(e, "ms", ms);
    event_real(e, "tok_s", tokens / (ms / 1000));
    counts_report(e, r);
    if (r->compiles) event_int(e, "compiles", r->compiles);
    add_readings(e, r->job->dev);
    send(r);
}

void report_overflow(run *r, const exec_stats *stats, double loss)
{
    event *e = begin(r, "overflow");
    event_int(e, "step", r->s.step);
    event_real(e, "loss", loss);
    event_int(e, "infinities", (int64_t)stats->infinities);
    if (stats->first_infinity) event_text(e, "scope", stats->first_infinity);
    event_real(e, "scale", r->s.loss_scale);
    send(r);
}

void report_window(run *r, const window_moves *m)
{
    if (!m->raised && !m->lowered && !m->cut) return;
    event *e = begin(r, "window");
    event_int(e, "step", r->s.step);
    event_int(e, "raised", m->raised);
    event_int(e, "lowered", m->lowered);
    event_int(e, "cut", m->cut);
    if (m->burst) event_text(e, "infinite", m->burst);
    send(r);
}

void report_eval(run *r)
{
    event *e = begin(r, "eval");
    event_int(e, "step", r->s.step);
    event_real(e, "held_out", r->s.held_out);
    event_real(e, "nats_per_byte", r->s.nats_per_byte);
    send(r);
}

void report_checkpoint(run *r, const char *dir)
{
    event *e = begin(r, "checkpoint");
    event_int(e, "step", r->s.step);
    event_text(e, "path", dir);
    send(r);
}

void report_restart(run *r, const char *dir)
{
    event *e = begin(r, "restart");
    event_int(e, "step", r->s.step);
    event_text(e, "path", dir);
    send(r);
}

/* No write is made for the sake of a restart. */
void report_taken(run *r)
{
    event *e = begin(r, "restart");
    event_int(e, "step", r->s.step);
    event_bool(e, "memory", true);
    event_int(e, "restarts", r->restarts);
    event_int(e, "steps", r->o.steps);
    send_or_keep(r, true);
}

void report_note(run *r, const char *fmt, ...)
{
    char text[1200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    event *e = begin(r, "note");
    event_int(e, "step", r->s.step);
    event_text(e, "text", text);
    send(r);
}

/* Lines of one rule differ only in where they point. */
static bool same_rule(const char *a, const char *b)
{
    size_t n = strcspn(a, ")");
    return !strncmp(a, b, n + 1);
}

void report_doubts(run *r)
{
    const char *told[DEV_RULES_MAX], *const *lines;
    const dev_caps *c = &r->step.plan->caps;
    size_t n_told = 0;
    if (c->drops && c->profile && !c->profile->exact_measured)
        report_note(r,
                    "the arithmetic of %s was not measured: exact is that which all "
                    "measured chips share",
                    c->profile->name);
    for (int i = 0; i < r->step.plan->n_programs; i++) {
        size_t n = exec_warnings(r->step.exec, i, &lines);
        for (size_t j = 0; j < n; j++) {
            size_t k = 0;
            while (k < n_told && !same_rule(told[k], lines[j])) k++;
            if (k < n_told || n_told == DEV_RULES_MAX) continue;
            told[n_told++] = lines[j];
            report_note(r, "program %s: %s", r->step.plan->programs[i].name, lines[j]);
        }
    }
}

void report_done(run *r)
{
    event *e = begin(r, "done");
    event_int(e, "step", r->s.step);
    event_real(e, "loss", r->s.loss);
    event_real(e, "held_out", r->s.held_out);
    event_real(e, "nats_per_byte", r->s.nats_per_byte);
    if (r->step_ms > 0) event_real(e, "tok_s", r->tokens / (r->step_ms / 1000));
    send(r);
}

void report_failed(run *r, const char *text)
{
    event *e = begin(r, "failed");
    event_int(e, "step", r->s.step);
    event_text(e, "error", text);
    send(r);
}
