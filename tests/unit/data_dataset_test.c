/* Datasets: which bytes become which tokens, what is held out, and that a
 * batch is a pure function of its number. */
#include <pthread.h>
#include <sys/stat.h>
#include "test.h"
#include "base/clock.h"
#include "base/str.h"
#include "data/data.h"

static const data_options byte_tenth = {.held_out = 0.1, .seed = 7, .byte = true};

static const char *put(const char *dir, const char *name, const char *text)
{
    const char *path = test_path(dir, name);
    assert_ok(file_replace(path, text, strlen(text)));
    return path;
}

/* n documents of `size` bytes each: "0000 aaaa...\n", numbered. */
static void put_folder(const char *dir, int n, int size)
{
    assert_ok(file_make_dirs(dir));
    for (int i = 0; i < n; i++) {
        char name[32], text[4096];
        snprintf(name, sizeof name, "%04d.txt", i);
        memset(text, 'a' + i % 26, sizeof text);
        snprintf(text, 6, "%04d ", i);
        text[5] = '-';
        text[size - 1] = '\n', text[size] = 0;
        put(dir, name, text);
    }
}

static data_facts build(const char *path, const data_options *o, const char *dir)
{
    data_facts f;
    assert_ok(data_build(1, &path, o, dir, &f));
    return f;
}

static void one_file_gives_its_last_part_to_held_out(void **state)
{
    const char *dir = *state;
    str text = {0};
    for (int i = 0; i < 500; i++) str_addf(&text, "line %d of the only file\n", i);
    const char *path = put(dir, "one.txt", text.p), *out = test_path(dir, "set");
    data_facts f = build(path, &byte_tenth, out);
    assert_int_equal(f.documents, 1);
    assert_int_equal(f.vocab, 257);
    assert_int_equal(f.bytes + f.held_out_bytes, text.n);
    assert_int_equal(f.tokens, f.bytes + 1);
    assert_int_equal(f.held_out_tokens, f.held_out_bytes + 1);
    /* a tenth, moved to the end of a line of at most 30 bytes */
    assert_near((double)f.held_out_bytes, 0.1 * (double)text.n, 30);

    dataset *d;
    int32_t ids[64], targets[64];
    assert_ok(dataset_open(out, &d));
    assert_ok(dataset_held(d, 0, 64, ids, targets));
    for (int i = 0; i < 64; i++) {
        assert_int_equal(ids[i], text.p[f.bytes + (size_t)i]);
        assert_int_equal(targets[i], text.p[f.bytes + (size_t)i + 1]);
    }
    assert_int_equal(text.p[f.bytes - 1], '\n');
    dataset_close(d);
    str_free(&text);
}

static void held_out_documents_are_whole_spread_and_near_the_fraction(void **state)
{
    const char *dir = *state;
    char texts[256];
    snprintf(texts, sizeof texts, "%s", test_path(dir, "texts"));
    put_folder(texts, 200, 500);
    char out[256];
    snprintf(out, sizeof out, "%s", test_path(dir, "set"));
    data_facts f = build(texts, &byte_tenth, out);
    assert_int_equal(f.documents, 200);
    assert_int_equal(f.bytes + f.held_out_bytes, 200 * 500);
    /* whole documents, within one of the tenth that was asked for */
    assert_int_equal(f.held_out_bytes % 500, 0);
    assert_near((double)f.held_out_bytes, 10000, 500);

    dataset *d;
    assert_ok(dataset_open(out, &d));
    int32_t ids[501], targets[501];
    int last = -1, widest = 0;
    assert_int_equal(dataset_held_windows(d, 501), f.held_out_bytes / 500);
    for (uint64_t w = 0; w < dataset_held_windows(d, 501); w++) {
        assert_ok(dataset_held(d, w, 501, ids, targets));
        assert_int_equal(ids[500], 256); /* each document ends with the end token */
        int number = 0;
        for (int i = 0; i < 4; i++) number = number * 10 + ids[i] - '0';
        assert_true(number > last);
        if (number - last > widest) widest = number - last;
        last = number;
    }
    assert_true(widest < 40); /* spread: ten apart on average */
    dataset_close(d);

    data_options other = byte_tenth;
    other.seed = 8;
    char again[256];
    snprintf(again, sizeof again, "%s", test_path(dir, "again"));
    build(texts, &byte_tenth, again);
    dataset *e;
    assert_ok(dataset_open(out, &d));
    assert_ok(dataset_open(again, &e));
    assert_int_equal(dataset_checksum(d), dataset_checksum(e));
    dataset_close(e);
    build(texts, &other, test_path(dir, "other"));
    assert_ok(dataset_open(test_path(dir, "other"), &e));
    assert_true(dataset_checksum(d) != dataset_checksum(e));
    dataset_close(d);
    dataset_close(e);
}

