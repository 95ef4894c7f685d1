/* data.h - text -> tokens -> shards -> batches, resumable to the token.
 *
 * A tokenizer or a dataset is only read once it is open: threads may share it. */
#ifndef DATA_DATA_H
#define DATA_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* ---- tokenizers ---- "byte": 256 bytes, id 256 = end of text. "bpe": byte-level
 * BPE in Hugging Face's tokenizer.json form (GPT-2 byte alphabet; the split
 * pattern and special tokens are read from the file). Files of the kind of
 * GPT-2, Llama 3, Qwen, DeepSeek and GPT-4o are read; what cannot be carried
 * out exactly is refused by name (E_FORMAT). */
typedef struct tokenizer tokenizer;
rc tokenizer_byte(tokenizer **out);
rc tokenizer_open(const char *path,
                  tokenizer **out); /* tokenizer.json, or a folder with one */
rc tokenizer_save(
    const tokenizer *t,
    const char *path); /* tokenizer.json (byte too, as a BPE without merges) */
void tokenizer_free(tokenizer *t);
int tokenizer_vocab(const tokenizer *t);        /* ids are in [0, vocab) */
int tokenizer_end(const tokenizer *t);          /* id that ends a document, -1 if none */
const char *tokenizer_kind(const tokenizer *t); /* "byte", "bpe" */
/* Append ids of a text (any bytes) to a growing array (mem_take'd, *cap).
 * Special tokens such as <|endoftext|> are found in the text by their names.
 * Bytes that are not UTF-8 keep their bytes. After an error nothing is appended. */
typedef struct {
    int32_t *id;
    size_t n, cap;
} token_list;
rc tokenizer_encode(const tokenizer *t, const char *text, size_t n, token_list *out);
void token_list_free(token_list *l);
/* Bytes of one id; "" for special tokens and for ids beyond the vocabulary. */
const char *tokenizer_piece(const tokenizer *t, int32_t id, size_t *n);
/* Train byte-level BPE with `vocab` ids (256 bytes + merges + <|endoftext|>) on
 * files or folders; deterministic; memory bounded by distinct words. A text of
 * too few words for that many merges gives fewer ids. */
rc tokenizer_train(int n_paths, const char *const *paths, int vocab, tokenizer **out);

/* ---- datasets ---- A folder: meta.json (format version, tokenizer checksum,
 * vocab, counts, sources), tokenizer.json, train.bin, heldout.bin: 64-byte
 * header (magic "ANNEALTK", version, width 2|4, count, xxh3) then ids; all of it
 * is in tokens.h. */
typedef struct {
    double held_out;            /* fraction of the bytes, 0 to 1 */
    uint64_t seed;              /* of the choice of what is held out */
    bool byte;                  /* byte tokenizer */
    int bpe_vocab;              /* > 0: train BPE of this size on the training part */
    const char *tokenizer_path; /* else: use this one */
} data_options;

/* tokens and bytes are those of the training part, held_out_* of the other;
 * documents counts both. Bytes are of text, without <|endoftext|> marks. */
typedef struct {
    uint64_t tokens, held_out_tokens, documents;
    int vocab;
    uint64_t bytes, held_out_bytes;
} data_facts;

/* Paths are files, or folders of which every file is taken (by name,
 * recursively, without hidden names; in a folder binary files are passed over
 * and listed in meta.json). Documents: each file if there are several; in one
 * file the parts between <|endoftext|>; a single document gives its last part
 * to held-out. Each document ends with the end token, in files with marks each
 * part. Which are held out is said in source_split.c. Files are read twice, in
 * pieces: they may be larger than memory. `dir` must not exist or be empty, and
 * is complete or absent afterwards; facts may be NULL.
 * Errors: E_IO unreadable; E_FORMAT empty, binary (NUL bytes); E_CONFIG options,
 * or dir has something in it; E_BUSY another process is building dir. */
rc data_build(int n_paths, const char *const *paths, const data_options *o,
              const char *dir, data_facts *facts);
/* The same, cached: dir is derived from content (paths, sizes, mtimes, options,
 * the tokenizer's bytes) under cache_root and reused when complete. Waits while
 * another process builds it. */
rc data_cached(int n_paths, const char *const *paths, const data_options *o,
               const char *cache_root, arena *mem, const char **dir);

/* The folder of data_cached if it is complete; else *dir is NULL. */
rc data_cached_find(int n_paths, const char *const *paths, const data_options *o,
                    const char *cache_root, arena *mem, const char **dir);
/* Take away a dataset's folder, keep its files open: *out is what dataset_open
 * opens it by in this process (Linux; loose.c). keep: its descriptors survive
 * exec, or not. Both pass over the name of a folder. */
rc data_loosen(const char *dir, arena *mem, const char **out);
rc data_loose_keep(const char *dir, bool keep);
void data_loose_close(const char *dir);

typedef struct dataset dataset;
rc dataset_open(const char *dir, dataset **out);
void dataset_close(dataset *d);
void dataset_facts(const dataset *d, data_facts *out);
const char *dataset_tokenizer_path(const dataset *d);
uint64_t dataset_checksum(const dataset *d); /* of tokens and tokenizer */
/* Training windows: window i of epoch e is a seeded permutation of the
 * seq-token windows of train.bin (shifted by a per-epoch offset). Example
 * number x = epoch * windows + i; a batch is examples [x, x+batch). Position is
 * just x, so resume is exact. ids[b*seq+s], targets = next token. */
uint64_t dataset_windows(const dataset *d, int seq);
rc dataset_batch(const dataset *d, uint64_t seed, uint64_t example, int batch, int seq,
                 int32_t *ids, int32_t *targets);
/* Held-out windows in order, without overlap; targets past the end are -1.
 * *n = windows; window w into ids/targets. */
uint64_t dataset_held_windows(const dataset *d, int seq);
rc dataset_held(const dataset *d, uint64_t window, int seq, int32_t *ids,
                int32_t *targets);
/* Held-out raw bytes per token, to turn nats per token into nats per byte. */
double dataset_held_bytes_per_token(const dataset *d);

/* ---- yardsticks ---- cross-entropy in nats per byte on the held-out bytes of
 * a byte bigram and of an interpolated byte trigram, both counted on the
 * training bytes (add-0.01 smoothing / Witten-Bell style weights: documented). */
rc data_ngram(const char *dir, double *bigram, double *trigram);

/* Deterministic short stories from our own word lists, `bytes` long, documents
 * separated by <|endoftext|>: for demos without any text at hand. */
rc data_stories(uint64_t seed, size_t bytes, str *out);

#endif
