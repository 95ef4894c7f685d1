/* How weights reach the engine: in the form that programs on chips use while
 * that is safe, in the other where the system takes no other; numbers are those
 * of the files either way. */
#include <sys/stat.h>
#include <unistd.h>
#include "dev_help.h"
#include "base/str.h"
#include "dev/ane/ane.h"
#include "fake_controls.h"

#define MEMORY "ane:memory,compiles=none,lib=" FAKE_LIB

static device *opened(const char *uri)
{
    device *d = NULL;
    rc r = dev_open(uri, NULL, &d);
    if (r != OK) fail_msg("%s: %s", uri, err_text());
    return d;
}

/* ---- a program of two files: x * w + v ---- */
#define BLOB(name)                                                                    \
    "        " ROW32 " " name " = const()[name = string(\"" name "\"), val = " ROW32  \
    "(BLOBFILE(path = string(\"@model_path/weights/" name ".bin\"), offset = uint64(" \
    "64)))];\n"
static const char two_files[] = PROGRAM(
    ROW32 " in_a",
    BLOB("w") BLOB("v") LET(ROW32, "scaled", "mul(x = in_a, y = w)")
        LET(ROW32, "made", "add(x = scaled, y = v)"),
    "made");

static void fill(mil_blob_writer **w, mil_blob_file *f, double value)
{
    half data[128];
    uint64_t offset;
    for (int i = 0; i < 128; i++) data[i] = half_from_double(value);
    assert_ok(mil_blob_new(w));
    assert_ok(mil_blob_add(*w, MIL_FP16, data, sizeof data, &offset));
    assert_ok(mil_blob_bytes(*w, &f->bytes, &f->size));
}

/* Compiles it with these values and looks at its numbers. */
static rc run_two_files(device *d, double w, double v)
{
    mil_blob_file f[] = {{.path = "@model_path/weights/w.bin"},
                         {.path = "@model_path/weights/v.bin"}};
    mil_blob_writer *blob[2];
    dev_program *p = NULL;
    fill(&blob[0], &f[0], w);
    fill(&blob[1], &f[1], v);
    rc r = try_load(d, two_files, f, 2, &p);
    if (r == OK) {
        dev_surface *x = surface(d, 4, 32, 0), *y = surface(d, 4, 32, 0);
        put_ramp(x, 128, 0, 1);
        assert_ok(run_and_wait(p, &x, 1, &y, 1, NULL));
        assert_ramp(y, 128, v, w);
        dev_drop(x);
        dev_drop(y);
        dev_unload(p);
    }
    for (int i = 0; i < 2; i++) mil_blob_free(blob[i]);
    return r;
}

static int compiles_of(device *d, double w, double v)
{
    int before = fake.compiles();
    assert_ok(run_two_files(d, w, v));
    return fake.compiles() - before;
}

/* ---- what holds ---- */
static void either_form_gives_the_numbers_of_the_files(void **state)
{
    static const char *const uris[] = {MEMORY, MEMORY ",weights=pairs",
                                       MEMORY ",weights=files",
                                       "ane:client,lib=" FAKE_LIB ",compiles=none"};
    for (size_t i = 0; i < COUNT_OF(uris); i++) {
        device *d = opened(uris[i]);
        assert_ok(run_two_files(d, 2, 3));
        dev_close(d);
    }
}

/* Nobody promises the order of a dictionary; the wrong one would end the
 * process, so it is looked at first. */
static void where_data_is_not_first_files_are_named(void **state)
{
    device *d;
    fake.keys(1);
    d = opened(MEMORY);
    assert_ok(run_two_files(d, 2, 3));
    dev_close(d);
    assert_fails(dev_open(MEMORY ",weights=pairs", NULL, &d), E_DEVICE, "offset");
    fake.keys(0);
    fake.hide("allKeys"); /* cannot be looked at */
    d = opened(MEMORY);
    assert_ok(run_two_files(d, 2, 3));
    dev_close(d);
}

