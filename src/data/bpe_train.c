/* bpe_train.c - a tokenizer from the user's text: split it as it will be split
 * for encoding, count the pieces, learn merges from the counts. */
#include <string.h>
#include "data/bpe_train.h"

#define PIECE ((size_t)1 << 18) /* bytes read at once */
#define LEAST_VOCAB 257
#define MOST_VOCAB (1 << 20)
/* Different words kept at once, about 100 bytes each with their counts. */
#define MOST_WORDS ((size_t)1 << 22)
#define MOST_WORD_BYTES ((size_t)256 << 20)

typedef struct {
    word_map words; /* value: how often */
    size_t bytes;
    uint64_t rare; /* words seen up to this often are forgotten when it is full */
} census;

/* Forget the rarest, until half the room is free. The order of what stays is
 * the order of first sight, so this too depends on the text alone. */
static rc forget(census *c)
{
    do {
        word_map kept = {0};
        c->bytes = 0;
        c->rare++;
        for (size_t i = 0; i < c->words.n; i++) {
            const word_entry *e = &c->words.entry[i];
            word_entry *to;
            if (e->value <= c->rare) continue;
            rc r = word_map_put(&kept, e->p, e->n, &to, NULL);
            if (r != OK) {
                word_map_free(&kept);
                return r;
            }
            to->value = e->value;
            c->bytes += e->n;
        }
        word_map_free(&c->words);
        c->words = kept;
    } while (c->words.n > MOST_WORDS / 2 || c->bytes > MOST_WORD_BYTES / 2);
    return OK;
}

static rc count_piece(void *ctx, const char *p, size_t n, int32_t added)
{
    census *c = ctx;
    word_entry *e;
    bool fresh;
    if (added >= 0) return OK;
    TRY(word_map_put(&c->words, p, n, &e, &fresh));
    e->value++;
    if (!fresh) return OK;
    c->bytes += n;
    if (c->words.n < MOST_WORDS && c->bytes < MOST_WORD_BYTES) return OK;
    return forget(c);
}

static rc count_document(census *c, splitter *split, source_reader *from, char *buffer)
{
    for (size_t got = PIECE; got == PIECE;) {
        TRY(source_read(from, buffer, PIECE, &got));
        TRY(splitter_add(split, buffer, got, count_piece, c));
    }
    return splitter_end(split, count_piece, c);
}

static rc count_words(const source *s, const tokenizer *plain, census *c)
{
    source_reader reader;
    splitter *split = NULL;
    char *buffer = mem_take(PIECE);
    rc r = buffer ? splitter_new(plain, &split) : E_MEMORY;
    source_reader_start(&reader, s);
    for (size_t i = 0; r == OK && i < s->n_docs; i++) {
        if (s->doc[i].held) continue;
        r = source_reader_seek(&reader, &s->doc[i]);
        if (r == OK) r = count_document(c, split, &reader, buffer);
    }
    source_reader_stop(&reader);
    splitter_free(split);
    mem_drop(buffer);
    return r;
}

static rc open_written(const int32_t (*pair)[2], size_t n, tokenizer **out)
{
    str json = {0};
    rc r = tokenizer_write(pair, n, true, &json);
    if (r == OK) r = tokenizer_parse(json.p, json.n, "the new tokenizer", out);
    str_free(&json);
    return r;
}

rc bpe_train(const source *s, int vocab, tokenizer **out)
{
    if (vocab < LEAST_VOCAB || vocab > MOST_VOCAB)
        return err_fail(E_CONFIG, "wanted a BPE vocabulary from %d to %d, had %d",
                        LEAST_VOCAB, MOST_VOCAB, vocab);
    size_t most = (size_t)vocab - LEAST_VOCAB, n;
    census c = {0};
    tokenizer *plain = NULL;
    int32_t(*pair)[2] = mem_take(mem_mul(most, sizeof *pair));
    rc r = pair ? open_written(NULL, 0, &plain) : E_MEMORY;
    if (r == OK) r = count_words(s, plain, &c);
    if (r == OK) r = bpe_learn(&c.words, most, pair, &n);
    if (r == OK) r = open_written((const int32_t(*)[2])pair, n, out);
    tokenizer_free(plain);
    word_map_free(&c.words);
    mem_drop(pair);
    return r;
}

rc tokenizer_train(int n_paths, const char *const *paths, int vocab, tokenizer **out)
{
    source s;
    rc r = source_list(&s, n_paths, paths);
    if (r == OK) r = source_scan(&s);
    if (r == OK) r = bpe_train(&s, vocab, out);
    source_close(&s);
    return r;
}
