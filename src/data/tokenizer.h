/* tokenizer.h - the inside of a tokenizer, for this room alone.
 *
 * Whatever it is made from, a tokenizer is the reading of one tokenizer.json:
 * the built-in ones write that text first and are then read from it, so what
 * is saved is what is used. */
#ifndef DATA_TOKENIZER_H
#define DATA_TOKENIZER_H

#include "data/data.h"

typedef struct {
    const char *p;
    uint32_t n;
    bool special; /* stands for no text */
} token_piece;

struct tokenizer {
    arena *mem;
    const char *json; /* the whole tokenizer.json */
    size_t json_n;
    uint64_t sum; /* XXH3-64 of it */
    bool byte;
    int vocab, end;
    token_piece *piece; /* [vocab] */
};

/* Read a tokenizer.json; `where` is for messages. */
rc tokenizer_parse(const char *json, size_t n, const char *where, tokenizer **out);
/* The alphabet of byte-level BPE: each byte as one character of a JSON text
 * (bytes.c). 1 or 2 bytes of UTF-8, NUL-terminated. */
void byte_to_letter(unsigned char byte, char out[3]);

#endif