static void a_system_that_compares_files_gets_them_by_name(void **state)
{
    fake.system(27);
    device *d = opened(MEMORY);
    /* The trial has one file, which pairs can give. With several it is found out
     * once; refused compiles count against our budget, not the fake's. */
    dev_sample s[3];
    assert_ok(dev_sample_of(d, &s[0]));
    assert_int_equal(compiles_of(d, 2, 3), 1);
    assert_ok(dev_sample_of(d, &s[1]));
    assert_int_equal(compiles_of(d, 4, 5), 1);
    assert_ok(dev_sample_of(d, &s[2]));
    assert_near(s[1].value[DEV_LOADS] - s[0].value[DEV_LOADS], 2, 0);
    assert_near(s[2].value[DEV_LOADS] - s[1].value[DEV_LOADS], 1, 0);
    dev_close(d);
    d = opened(MEMORY ",weights=pairs");
    assert_fails(run_two_files(d, 2, 3), E_DEVICE, "invalid model");
    dev_close(d);
}

/* A program that is told its place by us is not told by a link. */
static void staging_elsewhere_uses_no_link_where_the_system_can_be_told(void **state)
{
    char uri[600], ram[500];
    device *d;
    snprintf(ram, sizeof ram, "%s/ram", (char *)*state);
    assert_ok(file_make_dirs(ram));
    snprintf(uri, sizeof uri, MEMORY ",staging=%s", ram);
    for (int system = 26; system <= 27; system++) {
        fake.system(system);
        d = opened(uri);
        assert_ok(run_two_files(d, 2, 3));
        dev_close(d);
    }
    fake.hide("setModelURL:");
    assert_fails(dev_open(uri, NULL, &d), E_DEVICE, "invalid model");
    fake.system(26);
    d = opened(uri);
    assert_ok(run_two_files(d, 2, 3));
    dev_close(d);
    assert_ok(file_remove(ram)); /* empty again */
}

/* Making or removing anything in a folder changes its time, so the temporary
 * folder shows whether anything of ours was ever there. */
static void staging_in_memory_leaves_the_disk_alone(void **state)
{
    static const char *const uris[] = {
        MEMORY ",staging=ram", "ane:client,staging=ram,lib=" FAKE_LIB ",compiles=none"};
    struct stat before, after;
    device *d;
    char ram[300];
    if (ane_ram_folder(ram, sizeof ram) != OK) {
        assert_text_has(err_text(), "staging=FOLDER");
        skip();
    }
    usleep(20000);
    assert_int_equal(stat(*state, &before), 0);
    for (int system = 26; system <= 27; system++)
        for (size_t i = 0; i < COUNT_OF(uris); i++) {
            dev_caps c;
            fake.system(system);
            assert_ok(dev_open_at(uris[i], NULL, test_path(*state, "never"), &d));
            assert_ok(dev_caps_of(d, &c));
            assert_text_has(c.uri, "staging=ram");
            assert_ok(run_two_files(d, 2, 3));
            dev_close(d);
        }
    assert_int_equal(stat(*state, &after), 0);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
    /* Told by a link, the disk has the link for a while, and nothing else. */
    fake.system(26);
    fake.hide("setModelURL:");
    d = opened(uris[0]);
    dev_close(d);
}

/* Where neither form helps, the reason given is that of the first. */
static void a_refusal_for_other_reasons_stays_what_it_was(void **state)
{
    device *d;
    fake.tell("refuse=compile,invalid_model");
    assert_fails(dev_open(MEMORY, NULL, &d), E_DEVICE, "invalid model");
    fake.tell("refuse=compile,bad_program");
    assert_fails(dev_open(MEMORY, NULL, &d), E_RULE, "InvalidMILProgram");
}

int main(void)
{
#define ON_FAKE(f) cmocka_unit_test_setup_teardown(f, fake_set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        ON_FAKE(either_form_gives_the_numbers_of_the_files),
        ON_FAKE(where_data_is_not_first_files_are_named),
        ON_FAKE(a_system_that_compares_files_gets_them_by_name),
        ON_FAKE(staging_elsewhere_uses_no_link_where_the_system_can_be_told),
        ON_FAKE(staging_in_memory_leaves_the_disk_alone),
        ON_FAKE(a_refusal_for_other_reasons_stays_what_it_was),
    };
    alarm(120);
    return cmocka_run_group_tests(tests, open_fake, NULL);
}
