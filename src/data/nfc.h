/* nfc.h - Unicode normalisation form C, which some tokenizers apply to a text
 * before they split it (Qwen's do). Source: Unicode Standard Annex 15. */
#ifndef DATA_NFC_H
#define DATA_NFC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

typedef struct nfc nfc;
rc nfc_new(nfc **out); /* the tables, made once; then only read */
void nfc_free(nfc *t); /* NULL is fine */
/* Append the normalised form of text. Unless it is the last of a text, its end
 * is left (*used says how much was taken): what follows may combine with it.
 * Bytes that are not UTF-8 stay as they are and combine with nothing. */
rc nfc_add(const nfc *t, const char *text, size_t n, bool last, str *out, size_t *used);

#endif
