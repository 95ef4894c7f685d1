/* Tokenizers: ids and bytes are each other's reverse, training follows its
 * rule, and a tokenizer.json is read as it is meant or refused by name. */
#include <pthread.h>
#include "test.h"
#include "base/arena.h"
#include "base/rng.h"
#include "base/str.h"
#include "data/data.h"

static token_list encode(const tokenizer *t, const char *text, size_t n)
{
    token_list l = {0};
    assert_ok(tokenizer_encode(t, text, n, &l));
    return l;
}

/* What the ids spell; the end token as its name. */
static void spell(const tokenizer *t, const token_list *l, str *out)
{
    str_clear(out);
    for (size_t i = 0; i < l->n; i++) {
        size_t n;
        const char *p = tokenizer_piece(t, l->id[i], &n);
        if (l->id[i] == tokenizer_end(t)) str_add(out, "<|endoftext|>");
        else str_addn(out, p, n);
    }
}

static void assert_round_trip(const tokenizer *t, const char *text, size_t n)
{
    token_list l = encode(t, text, n);
    str back = {0};
    spell(t, &l, &back);
    assert_int_equal(back.n, n);
    assert_memory_equal(str_text(&back), text, n);
    str_free(&back);
    token_list_free(&l);
}

static const char *put(const char *dir, const char *name, const char *text, size_t n)
{
    const char *path = test_path(dir, name);
    assert_ok(file_replace(path, text, n));
    return path;
}

static tokenizer *trained(const char *dir, const char *text, int vocab)
{
    tokenizer *t;
    const char *path = put(dir, "train.txt", text, strlen(text));
    assert_ok(tokenizer_train(1, &path, vocab, &t));
    return t;
}

static void bytes_are_their_own_ids(void **state)
{
    tokenizer *t;
    char all[256];
    for (int i = 0; i < 256; i++) all[i] = (char)i;
    assert_ok(tokenizer_byte(&t));
    assert_string_equal(tokenizer_kind(t), "byte");
    assert_int_equal(tokenizer_vocab(t), 257);
    assert_int_equal(tokenizer_end(t), 256);
    token_list l = encode(t, all, 256);
    for (int i = 0; i < 256; i++) {
        size_t n;
        assert_int_equal(l.id[i], i);
        assert_int_equal(tokenizer_piece(t, i, &n)[0], (char)i);
        assert_int_equal(n, 1);
    }
    token_list_free(&l);
    l = encode(t, "a<|endoftext|>b", 15);
    assert_int_equal(l.n, 3);
    assert_int_equal(l.id[1], 256);
    size_t n = 7;
    assert_string_equal(tokenizer_piece(t, 256, &n), "");
    assert_int_equal(n, 0);
    assert_string_equal(tokenizer_piece(t, 257, &n), "");
    assert_string_equal(tokenizer_piece(t, -1, &n), "");
    token_list_free(&l);
    tokenizer_free(t);
}

static void merges_are_the_most_frequent_pairs_lower_ids_first(void **state)
{
    /* words: "ab" once, " ab" twice, " cd" three times. Pairs: (a,b) 3, (' ',a) 2,
     * (' ',c) 3, (c,d) 3. Of the three with 3 the lowest ids are (32,'c'); it
     * leaves (256,d) 3 beside (a,b) 3, of which (a,b) is lower; then (256,d),
     * then (32,257) with 2. */
    tokenizer *t = trained(*state, "ab ab ab cd cd cd", 300);
    assert_string_equal(tokenizer_kind(t), "bpe");
    static const char *const want[] = {" c", "ab", " cd", " ab"};
    assert_int_equal(tokenizer_vocab(t), 256 + 4 + 1); /* no pair is left */
    assert_int_equal(tokenizer_end(t), 260);
    for (int i = 0; i < 4; i++) {
        size_t n;
        const char *p = tokenizer_piece(t, 256 + i, &n);
        assert_int_equal(n, strlen(want[i]));
        assert_memory_equal(p, want[i], n);
    }
    tokenizer_free(t);
}

/* Naive training: count all pairs anew for each merge. Slow and plainly right;
 * the counts that are kept up to date must give the same merges. */
