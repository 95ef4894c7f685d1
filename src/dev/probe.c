/* probe.c - break every rule on a device, and compare with what the tables
 * say of it. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "dev/probe_case.h"

const char *dev_seen_text(dev_seen s)
{
    static const char *const text[] = {
        [DEV_SEEN_NOTHING] = "it ran; this device computes nothing",
        [DEV_SEEN_RIGHT] = "it ran, and the numbers are right",
        [DEV_SEEN_REFUSED] = "refused",
        [DEV_SEEN_FAILED] = "the run failed",
        [DEV_SEEN_WRONG] = "wrong numbers",
        [DEV_SEEN_ZEROS] = "zeros",
        [DEV_SEEN_RULE] = "as the rule says",
        [DEV_SEEN_UNKNOWN] = "could not be asked",
        [DEV_SEEN_DIED] = "its process did not survive",
    };
    return (unsigned)s < sizeof text / sizeof *text ? text[s] : "?";
}

rc dev_break(device *d, dev_rule r, dev_sight *out)
{
    dev_caps caps;
    *out = (dev_sight){.seen = DEV_SEEN_NOTHING, .value = NAN};
    TRY(dev_caps_of(d, &caps));
    const probe_case *c = probe_case_of(r);
    rc code = c->ask ? c->ask(d, &caps, out) : probe_run_case(d, &caps, r, c, out);
    if (code == OK && !*out->detail)
        snprintf(out->detail, sizeof out->detail, "%s", dev_seen_text(out->seen));
    return code;
}

/* A budget used up by the cases before says nothing about this rule. */
static bool asked(const dev_sight *s, dev_rule r)
{
    bool limit = r == RULE_compile_budget || r == RULE_program_slots;
    if (s->seen == DEV_SEEN_NOTHING || s->seen == DEV_SEEN_UNKNOWN) return false;
    return limit || s->code != E_BUDGET;
}

void dev_probe_conclude(const dev_caps *caps, dev_rule r, const dev_sight *s,
                        dev_probe_result *out)
{
    bool arithmetic = caps->wide && !strcmp(dev_rule_at(r)->kind, "arithmetic");
    out->rule = r;
    out->seen = s->seen;
    out->value = s->value;
    out->holds = s->seen != DEV_SEEN_RIGHT;
    snprintf(out->detail, sizeof out->detail, "%s%s", s->detail,
             s->warned && !out->holds ? "; the rule is warned of" : "");
    bool other = out->holds && !caps->rule_holds[r] &&
                 probe_also_holds(r, caps->rule_holds);
    if (!asked(s, r) || arithmetic || other) {
        out->verdict = DEV_PROBE_SKIP;
        out->holds = false;
        if (arithmetic)
            snprintf(out->detail, sizeof out->detail,
                     "wide has none of the chip's arithmetic");
    } else if (caps->rule_disputed[r] || out->holds == (bool)caps->rule_holds[r]) {
        out->verdict = DEV_PROBE_PASS;
    } else {
        /* Right numbers and a warning: the engine is kinder than the chip. */
        out->verdict = s->warned ? DEV_PROBE_SKIP : DEV_PROBE_FAIL;
    }
}

dev_rule dev_probe_order(int i)
{
    static const dev_rule last[] = {RULE_program_slots, RULE_tile_poison,
                                    RULE_compile_budget};
    enum { LAST = sizeof last / sizeof *last };
    if (i >= DEV_RULES - LAST) return last[i - (DEV_RULES - LAST)];
    for (int r = 0; r < DEV_RULES; r++) {
        bool later = false;
        for (int k = 0; k < LAST; k++) later |= (dev_rule)r == last[k];
        if (!later && i-- == 0) return (dev_rule)r;
    }
    return DEV_RULES;
}

void dev_profile_rules(const dev_profile *p, dev_caps *out)
{
    for (int r = 0; r < DEV_RULES; r++) {
        out->rule_holds[r] = dev_rule_holds((dev_rule)r, p->family);
        out->rule_disputed[r] = out->rule_holds[r] && dev_rule_at((dev_rule)r)->disputed;
    }
}

rc dev_probe_table(device *d, dev_caps *out)
{
    TRY(dev_caps_of(d, out));
    if (d->driver->chip && out->profile) dev_profile_rules(out->profile, out);
    return OK;
}

rc dev_probe(device *d, dev_probe_result *out, int *n)
{
    dev_caps expected;
    *n = 0;
    TRY(dev_probe_table(d, &expected));
    for (int i = 0; i < DEV_RULES; i++) {
        dev_sight seen;
        dev_rule r = dev_probe_order(i);
        TRY_WHILE(dev_break(d, r, &seen), "probing rule '%s'", dev_rule_at(r)->id);
        dev_probe_conclude(&expected, r, &seen, &out[(*n)++]);
    }
    return OK;
}
