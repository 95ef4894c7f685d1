/* chip.c - which chip this is.
 *
 * The processor's name tells it ("Apple M4 Pro", machdep.cpu.brand_string);
 * where that is no row of profiles.def, the engine's own name tells the family
 * ("h16", "h16g": M4), and the family's first row stands for it. A family
 * newer than all rows is taken for the newest. The framework itself answers
 * "h15" for a chip newer than it is (decompiled, iOS 26.1), which is why the
 * processor's name goes first. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "dev/ane/ane.h"
#include "dev/ane/facts.h"

enum { ENGINES_MAX = 64 }; /* more is no answer */

static const dev_profile *by_brand(const ane_sys *a)
{
    char name[128];
    if (!ane_fact_text(a->sysctlbyname, "machdep.cpu.brand_string", name, sizeof name))
        return NULL;
    for (size_t i = 0; i < dev_profile_count(); i++)
        if (!strcmp(dev_profile_at(i)->chip, name)) return dev_profile_at(i);
    return NULL;
}

const dev_profile *ane_profile_of(const char *name)
{
    const dev_profile *newest = NULL;
    if (name[0] != 'h' || !isdigit((unsigned char)name[1])) return NULL;
    long wanted = strtol(name + 1, NULL, 10);
    for (size_t i = 0; i < dev_profile_count(); i++) {
        const dev_profile *p = dev_profile_at(i);
        long had = strtol(dev_family_name(p->family) + 1, NULL, 10);
        if (had == wanted) return p;
        if (!newest || p->family > newest->family) newest = p;
    }
    return newest && wanted > strtol(dev_family_name(newest->family) + 1, NULL, 10)
               ? newest
               : NULL;
}

static rc read_info(const ane_sys *a, char *name, size_t size, int *engines)
{
    ane_id info = a->class_of[ANE_CLASS_INFO];
    *name = 0;
    *engines = 1;
    if (ane_has(a, ANE_SEL_has_engine) && !ane_msg_has_engine(a, info)) {
        bool virtual = ane_has(a, ANE_SEL_is_virtual) && ane_msg_is_virtual(a, info);
        return err_hint(err_fail(E_DEVICE, "this machine has no Neural Engine%s",
                                 virtual ? ": it is a virtual machine" : ""),
                        "`-d emu:m4` runs the same programs anywhere");
    }
    unsigned n = ane_has(a, ANE_SEL_n_engines) ? ane_msg_n_engines(a, info) : 1;
    *engines = n < 1 ? 1 : n > ENGINES_MAX ? ENGINES_MAX : (int)n;
    if (!ane_has(a, ANE_SEL_sub_type)) return OK;
    ane_id text = ane_msg_sub_type(a, info);
    ane_get_text(a, text, name, size);
    ane_drop(a, text);
    return OK;
}

rc ane_chip(const ane_sys *a, const dev_profile **profile, int *engines)
{
    char name[64];
    void *pool = a->objc_autoreleasePoolPush();
    rc r = read_info(a, name, sizeof name, engines);
    a->objc_autoreleasePoolPop(pool);
    TRY(r);
    *profile = by_brand(a);
    if (!*profile) *profile = ane_profile_of(name);
    if (*profile) return OK;
    return err_fail(E_DEVICE, "the engine calls itself '%s', which no profile knows",
                    *name ? name : "nothing");
}
