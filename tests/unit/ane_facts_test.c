/* What the system says of the machine, and what is made of answers that are
 * missing, too long or of another size. */
#include "test.h"
#include <string.h>
#include "dev/ane/facts.h"

typedef struct {
    const char *name, *text; /* a text, or a number of `size` bytes */
    uint64_t value;
    size_t size;
} row;
static const row *rows;
static size_t n_rows;

static int answer(const char *name, void *out, size_t *n, void *in, size_t m)
{
    assert_null(in);
    assert_int_equal(m, 0);
    for (size_t i = 0; i < n_rows; i++) {
        if (strcmp(rows[i].name, name)) continue;
        size_t size = rows[i].text ? strlen(rows[i].text) + 1 : rows[i].size;
        const void *from = rows[i].text ? (const void *)rows[i].text : &rows[i].value;
        int r = size <= *n ? 0 : -1; /* ENOMEM, with what fits */
        memcpy(out, from, size <= *n ? size : *n);
        if (!r) *n = size;
        return r;
    }
    return -1;
}

#define INSTALL(table) (rows = (table), n_rows = COUNT_OF(table))

static void a_mac_says_what_it_is(void **state)
{
    static const row mac[] = {
        {"machdep.cpu.brand_string", "Apple M4 Pro", 0, 0},
        {"hw.model", "Mac16,8", 0, 0},
        {"kern.osproductversion", "15.3.1", 0, 0},
        {"kern.osversion", "24D70", 0, 0},
        {"hw.memsize", NULL, 25769803776u, 8},
        {"hw.physicalcpu", NULL, 14, 4},
        {"hw.perflevel0.physicalcpu", NULL, 10, 4},
        {"hw.perflevel1.physicalcpu", NULL, 4, 8}, /* of any size */
        {"hw.optional.arm.FEAT_FP16", NULL, 1, 4},
        {"hw.optional.arm.FEAT_I8MM", NULL, 0, 4},
    };
    ane_facts f;
    INSTALL(mac);
    ane_facts_read(answer, &f);
    assert_string_equal(f.chip, "Apple M4 Pro");
    assert_string_equal(f.model, "Mac16,8");
    assert_string_equal(f.os, "15.3.1");
    assert_string_equal(f.build, "24D70");
    assert_true(f.memory_bytes == 25769803776u);
    assert_int_equal(f.cores, 14);
    assert_int_equal(f.fast_cores, 10);
    assert_int_equal(f.slow_cores, 4);
    assert_int_equal(f.fp16, 1);
    assert_int_equal(f.i8mm, 0);
    assert_int_equal(f.bf16, -1); /* not asked about is not "no" */
    assert_int_equal(f.sme2, -1);
}

static void what_is_not_answered_is_absent(void **state)
{
    static const row odd[] = {
        {"machdep.cpu.brand_string", "", 0, 0},
        {"kern.osversion", "a build whose name is far longer than any was until now", 0,
         0},
        {"hw.memsize", NULL, 1, 2},              /* neither 4 nor 8 bytes */
        {"hw.physicalcpu", NULL, 1ull << 40, 8}, /* no number of cores */
    };
    ane_facts f, none;
    memset(&none, 0, sizeof none);
    none.fp16 = none.bf16 = none.i8mm = none.sme2 = -1;
    INSTALL(odd);
    ane_facts_read(answer, &f);
    assert_memory_equal(&f, &none, sizeof f);
    ane_facts_read(NULL, &f);
    assert_memory_equal(&f, &none, sizeof f);
}

static void a_library_without_the_function_is_no_source(void **state)
{
    assert_null(ane_sysctl_find("/nowhere/at/all"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mac_says_what_it_is),
        cmocka_unit_test(what_is_not_answered_is_absent),
        cmocka_unit_test(a_library_without_the_function_is_no_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
