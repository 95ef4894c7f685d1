/* tokenizer_read.c - reading a tokenizer.json of the byte-level BPE kind: ours,
 * or another's (GPT-2, Llama 3, Qwen and their relatives).
 *
 * Every part of the file that changes ids is either carried out or refused by
 * name; nothing is guessed. What does not change ids (decoder, post-processor,
 * truncation, padding) is not looked at. */
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include <xxhash.h>
#include "data/source.h"
#include "data/tokenizer.h"

#define MOST_IDS (1 << 20)
#define MOST_MERGES ((size_t)1 << 20)

/* The split that "ByteLevel" stands for; published with GPT-2. */
#define GPT2_PATTERN \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

typedef struct {
    tokenizer *t;
    const char *where;
    json_t *root, *model, *vocab;
} reader;

static rc refuse(const reader *r, const char *what, const char *name)
{
    err_fail(E_FORMAT, "%s has %s '%.60s', wanted byte-level BPE", r->where, what, name);
    return err_hint(E_FORMAT,
                    "tokenizers of the kind of GPT-2, Llama 3 and Qwen can be read; "
                    "--tokenizer bpe:32000 makes one from your text");
}

static rc broken(const reader *r, const char *what)
{
    return err_fail(E_FORMAT, "%s: %s", r->where, what);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool flag_of(const json_t *object, const char *key, bool missing)
{
    const json_t *v = json_object_get(object, key);
    return json_is_boolean(v) ? json_is_true(v) : missing;
}

static bool given(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return v && !json_is_null(v);
}

/* Which model, and the switches that would make other ids. */
static rc check_model(reader *r)
{
    r->model = json_object_get(r->root, "model");
    if (!json_is_object(r->model)) return broken(r, "it has no model");
    const char *type = text_of(r->model, "type");
    if (given(r->model, "type") && strcmp(type, "BPE")) return refuse(r, "a model", type);
    if (flag_of(r->model, "byte_fallback", false))
        return refuse(r, "a SentencePiece model with", "byte_fallback");
    if (*text_of(r->model, "continuing_subword_prefix"))
        return refuse(r, "a continuing_subword_prefix",
                      text_of(r->model, "continuing_subword_prefix"));
    if (*text_of(r->model, "end_of_word_suffix"))
        return refuse(r, "an end_of_word_suffix",
                      text_of(r->model, "end_of_word_suffix"));
    if (json_number_value(json_object_get(r->model, "dropout")) > 0)
        return refuse(r, "random merges with", "dropout");
    r->vocab = json_object_get(r->model, "vocab");
    if (!json_is_object(r->vocab)) return broken(r, "the model has no vocab");
    return OK;
}

static rc read_id(const reader *r, const json_t *v, int32_t *id)
{
    json_int_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < 0 || n >= MOST_IDS)
        return err_fail(E_FORMAT,
                        "%s: a token has an id that is not a whole number below %d",
                        r->where, MOST_IDS);
    *id = (int32_t)n;
    return OK;
}

/* One past the highest id, of the vocabulary and the added tokens. */
static rc count_ids(reader *r)
{
    const char *key;
    json_t *v, *added = json_object_get(r->root, "added_tokens");
    size_t i;
    int32_t id = 0, top = -1;
    json_object_foreach(r->vocab, key, v)
    {
        TRY(read_id(r, v, &id));
        if (id > top) top = id;
    }
    json_array_foreach(added, i, v)
    {
        TRY(read_id(r, json_object_get(v, "id"), &id));
        if (id > top) top = id;
    }
    if (top < 0) return broken(r, "the vocab is empty");
    r->t->vocab = top + 1;
    r->t->piece = arena_array(r->t->mem, (size_t)r->t->vocab, sizeof *r->t->piece);
    return r->t->piece ? OK : E_MEMORY;
}

