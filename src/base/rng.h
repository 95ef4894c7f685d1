/* rng.h - counter-based random numbers (Philox 4x32-10): the value at
 * (seed, stream, counter) is a pure function, so any order, any thread count
 * and any resume point give the same numbers.
 * Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

void rng_block(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4]);
uint32_t rng_u32(uint64_t seed, uint64_t stream, uint64_t counter);
double rng_unit(uint64_t seed, uint64_t stream, uint64_t counter); /* [0,1), 53 bits */
/* A whole number in [0, n), without bias that matters (64-bit multiply). */
uint64_t rng_below(uint64_t seed, uint64_t stream, uint64_t counter, uint64_t n);
/* Standard normal by Box-Muller. */
double rng_normal(uint64_t seed, uint64_t stream, uint64_t counter);
/* A stream number from a name, so that each tensor has its own. */
uint64_t rng_stream(const char *name);
/* The place of `i` in a pseudo-random permutation of [0, n), computed without
 * memory (Feistel network with cycle walking): for shuffles of any size. */
uint64_t rng_permute(uint64_t seed, uint64_t stream, uint64_t i, uint64_t n);

#endif