enum { WORDS = 300, LONG = 24 };
static void naive_merges(int32_t w[WORDS][LONG], int *len, const int *times, int n_merges,
                         int32_t (*pair)[2])
{
    for (int m = 0; m < n_merges; m++) {
        static int count[512][512];
        memset(count, 0, sizeof count);
        int best = 0, a = -1, b = -1;
        for (int i = 0; i < WORDS; i++)
            for (int k = 0; k + 1 < len[i]; k++) count[w[i][k]][w[i][k + 1]] += times[i];
        for (int x = 0; x < 512; x++)
            for (int y = 0; y < 512; y++)
                if (count[x][y] > best) best = count[x][y], a = x, b = y;
        pair[m][0] = a, pair[m][1] = b;
        for (int i = 0; i < WORDS; i++) {
            int out = 0;
            for (int k = 0; k < len[i]; k++) {
                bool here = k + 1 < len[i] && w[i][k] == a && w[i][k + 1] == b;
                w[i][out++] = here ? 256 + m : w[i][k];
                k += here;
            }
            len[i] = out;
        }
    }
}

static void kept_counts_give_the_merges_of_counting_anew(void **state)
{
    static int32_t w[WORDS][LONG];
    static int len[WORDS], times[WORDS];
    enum { MERGES = 150 };
    int32_t pair[MERGES][2];
    for (uint64_t seed = 0; seed < 4; seed++) {
        str text = {0};
        uint64_t c = 0;
        for (int i = 0; i < WORDS; i++) {
            /* few letters: many ties, runs like "aaaa" that overlap themselves */
            len[i] = 2 + (int)rng_below(seed, 1, c++, LONG - 3);
            times[i] = 1 + (int)rng_below(seed, 1, c++, 5);
            w[i][0] = ' ';
            for (int k = 1; k < len[i]; k++)
                w[i][k] = 'a' + (int)rng_below(seed, 1, c++, 3);
            for (int r = 0; r < times[i]; r++)
                for (int k = 0; k < len[i]; k++) str_addc(&text, (char)w[i][k]);
        }
        tokenizer *t = trained(*state, text.p, 257 + MERGES);
        naive_merges(w, len, times, MERGES, pair);
        str want = {0};
        for (int m = 0; m < MERGES; m++) {
            size_t n, na, nb;
            const char *p = tokenizer_piece(t, 256 + m, &n);
            const char *a = tokenizer_piece(t, pair[m][0], &na);
            const char *b = tokenizer_piece(t, pair[m][1], &nb);
            str_clear(&want);
            str_addn(&want, a, na);
            str_addn(&want, b, nb);
            assert_int_equal(n, want.n);
            assert_memory_equal(p, want.p, n);
        }
        str_free(&want);
        str_free(&text);
        tokenizer_free(t);
    }
}

static void any_bytes_come_back(void **state)
{
    str story = {0};
    assert_ok(data_stories(3, 60000, &story));
    tokenizer *t = trained(*state, story.p, 1000), *bytes;
    assert_ok(tokenizer_byte(&bytes));
    assert_round_trip(t, story.p, story.n);
    static const char *const hard[] = {"",
                                       " ",
                                       "   ",
                                       "\n\n x",
                                       "\xff",
                                       "a\xffz \xc3",
                                       "\xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80",
                                       "\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80",
                                       "<|endoftext|>",
                                       "x<|endoftext|><|endoftext|>",
                                       "<|endoftext",
                                       "\xe2\x80",
                                       "tab\t\ttab  ",
                                       "don't DON'T I'll"};
    for (size_t i = 0; i < COUNT_OF(hard); i++) {
        assert_round_trip(t, hard[i], strlen(hard[i]));
        assert_round_trip(bytes, hard[i], strlen(hard[i]));
    }
    char noise[512];
    for (uint64_t i = 0; i < 500; i++) {
        size_t n = (size_t)rng_below(1, i, 0, sizeof noise);
        for (size_t k = 0; k < n; k++) noise[k] = (char)rng_u32(2, i, k);
        assert_round_trip(t, noise, n);
    }
    tokenizer_free(t);
    tokenizer_free(bytes);
    str_free(&story);
}

