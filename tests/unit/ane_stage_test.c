/* Staging folders: complete, private, under a lock that other processes keep,
 * and gone afterwards, whoever died where. */
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include "test.h"
#include "base/arena.h"
#include "dev/ane/stage.h"

static const mil_blob_file files[] = {
    {"@model_path/weights/w.bin", "weights", 7},
    {"@model_path/weights/deep/v.bin", "", 0},
};
static const dev_source source = {"test", "program", 7, files, 2};

static void assert_file(const char *dir, const char *name, const char *text)
{
    arena *mem = arena_new();
    char path[1200], *had;
    size_t n;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_ok(file_read(mem, path, 0, &had, &n));
    assert_string_equal(had, text);
    arena_free(mem);
}

static void assert_empty(const char *dir)
{
    arena *mem = arena_new();
    char **names;
    size_t n;
    assert_ok(file_list(mem, dir, &names, &n));
    if (n) fail_msg("%s was left behind", names[0]);
    arena_free(mem);
}

static void a_program_is_staged_whole_and_taken_away(void **state)
{
    const char *dir = test_path(*state, "hex");
    ane_stage s;
    struct stat st;
    assert_ok(ane_stage_open(&s, dir, NULL, 0));
    assert_false(file_exists(dir));
    assert_ok(ane_stage_write(&s, &source));
    assert_file(dir, "model.mil", "program");
    assert_file(dir, "weights/w.bin", "weights");
    assert_file(dir, "weights/deep/v.bin", "");
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    ane_stage_close(&s);
    assert_empty(*state);
    ane_stage_close(&s); /* twice is fine */
}

static void a_program_without_weights_still_has_the_folder_for_them(void **state)
{
    const dev_source plain = {"test", "program", 7, NULL, 0};
    ane_stage s;
    assert_ok(ane_stage_open(&s, test_path(*state, "hex"), NULL, 0));
    assert_ok(ane_stage_write(&s, &plain));
    assert_true(file_is_dir(test_path(*state, "hex/weights")));
    ane_stage_close(&s);
    assert_empty(*state);
}

static void a_weight_file_cannot_be_written_elsewhere(void **state)
{
    static const char *const bad[] = {
        "weights/w.bin",         "@model_path/../w.bin", "@model_path/model.mil",
        "@model_path/net.plist", "@model_path//etc/w",   "@model_path/",
        "@model_path/weights/",  "/etc/passwd",          "@model_path/weights/../../w",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        const mil_blob_file f = {bad[i], "x", 1};
        const dev_source src = {"test", "program", 7, &f, 1};
        ane_stage s;
        assert_ok(ane_stage_open(&s, test_path(*state, "hex"), NULL, 0));
        assert_fails(ane_stage_write(&s, &src), E_FORMAT, bad[i]);
        ane_stage_close(&s);
        assert_empty(*state);
    }
}

/* Files of a killed process, also under the names of folders. */
static void what_was_left_there_is_replaced(void **state)
{
    const char *dir = test_path(*state, "hex");
    ane_stage s;
    assert_ok(file_make_dirs(test_path(dir, "model.mil/deep")));
    assert_ok(ane_stage_open(&s, dir, NULL, 0));
    assert_ok(ane_stage_write(&s, &source));
    assert_file(dir, "model.mil", "program");
    assert_false(file_exists(test_path(dir, "model.mil/deep")));
    ane_stage_close(&s);
    assert_empty(*state);
}

/* A link put there beforehand is removed, not written through. */
static void a_link_in_the_way_is_not_followed(void **state)
{
    const char *dir = test_path(*state, "hex"), *trap = test_path(*state, "trap");
    ane_stage s;
    assert_ok(file_make_dirs(trap));
    assert_int_equal(symlink(trap, dir), 0);
    assert_ok(ane_stage_open(&s, dir, NULL, 0));
    assert_ok(ane_stage_write(&s, &source));
    ane_stage_close(&s);
    assert_empty(trap);
    assert_ok(file_remove(trap));
    assert_empty(*state);
}

