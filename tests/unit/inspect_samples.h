/* inspect_samples.h - small files of the formats that no tool here can write, put
 * together byte by byte as public descriptions have them. */
#ifndef INSPECT_SAMPLES_H
#define INSPECT_SAMPLES_H

#include "base/str.h"

static inline void put_number(str *s, int bytes, uint64_t v)
{
    for (int i = 0; i < bytes; i++) str_addc(s, (char)(v >> 8 * i));
}
static inline void put_name(str *s, const char *name)
{
    char text[16] = "";
    memcpy(text, name, strlen(name));
    str_addn(s, text, sizeof text);
}
static inline void put_zeros(str *s, size_t upto)
{
    while (s->n < upto) str_addc(s, 0);
}

/* A Mach-O of one segment with one section __text that holds `words`, a symbol, a
 * thread with a port's name, and the compiler's words. */
static inline void sample_hwx(unsigned subtype, const uint32_t *words, size_t n, str *s)
{
    enum { TEXT = 0x200 };
    put_number(s, 4, 0xbeefface);
    put_number(s, 4, 0x80);
    put_number(s, 4, subtype);
    put_number(s, 4, 2);
    put_number(s, 4, 4);
    put_number(s, 4, 152 + 24 + 32 + 40);
    put_number(s, 4, 0x200000);
    put_number(s, 4, 0);
    put_number(s, 4, 0x19); /* segment */
    put_number(s, 4, 152);
    put_name(s, "__TEXT");
    put_number(s, 8, 0x30008000);
    put_number(s, 8, 0x8000);
    put_number(s, 8, TEXT);
    put_number(s, 8, n * 4);
    put_number(s, 8, 5);
    put_number(s, 4, 1);
    put_number(s, 4, 4);
    put_name(s, "__text");
    put_name(s, "__TEXT");
    put_number(s, 8, 0x30008000);
    put_number(s, 8, n * 4);
    put_number(s, 4, TEXT);
    put_zeros(s, 32 + 152);
    put_number(s, 4, 0x02); /* symbols: one, at 0x180, strings at 0x1a0 */
    put_number(s, 4, 24);
    put_number(s, 4, 0x180);
    put_number(s, 4, 1);
    put_number(s, 4, 0x1a0);
    put_number(s, 4, 16);
    put_number(s, 4, 0x04); /* thread */
    put_number(s, 4, 32);
    put_number(s, 4, 3);
    put_number(s, 4, 4);
    put_name(s, "y@output");
    put_number(s, 4, 0x08); /* compiler */
    put_number(s, 4, 40);
    put_name(s, "zin v1 -t h17g");
    put_zeros(s, 0x180);
    put_number(s, 4, 1);
    put_number(s, 4, 0);
    put_number(s, 8, 0x30008000);
    put_zeros(s, 0x1a1);
    str_add(s, "Kabc_ne_0");
    put_zeros(s, TEXT);
    for (size_t i = 0; i < n; i++) put_number(s, 4, words[i]);
}

/* The beginning of relu on [64,1,1] for M5, as MidasMulli/beefface publishes it,
 * with the size of what is kept: 24 words for 61. */
static const uint32_t relu_m5[] = {
    1,          0,          0,          0, 0x00180000, 0,          0x04000068,
    0,          0xfff868,   0,          0, 0,          0x00050009, 0x00001540,
    0x00000080, 0x00010001, 1,          1, 0x40,       0x93618005, 1,
    1,          0x40,       0x00014000, 1, 0x00200000, 0,          0x00200000};

/* Two linked tasks of H13: a 3 x 3 convolution of 16 to 32 channels at 20 x 30, and
 * one that sets nothing. */
static const uint32_t linked_h13[] = {7,
                                      100,
                                      1,
                                      0,
                                      0,
                                      0,
                                      0,
                                      0x50,
                                      0,
                                      0,          /* header: task 7, next at 0x50 */
                                      0x1c000000, /* 8 registers from 0 */
                                      30u << 16 | 20,
                                      0,
                                      0,
                                      16,
                                      32,
                                      30u << 16 | 20,
                                      0,
                                      3 | 3u << 5,
                                      0, /* padding */
                                      8,
                                      50,
                                      1,
                                      0,
                                      0,
                                      0,
                                      0,
                                      0,
                                      0,
                                      0};

/* Root table {names, build information, sections, version 4}: the names main and
 * AneInference, a table with the text 1.2.34, a section of 77 and __text. */
static const uint32_t bundle_e5[] = {
    0x10,       0x14000c,   0x80004,    0x10000c, 0xc,     0x10,       0x40,    0x54,
    0x4,        0x2,        0x8,        0x10,     0x4,     0x6e69616d, 0x0,     0xc,
    0x49656e41, 0x7265666e, 0x65636e65, 0x0,      0x80006, 0x4,        0x8,     0x4,
    0x6,        0x2e322e31, 0x3433,     0x0,      0x1,     0xc,        0xc0008, 0x80004,
    0x8,        0x4d,       0x8,        0x0,      0x6,     0x65745f5f, 0x7478};

static inline void sample_e5(str *s)
{
    for (size_t i = 0; i < sizeof bundle_e5 / sizeof *bundle_e5; i++)
        put_number(s, 4, bundle_e5[i]);
}

#endif
