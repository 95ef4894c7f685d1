/* The published errors of larger products: as exact_golden_test.c, some seconds each. */
#include "exact_golden.h"

static void large_products_have_the_published_error(void **state)
{
    check_all("gemm_slow", check_gemm);
}

static void large_convolutions_have_the_published_error(void **state)
{
    check_all("conv3x3_slow", check_conv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_products_have_the_published_error),
        cmocka_unit_test(large_convolutions_have_the_published_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