static void what_is_saved_opens_as_the_same(void **state)
{
    const char *dir = *state;
    str story = {0};
    assert_ok(data_stories(4, 50000, &story));
    tokenizer *made = trained(dir, story.p, 700), *read;
    assert_ok(tokenizer_save(made, test_path(dir, "tokenizer.json")));
    assert_ok(tokenizer_open(dir, &read)); /* the folder */
    assert_string_equal(tokenizer_kind(read), "bpe");
    assert_int_equal(tokenizer_vocab(read), 700);
    assert_int_equal(tokenizer_end(read), 699);
    token_list a = encode(made, story.p, story.n), b = encode(read, story.p, story.n);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.id, b.id, a.n * sizeof *a.id);
    assert_true(a.n < story.n / 3); /* it does compress */
    token_list_free(&a);
    token_list_free(&b);
    tokenizer_free(read);
    tokenizer_free(made);
    assert_ok(tokenizer_byte(&made));
    assert_ok(tokenizer_save(made, test_path(dir, "byte.json")));
    assert_ok(tokenizer_open(test_path(dir, "byte.json"), &read));
    assert_string_equal(tokenizer_kind(read), "byte");
    tokenizer_free(read);
    tokenizer_free(made);
    str_free(&story);
}

/* The tokens of a dataset, which is written in pieces of the text. */
static void a_dataset_has_the_ids_of_the_whole_text(void **state)
{
    const char *dir = *state;
    str text = {0};
    assert_ok(data_stories(5, 2600000, &text));
    for (char *p = text.p; (p = strstr(p, "<|endoftext|>"));) *p = '['; /* one document */
    for (size_t i = 300; i < text.n; i += 4111) memcpy(text.p + i, "\xe4\xbd\xa0", 3);
    for (size_t i = 1000; i < text.n; i += 70001) text.p[i] = (char)0xFF;
    char path[256], out[256];
    snprintf(path, sizeof path, "%s", put(dir, "t.txt", text.p, text.n));
    snprintf(out, sizeof out, "%s", test_path(dir, "set"));
    data_options o = {.held_out = 0, .bpe_vocab = 1200};
    data_facts f;
    const char *paths[] = {path};
    assert_ok(data_build(1, paths, &o, out, &f));
    assert_int_equal(f.vocab, 1200);
    tokenizer *t;
    dataset *d;
    assert_ok(tokenizer_open(out, &t));
    assert_ok(dataset_open(out, &d));
    token_list whole = encode(t, text.p, text.n);
    assert_int_equal(f.tokens, whole.n + 1);
    int32_t *ids = malloc(whole.n * sizeof *ids),
            *targets = malloc(whole.n * sizeof *ids);
    assert_ok(dataset_batch(d, 0, 0, 1, (int)whole.n, ids, targets));
    assert_memory_equal(ids, whole.id, whole.n * sizeof *ids);
    free(ids);
    free(targets);
    token_list_free(&whole);
    dataset_close(d);
    tokenizer_free(t);
    str_free(&text);
}

/* ---- other people's files ---- */

#define LLAMA3                                                                           \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}" \
    "| "                                                                                 \
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define LEVEL                                                                   \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true," \
    "\"use_regex\":false}"
#define SPLIT(pattern)                                      \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" pattern \
    "\"},\"behavior\":\"Isolated\",\"invert\":false}"

/* 256 letters (id = byte), then `more` vocab entries. */
static rc parse(const char *dir, const char *added, const char *pre, const char *more,
                const char *merges, const char *model, tokenizer **out)
{
    tokenizer *bytes;
    arena *a = arena_new();
    char *json;
    size_t n;
    const char *path = test_path(dir, "made.json");
    assert_ok(tokenizer_byte(&bytes));
    assert_ok(tokenizer_save(bytes, path));
    tokenizer_free(bytes);
    assert_ok(file_read(a, path, 0, &json, &n));
    char *vocab = strstr(json, "\"vocab\": {") + 10,
         *end = strstr(vocab, "\"<|endoftext|>\"");
    str text = {0};
    str_addf(&text, "{\"added_tokens\":[%s],\"normalizer\":null,\"pre_tokenizer\":%s,",
             added, pre);
    str_addf(&text, "\"model\":{\"type\":\"BPE\"%s,\"vocab\":{", model);
    str_addn(&text, vocab, (size_t)(end - vocab));
    str_addf(&text, "%s},\"merges\":[%s]}}", more, merges);
    put(dir, "made.json", text.p, text.n);
    str_free(&text);
    arena_free(a);
    return tokenizer_open(path, out);
}

