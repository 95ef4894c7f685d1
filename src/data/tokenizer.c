/* tokenizer.c - opening, saving and the plain questions. */
#include <string.h>
#include <jansson.h>
#include <xxhash.h>
#include "base/file.h"
#include "data/source.h"
#include "data/tokenizer.h"

/* Bytes that print in Latin-1 stand for themselves; the other 68, in order,
 * take the code points from 256 on. Source: the published encoder of GPT-2. */
static unsigned letter_of(unsigned byte)
{
    unsigned next = 256;
    for (unsigned b = 0; b < 256; b++) {
        bool itself = (b > 32 && b < 127) || (b > 160 && b != 173);
        unsigned letter = itself ? b : next++;
        if (b == byte) return letter;
    }
    return 0;
}

void byte_to_letter(unsigned char byte, char out[3])
{
    unsigned c = letter_of(byte);
    memset(out, 0, 3);
    if (c < 128) {
        out[0] = (char)c;
        return;
    }
    out[0] = (char)(0xC0 | c >> 6);
    out[1] = (char)(0x80 | (c & 63));
}

/* The tokenizer.json of bytes: a BPE without merges, whose ids are the bytes. */
static rc byte_json(str *out)
{
    str_add(out,
            "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
            "  \"added_tokens\": [\n    {\"id\": 256, \"content\": \"" END_MARK "\", "
            "\"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
            "\"normalized\": false, \"special\": true}\n  ],\n"
            "  \"normalizer\": null,\n"
            "  \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
            "\"trim_offsets\": true, \"use_regex\": false},\n"
            "  \"post_processor\": null,\n"
            "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
            "\"trim_offsets\": true, \"use_regex\": false},\n"
            "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n"
            "    \"unk_token\": null,\n    \"continuing_subword_prefix\": null,\n"
            "    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n"
            "    \"byte_fallback\": false,\n    \"vocab\": {");
    for (unsigned b = 0; b < 256; b++) {
        char letter[3];
        byte_to_letter((unsigned char)b, letter);
        bool quote = b == '"' || b == '\\';
        str_addf(out, "%s\n      \"%s%s\": %u", b ? "," : "", quote ? "\\" : "", letter,
                 b);
    }
    str_addf(out, ",\n      \"%s\": 256\n    },\n    \"merges\": []\n  }\n}\n", END_MARK);
    return str_done(out);
}

rc tokenizer_byte(tokenizer **out)
{
    str json = {0};
    rc r = byte_json(&json);
    if (r == OK) r = tokenizer_parse(json.p, json.n, "the byte tokenizer", out);
    str_free(&json);
    return r;
}

/* Only the byte tokenizer's own text. */
static rc read_bytes(tokenizer *t, const char *where)
{
    str json = {0};
    rc r = byte_json(&json);
    bool same = r == OK && json.n == t->json_n && !memcmp(json.p, t->json, json.n);
    str_free(&json);
    TRY(r);
    if (!same) return err_fail(E_UNIMPL, "%s is not the byte tokenizer", where);
    t->byte = true, t->vocab = 257, t->end = 256;
    t->piece = arena_array(t->mem, 257, sizeof *t->piece);
    char *all = arena_take(t->mem, 256);
    if (!t->piece || !all) return E_MEMORY;
    for (int i = 0; i < 256; i++) {
        all[i] = (char)i;
        t->piece[i] = (token_piece){.p = all + i, .n = 1};
    }
    t->piece[256] = (token_piece){.p = "", .special = true};
    return OK;
}

rc tokenizer_parse(const char *json, size_t n, const char *where, tokenizer **out)
{
    arena *a = arena_new();
    tokenizer *t = a ? arena_take(a, sizeof *t) : NULL;
    rc r = t && (t->json = arena_textn(a, json, n)) ? OK : E_MEMORY;
    if (r == OK) {
        t->mem = a, t->json_n = n;
        t->sum = XXH3_64bits(json, n);
        r = read_bytes(t, where);
    }
    if (r == OK) *out = t;
    else arena_free(a);
    return r;
}

rc tokenizer_open(const char *path, tokenizer **out)
{
    arena *a = arena_new();
    char *bytes, *inner = NULL;
    size_t n;
    rc r = a ? OK : E_MEMORY;
    if (r == OK && file_is_dir(path)) {
        inner = file_join(a, path, "tokenizer.json");
        if (inner) path = inner;
        else r = E_MEMORY;
    }
    if (r == OK) r = file_read(a, path, (size_t)256 << 20, &bytes, &n);
    if (r == OK) r = tokenizer_parse(bytes, n, path, out);
    arena_free(a);
    return r;
}

rc tokenizer_save(const tokenizer *t, const char *path)
{
    return file_replace(path, t->json, t->json_n);
}

void tokenizer_free(tokenizer *t)
{
    if (t) arena_free(t->mem);
}

int tokenizer_vocab(const tokenizer *t)
{
    return t->vocab;
}

int tokenizer_end(const tokenizer *t)
{
    return t->end;
}

const char *tokenizer_kind(const tokenizer *t)
{
    return t->byte ? "byte" : "bpe";
}

const char *tokenizer_piece(const tokenizer *t, int32_t id, size_t *n)
{
    bool known = id >= 0 && id < t->vocab && !t->piece[id].special;
    *n = known ? t->piece[id].n : 0;
    return known ? t->piece[id].p : "";
}

static rc grow(token_list *l, size_t more)
{
    size_t need = mem_add(l->n, more), cap = l->cap ? l->cap : 256;
    if (need <= l->cap) return OK;
    while (cap < need) cap = mem_mul(cap, 2);
    int32_t *id = mem_take(mem_mul(cap, sizeof *id));
    if (!id) return E_MEMORY;
    if (l->n) memcpy(id, l->id, l->n * sizeof *id);
    mem_drop(l->id);
    l->id = id, l->cap = cap;
    return OK;
}

rc tokenizer_encode(const tokenizer *t, const char *text, size_t n, token_list *out)
{
    TRY(grow(out, n));
    for (size_t i = 0; i < n;) {
        bool mark = n - i >= END_MARK_N && !memcmp(text + i, END_MARK, END_MARK_N);
        out->id[out->n++] = mark ? t->end : (unsigned char)text[i];
        i += mark ? END_MARK_N : 1;
    }
    return OK;
}

void token_list_free(token_list *l)
{
    mem_drop(l->id);
    *l = (token_list){0};
}
