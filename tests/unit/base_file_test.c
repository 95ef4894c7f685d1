/* Files: written whole or not at all, and failing on command. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "test.h"

static char *content(arena *a, const char *path)
{
    char *p;
    size_t n;
    assert_ok(file_read(a, path, 0, &p, &n));
    assert_int_equal(n, strlen(p));
    return p;
}

static void written_bytes_are_read_back(void **state)
{
    const char *path = test_path(*state, "a");
    arena *a = arena_new();
    file *f;
    assert_ok(file_create(path, &f));
    assert_ok(file_write(f, "hello ", 6));
    assert_string_equal(content(a, path), "hello "); /* no buffer in between */
    assert_ok(file_write(f, "world", 5));
    assert_ok(file_sync(f));
    assert_int_equal(file_written(f), 11);
    assert_ok(file_close(f));
    assert_ok(file_append(path, &f));
    assert_ok(file_write(f, "!", 1));
    assert_ok(file_close(f));
    assert_string_equal(content(a, path), "hello world!");
    uint64_t size;
    assert_ok(file_size(path, &size));
    assert_int_equal(size, 12);
    assert_ok(file_create(path, &f));
    file_drop(f);
    file_drop(NULL);
    assert_string_equal(content(a, path), "");
    arena_free(a);
}

static void reading_keeps_to_the_limit(void **state)
{
    const char *path = test_path(*state, "a");
    arena *a = arena_new();
    char *p;
    size_t n;
    assert_ok(file_replace(path, "0123456789", 10));
    assert_ok(file_read(a, path, 10, &p, &n));
    assert_fails(file_read(a, path, 9, &p, &n), E_FORMAT, "wanted at most 9 bytes");
    assert_fails(file_read(a, *state, 0, &p, &n), E_IO, "cannot read ");
    assert_fails(file_read(a, test_path(*state, "none"), 0, &p, &n), E_IO,
                 "no such file");
    /* a pipe has no size beforehand */
    const char *pipe = test_path(*state, "pipe");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    for (size_t limit = 0; limit < 20000; limit += 19999) {
        pid_t child = fork();
        if (child == 0) {
            char bytes[20000];
            memset(bytes, 'x', sizeof bytes);
            int fd = open(pipe, O_WRONLY);
            _exit(write(fd, bytes, sizeof bytes) == sizeof bytes ? 0 : 1);
        }
        rc r = file_read(a, pipe, limit, &p, &n);
        if (limit) assert_fails(r, E_FORMAT, "too large");
        else assert_true(r == OK && n == 20000 && p[19999] == 'x' && p[20000] == 0);
        waitpid(child, NULL, 0);
    }
    arena_free(a);
}

static void maps_show_the_file(void **state)
{
    const char *path = test_path(*state, "a");
    file_map_ m;
    assert_ok(file_replace(path, "abc", 3));
    assert_ok(file_map(path, &m));
    assert_int_equal(m.n, 3);
    assert_memory_equal(m.p, "abc", 3);
    file_unmap(&m);
    assert_null(m.p);
    assert_ok(file_replace(path, "", 0));
    assert_ok(file_map(path, &m));
    assert_int_equal(m.n, 0);
    file_unmap(&m);
    assert_fails(file_map(test_path(*state, "none"), &m), E_IO, "none");
    assert_fails(file_map(*state, &m), E_IO, "is a directory");
}

static void folders_are_made_listed_and_removed(void **state)
{
    const char *deep = test_path(*state, "x/y/z");
    arena *a = arena_new();
    char **names;
    size_t n;
    assert_ok(file_make_dirs(deep));
    assert_ok(file_make_dirs(deep));
    assert_true(file_is_dir(deep) && file_exists(deep));
    for (char c = 'z'; c >= 'a'; c--)
        assert_ok(file_replace(arena_printf(a, "%s/%c", deep, c), &c, 1));
    assert_ok(file_list(a, deep, &names, &n));
    assert_int_equal(n, 26);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(names[i], ((char[]){(char)('a' + i), 0}));
    assert_fails(file_make_dirs(test_path(deep, "a/b")), E_IO, "cannot make folder");
    assert_fails(file_remove(test_path(*state, "x")), E_IO, "not empty");
    /* a link to a place outside is removed, the place stays */
    const char *keep = test_path(*state, "keep");
    assert_ok(file_replace(keep, "1", 1));
    assert_int_equal(symlink(*state, arena_printf(a, "%s/link", deep)), 0);
    assert_ok(file_remove_tree(test_path(*state, "x")));
    assert_false(file_exists(test_path(*state, "x")));
    assert_true(file_exists(keep));
    assert_ok(file_list(a, *state, &names, &n));
    assert_int_equal(n, 1);
    assert_ok(file_remove(keep));
    assert_fails(file_list(a, keep, &names, &n), E_IO, "cannot list");
    assert_fails(file_remove_tree(keep), E_IO, "cannot remove");
    arena_free(a);
}