static void assert_ids(const tokenizer *t, const char *text, const int32_t *want,
                       size_t n)
{
    token_list l = encode(t, text, strlen(text));
    for (size_t i = 0; i < n && i < l.n; i++)
        if (l.id[i] != want[i])
            fail_msg("'%s': id %zu is %d, wanted %d", text, i, l.id[i], want[i]);
    assert_int_equal(l.n, n);
    token_list_free(&l);
}
#define assert_text_ids(t, text, ...)                   \
    assert_ids(t, text, (const int32_t[]){__VA_ARGS__}, \
               sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

#define MORE                            \
    "\"ab\":256,\"abc\":257,\"\xc4\xa0" \
    "ab\":258,\"12\":259,\"xyz\":260"

static void merges_are_read_as_texts_and_as_pairs(void **state)
{
    static const char *const merges[] = {
        "\"a b\",\"ab c\",\"\xc4\xa0 ab\",\"1 2\"",
        "[\"a\",\"b\"],[\"ab\",\"c\"],[\"\xc4\xa0\",\"ab\"],[\"1\",\"2\"]"};
    for (int i = 0; i < 2; i++) {
        tokenizer *t;
        assert_ok(parse(*state, "", "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}",
                        MORE, merges[i], "", &t));
        assert_int_equal(tokenizer_vocab(t), 261);
        assert_int_equal(tokenizer_end(t), -1);
        assert_text_ids(t, "abc ab 12", 257, 258, ' ', 259);
        assert_text_ids(t, "xyz", 'x', 'y', 'z');
        tokenizer_free(t);
    }
}

/* 'ignore_merges': a piece that is a token as a whole needs no merges. */
static void a_piece_in_the_vocabulary_may_stand_for_itself(void **state)
{
    tokenizer *t;
    assert_ok(parse(*state, "", "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}",
                    MORE, "\"a b\"", ",\"ignore_merges\":true", &t));
    assert_text_ids(t, "xyz abc", 260, ' ', 256, 'c');
    assert_text_ids(t, "abc", 257);
    tokenizer_free(t);
}

static void a_split_pattern_is_carried_out(void **state)
{
    tokenizer *t;
    assert_ok(parse(*state, "",
                    "{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT(LLAMA3) "," LEVEL
                                                                               "]}",
                    MORE ",\"1234\":261,\"123\":262,\"\xc4\x8a\xc4\x8a\":263",
                    "\"1 2\",\"12 3\",\"123 4\",\"\xc4\x8a \xc4\x8a\"", "", &t));
    /* at most three digits make a piece, line ends stay together */
    assert_text_ids(t, "1234", 262, '4');
    assert_text_ids(t, "x\n\ny", 'x', 263, 'y');
    tokenizer_free(t);
    /* GPT-2's pattern takes all digits, and leaves the last line end alone */
    assert_ok(parse(*state, "", "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}",
                    MORE ",\"1234\":261,\"123\":262,\"\xc4\x8a\xc4\x8a\":263",
                    "\"1 2\",\"12 3\",\"123 4\",\"\xc4\x8a \xc4\x8a\"", "", &t));
    assert_text_ids(t, "1234", 261);
    assert_text_ids(t, "x\n\ny", 'x', '\n', '\n', 'y');
    tokenizer_free(t);
    /* digit by digit, then GPT-2 */
    assert_ok(
        parse(*state, "",
              "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\","
              "\"individual_digits\":true},{\"type\":\"ByteLevel\",\"add_prefix_space\":"
              "false}]}",
              MORE, "\"1 2\",\"a b\"", "", &t));
    assert_text_ids(t, "ab12", 256, '1', '2');
    tokenizer_free(t);
}

static void added_tokens_are_found_verbatim_the_longest_first(void **state)
{
    tokenizer *t;
    assert_ok(parse(*state,
                    "{\"id\":261,\"content\":\"<|x|>\",\"special\":true},"
                    "{\"id\":262,\"content\":\"<|x|>y\",\"special\":false},"
                    "{\"id\":270,\"content\":\"<|end_of_text|>\",\"special\":true}",
                    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}", MORE,
                    "\"a b\"", "", &t));
    assert_int_equal(tokenizer_vocab(t), 271);
    assert_int_equal(tokenizer_end(t), 270);
    assert_text_ids(t, "ab<|x|>ab<|x|>yz<|x", 256, 261, 256, 262, 'z', '<', '|', 'x');
    size_t n;
    tokenizer_piece(t, 261, &n);
    assert_int_equal(n, 0); /* special: no text */
    assert_string_equal(tokenizer_piece(t, 262, &n), "<|x|>y");
    tokenizer_piece(t, 265, &n);
    assert_int_equal(n, 0); /* a gap in the ids */
    tokenizer_free(t);
}

