/* bpe_train.h - learning merges from counted words. */
#ifndef DATA_BPE_TRAIN_H
#define DATA_BPE_TRAIN_H

#include "data/map.h"
#include "data/source.h"
#include "data/tokenizer.h"

/* Merges learned from words (value = how often), at most `most` of them, as
 * pairs of ids (see tokenizer_write). Of equally frequent pairs the one with
 * the lower first, then second id is taken, so the result depends on nothing
 * but the counts. Stops early when no pair is left. `pair` has room for
 * `most`. */
rc bpe_learn(const word_map *words, size_t most, int32_t (*pair)[2], size_t *n_merges);

/* Tokenizer with `vocab` ids from the documents of a scanned source that are
 * not held out. Memory: the different words, not the text; when they outgrow
 * their room the rarest are forgotten. */
rc bpe_train(const source *s, int vocab, tokenizer **out);

#endif
