/* tokenizer.h - the inside of a tokenizer, for this room alone.
 *
 * Whatever it is made from, a tokenizer is the reading of one tokenizer.json:
 * the built-in ones write that text first and are then read from it, so what
 * is saved is what is used.
 *
 * Text becomes ids in five steps:
 *   0. it is normalised, if the file says so (nfc.h)
 *   1. added tokens are found verbatim, leftmost first, the longest of several
 *   2. what lies between is cut into runs of valid UTF-8 and runs of bytes that
 *      are not; the latter are pieces by themselves
 *   3. valid runs are split by the regular expressions of the file
 *   4. each piece is a list of bytes, merged pair by pair, lowest rank first */
#ifndef DATA_TOKENIZER_H
#define DATA_TOKENIZER_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include "data/data.h"
#include "data/map.h"
#include "data/nfc.h"

typedef struct {
    const char *p;
    uint32_t n;
    bool special; /* stands for no text */
} token_piece;

typedef struct {
    const char *p;
    uint32_t n;
    int32_t id;
} added_token;

/* One regular expression. What lies between its matches is a piece too, or
 * dropped. */
typedef struct {
    pcre2_code *code;
    bool drop_gaps;
} split_step;

#define MAX_STEPS 8

struct tokenizer {
    arena *mem;
    const char *json; /* the whole tokenizer.json */
    size_t json_n;
    uint64_t sum; /* XXH3-64 of it */
    bool byte;
    int vocab, end;
    token_piece *piece;  /* [vocab] */
    int32_t letter[256]; /* id of each byte, -1 if there is none */
    int32_t unknown;     /* id of "no such token", -1 if there is none */
    pair_map merge;      /* pair -> rank */
    int32_t *merged;     /* [rank] -> id */
    size_t n_merges;
    bool whole_words; /* "ignore_merges": a piece that is a token is that token */
    word_map words;   /* bytes -> id, filled for whole_words */
    nfc *nfc;         /* NULL if the text is taken as it is */
    split_step step[MAX_STEPS];
    int n_steps;
    added_token *added; /* by first byte, then the longest first */
    size_t n_added;
    uint32_t added_from[257]; /* those with first byte b: [from[b], from[b + 1]) */
};

/* Read a tokenizer.json; `where` is for messages. */
rc tokenizer_parse(const char *json, size_t n, const char *where, tokenizer **out);
/* The text of our own tokenizer.json (bpe_json.c): 256 bytes with their own
 * ids, merges 256 + rank as pairs of ids, then <|endoftext|>. `split`: with the
 * pattern of GPT-2, else without any. */
rc tokenizer_write(const int32_t (*pair)[2], size_t n_merges, bool split, str *out);

/* The alphabet of byte-level BPE (alphabet.c): each byte is a character in the
 * file, 1 or 2 bytes of UTF-8. */
void byte_to_letter(unsigned char byte, char out[3]);
/* Bytes of a text in that alphabet into `out` (at least strlen(text)); false if
 * it has another character. */
bool letters_to_bytes(const char *text, char *out, size_t *n);

/* A pattern (or a text, if literal) of a split step. */
rc split_compile(const char *pattern, size_t n, bool literal, pcre2_code **out);
/* Steps 0 to 3 (split.c). A piece is given with added = -1, an added token with
 * its id. Not for two threads at once, like the encoder. */
typedef rc (*piece_fn)(void *ctx, const char *p, size_t n, int32_t added);
typedef struct splitter splitter;
rc splitter_new(const tokenizer *t, splitter **out);
void splitter_free(splitter *s); /* NULL is fine */
/* Give text, in any portions, then end it; the splitter is then ready for the
 * next text. Pieces come when it is sure where they end. A piece is valid during
 * the call of fn; it is shorter than two windows. */
#define SPLIT_WINDOW ((size_t)1 << 20)
rc splitter_add(splitter *s, const char *text, size_t n, piece_fn fn, void *ctx);
rc splitter_end(splitter *s, piece_fn fn, void *ctx);

rc token_list_add(token_list *l, const int32_t *id, size_t n);

/* All steps (encode.c): text in any portions as above, ids are appended. */
typedef struct encoder encoder;
rc encoder_new(const tokenizer *t, encoder **out);
void encoder_free(encoder *e); /* NULL is fine */
rc encoder_add(encoder *e, const char *text, size_t n, token_list *out);
rc encoder_end(encoder *e, token_list *out);

#endif
