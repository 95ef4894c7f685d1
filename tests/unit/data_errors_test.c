/* What is wrong with a text or a dataset is said before training begins, and a
 * build that fails leaves nothing behind. */
#include <sys/stat.h>
#include <xxhash.h>
#include "test.h"
#include "base/arena.h"
#include "base/str.h"
#include "data/data.h"

static const data_options byte_half = {.held_out = 0.5, .byte = true};

static const char *put(const char *dir, const char *name, const char *text, size_t n)
{
    const char *path = test_path(dir, name);
    assert_ok(file_replace(path, text, n));
    return path;
}

static void assert_refused(const char *dir, const char *path, rc code, const char *part)
{
    const char *out = test_path(dir, "set");
    assert_fails(data_build(1, &path, &byte_half, out, NULL), code, part);
    assert_false(file_exists(out));
    assert_false(file_exists(test_path(dir, "set.tmp")));
}

static void an_empty_text_is_refused(void **state)
{
    const char *dir = *state;
    assert_refused(dir, put(dir, "e.txt", "", 0), E_FORMAT, "empty");
    assert_refused(dir, put(dir, "w.txt", " \n\t\r\n", 5), E_FORMAT, "empty");
    assert_refused(dir, put(dir, "m.txt", "<|endoftext|>\n<|endoftext|>", 27), E_FORMAT,
                   "empty");
    assert_text_has(err_text(), "m.txt");
}

static void a_binary_file_is_refused_with_its_place(void **state)
{
    const char *dir = *state;
    assert_refused(dir, put(dir, "b.bin", "text\0more", 9), E_FORMAT, "byte 4 is zero");
    assert_text_has(err_text(), "b.bin");
    assert_refused(dir, put(dir, "u.txt", "\xff\xfeh\0i\0", 6), E_FORMAT, "UTF-16");
    assert_text_has(err_text(), "iconv");
}

static void a_folder_without_text_is_refused(void **state)
{
    const char *dir = *state;
    char sub[256];
    snprintf(sub, sizeof sub, "%s", test_path(dir, "sub"));
    assert_ok(file_make_dirs(sub));
    assert_refused(dir, sub, E_FORMAT, "no files");
    put(sub, ".hidden", "text", 4);
    assert_refused(dir, sub, E_FORMAT, "no files");
    put(sub, "x.png", "\x89\0", 2);
    assert_refused(dir, sub, E_FORMAT, "not text");
    put(sub, "x.png", "", 0);
    assert_refused(dir, sub, E_FORMAT, "empty");
}

static void what_cannot_be_read_is_named(void **state)
{
    const char *dir = *state;
    assert_refused(dir, test_path(dir, "none.txt"), E_IO, "none.txt");
    assert_refused(dir, "/dev/null", E_IO, "neither");
    const char *path = put(dir, "shut.txt", "text", 4);
    if (geteuid() == 0) return; /* root reads everything */
    assert_int_equal(chmod(path, 0), 0);
    assert_refused(dir, path, E_IO, "shut.txt");
}

static void no_tokenizer_and_no_sense_are_refused(void **state)
{
    const char *dir = *state, *out = test_path(dir, "set");
    const char *path = put(dir, "t.txt", "some text", 9);
    data_options o = {.held_out = 0.1};
    assert_fails(data_build(1, &path, &o, out, NULL), E_CONFIG, "tokenizer");
    o.byte = true;
    o.held_out = 1.5;
    assert_fails(data_build(1, &path, &o, out, NULL), E_CONFIG, "1.5");
    o.held_out = NAN;
    assert_fails(data_build(1, &path, &o, out, NULL), E_CONFIG, "nan");
    assert_fails(data_build(0, &path, &byte_half, out, NULL), E_USAGE, "at least one");
    o = (data_options){.bpe_vocab = 100};
    assert_fails(data_build(1, &path, &o, out, NULL), E_CONFIG, "257");
    o = (data_options){.tokenizer_path = "none.json"};
    assert_fails(data_build(1, &path, &o, out, NULL), E_IO, "none.json");
    assert_false(file_exists(out));
}

static void nothing_is_written_over(void **state)
{
    const char *dir = *state;
    char out[256], path[256];
    const char *paths[] = {path};
    snprintf(path, sizeof path, "%s", put(dir, "t.txt", "some text", 9));
    snprintf(out, sizeof out, "%s", test_path(dir, "set"));
    assert_ok(file_make_dirs(out)); /* an empty folder is fine */
    assert_ok(data_build(1, paths, &byte_half, out, NULL));
    assert_fails(data_build(1, paths, &byte_half, out, NULL), E_CONFIG, "exists");
    assert_text_has(err_text(), "hint");
    dataset *d;
    assert_ok(dataset_open(out, &d));
    dataset_close(d);
    put(dir, "file", "x", 1);
    assert_fails(data_build(1, paths, &byte_half, test_path(dir, "file"), NULL), E_CONFIG,
                 "exists");
}

