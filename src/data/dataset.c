/* dataset.c - windows of tokens out of a dataset folder.
 *
 * Training example number x is a pure function of (seed, x): epoch = x /
 * windows, and within an epoch a permutation of the windows that is computed,
 * not stored. Nothing has to be remembered to go on after a stop but x. Each
 * epoch shifts all windows by its own offset, so that windows do not always
 * end at the same tokens. */
#include <string.h>
#include <jansson.h>
#include <xxhash.h>
#include "base/arena.h"
#include "base/file.h"
#include "base/rng.h"
#include "data/data.h"
#include "data/loose.h"
#include "data/tokens.h"

#define DATASET_VERSION 1

struct dataset {
    arena *mem;
    const char *dir, *tokenizer_path;
    tokens train, held;
    uint64_t documents, tokenizer;
    int32_t end;
};

static rc no_dataset(const char *dir, const char *why)
{
    err_fail(E_FORMAT, "%s is not a dataset: %s", dir, why);
    return err_hint(E_FORMAT, "anneal data PATH -o DIR makes one from text");
}

static rc read_meta(dataset *d, json_t *meta)
{
    const char *format = NULL;
    int version = 0;
    json_int_t documents = 0;
    if (json_unpack(meta, "{s:s, s:i, s:I}", "format", &format, "version", &version,
                    "documents", &documents) ||
        strcmp(format, "anneal dataset"))
        return no_dataset(d->dir, "meta.json lacks its format, version or documents");
    if (version != DATASET_VERSION)
        return err_fail(E_FORMAT, "dataset %s has format version %d, wanted %d", d->dir,
                        version, DATASET_VERSION);
    d->documents = (uint64_t)documents;
    return OK;
}

static rc open_meta(dataset *d)
{
    char *path = loose_path(d->mem, d->dir, "meta.json"), *text;
    size_t n;
    json_error_t where;
    if (!path) return E_MEMORY;
    if (!file_exists(path)) return no_dataset(d->dir, "it has no meta.json");
    TRY(file_read(d->mem, path, 0, &text, &n));
    json_t *meta = json_loadb(text, n, 0, &where);
    if (!meta) return no_dataset(d->dir, "meta.json is not JSON");
    rc r = read_meta(d, meta);
    json_decref(meta);
    return r;
}

static rc open_tokenizer(dataset *d)
{
    file_map_ map;
    d->tokenizer_path = loose_path(d->mem, d->dir, "tokenizer.json");
    if (!d->tokenizer_path) return E_MEMORY;
    TRY(file_map(d->tokenizer_path, &map));
    d->tokenizer = XXH3_64bits(map.n ? map.p : (const void *)"", map.n);
    file_unmap(&map);
    return OK;
}

static rc open_part(dataset *d, const char *name, tokens *out)
{
    char *path = loose_path(d->mem, d->dir, name);
    if (!path) return E_MEMORY;
    TRY(tokens_open(path, out));
    if (out->h.tokenizer == d->tokenizer) return OK;
    return err_fail(
        E_FORMAT, "%s was made with another tokenizer.json than the one beside it", path);
}

static rc open_all(dataset *d)
{
    TRY(open_meta(d));
    TRY(open_tokenizer(d));
    TRY(open_part(d, "train.bin", &d->train));
    TRY(open_part(d, "heldout.bin", &d->held));
    if (d->train.h.vocab == d->held.h.vocab) return OK;
    return err_fail(E_FORMAT, "dataset %s has two vocabularies: %u and %u", d->dir,
                    d->train.h.vocab, d->held.h.vocab);
}

rc dataset_open(const char *dir, dataset **out)
{
    arena *a = arena_new();
    dataset *d = a ? arena_take(a, sizeof *d) : NULL;
    if (!d) {
        arena_free(a);
        return E_MEMORY;
    }
    d->mem = a;
    d->dir = arena_text(a, dir);
    rc r = d->dir ? open_all(d) : E_MEMORY;
    if (r == OK) *out = d;
    else dataset_close(d);
    return r == OK ? OK : err_while(r, "opening dataset %s", dir);
}

