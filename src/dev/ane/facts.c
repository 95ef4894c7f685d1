/* facts.c - sysctl by name, one row per fact.
 *
 * A number is 4 or 8 bytes as the system likes; the size it gives back says
 * which, so both are read. */
#include <dlfcn.h>
#include <string.h>
#include "dev/ane/apple.h"
#include "dev/ane/facts.h"

_Static_assert(sizeof(void *) == sizeof(ane_sysctl *), "dlsym gives functions so");

ane_sysctl *ane_sysctl_find(const char *lib)
{
    ane_sysctl *found = NULL;
    const char *path = lib ? lib : ane_lib_path(ANE_LIB_SYSTEM);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *p = handle ? dlsym(handle, "sysctlbyname") : NULL;
    memcpy(&found, &p, sizeof p);
    return found;
}

bool ane_fact_text(ane_sysctl *ask, const char *name, char *out, size_t size)
{
    size_t n = size - 1; /* room for an end that the system may leave out */
    memset(out, 0, size);
    if (ask && ask(name, out, &n, NULL, 0) == 0 && n <= size - 1 && *out) return true;
    memset(out, 0, size); /* part of a text is none */
    return false;
}

static bool number(ane_sysctl *ask, const char *name, uint64_t *out)
{
    union {
        uint32_t four;
        uint64_t eight;
    } v = {.eight = 0};
    size_t n = sizeof v;
    if (!ask || ask(name, &v, &n, NULL, 0) != 0) return false;
    if (n != sizeof v.four && n != sizeof v.eight) return false;
    *out = n == sizeof v.four ? v.four : v.eight;
    return true;
}

static int count(ane_sysctl *ask, const char *name, int absent)
{
    uint64_t v;
    return number(ask, name, &v) && v <= INT32_MAX ? (int)v : absent;
}

void ane_facts_read(ane_sysctl *ask, ane_facts *out)
{
    *out = (ane_facts){0};
    ane_fact_text(ask, "machdep.cpu.brand_string", out->chip, sizeof out->chip);
    ane_fact_text(ask, "hw.model", out->model, sizeof out->model);
    ane_fact_text(ask, "kern.osproductversion", out->os, sizeof out->os);
    ane_fact_text(ask, "kern.osversion", out->build, sizeof out->build);
    if (!number(ask, "hw.memsize", &out->memory_bytes)) out->memory_bytes = 0;
    out->cores = count(ask, "hw.physicalcpu", 0);
    out->fast_cores = count(ask, "hw.perflevel0.physicalcpu", 0);
    out->slow_cores = count(ask, "hw.perflevel1.physicalcpu", 0);
    out->fp16 = count(ask, "hw.optional.arm.FEAT_FP16", -1);
    out->bf16 = count(ask, "hw.optional.arm.FEAT_BF16", -1);
    out->i8mm = count(ask, "hw.optional.arm.FEAT_I8MM", -1);
    out->sme2 = count(ask, "hw.optional.arm.FEAT_SME2", -1);
}
