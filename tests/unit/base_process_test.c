/* Children: what they say, how they end, and that none is waited for forever. */
#include "test.h"
#include <signal.h>
#include <string.h>
#include "base/process.h"

extern char **environ;

static void run(const char *script, double limit_ms, process_result *out)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    assert_ok(process_run(argv, environ, limit_ms, out));
}

static void words_and_code_come_back(void **state)
{
    process_result r;
    char fate[96];
    run("echo good; echo bad >&2; exit 7", 60000, &r);
    assert_string_equal(str_text(&r.out), "good\n");
    assert_string_equal(str_text(&r.err), "bad\n");
    assert_int_equal(r.code, 7);
    assert_int_equal(r.signal, 0);
    assert_false(r.timed_out);
    assert_string_equal(process_fate(&r, fate, sizeof fate), "ended with code 7");
    process_result_free(&r);
}

static void a_child_that_dies_is_told_with_its_signal(void **state)
{
    process_result r;
    char fate[96];
    run("echo before; kill -SEGV $$", 60000, &r);
    assert_string_equal(str_text(&r.out), "before\n");
    assert_int_equal(r.signal, SIGSEGV);
    assert_int_equal(r.code, -1);
    assert_text_has(process_fate(&r, fate, sizeof fate), "signal 11");
    process_result_free(&r);
}

static void a_child_that_hangs_is_ended(void **state)
{
    process_result r;
    char fate[96];
    run("echo before; exec sleep 600", 300, &r);
    assert_true(r.timed_out);
    assert_int_equal(r.signal, SIGKILL);
    assert_true(r.ms < 60000);
    assert_string_equal(str_text(&r.out), "before\n");
    assert_text_has(process_fate(&r, fate, sizeof fate), "not answered after");
    process_result_free(&r);
    run("exec >&- 2>&-; exec sleep 600", 300, &r); /* says no more, and stays */
    assert_true(r.timed_out);
    process_result_free(&r);
}

/* More than a pipe holds: a child is never kept waiting for a reader. */
static void much_talk_is_read_and_bounded(void **state)
{
    process_result r;
    run("dd if=/dev/zero bs=65536 count=40 2>/dev/null | tr '\\0' x; echo end >&2", 60000,
        &r);
    assert_int_equal(r.code, 0);
    assert_int_equal(r.out.n, PROCESS_SAYS);
    assert_string_equal(str_text(&r.err), "end\n");
    process_result_free(&r);
}

static void what_cannot_be_started_is_an_error(void **state)
{
    const char *const argv[] = {"/no/such/program", NULL};
    process_result r;
    assert_fails(process_run(argv, environ, 1000, &r), E_IO, "/no/such/program");
    process_result_free(&r);
}

static void a_child_has_the_environment_it_is_given(void **state)
{
    const char *const argv[] = {"/bin/sh", "-c", "echo $WORD", NULL};
    char word[] = "WORD=here";
    char *env[] = {word, NULL};
    process_result r;
    assert_ok(process_run(argv, env, 60000, &r));
    assert_string_equal(str_text(&r.out), "here\n");
    process_result_free(&r);
}

static void this_program_knows_its_path(void **state)
{
    arena *a = arena_new();
    const char *path;
    assert_ok(process_self(a, &path));
    assert_int_equal(*path, '/');
    assert_text_has(path, "base_process_test");
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_code_come_back),
        cmocka_unit_test(a_child_that_dies_is_told_with_its_signal),
        cmocka_unit_test(a_child_that_hangs_is_ended),
        cmocka_unit_test(much_talk_is_read_and_bounded),
        cmocka_unit_test(what_cannot_be_started_is_an_error),
        cmocka_unit_test(a_child_has_the_environment_it_is_given),
        cmocka_unit_test(this_program_knows_its_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
