/* Arrays written are read back as they were; foreign and cut files are refused. */
#include "test.h"
#include "base/npy.h"

static void written_arrays_read_back(void **state)
{
    arena *mem = arena_new();
    char path[300];
    const int32_t v[6] = {1, -2, 3, 4, 5, 1 << 30};
    const int64_t shape[2] = {2, 3};
    npy a;
    snprintf(path, sizeof path, "%s/a.npy", (const char *)*state);
    assert_int_equal(npy_write(path, "<i4", 2, shape, v), OK);
    assert_int_equal(npy_read(mem, path, &a), OK);
    assert_string_equal(a.descr, "<i4");
    assert_int_equal(a.rank, 2);
    assert_int_equal(a.shape[1], 3);
    assert_int_equal(a.count, 6);
    assert_memory_equal(a.data, v, sizeof v);
    arena_free(mem);
}

static void cut_and_foreign_files_are_refused(void **state)
{
    arena *mem = arena_new();
    char path[300], *bytes;
    size_t n;
    const float v[4] = {0};
    const int64_t shape[1] = {4};
    npy a;
    snprintf(path, sizeof path, "%s/b.npy", (const char *)*state);
    assert_int_equal(npy_write(path, "<f4", 1, shape, v), OK);
    assert_int_equal(file_read(mem, path, 0, &bytes, &n), OK);
    for (size_t cut = 0; cut < n; cut++) {
        assert_int_equal(file_replace(path, bytes, cut), OK);
        assert_int_equal(npy_read(mem, path, &a), E_FORMAT);
    }
    bytes[1] = 'X';
    assert_int_equal(file_replace(path, bytes, n), OK);
    assert_int_equal(npy_read(mem, path, &a), E_FORMAT);
    arena_free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(written_arrays_read_back, test_dir_setup,
                                        test_dir_teardown),
        cmocka_unit_test_setup_teardown(cut_and_foreign_files_are_refused, test_dir_setup,
                                        test_dir_teardown),
    };
    return cmocka_run_group_tests_name("base npy", tests, NULL, NULL);
}
