/* str.h - a growing text buffer. Zero-initialise; free with str_free.
 *
 * After an allocation fails the buffer is `bad`: further appends do nothing
 * and str_done() returns E_MEMORY, so callers check once at the end. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

typedef struct {
    char *p;  /* NUL-terminated, NULL while empty */
    size_t n; /* bytes without the NUL */
    size_t cap;
    bool bad;
} str;

void str_add(str *s, const char *text);
void str_addn(str *s, const char *bytes, size_t n);
void str_addc(str *s, char c);
void str_addf(str *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The shortest text (6 digits or more where they matter) that reads back as
 * the same number; '.' as the point in every locale. */
void str_add_real(str *s, double v);
rc str_done(const str *s);          /* OK or E_MEMORY */
const char *str_text(const str *s); /* never NULL */
void str_clear(str *s);
void str_free(str *s);

/* Strict number parsing of a whole word, decimal only: E_FORMAT on junk (also
 * spaces, "nan", "inf", hexadecimal) or overflow; *out is then untouched. */
rc str_to_int(const char *word, int64_t *out);
rc str_to_real(const char *word, double *out);
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* 1234567 -> "1.2M" (K, M, B, T), bytes -> "1.2 MB" (decimal), 83 s ->
 * "01:23", 3723 s -> "1:02:03"; into `out` of 32, which is returned. */
const char *str_count(char out[32], double n);
const char *str_bytes(char out[32], double bytes);
const char *str_clock(char out[32], double seconds);

#endif
