/* check.c - the list of questions, and what their answers mean. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "dev/check.h"
#include "dev/probe_case.h"

static const struct {
    dev_question q;
    dev_check_fn *ask;
} checks[] = {
#define CHECK(id, kind, where, fn, text, source) \
    {{#id, DEV_ASK_##kind, where, text, source, DEV_RULES}, fn},
#include "dev/checks.def"
#undef CHECK
};
enum { N_CHECKS = sizeof checks / sizeof *checks };

size_t dev_question_count(void)
{
    return N_CHECKS + DEV_RULES;
}

void dev_question_at(size_t i, dev_question *out)
{
    if (i < N_CHECKS) {
        *out = checks[i].q;
        return;
    }
    dev_rule r = dev_probe_order((int)(i - N_CHECKS));
    const dev_rule_row *row = dev_rule_at(r);
    *out = (dev_question){row->id, DEV_ASK_RULE, row->where, row->text, row->source, r};
}

int dev_question_find(const char *id)
{
    dev_question q;
    for (size_t i = 0; i < dev_question_count(); i++) {
        dev_question_at(i, &q);
        if (!strcmp(q.id, id)) return (int)i;
    }
    return -1;
}

const char *dev_ask_kind_text(dev_ask_kind k)
{
    static const char *const text[] = {"contract", "numbers", "chip", "rule"};
    return (unsigned)k < sizeof text / sizeof *text ? text[k] : "?";
}

void check_say(dev_sight *out, dev_seen seen, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(out->detail, sizeof out->detail, fmt, ap);
    va_end(ap);
    out->seen = seen;
}

/* ---- asking ---- */

/* The arithmetic of the chip is not everywhere. */
static bool has_numbers(device *d, const dev_caps *caps)
{
    return d->driver->chip || strstr(caps->uri, ",exact");
}

static rc ask_check(device *d, size_t i, dev_sight *out)
{
    const dev_question *q = &checks[i].q;
    dev_caps caps;
    *out = (dev_sight){.seen = DEV_SEEN_NOTHING, .value = NAN};
    TRY(dev_caps_of(d, &caps));
    if (q->kind == DEV_ASK_CHIP && !d->driver->ask)
        check_say(out, DEV_SEEN_UNKNOWN, "only a chip can be asked");
    else if (q->kind == DEV_ASK_NUMBERS && !has_numbers(d, &caps))
        check_say(out, DEV_SEEN_UNKNOWN, "its arithmetic is not the chip's");
    else if (q->kind == DEV_ASK_CHIP) TRY(d->driver->ask(d, q->id, out));
    else TRY(checks[i].ask(d, &caps, out));
    if (!*out->detail)
        snprintf(out->detail, sizeof out->detail, "%.*s", DEV_PROBE_TEXT - 1,
                 out->seen == DEV_SEEN_RIGHT ? q->text : dev_seen_text(out->seen));
    return OK;
}

/* What the driver keeps (its queue) or refuses as it reads: the chip is asked
 * by the driver, below all that. */
static bool is_kept(dev_rule r)
{
    return r == RULE_queue_depth || r == RULE_one_in_flight || r == RULE_surface_slots ||
           r == RULE_grouped_conv_limit;
}

/* What the driver itself refuses says nothing of the chip. That a
 * program reads its rows at another stride is the chip's word, though. */
static void not_our_word(dev_rule r, dev_sight *s)
{
    char text[512];
    if (!strstr(s->detail, "rule '") || r == RULE_row_multiple) return;
    snprintf(text, sizeof text, "%.*s", (int)sizeof text - 1, s->detail);
    check_say(s, DEV_SEEN_UNKNOWN, "refused before the chip saw it: %s", text);
}

rc dev_ask(device *d, size_t i, dev_sight *out, bool *spoiled)
{
    dev_question q;
    *spoiled = false;
    dev_question_at(i, &q);
    if (i < N_CHECKS) return ask_check(d, i, out);
    *out = (dev_sight){.seen = DEV_SEEN_NOTHING, .value = NAN};
    if (d->driver->chip && d->driver->ask && is_kept(q.rule))
        TRY(d->driver->ask(d, q.id, out));
    else TRY(dev_break(d, q.rule, out));
    if (!d->driver->chip) return OK;
    not_our_word(q.rule, out);
    if (q.rule == RULE_compile_budget) return OK;
    rc r = dev_probe_plain(d);
    if (r == E_MEMORY) return r;
    *spoiled = r != OK;
    err_clear();
    return OK;
}

rc check_driver(device *d, const dev_caps *caps, dev_sight *out)
{
    (void)caps;
    return d->driver->ask(d, "", out);
}

/* ---- what it means ---- */
void dev_answer(const dev_caps *expected, size_t i, const dev_sight *s,
                dev_probe_result *out)
{
    dev_question q;
    dev_question_at(i, &q);
    if (q.kind == DEV_ASK_RULE) {
        dev_probe_conclude(expected, q.rule, s, out);
        return;
    }
    bool asked = s->seen != DEV_SEEN_NOTHING && s->seen != DEV_SEEN_UNKNOWN;
    bool there = !expected->profile || dev_where(q.where, expected->profile->family);
    *out = (dev_probe_result){DEV_RULES, DEV_PROBE_PASS, s->seen == DEV_SEEN_RIGHT,
                              s->seen,   s->value,       ""};
    snprintf(out->detail, sizeof out->detail, "%s", s->detail);
    if (!asked) out->verdict = DEV_PROBE_SKIP;
    /* Sources differ on the chip's questions, and what was measured on one
     * family need not hold on another: an answer, not a failure. */
    else if (!out->holds && q.kind != DEV_ASK_CHIP && there)
        out->verdict = DEV_PROBE_FAIL;
}