static void a_mark_separates_the_documents_of_one_file(void **state)
{
    const char *dir = *state;
    const char *path = put(dir, "m.txt",
                           "first<|endoftext|>second one<|endoftext|>\n<|endoftext|>"
                           "third<|endoftext|>");
    data_options o = byte_tenth;
    o.held_out = 0;
    data_facts f = build(path, &o, test_path(dir, "set"));
    assert_int_equal(f.documents, 3); /* the part of one line end is no document */
    assert_int_equal(f.tokens, 5 + 10 + 5 + 3);
    assert_int_equal(f.held_out_tokens, 0);
}

/* The mark may lie across the pieces of 1 MB in which files are read. */
static void a_mark_is_found_wherever_it_lies(void **state)
{
    const char *dir = *state;
    size_t piece = (size_t)1 << 20, n = piece + 64;
    char *text = malloc(n + 1);
    data_options o = byte_tenth;
    o.held_out = 0;
    for (size_t at = piece - 14; at <= piece + 1; at++) {
        memset(text, 'x', n);
        text[n] = 0;
        memcpy(text + at, "<|endoftext|>", 13);
        const char *out = test_path(dir, "set");
        data_facts f = build(put(dir, "m.txt", text), &o, out);
        assert_int_equal(f.documents, 2);
        assert_int_equal(f.tokens, n - 13 + 2);
        assert_ok(file_remove_tree(out));
    }
    free(text);
}

static void a_folder_is_read_by_name_without_hidden_and_binary_files(void **state)
{
    const char *dir = *state;
    char texts[256];
    snprintf(texts, sizeof texts, "%s", test_path(dir, "texts"));
    assert_ok(file_make_dirs(test_path(texts, "sub")));
    assert_ok(file_make_dirs(test_path(texts, ".hidden")));
    put(texts, "b.txt", "two");
    put(texts, "a.txt", "one");
    put(texts, "sub/c.txt", "three");
    put(texts, ".hidden/x.txt", "never");
    put(texts, ".x.txt", "never");
    assert_ok(file_replace(test_path(texts, "p.png"), "\x89PNG\0\0", 6));
    data_options o = byte_tenth;
    o.held_out = 0;
    const char *out = test_path(dir, "set");
    data_facts f = build(texts, &o, out);
    assert_int_equal(f.documents, 3);
    dataset *d;
    int32_t ids[13], targets[13];
    assert_ok(dataset_open(out, &d));
    assert_ok(dataset_batch(d, 1, 0, 1, 13, ids, targets));
    static const int32_t want[] = {'o', 'n', 'e', 256, 't', 'w', 'o',
                                   256, 't', 'h', 'r', 'e', 'e'};
    assert_memory_equal(ids, want, sizeof want);
    assert_int_equal(targets[12], 256);
    dataset_close(d);
}

static void two_documents_leave_one_for_training(void **state)
{
    const char *dir = *state;
    char path[256];
    snprintf(path, sizeof path, "%s",
             put(dir, "m.txt", "a long document here<|endoftext|>short"));
    for (double f = 0.05; f < 1; f += 0.3) {
        data_options o = {.held_out = f, .byte = true};
        const char *out = test_path(dir, "set");
        data_facts facts = build(path, &o, out);
        assert_true(facts.tokens > 0 && facts.held_out_tokens > 0);
        assert_ok(file_remove_tree(out));
    }
}

/* Where these tokens stand in the text. */
static int place(const str *text, const int32_t *ids, int n)
{
    for (int at = 0; at + n <= (int)text->n; at++) {
        int i = 0;
        while (i < n && ids[i] == text->p[at + i]) i++;
        if (i == n) return at;
    }
    fail_msg("the window is not in the text");
    return -1;
}

/* Numbered text: each window is found at one place only. */
static void every_epoch_sees_every_window_once_in_another_order(void **state)
{
    const char *dir = *state;
    str text = {0};
    for (int i = 0; i < 1000; i++) str_addf(&text, "%05d", i);
    data_options o = byte_tenth;
    o.held_out = 0;
    const char *out = test_path(dir, "set");
    build(put(dir, "n.txt", text.p), &o, out);
    dataset *d;
    assert_ok(dataset_open(out, &d));
    enum { SEQ = 50 };
    uint64_t windows = dataset_windows(d, SEQ);
    assert_int_equal(windows, 99);
    int order[2][99];
    for (int epoch = 0; epoch < 2; epoch++) {
        bool seen[100] = {0};
        for (uint64_t i = 0; i < windows; i++) {
            int32_t ids[SEQ], targets[SEQ];
            assert_ok(
                dataset_batch(d, 3, (uint64_t)epoch * windows + i, 1, SEQ, ids, targets));
            assert_memory_equal(ids + 1, targets, (SEQ - 1) * sizeof *ids);
            int window = place(&text, ids, SEQ) / SEQ;
            assert_false(seen[window]);
            seen[window] = true;
            order[epoch][i] = window;
        }
    }
    assert_memory_not_equal(order[0], order[1], sizeof order[0]);
    dataset_close(d);
    str_free(&text);
}