static void names_are_cut_and_joined(void **state)
{
    arena *a = arena_new();
    assert_string_equal(file_join(a, "a", "b"), "a/b");
    assert_string_equal(file_join(a, "a/", "b"), "a/b");
    assert_string_equal(file_base("a/b/c"), "c");
    assert_string_equal(file_base("c"), "c");
    arena_free(a);
}

static void copies_are_equal(void **state)
{
    arena *a = arena_new();
    size_t n = (1 << 20) + 17, had;
    char *bytes = arena_take(a, n), *back;
    for (size_t i = 0; i < n; i++) bytes[i] = (char)(i * 7 + i / 251);
    const char *from = test_path(*state, "from"), *to = test_path(*state, "to");
    assert_ok(file_replace(from, bytes, n));
    assert_ok(file_copy(from, to));
    assert_ok(file_read(a, to, 0, &back, &had));
    assert_int_equal(had, n);
    assert_memory_equal(back, bytes, n);
    assert_fails(file_copy(test_path(*state, "none"), to), E_IO, "none");
    file_fail_at(2);
    assert_fails(file_copy(from, to), E_IO, "no space left on device\n  while copying ");
    file_fail_at(0);
    arena_free(a);
}

/* Fail operation k of a replacement, for every k: what is read back is the old
 * text or the new one, never a mixture, and no spare file is left behind. */
static void replaced_files_are_old_or_new(void **state)
{
    const char *path = test_path(*state, "a");
    int k, news = 0;
    for (k = 1;; k++) {
        arena *a = arena_new();
        char **names;
        size_t n;
        assert_ok(file_replace(path, "old", 3));
        file_fail_at(k);
        rc r = file_replace(path, "new text", 8);
        file_fail_at(0);
        char *now = content(a, path);
        if (r == OK) assert_string_equal(now, "new text");
        else {
            assert_int_equal(r, E_IO);
            assert_text_has(err_text(), "no space left on device");
            assert_true(!strcmp(now, "old") || !strcmp(now, "new text"));
        }
        news += !strcmp(now, "new text");
        assert_ok(file_list(a, *state, &names, &n));
        assert_int_equal(n, 1);
        arena_free(a);
        if (r == OK) break;
    }
    /* write, sync, rename and the sync of the folder: four that can fail */
    assert_int_equal(k, 5);
    assert_int_equal(news, 2);
}

static void a_failed_write_is_torn_and_stays_failed(void **state)
{
    const char *path = test_path(*state, "a");
    arena *a = arena_new();
    file *f;
    assert_ok(file_create(path, &f));
    file_fail_at(2);
    assert_ok(file_write(f, "one ", 4));
    assert_fails(file_write(f, "two three", 9), E_IO, "no space left on device");
    assert_fails(file_sync(f), E_IO, "no space left on device");
    assert_fails(file_rename(path, test_path(*state, "b")), E_IO, "giving it the name");
    assert_fails(file_sync_dir(*state), E_IO, "cannot sync");
    file_fail_at(0);
    file_drop(f);
    assert_string_equal(content(a, path), "one two ");
    arena_free(a);
}

static void *write_many(void *dir)
{
    static const char name[] = "t";
    char path[600];
    size_t failed = 0;
    file *f;
    snprintf(path, sizeof path, "%s/%s%p", (char *)dir, name, (void *)&f);
    if (file_create(path, &f) != OK) return (void *)(uintptr_t)9999;
    for (int i = 0; i < 500; i++) failed += file_write(f, "x", 1) != OK;
    file_drop(f);
    return (void *)(uintptr_t)failed;
}