static rc read_vocab(reader *r)
{
    tokenizer *t = r->t;
    const char *key;
    json_t *v;
    size_t room = 0, n;
    json_object_foreach(r->vocab, key, v) room += strlen(key) + 1;
    char *bytes = arena_take(t->mem, room);
    if (!bytes) return E_MEMORY;
    for (int b = 0; b < 256; b++) t->letter[b] = -1;
    json_object_foreach(r->vocab, key, v)
    {
        int32_t id = (int32_t)json_integer_value(v);
        if (t->piece[id].p)
            return err_fail(E_FORMAT, "%s: two tokens have the id %d", r->where, id);
        /* a token outside the alphabet is never made from text */
        bool letters = letters_to_bytes(key, bytes, &n);
        if (!letters) memcpy(bytes, key, n = strlen(key));
        t->piece[id] = (token_piece){.p = bytes, .n = (uint32_t)n};
        if (letters && n == 1) t->letter[(unsigned char)*bytes] = id;
        if (letters && t->whole_words) {
            word_entry *e;
            TRY(word_map_put(&t->words, bytes, n, &e, NULL));
            e->value = (uint64_t)id;
        }
        bytes += n;
    }
    return OK;
}

/* A merge is "a b" or ["a", "b"]. */
static rc split_merge(const reader *r, const json_t *merge, str *both, const char **a,
                      const char **b)
{
    str_clear(both);
    if (json_is_array(merge) && json_array_size(merge) == 2) {
        *a = json_string_value(json_array_get(merge, 0));
        *b = json_string_value(json_array_get(merge, 1));
        return *a && *b ? OK : broken(r, "a merge is not two texts");
    }
    const char *text = json_string_value(merge), *space = text ? strchr(text, ' ') : NULL;
    if (!space) return broken(r, "a merge is not two texts");
    str_addn(both, text, (size_t)(space - text));
    str_addc(both, 0);
    str_add(both, space + 1);
    TRY(str_done(both));
    *a = both->p, *b = both->p + (space - text) + 1;
    return OK;
}

static rc add_merge(reader *r, size_t rank, const json_t *merge, str *both, str *sum)
{
    const char *a = NULL, *b = NULL;
    TRY(split_merge(r, merge, both, &a, &b));
    str_clear(sum);
    str_add(sum, a);
    str_add(sum, b);
    TRY(str_done(sum));
    const json_t *id_a = json_object_get(r->vocab, a),
                 *id_b = json_object_get(r->vocab, b);
    const json_t *id = json_object_get(r->vocab, str_text(sum));
    if (!id_a || !id_b || !id)
        return err_fail(E_FORMAT,
                        "%s: merge %zu, '%.60s' and '%.60s', is not in the vocab",
                        r->where, rank, a, b);
    uint32_t *value;
    TRY(pair_map_put(&r->t->merge,
                     PAIR_KEY(json_integer_value(id_a), json_integer_value(id_b)),
                     &value));
    *value = (uint32_t)rank; /* the last of equal merges counts */
    r->t->merged[rank] = (int32_t)json_integer_value(id);
    return OK;
}

static rc read_merges(reader *r)
{
    const json_t *merges = json_object_get(r->model, "merges");
    if (!json_is_array(merges)) return broken(r, "the model has no merges");
    size_t n = json_array_size(merges);
    str both = {0}, sum = {0};
    if (n > MOST_MERGES) return broken(r, "it has too many merges");
    r->t->n_merges = n;
    r->t->merged = arena_array(r->t->mem, n, sizeof *r->t->merged);
    rc e = r->t->merged ? OK : E_MEMORY;
    for (size_t i = 0; e == OK && i < n; i++)
        e = add_merge(r, i, json_array_get(merges, i), &both, &sum);
    str_free(&both);
    str_free(&sum);
    return e;
}

/* What stands for a byte that has no token. Several in a row as one token is
 * not carried out, so it must not come up. */
static rc read_unknown(reader *r)
{
    tokenizer *t = r->t;
    const char *name = text_of(r->model, "unk_token");
    const json_t *id = *name ? json_object_get(r->vocab, name) : NULL;
    t->unknown = id ? (int32_t)json_integer_value(id) : -1;
    for (int b = 0; id && b < 256; b++)
        if (t->letter[b] < 0 && flag_of(r->model, "fuse_unk", false))
            return refuse(r, "bytes without a token and", "fuse_unk");
    return OK;
}

