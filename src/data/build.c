/* build.c - from text to a dataset folder.
 *
 * DIR is written as DIR.tmp and renamed when it is complete, so a dataset is
 * whole or absent. Who builds holds a lock inside DIR.tmp; whoever comes second
 * is told (data_build) or waits for the same result (data_cached). */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <jansson.h>
#include <xxhash.h>
#include "base/file.h"
#include "data/bpe_train.h"
#include "data/tokens.h"

#define DATASET_VERSION 1
#define PIECE ((size_t)1 << 18) /* bytes read at once */

typedef struct {
    source src;
    tokenizer *tok;
    arena *mem;
    const char *dir, *tmp;
    tokens_header train, held;
} build;

static rc make_tokenizer(const source *s, const data_options *o, tokenizer **out)
{
    if (o->byte) return tokenizer_byte(out);
    if (o->bpe_vocab > 0) return bpe_train(s, o->bpe_vocab, out);
    if (o->tokenizer_path) return tokenizer_open(o->tokenizer_path, out);
    err_fail(E_CONFIG, "wanted a tokenizer, had none");
    return err_hint(E_CONFIG,
                    "--tokenizer byte, bpe:32000 or the path of a tokenizer.json");
}

static rc add_document(build *b, source_reader *from, encoder *e, char *buffer,
                       token_list *ids, token_writer *to)
{
    int32_t end = tokenizer_end(b->tok);
    for (size_t got = PIECE; got == PIECE;) {
        TRY(source_read(from, buffer, PIECE, &got));
        ids->n = 0;
        TRY(encoder_add(e, buffer, got, ids));
        if (got < PIECE) TRY(encoder_end(e, ids));
        TRY(token_writer_add(to, ids->id, ids->n));
    }
    return end < 0 ? OK : token_writer_add(to, &end, 1);
}

static rc write_documents(build *b, bool held, token_writer *w)
{
    char *buffer = mem_take(PIECE);
    token_list ids = {0};
    encoder *e = NULL;
    source_reader reader;
    source_reader_start(&reader, &b->src);
    rc r = buffer ? encoder_new(b->tok, &e) : E_MEMORY;
    for (size_t i = 0; r == OK && i < b->src.n_docs; i++) {
        const source_doc *doc = &b->src.doc[i];
        if (doc->held != held) continue;
        r = source_reader_seek(&reader, doc);
        if (r == OK) r = add_document(b, &reader, e, buffer, &ids, w);
        if (r != OK) r = err_while(r, "reading %s", b->src.file[doc->file].path);
    }
    source_reader_stop(&reader);
    encoder_free(e);
    token_list_free(&ids);
    mem_drop(buffer);
    return r;
}

static rc write_part(build *b, const char *name, bool held, uint64_t bytes,
                     tokens_header *h)
{
    char *path = file_join(b->mem, b->tmp, name);
    token_writer *w;
    if (!path) return E_MEMORY;
    TRY(token_writer_open(path, (uint32_t)b->tok->vocab, b->tok->sum, &w));
    rc r = write_documents(b, held, w);
    if (r == OK) return token_writer_close(w, bytes, h);
    token_writer_drop(w);
    return r;
}

static json_t *describe(const build *b, const data_options *o)
{
    char sum[17];
    snprintf(sum, sizeof sum, "%016llx", (unsigned long long)b->tok->sum);
    json_t *j = json_pack(
        "{s:s, s:i, s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:[], s:[]}",
        "format", "anneal dataset", "version", DATASET_VERSION, "tokenizer",
        tokenizer_kind(b->tok), "tokenizer_xxh3", sum, "vocab", b->tok->vocab, "tokens",
        (json_int_t)b->train.count, "held_out_tokens", (json_int_t)b->held.count,
        "documents", (json_int_t)b->src.units, "bytes", (json_int_t)b->train.text_bytes,
        "held_out_bytes", (json_int_t)b->held.text_bytes, "held_out", o->held_out, "seed",
        (json_int_t)o->seed, "sources", "not_text");
    for (size_t i = 0; j && i < b->src.n_files; i++) {
        const source_file *f = &b->src.file[i];
        json_t *list = json_object_get(j, f->binary ? "not_text" : "sources");
        /* a path that is not UTF-8 cannot be a JSON text */
        json_t *one = json_pack("{s:s, s:I}", "path", f->path, "bytes",
                                (json_int_t)f->size);
        if (!one)
            one = json_pack("{s:s, s:I}", "path", "(not UTF-8)", "bytes",
                            (json_int_t)f->size);
        if (json_array_append_new(list, one)) {
            json_decref(j);
            return NULL;
        }
    }
    return j;
}

static rc write_meta(build *b, const data_options *o)
{
    const char *path = file_join(b->mem, b->tmp, "meta.json");
    json_t *j = describe(b, o);
    char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    rc r = path && text ? file_replace(path, text, strlen(text))
                        : err_fail(E_MEMORY, "out of memory writing %s", b->dir);
    free(text);
    json_decref(j);
    return r;
}

static rc fill(build *b, const data_options *o)
{
    const char *path = file_join(b->mem, b->tmp, "tokenizer.json");
    TRY(source_scan(&b->src));
    TRY(source_split(&b->src, o->held_out, o->seed));
    TRY(make_tokenizer(&b->src, o, &b->tok));
    if (!path) return E_MEMORY;
    TRY(tokenizer_save(b->tok, path));
    uint64_t bytes = b->src.bytes - b->src.held_bytes;
    TRY(write_part(b, "train.bin", false, bytes, &b->train));
    TRY(write_part(b, "heldout.bin", true, b->src.held_bytes, &b->held));
    return write_meta(b, o);
}