static void the_fault_count_is_shared_by_threads(void **state)
{
    pthread_t threads[4];
    size_t failed = 0;
    file_fail_at(1501);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, *state), 0);
    for (int i = 0; i < 4; i++) {
        void *n;
        pthread_join(threads[i], &n);
        failed += (uintptr_t)n;
    }
    file_fail_at(0);
    /* of 2000 writes the first 1500 pass, whichever thread makes them */
    assert_int_equal(failed, 500);
}

static void a_lock_keeps_others_out(void **state)
{
    const char *path = test_path(*state, "lock");
    file_lock_ mine, other;
    assert_ok(file_lock(path, &mine));
    assert_fails(file_lock(path, &other), E_BUSY, "locked by another process");
    file_unlock(&mine);
    assert_ok(file_lock(path, &other));
    file_unlock(&other);
    file_unlock(&other);
    /* a process that dies leaves none */
    pid_t child = fork();
    if (child == 0) _exit(file_lock(path, &other) == OK ? 0 : 1);
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    assert_ok(file_lock(path, &mine));
    file_unlock(&mine);
    assert_fails(file_lock(test_path(*state, "no/lock"), &mine), E_IO, "cannot lock");
}

static void lack_of_memory_is_reported(void **state)
{
    const char *path = test_path(*state, "a");
    for (long k = 1;; k++) {
        arena *a = arena_new();
        char *p, **names;
        size_t n;
        mem_fail_at(k);
        rc r = file_replace(path, "x", 1);
        if (r == OK) r = file_read(a, path, 0, &p, &n);
        if (r == OK) r = file_list(a, *state, &names, &n);
        if (r == OK) r = file_make_dirs(*state);
        if (r == OK && !file_join(a, "x", "y")) r = E_MEMORY;
        mem_fail_at(0);
        arena_free(a);
        if (r == OK) break;
        assert_int_equal(r, E_MEMORY);
        assert_true(k < 100);
    }
}

#define IN_DIR(test) \
    cmocka_unit_test_setup_teardown(test, test_dir_setup, test_dir_teardown)

/* A device is written to, not renamed over. */
static void what_is_no_plain_file_stays_what_it_is(void **state)
{
    (void)state;
    arena *a = arena_new();
    char *dir = test_mkdir(), *path = arena_printf(a, "%s/pipe", dir), text[8] = "";
    struct stat st;
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_ok(file_replace(path, "abc", 3));
    assert_int_equal(read(fd, text, sizeof text), 3);
    assert_string_equal(text, "abc");
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_ok(file_replace("/dev/null", "abc", 3));
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    close(fd);
    test_rmdir(dir);
    arena_free(a);
}

/* What is written in between is nobody's: an error names what was asked for. A name
 * longer than any system takes cannot be made, whoever runs this. */
static void an_error_names_the_file_that_was_asked_for(void **state)
{
    (void)state;
    arena *a = arena_new();
    char name[400], *dir = test_mkdir(), *taken = arena_printf(a, "%s/y", dir);
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    assert_ok(file_make_dirs(taken));
    assert_fails(file_replace(taken, "x", 1), E_IO, taken); /* a folder has that name */
    assert_null(strstr(err_text(), arena_printf(a, "%s.tmp", taken)));
    assert_fails(file_replace(name, "x", 1), E_IO,
                 arena_printf(a, "cannot write %s:", name));
    assert_fails(file_make_dirs_for(arena_printf(a, "%s.tmp", name), name), E_IO,
                 arena_printf(a, "cannot make folder %s:", name));
    test_rmdir(dir);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_names_the_file_that_was_asked_for),
        cmocka_unit_test(what_is_no_plain_file_stays_what_it_is),
        IN_DIR(written_bytes_are_read_back),
        IN_DIR(reading_keeps_to_the_limit),
        IN_DIR(maps_show_the_file),
        IN_DIR(folders_are_made_listed_and_removed),
        cmocka_unit_test(names_are_cut_and_joined),
        IN_DIR(copies_are_equal),
        IN_DIR(replaced_files_are_old_or_new),
        IN_DIR(a_failed_write_is_torn_and_stays_failed),
        IN_DIR(the_fault_count_is_shared_by_threads),
        IN_DIR(a_lock_keeps_others_out),
        IN_DIR(lack_of_memory_is_reported),
    };
    return cmocka_run_group_tests_name("base file", tests, NULL, NULL);
}