/* On a RAM disk, say: the fixed place is a link to it. */
static void files_can_lie_elsewhere(void **state)
{
    const char *dir = test_path(*state, "hex"), *ram = test_path(*state, "ram");
    struct stat st;
    ane_stage s;
    assert_ok(file_make_dirs(ram));
    assert_ok(ane_stage_open(&s, dir, ram, 0));
    assert_ok(ane_stage_write(&s, &source));
    assert_int_equal(lstat(dir, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_file(dir, "weights/w.bin", "weights");
    assert_file(ram, "hex/model.mil", "program");
    ane_stage_close(&s);
    assert_empty(ram);
    assert_ok(file_remove(ram));
    assert_empty(*state);
}

static void any_failed_write_leaves_nothing(void **state)
{
    const char *dir = test_path(*state, "hex");
    for (long n = 1;; n++) {
        ane_stage s;
        file_fail_at(n);
        assert_ok(ane_stage_open(&s, dir, NULL, 0));
        rc r = ane_stage_write(&s, &source);
        file_fail_at(0);
        ane_stage_close(&s);
        assert_empty(*state);
        if (r == OK) break;
        assert_int_equal(r, E_IO);
        assert_text_has(err_text(), "no space left");
        assert_text_has(err_text(), "staging the program");
        assert_true(n < 10);
    }
}

/* ---- other processes ---- */
/* A child that stages, says so through a pipe, and waits to be killed. */
static pid_t holder(const char *dir, const char *elsewhere)
{
    int ready[2];
    char mark;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        ane_stage s;
        if (ane_stage_open(&s, dir, elsewhere, 0) != OK ||
            ane_stage_write(&s, &source) != OK)
            _exit(1);
        if (write(ready[1], "r", 1) != 1) _exit(1);
        for (;;) pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &mark, 1), 1);
    close(ready[0]);
    return child;
}

static void end(pid_t child)
{
    int status;
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
}

static void another_process_is_waited_for_and_not_disturbed(void **state)
{
    const char *dir = test_path(*state, "hex");
    ane_stage s;
    pid_t child = holder(dir, NULL);
    assert_fails(ane_stage_open(&s, dir, NULL, 30), E_BUSY, "another process");
    ane_stage_close(&s); /* was not opened: nothing to take away */
    ane_stage_sweep(*state, NULL);
    assert_file(dir, "model.mil", "program");
    end(child);
    assert_ok(ane_stage_open(&s, dir, NULL, 1000));
    assert_ok(ane_stage_write(&s, &source));
    ane_stage_close(&s);
    assert_empty(*state);
}

static void what_a_killed_process_left_is_swept(void **state)
{
    const char *dir = test_path(*state, "hex"), *other = test_path(*state, "other");
    pid_t child = holder(dir, NULL);
    assert_ok(file_make_dirs(other)); /* not ours: no lock beside it */
    end(child);
    assert_file(dir, "model.mil", "program");
    ane_stage_sweep(*state, NULL);
    assert_false(file_exists(dir));
    assert_true(file_is_dir(other));
    assert_ok(file_remove(other));
    assert_empty(*state);
}

/* The link and what it leads to, but only there where we were told to write. */
static void what_was_left_elsewhere_is_swept_too(void **state)
{
    const char *dir = test_path(*state, "hex"), *ram = test_path(*state, "ram");
    assert_ok(file_make_dirs(ram));
    end(holder(dir, ram));
    assert_file(ram, "hex/model.mil", "program");
    ane_stage_sweep(*state, ram);
    assert_empty(ram);
    assert_ok(file_remove(ram));
    assert_empty(*state);
}

/* Two processes stage the same program over and over; neither ever sees a file
 * of its own missing. */
static int stage_many(const char *dir, int times)
{
    char path[1200];
    uint64_t size;
    snprintf(path, sizeof path, "%s/weights/w.bin", dir);
    for (int i = 0; i < times; i++) {
        ane_stage s;
        if (ane_stage_open(&s, dir, NULL, 20000) != OK) return 1;
        if (ane_stage_write(&s, &source) != OK) return 2;
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
        if (file_size(path, &size) != OK || size != 7) return 3;
        ane_stage_close(&s);
    }
    return 0;
}

static void two_processes_take_turns(void **state)
{
    const char *dir = test_path(*state, "hex");
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(stage_many(dir, 30));
    assert_int_equal(stage_many(dir, 30), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_empty(*state);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    char path[2 * ANE_PATH];
    ane_stage s;
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = 0;
    assert_fails(ane_stage_open(&s, path, NULL, 0), E_IO, "too long");
    path[ANE_PATH - 4] = 0; /* the lock's name does not fit */
    assert_fails(ane_stage_open(&s, path, NULL, 0), E_IO, "too long");
}

int main(void)
{
#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, test_dir_setup, test_dir_teardown)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_program_is_staged_whole_and_taken_away),
        IN_FOLDER(a_program_without_weights_still_has_the_folder_for_them),
        IN_FOLDER(a_weight_file_cannot_be_written_elsewhere),
        IN_FOLDER(what_was_left_there_is_replaced),
        IN_FOLDER(a_link_in_the_way_is_not_followed),
        IN_FOLDER(files_can_lie_elsewhere),
        IN_FOLDER(any_failed_write_leaves_nothing),
        IN_FOLDER(another_process_is_waited_for_and_not_disturbed),
        IN_FOLDER(what_a_killed_process_left_is_swept),
        IN_FOLDER(what_was_left_elsewhere_is_swept_too),
        IN_FOLDER(two_processes_take_turns),
        IN_FOLDER(a_path_that_is_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
