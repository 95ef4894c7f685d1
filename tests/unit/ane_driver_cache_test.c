/* Compiled programs that are kept: loaded again without compiling, by the same
 * process or another; compiled again, without an error, wherever something is
 * torn, gone, refused or full; never more than allowed. */
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>
#include "dev_help.h"
#include "base/str.h"
#include "dev/cache.h"
#include "fake_controls.h"

#define CLIENT "ane:client,compiles=none,lib=" FAKE_LIB
#define MEMORY "ane:memory,compiles=none,lib=" FAKE_LIB

/* ---- a bench: temporary folder, state folder, the service's folder ---- */
typedef struct {
    const char *uri;
    char *dir, temp[300], state[300], service[300], programs[320];
} bench;

static void as_another_process(bench *b)
{
    fake_begin(b->temp);
    fake.daemon(b->service);
}

static int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);
    if (!b) return -1;
    b->uri = *state;
    b->dir = test_mkdir();
    snprintf(b->state, sizeof b->state, "%s/state", b->dir);
    snprintf(b->service, sizeof b->service, "%s/service", b->dir);
    snprintf(b->programs, sizeof b->programs, "%s/ane/programs", b->state);
    snprintf(b->temp, sizeof b->temp, "%s/temp", b->dir);
    if (file_make_dirs(b->service) != OK || file_make_dirs(b->temp) != OK) return -1;
    as_another_process(b);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    bench *b = *state;
    int code = fake_end(0);
    test_rmdir(b->dir);
    free(b);
    return code;
}

static device *opened(const bench *b)
{
    device *d = NULL;
    if (dev_open_at(b->uri, NULL, b->state, &d) != OK) fail_msg("%s", err_text());
    return d;
}

static double compiles(device *d)
{
    dev_sample s;
    assert_ok(dev_sample_of(d, &s));
    return s.value[DEV_LOADS];
}

static dev_cache facts(device *d)
{
    dev_cache c;
    assert_ok(dev_cache_of(d, &c));
    return c;
}

/* Load, run, look at the numbers, unload. How many compiles that took. */
static int use(device *d, int which)
{
    static const char *const text[] = {
        PROGRAM(ROW32 " in_a", LET(ROW32, "made", "add(x = in_a, y = in_a)"), "made"),
        PROGRAM(ROW32 " in_a",
                "        " ROW32 " w = const()[name = string(\"w\"), val = " ROW32
                "(BLOBFILE(path = string(\"@model_path/weights/w.bin\"), offset = "
                "uint64(64)))];\n" LET(ROW32, "made", "mul(x = in_a, y = w)"),
                "made")};
    double before = compiles(d);
    half data[128];
    uint64_t offset;
    mil_blob_writer *w;
    mil_blob_file f = {.path = "@model_path/weights/w.bin"};
    dev_program *p = NULL;
    for (int i = 0; i < 128; i++) data[i] = half_from_double(which + 2);
    assert_ok(mil_blob_new(&w));
    assert_ok(mil_blob_add(w, MIL_FP16, data, sizeof data, &offset));
    assert_ok(mil_blob_bytes(w, &f.bytes, &f.size));
    assert_ok(try_load(d, text[which > 0], &f, which > 0, &p));
    dev_surface *x = surface(d, 4, 32, 0), *y = surface(d, 4, 32, 0);
    put_ramp(x, 128, 0, 1);
    assert_ok(run_and_wait(p, &x, 1, &y, 1, NULL));
    assert_ramp(y, 128, 0, which + 2);
    dev_drop(x);
    dev_drop(y);
    double took = compiles(d) - before;
    dev_unload(p);
    mil_blob_free(w);
    return (int)took;
}

static size_t kept(const bench *b)
{
    arena *mem = arena_new();
    dev_cached *all;
    size_t n;
    assert_ok(dev_cache_list(mem, b->state, NULL, &all, &n));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(strlen(all[i].name), 32);
        assert_true(all[i].bytes > 0 && all[i].used > 0);
        assert_string_equal(all[i].route, strstr(b->uri, "client") ? "client" : "memory");
    }
    arena_free(mem);
    return n;
}

