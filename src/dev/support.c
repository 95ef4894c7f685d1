/* support.c - may a program for this family hold this MIL op? */
#include <string.h>
#include "dev/profile.h"

enum { DEV_NEVER = DEV_FAMILIES };
static const struct {
    const char *op;
    int first; /* family, or DEV_NEVER */
    const char *why, *source;
} support[] = {
#define SUPPORT(op, first, why, source) {#op, DEV_##first, why, source},
#include "dev/support.def"
#undef SUPPORT
};

size_t dev_support_count(void)
{
    return sizeof support / sizeof *support;
}

const char *dev_support_op(size_t i)
{
    return i < dev_support_count() ? support[i].op : NULL;
}

const char *dev_support_source(size_t i)
{
    return i < dev_support_count() ? support[i].source : NULL;
}

bool dev_op_supported(const char *mil_op, dev_family f, const char **why)
{
    for (size_t i = 0; i < dev_support_count(); i++) {
        if (strcmp(support[i].op, mil_op) != 0) continue;
        bool ok = (int)f >= support[i].first;
        if (why) *why = ok ? NULL : support[i].why;
        return ok;
    }
    if (why) *why = "no such op is known";
    return false;
}