static int by_first_then_longest(const void *x, const void *y)
{
    const added_token *a = x, *b = y;
    unsigned char ca = (unsigned char)*a->p, cb = (unsigned char)*b->p;
    if (ca != cb) return ca < cb ? -1 : 1;
    if (a->n != b->n) return a->n > b->n ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static rc add_added(reader *r, const json_t *one)
{
    static const char *const other[] = {"single_word", "lstrip", "rstrip"};
    tokenizer *t = r->t;
    const char *text = text_of(one, "content");
    int32_t id = (int32_t)json_integer_value(json_object_get(one, "id"));
    size_t n = strlen(text);
    if (!n) return broken(r, "an added token has no content");
    for (size_t i = 0; i < 3; i++)
        if (flag_of(one, other[i], false))
            return err_fail(E_FORMAT,
                            "%s: added token '%.60s' has %s, wanted it verbatim",
                            r->where, text, other[i]);
    const json_t *same = json_object_get(r->vocab, text);
    if (same ? json_integer_value(same) != id : t->piece[id].p != NULL)
        return err_fail(E_FORMAT,
                        "%s: added token '%.60s' has the id %d of another token",
                        r->where, text, id);
    char *copy = arena_text(t->mem, text);
    if (!copy) return E_MEMORY;
    t->added[t->n_added++] = (added_token){.p = copy, .n = (uint32_t)n, .id = id};
    t->piece[id] = (token_piece){
        .p = copy, .n = (uint32_t)n, .special = flag_of(one, "special", false)};
    return OK;
}

static rc read_added(reader *r)
{
    tokenizer *t = r->t;
    const json_t *list = json_object_get(r->root, "added_tokens"), *one;
    size_t i, n = json_array_size(list);
    t->added = arena_array(t->mem, n, sizeof *t->added);
    if (!t->added) return E_MEMORY;
    json_array_foreach(list, i, one) TRY(add_added(r, one));
    if (n) qsort(t->added, n, sizeof *t->added, by_first_then_longest);
    uint32_t k = 0;
    for (unsigned b = 0; b < 257; b++) {
        while (k < n && (unsigned char)*t->added[k].p < b) k++;
        t->added_from[b] = k;
    }
    return OK;
}

static rc add_step(reader *r, const char *pattern, size_t n, bool literal, bool drop_gaps)
{
    tokenizer *t = r->t;
    if (t->n_steps == MAX_STEPS) return broken(r, "the pre_tokenizer has too many steps");
    pcre2_code *code;
    TRY_WHILE(split_compile(pattern, n, literal, &code), "reading %s", r->where);
    t->step[t->n_steps++] = (split_step){.code = code, .drop_gaps = drop_gaps};
    return OK;
}

static rc read_split(reader *r, const json_t *step)
{
    const json_t *pattern = json_object_get(step, "pattern");
    const char *behavior = text_of(step, "behavior");
    bool invert = flag_of(step, "invert", false), literal = given(pattern, "String");
    const char *text = text_of(pattern, literal ? "String" : "Regex");
    if (!*text) return broken(r, "a Split has no pattern");
    bool drop = !strcmp(behavior, "Removed") && invert;
    if (!drop && strcmp(behavior, "Isolated"))
        return refuse(r, "a Split of behavior", behavior);
    return add_step(r, text, strlen(text), literal, drop);
}

/* One pre_tokenizer; *level is set where bytes become letters. */
static rc read_pre_tokenizer(reader *r, const json_t *step, bool *level)
{
    const char *type = text_of(step, "type");
    if (!strcmp(type, "ByteLevel")) {
        if (*level) return refuse(r, "twice a pre_tokenizer", type);
        *level = true;
        if (flag_of(step, "add_prefix_space", false))
            return refuse(r, "a ByteLevel with", "add_prefix_space");
        if (!flag_of(step, "use_regex", true)) return OK;
        return add_step(r, GPT2_PATTERN, strlen(GPT2_PATTERN), false, false);
    }
    /* after ByteLevel a pattern would see letters instead of text */
    if (*level) return refuse(r, "after ByteLevel a pre_tokenizer", type);
    if (!strcmp(type, "Split")) return read_split(r, step);
    if (!strcmp(type, "Digits")) {
        const char *one = flag_of(step, "individual_digits", false) ? "\\p{N}"
                                                                    : "\\p{N}+";
        return add_step(r, one, strlen(one), false, false);
    }
    return refuse(r, "a pre_tokenizer", type);
}

static rc read_normalizer(reader *r, const json_t *one)
{
    const char *type = text_of(one, "type");
    const json_t *inner;
    size_t i;
    if (!json_is_object(one)) return OK;
    if (!strcmp(type, "NFC")) return r->t->nfc ? OK : nfc_new(&r->t->nfc);
    if (strcmp(type, "Sequence")) return refuse(r, "a normalizer", type);
    json_array_foreach(json_object_get(one, "normalizers"), i, inner)
    {
        if (!strcmp(text_of(inner, "type"), "Sequence"))
            return refuse(r, "in a normalizer another", "Sequence");
        TRY(read_normalizer(r, inner));
    }
    return OK;
}

static rc read_steps(reader *r)
{
    const json_t *pre = json_object_get(r->root, "pre_tokenizer"), *step;
    bool level = false;
    size_t i;
    TRY(read_normalizer(r, json_object_get(r->root, "normalizer")));
    if (!json_is_object(pre)) return refuse(r, "no pre_tokenizer but the model", "BPE");
    if (strcmp(text_of(pre, "type"), "Sequence")) {
        TRY(read_pre_tokenizer(r, pre, &level));
    } else {
        json_array_foreach(json_object_get(pre, "pretokenizers"), i, step)
            TRY(read_pre_tokenizer(r, step, &level));
    }
    return level ? OK : refuse(r, "a pre_tokenizer without", "ByteLevel");
}

/* The names that published files give the end of a text; the first that is
 * there counts. The third is DeepSeek's, with wide bars and low lines. */
#define WIDE_END    \
    "<\xef\xbd\x9c" \
    "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"
static void find_end(tokenizer *t)
{
    static const char *const name[] = {END_MARK, "<|end_of_text|>", (WIDE_END),  "</s>",
                                       "<eos>",  "<|eot_id|>",      "<|im_end|>"};
    t->end = -1;
    for (size_t k = 0; k < sizeof name / sizeof *name && t->end < 0; k++)
        for (size_t i = 0; i < t->n_added && t->end < 0; i++)
            if (!strcmp(t->added[i].p, name[k])) t->end = t->added[i].id;
}

/* The byte tokenizer is known by what it does, not by a name in the file. */
static bool is_byte(const tokenizer *t)
{
    if (t->n_merges || t->n_steps || t->vocab != 257 || t->end != 256 || t->n_added != 1)
        return false;
    for (int b = 0; b < 256; b++)
        if (t->letter[b] != b) return false;
    return true;
}

static rc read_all(reader *r)
{
    tokenizer *t = r->t;
    TRY(check_model(r));
    t->whole_words = flag_of(r->model, "ignore_merges", false);
    TRY(count_ids(r));
    TRY(read_steps(r));
    TRY(read_vocab(r));
    TRY(read_merges(r));
    TRY(read_unknown(r));
    TRY(read_added(r));
    find_end(t);
    t->byte = is_byte(t);
    return OK;
}

rc tokenizer_parse(const char *json, size_t n, const char *where, tokenizer **out)
{
    arena *a = arena_new();
    tokenizer *t = a ? arena_take(a, sizeof *t) : NULL;
    if (!t || !(t->json = arena_textn(a, json, n))) {
        arena_free(a);
        return E_MEMORY;
    }
    t->mem = a, t->json_n = n, t->sum = XXH3_64bits(json, n);
    json_error_t at;
    reader r = {.t = t, .where = where};
    r.root = json_loadb(json, n, 0, &at);
    rc e = r.root ? read_all(&r)
                  : err_fail(E_FORMAT, "%s:%d: wanted a tokenizer in JSON: %s", where,
                             at.line, at.text);
    json_decref(r.root);
    if (e == OK) *out = t;
    else tokenizer_free(t);
    return e;
}
