/* profile.c - the tables of chips and rules, and questions to them. */
#include <string.h>
#include "dev/profile.h"

#define U DEV_UNKNOWN
#define MEASURED true
#define ASSUMED false
/* Heights, widths and contraction axes grew with H16 (ane-guide app. A). */
#define AXIS(family) (DEV_##family >= DEV_H16 ? 65536 : 16384)
/* 119 compiles: maderix/ANE 1.7. 128 slots: ANEForge, Midas. 127 runs in
 * flight: ANEForge, ane-infer. The same on every chip seen. */
static const struct dev_profile profiles[] = {
#define PROFILE(id, chip, fam, engines, cores, peak, gemm, mhz, steps, us, weight, act, \
                dram, off, wake, slice, wino, old, exact, source)                       \
    {#id, chip,   DEV_##fam, engines, cores, peak,  gemm,      mhz,   dev_steps(steps), \
     us,  weight, act,       dram,    off,   wake,  AXIS(fam), 65536, 128,              \
     119, 127,    slice,     wino,    old,   exact, source},
#define dev_steps(n) ((n) != (n) ? -1 : (int)(n))
#include "dev/profiles.def"
#undef PROFILE
};
#undef U
#undef MEASURED
#undef ASSUMED

size_t dev_profile_count(void)
{
    return sizeof profiles / sizeof *profiles;
}

const struct dev_profile *dev_profile_at(size_t i)
{
    return i < dev_profile_count() ? &profiles[i] : NULL;
}

const struct dev_profile *dev_profile_find(const char *name)
{
    for (size_t i = 0; i < dev_profile_count(); i++)
        if (!strcmp(profiles[i].name, name)) return &profiles[i];
    return NULL;
}

const char *dev_exact_of(const struct dev_profile *p)
{
    return p->exact_measured ? "measured" : "assumed";
}

const char *dev_family_name(dev_family f)
{
    static const char *const names[DEV_FAMILIES] = {"h13", "h14", "h15",
                                                    "h16", "h17", "h18"};
    return (unsigned)f < DEV_FAMILIES ? names[f] : "unknown";
}

static const dev_rule_row rules[] = {
#define RULE(id, ...) {#id, __VA_ARGS__},
#include "dev/rules.def"
#undef RULE
};
_Static_assert(sizeof rules / sizeof *rules == DEV_RULES, "a row of rules.def is lost");

const dev_rule_row *dev_rule_at(dev_rule r)
{
    return (unsigned)r < DEV_RULES ? &rules[r] : NULL;
}

int dev_rule_find(const char *id)
{
    for (int i = 0; i < DEV_RULES; i++)
        if (!strcmp(rules[i].id, id)) return i;
    return -1;
}

bool dev_rule_holds(dev_rule r, dev_family f)
{
    return (unsigned)r < DEV_RULES && dev_where(rules[r].where, f);
}

bool dev_where(const char *where, dev_family f)
{
    if (!strcmp(where, "all")) return true;
    int first = -1, last = -1;
    const char *dash = strchr(where, '-');
    size_t n = dash ? (size_t)(dash - where) : strlen(where);
    for (int i = 0; i < DEV_FAMILIES; i++) {
        const char *name = dev_family_name((dev_family)i);
        if (strlen(name) == n && !strncmp(where, name, n)) first = i;
        if (dash && !strcmp(dash + 1, name)) last = i;
    }
    if (!dash) last = first;
    return first >= 0 && (int)f >= first && (int)f <= last;
}