/* Take the place: refuse a folder that has something in it already. */
static rc claim(build *b, file_lock_ *lock)
{
    char **name, *path;
    size_t n = 0;
    if (file_is_dir(b->dir)) TRY(file_list(b->mem, b->dir, &name, &n));
    else if (file_exists(b->dir)) n = 1;
    if (n) {
        err_fail(E_CONFIG, "%s exists already", b->dir);
        return err_hint(E_CONFIG, "name another folder, or remove it first: rm -r %s",
                        b->dir);
    }
    if (!(path = file_join(b->mem, b->tmp, "lock"))) return E_MEMORY;
    TRY(file_make_dirs_for(b->tmp, b->dir));
    return file_lock(path, lock);
}

/* The lock moves with the folder and is removed at the new place: removed
 * before, another could lock DIR.tmp between the two. */
static rc publish(build *b)
{
    char *lock = file_join(b->mem, b->dir, "lock");
    if (!lock) return E_MEMORY;
    TRY(file_sync_dir(b->tmp));
    TRY(file_rename(b->tmp, b->dir));
    return file_remove(lock);
}

rc data_build(int n_paths, const char *const *paths, const data_options *o,
              const char *dir, data_facts *facts)
{
    build b = {.mem = arena_new(), .dir = dir};
    file_lock_ lock;
    rc r = b.mem && (b.tmp = arena_printf(b.mem, "%s.tmp", dir)) ? OK : E_MEMORY;
    if (r == OK) r = source_list(&b.src, n_paths, paths);
    bool claimed = r == OK && (r = claim(&b, &lock)) == OK;
    if (r == OK) r = fill(&b, o);
    if (r == OK) r = publish(&b);
    if (claimed) {
        if (r != OK) {
            err_saved why;
            err_save(r, &why);
            file_remove_tree(b.tmp);
            r = err_restore(&why);
        }
        file_unlock(&lock);
    }
    if (r == OK && facts)
        *facts = (data_facts){.tokens = b.train.count,
                              .held_out_tokens = b.held.count,
                              .documents = b.src.units,
                              .vocab = b.tok->vocab,
                              .bytes = b.train.text_bytes,
                              .held_out_bytes = b.held.text_bytes};
    tokenizer_free(b.tok);
    source_close(&b.src);
    arena_free(b.mem);
    return r;
}

/* The tokenizer by its bytes, so that a changed file is seen. */
static rc tokenizer_key(arena *mem, const char *path, str *key)
{
    file_map_ map;
    const char *json = file_is_dir(path) ? file_join(mem, path, "tokenizer.json") : path;
    if (!json) return E_MEMORY;
    TRY(file_map(json, &map));
    str_addf(key, "tokenizer %016llx\n",
             (unsigned long long)XXH3_64bits(map.n ? map.p : (const void *)"", map.n));
    file_unmap(&map);
    return OK;
}

/* Everything the result depends on, as text, hashed to a name. */
static rc cache_name(const source *s, const data_options *o, str *out)
{
    str key = {0};
    rc r = OK;
    str_addf(&key, "version %d byte %d bpe %d held %.17g seed %llu\n", DATASET_VERSION,
             o->byte, o->byte ? 0 : o->bpe_vocab, o->held_out,
             (unsigned long long)o->seed);
    if (!o->byte && o->bpe_vocab <= 0 && o->tokenizer_path)
        r = tokenizer_key(s->mem, o->tokenizer_path, &key);
    for (size_t i = 0; i < s->n_files; i++) {
        char *real = realpath(s->file[i].path, NULL);
        str_addf(&key, "%llu %lld %s\n", (unsigned long long)s->file[i].size,
                 (long long)s->file[i].mtime_ns, real ? real : s->file[i].path);
        free(real);
    }
    if (r == OK) r = str_done(&key);
    if (r == OK) {
        XXH128_hash_t h = XXH3_128bits(key.p, key.n);
        str_addf(out, "%016llx%016llx", (unsigned long long)h.high64,
                 (unsigned long long)h.low64);
        r = str_done(out);
    }
    str_free(&key);
    return r;
}

static bool complete(arena *a, const char *dir)
{
    char *meta = file_join(a, dir, "meta.json");
    return meta && file_exists(meta);
}

/* Where the tokens of these texts are, or are to be. */
static rc cached_path(int n_paths, const char *const *paths, const data_options *o,
                      const char *cache_root, arena *mem, char **path)
{
    source s;
    str name = {0};
    *path = NULL;
    rc r = source_list(&s, n_paths, paths);
    if (r == OK) r = cache_name(&s, o, &name);
    if (r == OK && !(*path = file_join(mem, cache_root, name.p))) r = E_MEMORY;
    str_free(&name);
    source_close(&s);
    return r;
}

rc data_cached_find(int n_paths, const char *const *paths, const data_options *o,
                    const char *cache_root, arena *mem, const char **dir)
{
    char *path;
    *dir = NULL;
    TRY(cached_path(n_paths, paths, o, cache_root, mem, &path));
    if (complete(mem, path)) *dir = path;
    return OK;
}

rc data_cached(int n_paths, const char *const *paths, const data_options *o,
               const char *cache_root, arena *mem, const char **dir)
{
    char *path;
    rc r = cached_path(n_paths, paths, o, cache_root, mem, &path);
    while (r == OK && !complete(mem, path)) {
        r = data_build(n_paths, paths, o, path, NULL);
        if (r == OK) break;
        /* another process builds it, or has just finished */
        struct timespec pause = {.tv_nsec = 100000000};
        if (r == E_BUSY || complete(mem, path)) {
            r = OK;
            nanosleep(&pause, NULL);
        }
    }
    if (r == OK) *dir = path;
    return r;
}