static void a_batch_is_its_examples_one_by_one(void **state)
{
    const char *dir = *state;
    str text = {0};
    assert_ok(data_stories(1, 20000, &text));
    const char *out = test_path(dir, "set");
    build(put(dir, "s.txt", text.p), &byte_tenth, out);
    dataset *d;
    assert_ok(dataset_open(out, &d));
    enum { SEQ = 33, B = 8 };
    uint64_t windows = dataset_windows(d, SEQ);
    int32_t ids[B * SEQ], targets[B * SEQ], one[SEQ], next[SEQ];
    uint64_t start = windows - 3; /* crosses into the next epoch */
    assert_ok(dataset_batch(d, 5, start, B, SEQ, ids, targets));
    for (uint64_t b = 0; b < B; b++) {
        assert_ok(dataset_batch(d, 5, start + b, 1, SEQ, one, next));
        assert_memory_equal(one, ids + b * SEQ, sizeof one);
        assert_memory_equal(next, targets + b * SEQ, sizeof next);
    }
    dataset_close(d);
    str_free(&text);
}

static void held_windows_cover_each_target_once(void **state)
{
    const char *dir = *state;
    str text = {0};
    assert_ok(data_stories(2, 30000, &text));
    const char *out = test_path(dir, "set");
    data_facts f = build(put(dir, "s.txt", text.p), &byte_tenth, out);
    dataset *d;
    assert_ok(dataset_open(out, &d));
    for (int seq = 1; seq < 200; seq += 37) {
        uint64_t targets_seen = 0, windows = dataset_held_windows(d, seq);
        for (uint64_t w = 0; w < windows; w++) {
            int32_t ids[200], targets[200];
            assert_ok(dataset_held(d, w, seq, ids, targets));
            for (int i = 0; i < seq; i++) targets_seen += targets[i] >= 0;
            assert_true(targets[0] >= 0);
        }
        assert_int_equal(targets_seen, f.held_out_tokens - 1);
    }
    assert_near(dataset_held_bytes_per_token(d),
                (double)f.held_out_bytes / (double)f.held_out_tokens, 1e-12);
    int32_t none[1];
    assert_fails(dataset_held(d, f.held_out_tokens, 1, none, none), E_FORMAT, "window");
    dataset_close(d);
    str_free(&text);
}