static void other_kinds_are_refused_by_name(void **state)
{
    static const struct {
        const char *json, *part;
    } wrong[] = {
        {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}", "WordPiece"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", "Unigram"},
        {"{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{\"a\":0},"
         "\"merges\":[]}}",
         "byte_fallback"},
        {"{\"model\":{\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\",\"vocab\":{}}}",
         "</w>"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         "pre_tokenizer"},
        {"{\"pre_tokenizer\":{\"type\":\"Metaspace\"},\"model\":{\"vocab\":{\"a\":0}}}",
         "Metaspace"},
        {"{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true},"
         "\"model\":{\"vocab\":{\"a\":0}}}",
         "add_prefix_space"},
        {"{\"normalizer\":{\"type\":\"Lowercase\"},\"model\":{\"vocab\":{\"a\":0}}}",
         "Lowercase"},
        {"{\"model\":{\"vocab\":{\"a\":-1}}}", "id"},
        {"{\"model\":{\"vocab\":{\"a\":1e300}}}", "id"},
        {"{\"model\":{\"vocab\":{\"a\":1,\"b\":1}},\"pre_tokenizer\":{\"type\":"
         "\"ByteLevel\"}}",
         "two tokens"},
        {"{\"model\":{\"vocab\":{\"a\":1},\"merges\":[\"a b\"]},"
         "\"pre_tokenizer\":{\"type\":\"ByteLevel\"}}",
         "merge 0"},
        {"{\"model\":{\"vocab\":{\"a\":1},\"merges\":[]},\"pre_tokenizer\":{\"type\":"
         "\"Sequence\","
         "\"pretokenizers\":[" SPLIT("(a") "]}}",
         "split pattern"},
        {"{\"model\":{\"vocab\":{\"a\":1},\"merges\":[]},\"pre_tokenizer\":{\"type\":"
         "\"ByteLevel\"},"
         "\"added_tokens\":[{\"id\":2,\"content\":\"m\",\"lstrip\":true}]}",
         "lstrip"},
        {"{\"model\":{\"vocab\":{}}}", "empty"},
        {"[1]", "no model"},
        {"{\"model\":", "JSON"},
        {"", "JSON"},
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        tokenizer *t;
        const char *path = put(*state, "wrong.json", wrong[i].json,
                               strlen(wrong[i].json));
        assert_fails(tokenizer_open(path, &t), E_FORMAT, wrong[i].part);
        assert_text_has(err_text(), "wrong.json");
    }
    tokenizer *t;
    assert_fails(tokenizer_open(test_path(*state, "none.json"), &t), E_IO, "none.json");
    assert_fails(tokenizer_open(*state, &t), E_IO, "tokenizer.json");
}

static void a_byte_without_a_token_is_an_error_not_a_gap(void **state)
{
    tokenizer *t;
    const char *json = "{\"model\":{\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]},"
                       "\"pre_tokenizer\":{\"type\":\"ByteLevel\"}}";
    assert_ok(tokenizer_open(put(*state, "small.json", json, strlen(json)), &t));
    assert_text_ids(t, "abba", 0, 1, 1, 0);
    token_list l = {0};
    assert_fails(tokenizer_encode(t, "abc", 3, &l), E_FORMAT, "0x63");
    assert_int_equal(l.n, 0);
    token_list_free(&l);
    tokenizer_free(t);
}

