/* tokens.h - train.bin and heldout.bin.
 *
 * All numbers are little-endian:
 *   0  "ANNEALTK"
 *   8  u32 format version, 1
 *  12  u32 bytes per id, 2 or 4
 *  16  u64 count of ids
 *  24  u64 XXH3-64 (seed 0) of the ids' bytes
 *  32  u64 bytes of text the ids stand for
 *  40  u64 XXH3-64 of the tokenizer.json that made them
 *  48  u32 ids are below this (vocab)
 *  52  zero up to 64
 *  64  the ids */
#ifndef DATA_TOKENS_H
#define DATA_TOKENS_H

#include <stdint.h>
#include "base/err.h"
#include "base/file.h"

#define TOKENS_MAGIC "ANNEALTK"
#define TOKENS_VERSION 1u
#define TOKENS_HEADER 64u

typedef struct {
    uint32_t width, vocab;
    uint64_t count, sum, text_bytes, tokenizer;
} tokens_header;

typedef struct token_writer token_writer;
rc token_writer_open(const char *path, uint32_t vocab, uint64_t tokenizer,
                     token_writer **out);
rc token_writer_add(token_writer *w, const int32_t *id, size_t n);
/* Write the header, sync and close; *h says what was written. */
rc token_writer_close(token_writer *w, uint64_t text_bytes, tokens_header *h);
void token_writer_drop(token_writer *w); /* after an error; NULL is fine */

/* Map and check everything: magic, version, size, checksum, every id. */
typedef struct {
    file_map_ map;
    tokens_header h;
    const uint16_t *id16; /* one of these two */
    const uint32_t *id32;
} tokens;
rc tokens_open(const char *path, tokens *out);
void tokens_close(tokens *t);

static inline int32_t tokens_at(const tokens *t, uint64_t i)
{
    return t->id16 ? (int32_t)t->id16[i] : (int32_t)t->id32[i];
}

#endif
