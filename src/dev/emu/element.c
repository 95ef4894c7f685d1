/* element.c - numbers become elements, rounded as the plan's arithmetic does. */
#include <math.h>
#include "dev/emu/emu.h"

/* On the chip what has no value is +0, and no zero is negative (chip.c). */
void emu_round(const emu_plan *p, mil_dtype t, size_t n, const double *x, char *to)
{
    bool chip = p->exact && t == MIL_FP16;
    for (size_t i = 0; i < n; i++) {
        if (!chip) {
            mil_set_element(t, to, i, x[i]);
            continue;
        }
        half h = isnan(x[i]) ? 0 : half_from_double_away(x[i]);
        ((half *)to)[i] = (half)(h == 0x8000 ? 0 : h);
    }
}