static void a_vocabulary_out_of_range_is_refused(void **state)
{
    tokenizer *t;
    const char *path = put(*state, "t.txt", "text", 4);
    assert_fails(tokenizer_train(1, &path, 256, &t), E_CONFIG, "257");
    assert_fails(tokenizer_train(1, &path, -5, &t), E_CONFIG, "257");
    assert_fails(tokenizer_train(1, &path, 1 << 30, &t), E_CONFIG, "1048576");
}

/* A word of a megabyte costs n log n, not n squared: at n squared this would
 * take minutes. */
static void a_word_without_end_is_encoded(void **state)
{
    tokenizer *t = trained(*state, "aaaaaaaa aaaaaaaa aaaaaaaa aaaa aaaa aa aa", 300);
    size_t n = (size_t)3 << 20;
    char *text = malloc(n);
    memset(text, 'a', n);
    assert_round_trip(t, text, n);
    memset(text, 0xFF, n);
    assert_round_trip(t, text, n);
    memset(text, ' ', n);
    assert_round_trip(t, text, n);
    free(text);
    tokenizer_free(t);
}

/* One tokenizer, four threads: encoding changes nothing in it. */
typedef struct {
    const tokenizer *t;
    const str *text;
    token_list ids;
    rc result;
} job;

static void *encode_job(void *p)
{
    job *j = p;
    j->result = tokenizer_encode(j->t, j->text->p, j->text->n, &j->ids);
    return NULL;
}

static void threads_share_a_tokenizer(void **state)
{
    str text = {0};
    pthread_t thread[4];
    job jobs[4];
    assert_ok(data_stories(9, 40000, &text));
    tokenizer *t = trained(*state, text.p, 600);
    for (int i = 0; i < 4; i++) {
        jobs[i] = (job){.t = t, .text = &text};
        assert_int_equal(pthread_create(&thread[i], NULL, encode_job, &jobs[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(jobs[i].result, OK);
        assert_int_equal(jobs[i].ids.n, jobs[0].ids.n);
        assert_memory_equal(jobs[i].ids.id, jobs[0].ids.id, jobs[0].ids.n * 4);
    }
    for (int i = 0; i < 4; i++) token_list_free(&jobs[i].ids);
    tokenizer_free(t);
    str_free(&text);
}

/* Every allocation of training, writing, reading and encoding fails once. */
static void out_of_memory_is_an_error_and_leaks_nothing(void **state)
{
    const char *path = put(*state, "t.txt", "some words, some more words and words", 37);
    bool done = false;
    for (long n = 1; !done; n++) {
        tokenizer *t = NULL;
        token_list l = {0};
        assert_true(n < 2000);
        mem_fail_at(n);
        rc r = tokenizer_train(1, &path, 280, &t);
        if (r == OK) r = tokenizer_encode(t, "some new words", 14, &l);
        mem_fail_at(0);
        if (r == OK) done = true;
        else assert_int_equal(r, E_MEMORY);
        token_list_free(&l);
        tokenizer_free(t);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, test_dir_setup, test_dir_teardown)
    const struct CMUnitTest tests[] = {
        T(bytes_are_their_own_ids),
        T(merges_are_the_most_frequent_pairs_lower_ids_first),
        T(kept_counts_give_the_merges_of_counting_anew),
        T(any_bytes_come_back),
        T(what_is_saved_opens_as_the_same),
        T(a_dataset_has_the_ids_of_the_whole_text),
        T(merges_are_read_as_texts_and_as_pairs),
        T(a_piece_in_the_vocabulary_may_stand_for_itself),
        T(a_split_pattern_is_carried_out),
        T(added_tokens_are_found_verbatim_the_longest_first),
        T(other_kinds_are_refused_by_name),
        T(a_byte_without_a_token_is_an_error_not_a_gap),
        T(a_vocabulary_out_of_range_is_refused),
        T(a_word_without_end_is_encoded),
        T(threads_share_a_tokenizer),
        T(out_of_memory_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests_name("data_tokenizer", tests, NULL, NULL);
}
