/* sha256.h - SHA-256 (FIPS 180-4). */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t h[8];
    uint64_t n; /* bytes added */
    uint8_t block[64];
} sha256;
void sha256_start(sha256 *s);
void sha256_add(sha256 *s, const void *p, size_t n);
/* Ends the sum; 64 digits and a NUL. */
void sha256_hex(sha256 *s, char out[65]);

#endif
