/* rng.c - Philox 4x32-10: ten rounds of "multiply, cross, add a key" over a
 * 128-bit counter. Nothing is remembered between calls.
 *
 * Source of the algorithm and its constants: Salmon, Moraes, Dror, Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3.
 * Words: counter = {counter lo, counter hi, stream lo, stream hi},
 * key = {seed lo, seed hi}. */
#include <math.h>
#include "base/rng.h"

#define ROUNDS 10
#define MUL0 0xD2511F53u
#define MUL1 0xCD9E8D57u
#define WEYL0 0x9E3779B9u /* golden ratio */
#define WEYL1 0xBB67AE85u /* sqrt(3) - 1 */
#define TWO_PI 6.283185307179586476925

void rng_block(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4])
{
    uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32);
    uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)MUL0 * c0, p1 = (uint64_t)MUL1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += WEYL0, k1 += WEYL1;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

uint32_t rng_u32(uint64_t seed, uint64_t stream, uint64_t counter)
{
    uint32_t w[4];
    rng_block(seed, stream, counter, w);
    return w[0];
}

static uint64_t join(uint32_t lo, uint32_t hi)
{
    return (uint64_t)hi << 32 | lo;
}

/* The top 53 bits as a fraction: every value is exact, 1 is never reached. */
static double unit(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

double rng_unit(uint64_t seed, uint64_t stream, uint64_t counter)
{
    uint32_t w[4];
    rng_block(seed, stream, counter, w);
    return unit(join(w[0], w[1]));
}

/* The upper half of the 128-bit product, in plain C. */
static uint64_t mul_high(uint64_t a, uint64_t b)
{
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t mid = a1 * b0 + (a0 * b0 >> 32);
    uint64_t mid2 = a0 * b1 + (uint32_t)mid;
    return a1 * b1 + (mid >> 32) + (mid2 >> 32);
}

uint64_t rng_below(uint64_t seed, uint64_t stream, uint64_t counter, uint64_t n)
{
    uint32_t w[4];
    rng_block(seed, stream, counter, w);
    return mul_high(join(w[0], w[1]), n);
}

double rng_normal(uint64_t seed, uint64_t stream, uint64_t counter)
{
    uint32_t w[4];
    rng_block(seed, stream, counter, w);
    /* 1 - u lies in (0, 1], where the logarithm is finite. */
    double r = sqrt(-2 * log(1 - unit(join(w[0], w[1]))));
    return r * cos(TWO_PI * unit(join(w[2], w[3])));
}

/* FNV-1a over the bytes; the final mix (MurmurHash3's) spreads short names
 * over all 64 bits. */
uint64_t rng_stream(const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; name++) h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 33;
}

/* The bits of a place are cut into a left and a right part; each round mixes
 * one part with a random function of the other, which is a bijection whatever
 * the function. A result outside [0, n) goes through again: the domain is less
 * than twice n, so that is two rounds or fewer on average. */
#define FEISTEL_ROUNDS 8

uint64_t rng_permute(uint64_t seed, uint64_t stream, uint64_t i, uint64_t n)
{
    if (n < 2) return 0;
    unsigned bits = 1;
    while (bits < 64 && (n - 1) >> bits) bits++;
    unsigned right_bits = (bits + 1) / 2;
    uint64_t right_mask = ((uint64_t)1 << right_bits) - 1;
    uint64_t left_mask = ((uint64_t)1 << (bits - right_bits)) - 1;
    i %= n; /* a start outside [0, n) might never come back */
    do {
        uint64_t left = i >> right_bits, right = i & right_mask;
        for (uint64_t round = 0; round < FEISTEL_ROUNDS; round++) {
            if (round & 1)
                right ^= rng_u32(seed, stream, round << 32 | left) & right_mask;
            else left ^= rng_u32(seed, stream, round << 32 | right) & left_mask;
        }
        i = left << right_bits | right;
    } while (i >= n);
    return i;
}
