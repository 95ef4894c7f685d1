/* The ops that convolution networks use and the transformer's dialect does not,
 * each in every arithmetic and on every chip, against plain loops; with
 * emu_ops_test and emu_mil_ops_test this covers dev/ops.def. */
#include "emu_net_axes.h"
#include "emu_net_images.h"
#include "emu_net_places.h"

static const struct {
    const net_case *cases;
    size_t n;
} tables[] = {{value_cases, COUNT_OF(value_cases)},
              {image_cases, COUNT_OF(image_cases)},
              {axis_cases, COUNT_OF(axis_cases)},
              {place_cases, COUNT_OF(place_cases)}};

/* Ops on a chip that lacks them are refused with the reason, by name. */
static int refused(device *d, const char *uri, const char *why)
{
    str text = {0};
    dev_program *p = NULL;
    net_program(&text);
    rc r = try_load(d, str_text(&text), NULL, 0, &p);
    int wrong = r != E_RULE || !strstr(err_text(), why) ||
                !strstr(err_text(), net_now->op);
    if (wrong)
        print_error("%s on %s: %d, %s; wanted: %s\n", net_now->op, uri, (int)r,
                    r ? err_text() : "ran", why);
    if (p) dev_unload(p);
    str_free(&text);
    return wrong;
}

static int run_all(const char *uri, kern *pool)
{
    int wrong = 0;
    for (size_t t = 0; t < COUNT_OF(tables); t++)
        for (size_t i = 0; i < tables[t].n; i++) {
            device *d;
            dev_caps caps;
            const char *why;
            net_now = &tables[t].cases[i];
            assert_ok(dev_open(uri, pool, &d));
            assert_ok(dev_caps_of(d, &caps));
            if (dev_op_supported(net_now->op, caps.profile->family, &why))
                wrong += net_check(d, uri);
            else wrong += refused(d, uri, why);
            dev_close(d);
        }
    return wrong;
}

static void ops_agree_with_plain_loops(void **state)
{
    static const char *const words[] = {"fast", "wide", "exact"};
    static const char *const chips[] = {"m1", "m2pro", "m3pro", "m4", "m5", "m6"};
    int wrong = 0;
    kern *pool;
    assert_ok(kern_open(2, NULL, &pool));
    for (size_t c = 0; c < COUNT_OF(chips); c++)
        for (size_t w = 0; w < COUNT_OF(words); w++) {
            char uri[64];
            snprintf(uri, sizeof uri, "emu:%s,%s", chips[c], words[w]);
            wrong += run_all(uri, pool);
        }
    kern_close(pool);
    assert_int_equal(wrong, 0);
}

static void every_op_of_networks_has_a_case(void **state)
{
    for (int k = 0; k < DEV_OPS; k++) {
        const char *op = dev_op_text((dev_op_kind)k);
        bool found = !net_op((dev_op_kind)k);
        for (size_t t = 0; t < COUNT_OF(tables); t++)
            for (size_t i = 0; i < tables[t].n; i++)
                found |= !strcmp(tables[t].cases[i].op, op);
        if (!found) fail_msg("op '%s' has no case", op);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_of_networks_has_a_case),
        cmocka_unit_test(ops_agree_with_plain_loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
