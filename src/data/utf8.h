/* utf8.h - characters of UTF-8, strictly as in RFC 3629. */
#ifndef DATA_UTF8_H
#define DATA_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length of the valid character at p, 0 if there is none (n > 0): no overlong
 * forms, no surrogates, nothing above U+10FFFF. */
static inline size_t utf8_char(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    if (p[0] < 0x80) return 1;
    size_t k = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || n < k) return 0;
    for (size_t i = 1; i < k; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    bool overlong = (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xF0 && p[1] < 0x90);
    bool outside = (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF4 && p[1] > 0x8F);
    return overlong || outside ? 0 : k;
}

/* The code point of a valid character of k bytes. */
static inline uint32_t utf8_code(const char *text, size_t k)
{
    const unsigned char *p = (const unsigned char *)text;
    uint32_t c = k == 1 ? p[0] : p[0] & (0x7Fu >> k);
    for (size_t i = 1; i < k; i++) c = c << 6 | (p[i] & 63);
    return c;
}

/* 1 to 4 bytes into out; their number. */
static inline size_t utf8_put(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t k = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = k - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 63));
    out[0] = (char)(c | (0xF00u >> k & 0xFF));
    return k;
}

#endif