static void the_cache_is_reused_until_the_text_changes(void **state)
{
    const char *dir = *state, *first, *second;
    arena *a = arena_new();
    char root[256];
    snprintf(root, sizeof root, "%s", test_path(dir, "cache"));
    const char *path = put(dir, "t.txt", "some text that is cached\n");
    assert_ok(data_cached(1, &path, &byte_tenth, root, a, &first));
    struct stat before, after;
    assert_int_equal(stat(test_path(first, "meta.json"), &before), 0);
    assert_ok(data_cached(1, &path, &byte_tenth, root, a, &second));
    assert_string_equal(first, second);
    assert_int_equal(stat(test_path(first, "meta.json"), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    data_options o = byte_tenth;
    o.held_out = 0.2;
    assert_ok(data_cached(1, &path, &o, root, a, &second));
    assert_string_not_equal(first, second);
    put(dir, "t.txt", "other text that is longer than before\n");
    assert_ok(data_cached(1, &path, &byte_tenth, root, a, &second));
    assert_string_not_equal(first, second);
    arena_free(a);
}

/* Who comes second waits for the first and gets the same. */
typedef struct {
    const char *path, *root;
    arena *mem;
    const char *dir;
    rc result;
} cache_job;

static void *cache_thread(void *p)
{
    cache_job *j = p;
    j->result = data_cached(1, &j->path, &byte_tenth, j->root, j->mem, &j->dir);
    return NULL;
}

static void many_may_want_the_same_cache_at_once(void **state)
{
    const char *dir = *state;
    char root[256], path[256];
    str text = {0};
    cache_job job[4];
    pthread_t thread[4];
    assert_ok(data_stories(6, 300000, &text));
    snprintf(root, sizeof root, "%s", test_path(dir, "cache"));
    snprintf(path, sizeof path, "%s", put(dir, "t.txt", text.p));
    for (int i = 0; i < 4; i++) {
        job[i] = (cache_job){.path = path, .root = root, .mem = arena_new()};
        assert_int_equal(pthread_create(&thread[i], NULL, cache_thread, &job[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(job[i].result, OK);
        assert_string_equal(job[i].dir, job[0].dir);
    }
    dataset *d;
    assert_ok(dataset_open(job[0].dir, &d));
    dataset_close(d);
    for (int i = 0; i < 4; i++) arena_free(job[i].mem);
    str_free(&text);
}

/* 40 MB of text must not need 40 MB of memory. */
static void a_text_is_streamed(void **state)
{
    const char *dir = *state;
    str text = {0};
    file *f;
    char path[256];
    snprintf(path, sizeof path, "%s", test_path(dir, "big.txt"));
    assert_ok(data_stories(7, 1000000, &text));
    for (char *p = text.p; (p = strstr(p, "<|endoftext|>"));) *p = '['; /* one document */
    assert_ok(file_create(path, &f));
    for (int i = 0; i < 40; i++) assert_ok(file_write(f, text.p, text.n));
    assert_ok(file_close(f));
    str_free(&text);
    const char *out = test_path(dir, "set"), *paths[] = {path};
    data_options o = {.held_out = 0.1, .bpe_vocab = 400};
    data_facts facts;
    size_t before = clock_peak_rss();
    assert_ok(data_build(1, paths, &o, out, &facts));
    size_t grown = clock_peak_rss() - before;
    assert_int_equal(facts.bytes + facts.held_out_bytes, 40000000);
    /* buffers, the word lists of the training and the remembered pieces */
    if (grown > 24u << 20) fail_msg("memory grew by %zu bytes", grown);
}

/* What counting gives is far below guessing, and three bytes know more than
 * two; worked out by hand for a text of one letter. */
static void ngrams_are_yardsticks(void **state)
{
    const char *dir = *state;
    str text = {0};
    double two, three;
    assert_ok(data_stories(8, 400000, &text));
    build(put(dir, "s.txt", text.p), &byte_tenth, test_path(dir, "set"));
    assert_ok(data_ngram(test_path(dir, "set"), &two, &three));
    assert_true(two < 2.6 && two > 1.9);
    assert_true(three < 1.8 && three > 1.2);

    /* "aaaaaaaaa\n" twice, the second document held out. Training has the
     * pairs (end,a) 1, (a,a) 8, (a,\n) 1, (\n,end) 1. */
    build(put(dir, "a.txt", "aaaaaaaaa\n<|endoftext|>aaaaaaaaa\n"),
          &(data_options){.held_out = 0.5, .byte = true}, test_path(dir, "two"));
    assert_ok(data_ngram(test_path(dir, "two"), &two, &three));
    double k = 0.01, v = 257;
    double want = 2 * -log((1 + k) / (1 + k * v)) - 8 * log((8 + k) / (9 + k * v)) -
                  log((1 + k) / (9 + k * v));
    assert_near(two, want / 10, 1e-12);
    assert_true(three < two);
    str_free(&text);
}

static void stories_are_the_same_everywhere(void **state)
{
    str a = {0}, b = {0}, c = {0};
    assert_ok(data_stories(1, 5000, &a));
    assert_ok(data_stories(1, 3000, &b));
    assert_ok(data_stories(2, 5000, &c));
    assert_int_equal(a.n, 5000);
    assert_int_equal(b.n, 3000);
    assert_memory_equal(a.p, b.p, b.n); /* longer is only more of the same */
    assert_memory_not_equal(a.p, c.p, 200);
    assert_text_has(a.p, "\n<|endoftext|>\n");
    for (size_t i = 0; i < a.n; i++) /* every slot was filled */
        assert_true(a.p[i] != '{' && a.p[i] != '}' && a.p[i] > 0);
    str_free(&a);
    str_free(&b);
    str_free(&c);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, test_dir_setup, test_dir_teardown)
    const struct CMUnitTest tests[] = {
        T(one_file_gives_its_last_part_to_held_out),
        T(held_out_documents_are_whole_spread_and_near_the_fraction),
        T(a_mark_separates_the_documents_of_one_file),
        T(a_mark_is_found_wherever_it_lies),
        T(a_folder_is_read_by_name_without_hidden_and_binary_files),
        T(two_documents_leave_one_for_training),
        T(every_epoch_sees_every_window_once_in_another_order),
        T(a_batch_is_its_examples_one_by_one),
        T(held_windows_cover_each_target_once),
        T(the_cache_is_reused_until_the_text_changes),
        T(many_may_want_the_same_cache_at_once),
        T(a_text_is_streamed),
        T(ngrams_are_yardsticks),
        cmocka_unit_test(stories_are_the_same_everywhere),
    };
    return cmocka_run_group_tests_name("data_dataset", tests, NULL, NULL);
}