static void two_builds_of_one_folder_do_not_mix(void **state)
{
    const char *dir = *state;
    char kept[256];
    const char *path = strcpy(kept, put(dir, "t.txt", "some text", 9));
    file_lock_ lock;
    assert_ok(file_make_dirs(test_path(dir, "set.tmp")));
    assert_ok(file_lock(test_path(dir, "set.tmp/lock"), &lock));
    assert_fails(data_build(1, &path, &byte_half, test_path(dir, "set"), NULL), E_BUSY,
                 "lock");
    assert_true(file_exists(test_path(dir, "set.tmp/lock"))); /* it is the other's */
    file_unlock(&lock);
    /* the other was killed: its leavings are no hindrance */
    assert_ok(data_build(1, &path, &byte_half, test_path(dir, "set"), NULL));
}

static void a_text_shorter_than_one_window_is_said_with_the_numbers(void **state)
{
    const char *dir = *state, *out = test_path(dir, "set");
    const char *path = put(dir, "t.txt", "short text", 10);
    dataset *d;
    int32_t ids[64], targets[64];
    assert_ok(data_build(1, &path, &byte_half, out, NULL));
    assert_ok(dataset_open(out, &d));
    assert_int_equal(dataset_windows(d, 64), 0);
    assert_fails(dataset_batch(d, 0, 0, 1, 64, ids, targets), E_FORMAT,
                 "one window of 64");
    assert_text_has(err_text(), "seq");
    assert_int_equal(dataset_windows(d, 5), 1);
    assert_ok(dataset_batch(d, 0, 0, 1, 5, ids, targets));
    dataset_close(d);
}

static void all_or_nothing_may_be_held_out(void **state)
{
    const char *dir = *state;
    const char *path = put(dir, "t.txt", "one<|endoftext|>two", 19);
    data_options o = {.held_out = 1, .byte = true};
    data_facts f;
    assert_ok(data_build(1, &path, &o, test_path(dir, "all"), &f));
    assert_int_equal(f.tokens, 0);
    assert_int_equal(f.held_out_tokens, 8);
    dataset *d;
    double a, b;
    assert_ok(dataset_open(test_path(dir, "all"), &d));
    assert_int_equal(dataset_windows(d, 1), 0);
    assert_int_equal(dataset_held_windows(d, 4), 2);
    dataset_close(d);
    assert_fails(data_ngram(test_path(dir, "all"), &a, &b), E_FORMAT,
                 "wanted some of both");
}

/* ---- damaged datasets ---- */

/* A dataset of 200 bytes of text, and then file `name` with byte `at` changed. */
static void damage(const char *dir, const char *name, size_t at, int by)
{
    arena *a = arena_new();
    char *bytes;
    size_t n;
    const char *path = test_path(dir, name);
    assert_ok(file_read(a, path, 0, &bytes, &n));
    assert_true(at < n);
    bytes[at] = (char)(bytes[at] ^ by);
    assert_ok(file_replace(path, bytes, n));
    arena_free(a);
}

static void make_set(const char *dir, char out[256])
{
    str text = {0};
    snprintf(out, 256, "%s", test_path(dir, "set"));
    assert_ok(data_stories(1, 2000, &text));
    const char *path = put(dir, "t.txt", text.p, text.n);
    if (file_exists(out)) assert_ok(file_remove_tree(out));
    assert_ok(data_build(1, &path, &byte_half, out, NULL));
    str_free(&text);
}

static void a_damaged_dataset_is_refused_by_file(void **state)
{
    static const struct {
        const char *file;
        size_t at;
        int by;
        const char *part;
    } harm[] = {
        {"train.bin", 0, 1, "not a token file"},
        {"train.bin", 8, 2, "version"},
        {"train.bin", 12, 1, "bytes"},
        {"train.bin", 16, 1, "ids of"},
        {"train.bin", 24, 1, "checksum"},
        {"train.bin", 100, 1, "checksum"},
        {"train.bin", 101, 8, "beyond"},
        {"heldout.bin", 90, 4, "checksum"},
        {"train.bin", 40, 1, "another tokenizer"},
        {"train.bin", 48, 16, "vocab"},
        {"tokenizer.json", 30, 1, "tokenizer"},
        {"meta.json", 0, 1, "not JSON"},
        {"meta.json", 5, 1, "meta.json"},
    };
    char out[256];
    for (size_t i = 0; i < COUNT_OF(harm); i++) {
        dataset *d;
        make_set(*state, out);
        damage(out, harm[i].file, harm[i].at, harm[i].by);
        assert_fails(dataset_open(out, &d), E_FORMAT, harm[i].part);
        assert_text_has(err_text(), "while opening dataset");
    }
}

