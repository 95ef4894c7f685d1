/* tokens.c - writing and checking token files; the form is in tokens.h.
 *
 * The header stands in front but is known last (count, checksum), so the
 * writer leaves room and fills it in at the end. A file that was cut off
 * before that has zeros there and is refused. */
#include <string.h>
#include <xxhash.h>
#include "base/arena.h"
#include "data/tokens.h"

#define PIECE ((size_t)1 << 20)

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "token files are read in place, which wants a little-endian machine"
#endif

struct token_writer {
    file *f;
    tokens_header h;
    XXH3_state_t sum; /* 64-byte aligned, as mem_take is */
    size_t used;      /* bytes in buf */
    unsigned char buf[PIECE];
};

rc token_writer_open(const char *path, uint32_t vocab, uint64_t tokenizer,
                     token_writer **out)
{
    static const unsigned char zeros[TOKENS_HEADER];
    token_writer *w = mem_take(sizeof *w);
    if (!w) return E_MEMORY;
    w->h.vocab = vocab, w->h.tokenizer = tokenizer;
    w->h.width = vocab <= 1u << 16 ? 2 : 4;
    rc r = file_create(path, &w->f);
    if (r == OK) r = file_write(w->f, zeros, sizeof zeros);
    if (r != OK) {
        token_writer_drop(w);
        return r;
    }
    XXH3_64bits_reset(&w->sum);
    *out = w;
    return OK;
}

void token_writer_drop(token_writer *w)
{
    if (!w) return;
    file_drop(w->f);
    mem_drop(w);
}

static rc flush(token_writer *w)
{
    XXH3_64bits_update(&w->sum, w->buf, w->used);
    rc r = w->used ? file_write(w->f, w->buf, w->used) : OK;
    w->used = 0;
    return r;
}

rc token_writer_add(token_writer *w, const int32_t *id, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (id[i] < 0 || (uint32_t)id[i] >= w->h.vocab)
            return err_fail(E_FORMAT, "token id %d is beyond the vocabulary of %u", id[i],
                            w->h.vocab);
        if (PIECE - w->used < w->h.width) TRY(flush(w));
        if (w->h.width == 2) {
            uint16_t v = (uint16_t)id[i];
            memcpy(w->buf + w->used, &v, 2);
        } else memcpy(w->buf + w->used, &id[i], 4);
        w->used += w->h.width;
    }
    w->h.count += n;
    return OK;
}

static void pack_header(const tokens_header *h, unsigned char out[TOKENS_HEADER])
{
    uint32_t version = TOKENS_VERSION;
    memset(out, 0, TOKENS_HEADER);
    memcpy(out, TOKENS_MAGIC, 8);
    memcpy(out + 8, &version, 4);
    memcpy(out + 12, &h->width, 4);
    memcpy(out + 16, &h->count, 8);
    memcpy(out + 24, &h->sum, 8);
    memcpy(out + 32, &h->text_bytes, 8);
    memcpy(out + 40, &h->tokenizer, 8);
    memcpy(out + 48, &h->vocab, 4);
}

rc token_writer_close(token_writer *w, uint64_t text_bytes, tokens_header *h)
{
    unsigned char head[TOKENS_HEADER];
    rc r = flush(w);
    w->h.sum = XXH3_64bits_digest(&w->sum);
    w->h.text_bytes = text_bytes;
    *h = w->h;
    pack_header(&w->h, head);
    if (r == OK) r = file_write_at(w->f, 0, head, sizeof head);
    if (r == OK) r = file_sync(w->f);
    if (r == OK) {
        r = file_close(w->f);
        w->f = NULL;
    }
    token_writer_drop(w);
    return r;
}

static rc read_header(const char *path, tokens *t)
{
    const uint8_t *p = t->map.p;
    uint32_t version;
    if (t->map.n < TOKENS_HEADER || memcmp(p, TOKENS_MAGIC, 8))
        return err_fail(E_FORMAT, "%s is not a token file, or was not finished", path);
    memcpy(&version, p + 8, 4);
    if (version != TOKENS_VERSION)
        return err_fail(E_FORMAT, "%s has format version %u, wanted %u", path, version,
                        TOKENS_VERSION);
    memcpy(&t->h.width, p + 12, 4);
    memcpy(&t->h.count, p + 16, 8);
    memcpy(&t->h.sum, p + 24, 8);
    memcpy(&t->h.text_bytes, p + 32, 8);
    memcpy(&t->h.tokenizer, p + 40, 8);
    memcpy(&t->h.vocab, p + 48, 4);
    if ((t->h.width != 2 && t->h.width != 4) || t->h.vocab == 0 || t->h.vocab > INT32_MAX)
        return err_fail(E_FORMAT, "%s has ids of %u bytes below %u, wanted 2 or 4 bytes",
                        path, t->h.width, t->h.vocab);
    if (t->h.count != (t->map.n - TOKENS_HEADER) / t->h.width ||
        t->h.count * t->h.width != t->map.n - TOKENS_HEADER)
        return err_fail(
            E_FORMAT, "%s has %zu bytes, wanted %llu ids of %u bytes after %u", path,
            t->map.n, (unsigned long long)t->h.count, t->h.width, TOKENS_HEADER);
    return OK;
}

static rc check_ids(const char *path, const tokens *t)
{
    const uint8_t *p = t->map.p + TOKENS_HEADER;
    uint64_t sum = XXH3_64bits(p, t->map.n - TOKENS_HEADER);
    for (uint64_t i = 0; i < t->h.count; i++) {
        uint32_t id = t->id16 ? t->id16[i] : t->id32[i];
        if (id >= t->h.vocab)
            return err_fail(E_FORMAT, "%s: token %llu is %u, beyond the vocabulary of %u",
                            path, (unsigned long long)i, id, t->h.vocab);
    }
    if (sum == t->h.sum) return OK;
    return err_fail(E_FORMAT, "%s has checksum %016llx, wanted %016llx", path,
                    (unsigned long long)sum, (unsigned long long)t->h.sum);
}

rc tokens_open(const char *path, tokens *out)
{
    *out = (tokens){0};
    TRY(file_map(path, &out->map));
    rc r = read_header(path, out);
    if (r == OK) {
        const void *ids = out->map.p + TOKENS_HEADER;
        if (out->h.width == 2) out->id16 = ids;
        else out->id32 = ids;
        r = check_ids(path, out);
    }
    if (r != OK) tokens_close(out);
    return r;
}

void tokens_close(tokens *t)
{
    file_unmap(&t->map);
    *t = (tokens){0};
}