void dataset_close(dataset *d)
{
    if (!d) return;
    tokens_close(&d->train);
    tokens_close(&d->held);
    arena_free(d->mem);
}

void dataset_facts(const dataset *d, data_facts *out)
{
    *out = (data_facts){.tokens = d->train.h.count,
                        .held_out_tokens = d->held.h.count,
                        .documents = d->documents,
                        .vocab = (int)d->train.h.vocab,
                        .bytes = d->train.h.text_bytes,
                        .held_out_bytes = d->held.h.text_bytes};
}

const char *dataset_tokenizer_path(const dataset *d)
{
    return d->tokenizer_path;
}

uint64_t dataset_checksum(const dataset *d)
{
    uint64_t all[] = {d->train.h.sum, d->held.h.sum, d->tokenizer};
    return XXH3_64bits(all, sizeof all);
}

uint64_t dataset_windows(const dataset *d, int seq)
{
    uint64_t n = d->train.h.count, s = (uint64_t)seq;
    if (seq < 1 || n < s + 1) return 0;
    return n / s > 2 ? n / s - 1 : 1; /* one window is room for the offset */
}

/* First token of window i of an epoch. */
static uint64_t window_start(const dataset *d, uint64_t seed, uint64_t epoch, uint64_t i,
                             uint64_t windows, uint64_t seq)
{
    uint64_t room = d->train.h.count - 1 - windows * seq;
    uint64_t shift = rng_below(seed, rng_stream("window offset"), epoch,
                               (room < seq ? room : seq - 1) + 1);
    return shift +
           seq * rng_permute(seed, rng_stream("window order") + epoch, i, windows);
}

rc dataset_batch(const dataset *d, uint64_t seed, uint64_t example, int batch, int seq,
                 int32_t *ids, int32_t *targets)
{
    uint64_t windows = dataset_windows(d, seq), n = (uint64_t)(seq > 0 ? seq : 0);
    if (!windows) {
        err_fail(E_FORMAT,
                 "the training text is %llu tokens, shorter than one window of %d",
                 (unsigned long long)d->train.h.count, seq);
        return err_hint(E_FORMAT, "use more text or a smaller model.seq");
    }
    for (int b = 0; b < batch; b++) {
        uint64_t x = example + (uint64_t)b;
        uint64_t at = window_start(d, seed, x / windows, x % windows, windows, n);
        for (uint64_t s = 0; s < n; s++) {
            *ids++ = tokens_at(&d->train, at + s);
            *targets++ = tokens_at(&d->train, at + s + 1);
        }
    }
    return OK;
}

uint64_t dataset_held_windows(const dataset *d, int seq)
{
    uint64_t n = d->held.h.count, s = (uint64_t)seq;
    return seq < 1 || n < 2 ? 0 : (n - 2) / s + 1;
}

rc dataset_held(const dataset *d, uint64_t window, int seq, int32_t *ids,
                int32_t *targets)
{
    uint64_t windows = dataset_held_windows(d, seq), n = d->held.h.count;
    if (window >= windows)
        return err_fail(E_FORMAT,
                        "wanted held-out window %llu of %d tokens, there are %llu",
                        (unsigned long long)window, seq, (unsigned long long)windows);
    for (uint64_t s = 0; s < (uint64_t)seq; s++) {
        uint64_t at = window * (uint64_t)seq + s;
        ids[s] = at < n ? tokens_at(&d->held, at) : 0;
        targets[s] = at + 1 < n ? tokens_at(&d->held, at + 1) : -1;
    }
    return OK;
}

double dataset_held_bytes_per_token(const dataset *d)
{
    uint64_t n = d->held.h.count;
    return n ? (double)d->held.h.text_bytes / (double)n : 1.0;
}