static void a_dataset_that_is_cut_off_or_foreign_is_refused(void **state)
{
    char out[256];
    dataset *d;
    make_set(*state, out);
    arena *a = arena_new();
    char *bytes;
    size_t n;
    assert_ok(file_read(a, test_path(out, "train.bin"), 0, &bytes, &n));
    for (size_t cut = 0; cut < n; cut += cut < 70 ? 1 : 97) {
        assert_ok(file_replace(test_path(out, "train.bin"), bytes, cut));
        assert_fails(dataset_open(out, &d), E_FORMAT, "train.bin");
    }
    arena_free(a);
    assert_ok(file_remove(test_path(out, "heldout.bin")));
    put(out, "train.bin", "", 0);
    assert_fails(dataset_open(out, &d), E_FORMAT, "train.bin");
    assert_ok(file_remove(test_path(out, "meta.json")));
    assert_fails(dataset_open(out, &d), E_FORMAT, "no meta.json");
    assert_fails(dataset_open(test_path(out, "none"), &d), E_FORMAT, "anneal data");
}

/* A checksum that fits does not make an id fit: another program may have
 * written the file. */
static void a_token_beyond_the_vocabulary_is_refused(void **state)
{
    char out[256], *bytes;
    size_t n;
    make_set(*state, out);
    arena *a = arena_new();
    assert_ok(file_read(a, test_path(out, "train.bin"), 0, &bytes, &n));
    uint16_t id = 257;
    memcpy(bytes + 64 + 2 * 5, &id, 2);
    uint64_t sum = XXH3_64bits(bytes + 64, n - 64);
    memcpy(bytes + 24, &sum, 8);
    assert_ok(file_replace(test_path(out, "train.bin"), bytes, n));
    dataset *d;
    assert_fails(dataset_open(out, &d), E_FORMAT,
                 "token 5 is 257, beyond the vocabulary of 257");
    arena_free(a);
}

/* ---- faults ---- */

static void a_full_disk_leaves_nothing_behind(void **state)
{
    const char *dir = *state;
    char out[256], path[256];
    const char *paths[] = {path};
    snprintf(path, sizeof path, "%s", put(dir, "t.txt", "some text to keep", 17));
    snprintf(out, sizeof out, "%s", test_path(dir, "set"));
    for (long n = 1;; n++) {
        assert_true(n < 100);
        file_fail_at(n);
        rc r = data_build(1, paths, &byte_half, out, NULL);
        file_fail_at(0);
        if (r == OK) break;
        assert_int_equal(r, E_IO);
        assert_text_has(err_text(), "no space");
        assert_false(file_exists(out));
        assert_false(file_exists(test_path(dir, "set.tmp")));
    }
    dataset *d;
    assert_ok(dataset_open(out, &d));
    dataset_close(d);
}

static void out_of_memory_is_an_error_and_leaves_nothing(void **state)
{
    const char *dir = *state;
    char out[256], path[256];
    const char *paths[] = {path};
    snprintf(path, sizeof path, "%s", put(dir, "t.txt", "some text to keep", 17));
    snprintf(out, sizeof out, "%s", test_path(dir, "set"));
    data_options o = {.held_out = 0.3, .bpe_vocab = 259};
    bool built = false;
    for (long n = 1; !built; n++) {
        assert_true(n < 3000);
        mem_fail_at(n);
        rc r = data_build(1, paths, &o, out, NULL);
        mem_fail_at(0);
        if (r != OK) assert_int_equal(r, E_MEMORY);
        built = file_exists(out);
        assert_int_equal(built, r == OK);
        assert_false(file_exists(test_path(dir, "set.tmp")));
    }
    for (long n = 1;; n++) {
        dataset *d;
        double a, b;
        assert_true(n < 3000);
        mem_fail_at(n);
        rc r = dataset_open(out, &d);
        if (r == OK) {
            dataset_close(d);
            r = data_ngram(out, &a, &b);
        }
        mem_fail_at(0);
        if (r == OK) break;
        assert_int_equal(r, E_MEMORY);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, test_dir_setup, test_dir_teardown)
    const struct CMUnitTest tests[] = {
        T(an_empty_text_is_refused),
        T(a_binary_file_is_refused_with_its_place),
        T(a_folder_without_text_is_refused),
        T(what_cannot_be_read_is_named),
        T(no_tokenizer_and_no_sense_are_refused),
        T(nothing_is_written_over),
        T(two_builds_of_one_folder_do_not_mix),
        T(a_text_shorter_than_one_window_is_said_with_the_numbers),
        T(all_or_nothing_may_be_held_out),
        T(a_damaged_dataset_is_refused_by_file),
        T(a_dataset_that_is_cut_off_or_foreign_is_refused),
        T(a_token_beyond_the_vocabulary_is_refused),
        T(a_full_disk_leaves_nothing_behind),
        T(out_of_memory_is_an_error_and_leaves_nothing),
    };
    return cmocka_run_group_tests_name("data_errors", tests, NULL, NULL);
}
