/* Memory: zeroed, aligned, counted, and able to run out on command. */
#include "test.h"
#include "base/arena.h"

static bool is_zero(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i]) return false;
    return true;
}

static void takes_are_zeroed_and_aligned(void **state)
{
    static const size_t sizes[] = {0,    1,     63,    64,      65,
                                   1000, 65536, 65537, 1 << 20, 9 << 20};
    arena *a = arena_new();
    size_t sum = 0;
    /* the second and third round use memory that the first one filled */
    for (int round = 0; round < 3; round++) {
        unsigned char *last = NULL;
        sum = 0;
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            unsigned char *p = arena_take(a, sizes[i]);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 64, 0);
            assert_true(p != last);
            assert_true(is_zero(p, sizes[i]));
            memset(p, 0xa5, sizes[i]);
            last = p, sum += sizes[i];
        }
        assert_int_equal(arena_bytes(a), sum);
        arena_reset(a);
        assert_int_equal(arena_bytes(a), 0);
    }
    arena_free(a);
    arena_free(NULL);
}

static void reset_allocates_nothing_again(void **state)
{
    arena *a = arena_new();
    unsigned char *first[50];
    for (int i = 0; i < 50; i++) first[i] = arena_take(a, 5000);
    arena_reset(a);
    for (int i = 0; i < 50; i++) assert_ptr_equal(arena_take(a, 5000), first[i]);
    arena_free(a);
}

static void texts_are_copied_whole(void **state)
{
    arena *a = arena_new();
    assert_string_equal(arena_text(a, "abc"), "abc");
    assert_string_equal(arena_textn(a, "abcdef", 2), "ab");
    assert_string_equal(arena_textn(a, NULL, 0), "");
    assert_string_equal(arena_printf(a, "%s-%03d", "x", 7), "x-007");
    char *longest = arena_printf(a, "%*d", 100000, 1);
    assert_int_equal(strlen(longest), 100000);
    arena_free(a);
}

static void sizes_that_overflow_are_refused(void **state)
{
    assert_true(mem_mul(SIZE_MAX / 2, 3) == SIZE_MAX);
    assert_true(mem_mul(0, SIZE_MAX) == 0 && mem_mul(SIZE_MAX, 0) == 0);
    assert_true(mem_mul(1 << 10, 1 << 10) == 1 << 20);
    assert_true(mem_add(SIZE_MAX, 1) == SIZE_MAX && mem_add(2, 3) == 5);
    arena *a = arena_new();
    assert_null(arena_array(a, SIZE_MAX / 4, 8));
    assert_text_has(err_text(), "out of memory");
    for (size_t less = 0; less < 200; less++) {
        assert_null(arena_take(a, SIZE_MAX - less));
        assert_null(mem_take(SIZE_MAX - less));
    }
    assert_non_null(arena_array(a, 10, 10));
    arena_free(a);
}

static void the_nth_allocation_fails_once(void **state)
{
    arena *a = arena_new();
    mem_fail_at(1);
    assert_null(mem_take(8));
    assert_text_has(err_text(), "out of memory: wanted 8 bytes");
    mem_fail_at(3);
    void *p = mem_take(8);
    assert_non_null(p);
    assert_non_null(arena_take(a, 8));
    assert_null(arena_take(a, 8));
    assert_non_null(arena_take(a, 8));
    mem_fail_at(1);
    mem_fail_at(0);
    void *q = mem_take(8);
    assert_non_null(q);
    mem_fail_at(1);
    assert_null(arena_new());
    mem_drop(p);
    mem_drop(q);
    mem_drop(NULL);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_are_zeroed_and_aligned),
        cmocka_unit_test(reset_allocates_nothing_again),
        cmocka_unit_test(texts_are_copied_whole),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(the_nth_allocation_fails_once),
    };
    return cmocka_run_group_tests_name("base arena", tests, NULL, NULL);
}
