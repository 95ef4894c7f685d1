/* selfcheck.h - three small programs by which a chip proves itself before it
 * is trusted with a training run: a product, a fused layer and a gradient,
 * each compared with the software engine of the same chip.
 *
 * The bound is a relative distance of 1/64. The chip drops what is small
 * beside a running sum: published errors are 0.0055 for sums of 1024 products
 * (ANEForge rooflines), less for the 128 here, and its tables of sigmoid and
 * power are good to 2^-9 (ane-guide); three such steps in a row stay below
 * 1/64. Swapped inputs, stale weights, zeros or infinities give about 1. */
#ifndef DEV_SELFCHECK_H
#define DEV_SELFCHECK_H

#include "dev/probe.h"

#define DEV_SELF_BOUND (1.0 / 64)
/* DEV_SEEN_RIGHT if all three agree, DEV_SEEN_WRONG with the first that does
 * not, DEV_SEEN_REFUSED or _FAILED. value: the largest distance. */
rc dev_self_check(device *d, const dev_caps *caps, dev_sight *out);

#endif