/* ---- what is kept ---- */
static void a_program_is_compiled_once(void **state)
{
    bench *b = *state;
    device *d = opened(b);
    assert_true(facts(d).on);
    assert_int_equal(facts(d).loads, 1); /* the trial, when it was tried */
    assert_int_equal(use(d, 0), 1);
    assert_int_equal(use(d, 0), 0);
    assert_int_equal(use(d, 1), 1);
    assert_int_equal(use(d, 2), 1); /* other weights */
    assert_int_equal(use(d, 1), 0);
    assert_int_equal(kept(b), 4);
    assert_int_equal(facts(d).refused + facts(d).failed, 0);
    dev_close(d);
}

/* Others may neither read the weights nor put a program in their place. */
static void its_folder_is_private(void **state)
{
    bench *b = *state;
    struct stat st;
    char path[400], to[420];
    device *d;
    dev_close(opened(b));
    assert_int_equal(stat(b->programs, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(chmod(b->programs, 0755), 0);
    dev_close(opened(b));
    assert_int_equal(stat(b->programs, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    /* A link in its place is not followed. */
    snprintf(path, sizeof path, "%s/other/ane", b->dir);
    snprintf(to, sizeof to, "%s/programs", path);
    assert_ok(file_make_dirs(path));
    assert_int_equal(symlink(b->programs, to), 0);
    snprintf(path, sizeof path, "%s/other", b->dir);
    assert_ok(dev_open_at(b->uri, NULL, path, &d));
    assert_false(facts(d).on);
    dev_close(d);
}

static void another_process_compiles_nothing(void **state)
{
    bench *b = *state;
    device *d = opened(b);
    use(d, 0);
    use(d, 1);
    double before = compiles(d);
    dev_close(d);
    as_another_process(b);
    d = opened(b);
    assert_int_equal(compiles(d), before); /* not even the trial */
    assert_int_equal(use(d, 0) + use(d, 1), 0);
    assert_int_equal(fake.recalled(), 3);
    assert_int_equal(facts(d).loads, 3);
    dev_close(d);
}

/* Who compiles nothing needs no budget. */
static void what_is_kept_needs_no_budget(void **state)
{
    bench *b = *state;
    device *d = opened(b);
    use(d, 0);
    double used = compiles(d);
    dev_close(d);
    char uri[300];
    snprintf(uri, sizeof uri, "ane:%s,compiles=%d,lib=" FAKE_LIB,
             strstr(b->uri, "client") ? "client" : "memory", (int)used);
    assert_ok(dev_open_at(uri, NULL, b->state, &d));
    assert_int_equal(use(d, 0), 0);
    dev_program *p;
    static const char other[] = PROGRAM(
        ROW32 " in_a", LET(ROW32, "made", "mul(x = in_a, y = in_a)"), "made");
    assert_fails(try_load(d, other, NULL, 0, &p), E_BUDGET, "compile budget");
    dev_close(d);
}

static void it_is_off_where_nobody_wants_it(void **state)
{
    bench *b = *state;
    device *d;
    char uri[600], ram[400];
    assert_ok(dev_open(b->uri, NULL, &d)); /* no folder */
    assert_false(facts(d).on);
    assert_int_equal(use(d, 0), 1);
    assert_int_equal(use(d, 0), 1);
    bool works;
    assert_fails(dev_cache_try(d, &works), E_DEVICE, "no folder");
    dev_close(d);
    snprintf(ram, sizeof ram, "%s/ram", b->dir);
    assert_ok(file_make_dirs(ram));
    const char *const words[] = {"cache=off", "staging="};
    for (int i = 0; i < 2; i++) {
        snprintf(uri, sizeof uri, "%s,%s%s", b->uri, words[i], i ? ram : "");
        assert_ok(dev_open_at(uri, NULL, b->state, &d));
        assert_false(facts(d).on);
        dev_close(d);
    }
    assert_false(file_exists(b->programs));
    assert_ok(dev_open("emu:m4", NULL, &d));
    assert_false(facts(d).on);
    assert_fails(dev_cache_try(d, &works), E_DEVICE, "'emu' keeps no programs");
    dev_close(d);
}

/* ---- the system does not play along ---- */
static void what_the_system_has_forgotten_is_compiled(void **state)
{
    bench *b = *state;
    device *d = opened(b);
    use(d, 0);
    dev_close(d);
    assert_ok(file_remove_tree(b->service));
    assert_ok(file_make_dirs(b->service));
    as_another_process(b);
    d = opened(b);
    assert_int_equal(use(d, 0), 1);
    assert_int_equal(facts(d).misses, 2);
    assert_int_equal(facts(d).refused, 0);
    assert_int_equal(use(d, 0), 0);
    dev_close(d);
    /* The same where the system cannot be asked: it refuses to load. */
    assert_ok(file_remove_tree(b->service));
    assert_ok(file_make_dirs(b->service));
    as_another_process(b);
    fake.hide(strstr(b->uri, "client") ? "compiledModelExistsFor:"
                                       : "compiledModelExists");
    d = opened(b);
    assert_int_equal(use(d, 0), 1);
    assert_int_equal(facts(d).refused, 2);
    dev_close(d);
}

static void where_it_was_seen_to_fail_it_stays_off(void **state)
{
    bench *b = *state;
    fake.tell("refuse=load,not_compiled,2"); /* the trial's second load */
    device *d = opened(b);
    assert_false(facts(d).on);
    assert_text_has(facts(d).why, "did not load");
    fake.tell("");
    assert_int_equal(use(d, 0), 1);
    assert_int_equal(use(d, 0), 1);
    dev_close(d);
    d = opened(b); /* and is not tried at every opening */
    assert_false(facts(d).on);
    assert_int_equal(facts(d).loads, 0);
    bool works = false;
    assert_ok(dev_cache_try(d, &works)); /* only when told to */
    assert_true(works && facts(d).on);
    assert_int_equal(use(d, 0), 1);
    assert_int_equal(use(d, 0), 0);
    dev_close(d);
    fake.tell("refuse=evaluate,run_failed,1"); /* the cache is not to blame */
    assert_true(dev_open_at(b->uri, NULL, b->state, &d) != OK);
    fake.tell("");
    d = opened(b);
    assert_true(facts(d).on);
    dev_close(d);
}

/* Others hold all slots: what is kept is not lost for that. */
static void a_full_engine_is_not_a_refusal(void **state)
{
    bench *b = *state;
    device *d = opened(b);
    use(d, 0);
    fake.tell("refuse=load,no_slot");
    static const char text[] = PROGRAM(
        ROW32 " in_a", LET(ROW32, "made", "add(x = in_a, y = in_a)"), "made");
    dev_program *p;
    assert_fails(try_load(d, text, NULL, 0, &p), E_BUDGET, "0x50004");
    fake.tell("");
    assert_int_equal(use(d, 0), 0);
    assert_int_equal(facts(d).refused, 0);
    dev_close(d);
}

/* Cleared, it is asked anew. */
static void a_verdict_is_not_for_ever(void **state)
{
    bench *b = *state;
    size_t n;
    uint64_t bytes;
    fake.tell("refuse=load,not_compiled,2");
    dev_close(opened(b));
    fake.tell("");
    device *d = opened(b);
    assert_false(facts(d).on);
    dev_close(d);
    const char *other = strstr(b->uri, "client") ? "ane:memory" : "ane:client";
    assert_ok(dev_cache_clear(b->state, other, &n, &bytes));
    d = opened(b);
    assert_false(facts(d).on);
    dev_close(d);
    assert_ok(dev_cache_clear(b->state, NULL, &n, &bytes));
    d = opened(b);
    assert_true(facts(d).on);
    dev_close(d);
}

/* Whatever call of the system's fails: a clear error or none, nothing left, and
 * the next life is well. */
static void any_call_may_fail_with_it(void **state)
{
    bench *b = *state;
    device *d = opened(b);
    use(d, 1);
    dev_close(d);
    uint64_t before = fake.calls();
    d = opened(b);
    use(d, 1);
    dev_close(d);
    uint64_t n = fake.calls() - before;
    assert_true(n > 50);
    for (uint64_t k = 1; k <= n; k++) {
        fake.fail_at(k);
        rc r = dev_open_at(b->uri, NULL, b->state, &d);
        dev_program *p = NULL;
        if (r == OK) {
            static const char text[] = PROGRAM(
                ROW32 " in_a", LET(ROW32, "made", "add(x = in_a, y = in_a)"), "made");
            r = try_load(d, text, NULL, 0, &p);
            dev_unload(p);
            dev_close(d);
        }
        fake.fail_at(0);
        if (r != OK && !*err_first()) fail_msg("call %d: no text", (int)k);
        if (fake.live_objects() || fake.loaded())
            fail_msg("call %d leaves something", (int)k);
        d = opened(b);
        use(d, 1);
        dev_close(d);
    }
}

/* ---- files that are not what they were ---- */
typedef void (*harm)(const char *path);

static void make_shorter(const char *path)
{
    uint64_t n;
    assert_ok(file_size(path, &n));
    assert_int_equal(truncate(path, (off_t)(n / 2)), 0);
}

static void flip_a_bit(const char *path)
{
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    int c = getc(f);
    rewind(f);
    putc(c ^ 1, f);
    fclose(f);
}

static void take_away(const char *path)
{
    assert_ok(file_remove(path));
}

/* Every file below the folder that ends so; how many these were. */
static int harm_all(const bench *b, const char *dir, const char *end, harm how)
{
    int harmed = 0;
    arena *mem = arena_new();
    char **names;
    size_t n;
    assert_ok(file_list(mem, dir, &names, &n));
    for (size_t i = 0; i < n; i++) {
        const char *path = file_join(mem, dir, names[i]);
        if (file_is_dir(path)) harmed += harm_all(b, path, end, how);
        else if (str_ends(names[i], end)) how(path), harmed++;
    }
    arena_free(mem);
    return harmed;
}

static void what_is_torn_is_compiled_again(void **state)
{
    static const harm ways[] = {make_shorter, flip_a_bit, take_away};
    static const char *const ends[] = {".entry", "model.mil", "w.bin", ".verdict"};
    bench *b = *state;
    for (size_t e = 0; e < COUNT_OF(ends); e++)
        for (size_t w = 0; w < COUNT_OF(ways); w++) {
            device *d = opened(b);
            use(d, 1);
            dev_close(d);
            int harmed = harm_all(b, b->programs, ends[e], ways[w]);
            d = opened(b);
            /* A verdict is asked for anew; what it was about is still whole. */
            bool whole = !harmed || !strcmp(ends[e], ".verdict");
            assert_int_equal(use(d, 1), !whole);
            assert_int_equal(use(d, 1), 0);
            assert_int_equal(facts(d).failed, 0);
            assert_int_equal(kept(b), 2);
            dev_close(d);
        }
}

static void what_a_killed_run_left_is_swept(void **state)
{
    bench *b = *state;
    device *d = opened(b);
    dev_close(d);
    const char *left = test_path(b->programs, "0123456789abcdef0123456789abcdef");
    char path[500];
    assert_ok(file_make_dirs(left));
    snprintf(path, sizeof path, "%s/model.mil", left);
    assert_ok(file_replace(path, "x", 1));
    snprintf(path, sizeof path, "%s.anneal-lock", left);
    assert_ok(file_replace(path, "", 0));
    file_lock_ held;
    assert_ok(file_lock(path, &held)); /* somebody is at it */
    dev_close(opened(b));
    assert_true(file_is_dir(left));
    file_unlock(&held);
    dev_close(opened(b));
    assert_false(file_exists(left));
    assert_false(file_exists(path));
    assert_int_equal(kept(b), 1);
}

/* ---- no room ---- */
static void a_folder_that_cannot_be_used_is_no_error(void **state)
{
    bench *b = *state;
    char state_path[400];
    device *d;
    snprintf(state_path, sizeof state_path, "%s/a-file", b->dir);
    assert_ok(file_replace(state_path, "x", 1));
    assert_ok(dev_open_at(b->uri, NULL, state_path, &d));
    assert_false(facts(d).on);
    assert_text_has(facts(d).why, "cannot be used");
    assert_int_equal(use(d, 0), 1);
    dev_close(d);
    d = opened(b); /* it vanishes while the device is open */
    assert_ok(file_remove_tree(b->programs));
    assert_ok(file_replace(b->programs, "x", 1));
    assert_int_equal(use(d, 0), 1);
    assert_true(facts(d).failed > 0);
    dev_close(d);
    assert_ok(file_remove(b->programs));
}

/* A disk that is full from write n on: a program that could still be staged is
 * run, and nothing half-written counts later. */
static void any_failed_write_is_no_error_or_a_clear_one(void **state)
{
    static const char text[] = PROGRAM(
        ROW32 " in_a", LET(ROW32, "made", "add(x = in_a, y = in_a)"), "made");
    bench *b = *state;
    int ran = 0;
    for (long n = 1; n <= 12; n++) {
        device *d = opened(b);
        dev_program *p = NULL;
        size_t removed;
        uint64_t bytes;
        file_fail_at(n);
        rc r = try_load(d, text, NULL, 0, &p);
        file_fail_at(0);
        if (r != OK) assert_text_has(err_text(), "no space left");
        else ran++;
        dev_unload(p);
        assert_int_equal(use(d, 0), r == OK && !facts(d).failed ? 0 : 1);
        dev_close(d);
        assert_ok(dev_cache_clear(b->state, NULL, &removed, &bytes));
        assert_int_equal(kept(b), 0);
    }
    assert_in_range(ran, 1, 11);
}

#define WIDE "tensor<fp16, [1, 64, 1, 4096]>" /* half a megabyte */
static void load_wide(device *d, int i)
{
    static half data[64 * 4096];
    static const char text[] = PROGRAM(
        WIDE " in_a",
        "        " WIDE " w = const()[name = string(\"w\"), val = " WIDE
        "(BLOBFILE(path = string(\"@model_path/weights/w.bin\"), offset = "
        "uint64(64)))];\n" LET(WIDE, "made", "mul(x = in_a, y = w)"),
        "made");
    uint64_t offset;
    mil_blob_writer *w;
    mil_blob_file f = {.path = "@model_path/weights/w.bin"};
    dev_program *p = NULL;
    for (int k = 0; k < 64 * 4096; k++) data[k] = half_from_double(i);
    assert_ok(mil_blob_new(&w));
    assert_ok(mil_blob_add(w, MIL_FP16, data, sizeof data, &offset));
    assert_ok(mil_blob_bytes(w, &f.bytes, &f.size));
    assert_ok(try_load(d, text, &f, 1, &p));
    dev_unload(p);
    mil_blob_free(w);
}

/* Not kept, and nothing else is lost for it: half a megabyte three times. */
static void what_is_larger_than_all_is_not_kept(void **state)
{
    static half data[64 * 4096];
    static const char text[] = PROGRAM(
        WIDE " in_a",
        "        " WIDE " w = const()[name = string(\"w\"), val = " WIDE
        "(BLOBFILE(path = string(\"@model_path/weights/w.bin\"), offset = "
        "uint64(64)))];\n" LET(WIDE, "made", "mul(x = in_a, y = w)"),
        "made");
    bench *b = *state;
    uint64_t offset;
    mil_blob_writer *w;
    mil_blob_file f = {.path = "@model_path/weights/w.bin"};
    dev_program *p = NULL;
    device *d;
    char uri[400];
    snprintf(uri, sizeof uri, "%s,cache=1", b->uri);
    assert_ok(dev_open_at(uri, NULL, b->state, &d));
    assert_int_equal(use(d, 0), 1);
    assert_ok(mil_blob_new(&w));
    for (int i = 0; i < 3; i++)
        assert_ok(mil_blob_add(w, MIL_FP16, data, sizeof data, &offset));
    assert_ok(mil_blob_bytes(w, &f.bytes, &f.size));
    assert_ok(try_load(d, text, &f, 1, &p));
    dev_unload(p);
    mil_blob_free(w);
    /* The memory route keeps no weights, so there it fits. */
    assert_int_equal(kept(b), strstr(b->uri, "client") ? 2 : 3);
    assert_int_equal(facts(d).failed, 0);
    assert_int_equal(use(d, 0), 0);
    dev_close(d);
}

/* Two of half a megabyte and the trial do not fit into one. */
static void the_longest_unused_goes_first(void **state)
{
    bench *b = *state;
    device *d;
    char uri[400];
    arena *mem = arena_new();
    dev_cached *all;
    size_t n;
    uint64_t total = 0;
    snprintf(uri, sizeof uri, "%s,cache=1", b->uri);
    assert_ok(dev_open_at(uri, NULL, b->state, &d));
    for (int i = 0; i < 4; i++) {
        load_wide(d, i);
        usleep(20000); /* time stamps of files may be as coarse as 10 ms */
        assert_int_equal(use(d, 0), !i);
        usleep(20000);
    }
    assert_ok(dev_cache_list(mem, b->state, NULL, &all, &n));
    for (size_t i = 0; i < n; i++) total += all[i].bytes;
    assert_in_range(total, 1, 1 << 20);
    if (strstr(b->uri, "client")) { /* the files of the others are not kept */
        assert_int_equal(n, 2);
        double before = compiles(d);
        load_wide(d, 3);
        assert_int_equal(compiles(d), before);
        load_wide(d, 2);
        assert_int_equal(compiles(d), before + 1);
    }
    dev_close(d);
    arena_free(mem);
}

/* ---- several at once ---- */
static void *use_all(void *arg)
{
    bench *b = arg;
    device *d = opened(b);
    for (int i = 0; i < 12; i++) use(d, i % 4);
    dev_close(d);
    return NULL;
}

static void devices_share_it(void **state)
{
    bench *b = *state;
    pthread_t t[3];
    dev_close(opened(b));
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, use_all, b), 0);
    for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
    assert_int_equal(kept(b), 5);
    device *d = opened(b);
    for (int i = 0; i < 4; i++) assert_int_equal(use(d, i), 0);
    dev_close(d);
}

/* ---- looked at and cleared from outside ---- */
static void it_can_be_cleared(void **state)
{
    bench *b = *state;
    uint64_t bytes;
    size_t n;
    bool client = strstr(b->uri, "client") != NULL;
    device *d = opened(b);
    use(d, 1);
    assert_int_equal(kept(b), 2);
    assert_ok(
        dev_cache_clear(b->state, client ? "ane:memory" : "ane:client", &n, &bytes));
    assert_int_equal(n, 0);
    assert_fails(dev_cache_clear(b->state, "emu:m4", &n, &bytes), E_DEVICE, "'emu'");
    assert_ok(dev_cache_clear(b->state, b->uri, &n, &bytes));
    assert_int_equal(n, 2);
    assert_true(bytes > 0);
    assert_int_equal(kept(b), 0);
    assert_int_equal(use(d, 1), 1); /* under an open device, too */
    assert_int_equal(use(d, 1), 0);
    dev_close(d);
    assert_ok(dev_cache_clear("no/such/folder", "ane", &n, &bytes));
    assert_ok(dev_cache_clear(NULL, NULL, &n, &bytes));
    assert_int_equal(n, 0);
}

int main(void)
{
#define ON_ROUTES(f)                                                    \
    {#f " (client)", f, set_up, tear_down, (void *)(uintptr_t)CLIENT},  \
    {                                                                   \
#f " (memory)", f, set_up, tear_down, (void *)(uintptr_t)MEMORY \
    }
    const struct CMUnitTest tests[] = {
        ON_ROUTES(a_program_is_compiled_once),
        ON_ROUTES(its_folder_is_private),
        ON_ROUTES(another_process_compiles_nothing),
        ON_ROUTES(what_is_kept_needs_no_budget),
        ON_ROUTES(it_is_off_where_nobody_wants_it),
        ON_ROUTES(what_the_system_has_forgotten_is_compiled),
        ON_ROUTES(where_it_was_seen_to_fail_it_stays_off),
        ON_ROUTES(a_full_engine_is_not_a_refusal),
        ON_ROUTES(a_verdict_is_not_for_ever),
        ON_ROUTES(any_call_may_fail_with_it),
        ON_ROUTES(what_is_torn_is_compiled_again),
        ON_ROUTES(what_a_killed_run_left_is_swept),
        ON_ROUTES(a_folder_that_cannot_be_used_is_no_error),
        ON_ROUTES(any_failed_write_is_no_error_or_a_clear_one),
        ON_ROUTES(the_longest_unused_goes_first),
        ON_ROUTES(what_is_larger_than_all_is_not_kept),
        ON_ROUTES(devices_share_it),
        ON_ROUTES(it_can_be_cleared),
    };
    alarm(240);
    return cmocka_run_group_tests(tests, open_fake, NULL);
}
