/* The error chain and "did you mean". */
#include <pthread.h>
#include "test.h"

static void codes_have_names_and_exits(void **state)
{
    assert_string_equal(err_name(OK), "OK");
    assert_string_equal(err_name(E_IO), "E_IO");
    assert_string_equal(err_about(E_CONFIG), "a setting is unknown or out of range");
    assert_int_equal(err_exit(OK), 0);
    assert_int_equal(err_exit(E_USAGE), 2);
    assert_int_equal(err_exit(E_RULE), 3);
    assert_int_equal(err_exit(E_NUMERIC), 4);
    assert_int_equal(err_exit(E_STOPPED), 130);
    assert_string_equal(err_name((rc)99), "E_?");
    assert_int_equal(err_exit((rc)-1), 1);
}

static void chain_reads_fault_context_hints(void **state)
{
    assert_int_equal(err_fail(E_IO, "cannot read %s", "x"), E_IO);
    err_hint(E_IO, "type %d", 1);
    err_while(E_IO, "loading the model");
    err_hint(E_IO, "type 2");
    assert_int_equal(err_while(E_IO, "starting"), E_IO);
    assert_string_equal(err_text(),
                        "cannot read x\n  while loading the model\n  while starting"
                        "\n  hint: type 1\n  hint: type 2");
    assert_string_equal(err_first(), "cannot read x");
}

static void a_new_fault_drops_the_old_chain(void **state)
{
    err_while(err_fail(E_IO, "one"), "more");
    err_fail(E_SHAPE, "two, after %s", err_first());
    assert_string_equal(err_text(), "two, after one");
    err_clear();
    assert_string_equal(err_text(), "");
    assert_string_equal(err_first(), "");
}

static void context_without_a_fault_names_the_code(void **state)
{
    err_clear();
    err_while(E_DEVICE, "opening ane");
    assert_string_equal(err_text(), "no such device, or it failed\n  while opening ane");
}

static void endless_context_stays_within_bounds(void **state)
{
    char longest[3000];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    err_fail(E_IO, "%s", longest);
    for (int i = 0; i < 1000; i++)
        err_while(E_IO, "layer %d", i), err_hint(E_IO, "%s", longest);
    assert_true(strlen(err_text()) < 2000);
    assert_text_has(err_text(), "\n  while layer 0\n  while layer 1\n");
    err_saved saved;
    err_save(E_IO, &saved);
    assert_int_equal(err_restore(&saved), E_IO);
}

static void *fail_elsewhere(void *saved)
{
    if (err_text()[0]) return saved; /* the chain of a thread is its own */
    err_hint(err_while(err_fail(E_NUMERIC, "loss is not finite"), "step 3"),
             "lower the rate");
    err_save(E_NUMERIC, saved);
    return NULL;
}

static void a_chain_is_carried_to_another_thread(void **state)
{
    pthread_t thread;
    err_saved saved;
    void *bad;
    err_fail(E_IO, "mine");
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, &saved), 0);
    pthread_join(thread, &bad);
    assert_null(bad);
    assert_string_equal(err_text(), "mine");
    assert_int_equal(err_restore(&saved), E_NUMERIC);
    err_while(E_NUMERIC, "training");
    assert_string_equal(err_text(), "loss is not finite\n  while step 3\n  while training"
                                    "\n  hint: lower the rate");
}

static rc try_it(rc inner)
{
    TRY(inner);
    return E_FORMAT;
}

static rc try_while(rc inner)
{
    TRY_WHILE(inner, "trying %d", 7);
    return OK;
}

static void try_hands_on_the_code(void **state)
{
    assert_int_equal(try_it(E_BUSY), E_BUSY);
    assert_int_equal(try_it(OK), E_FORMAT);
    err_fail(E_BUSY, "taken");
    assert_fails(try_while(E_BUSY), E_BUSY, "taken\n  while trying 7");
    assert_ok(try_while(OK));
}

static void nearest_name_is_found(void **state)
{
    static const char *const names[] = {"train.warmup", "train.lr",  "train.steps",
                                        "model.dim",    "model.seq", "data.text"};
    static const struct {
        const char *word, *want;
    } cases[] = {
        {"train.wramup", "train.warmup"},
        {"train.LR", "train.lr"},
        {"train.step", "train.steps"},
        {"lr", "train.lr"},
        {"model.lr", "train.lr"},
        {"data.txt", "data.text"},
        {"model.dmi", "model.dim"},
        {"optimizer.algorithm", NULL},
        {"", NULL},
        {"zzz", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *had = err_nearest(cases[i].word, names, COUNT_OF(names));
        if (!cases[i].want) assert_null(had);
        else if (!had || strcmp(had, cases[i].want))
            fail_msg("'%s': had %s, wanted %s", cases[i].word, had ? had : "none",
                     cases[i].want);
    }
    char longest[200];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_null(err_nearest(longest, names, COUNT_OF(names)));
    const char *const one[] = {longest};
    assert_null(err_nearest("aaaa", one, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_have_names_and_exits),
        cmocka_unit_test(chain_reads_fault_context_hints),
        cmocka_unit_test(a_new_fault_drops_the_old_chain),
        cmocka_unit_test(context_without_a_fault_names_the_code),
        cmocka_unit_test(endless_context_stays_within_bounds),
        cmocka_unit_test(a_chain_is_carried_to_another_thread),
        cmocka_unit_test(try_hands_on_the_code),
        cmocka_unit_test(nearest_name_is_found),
    };
    return cmocka_run_group_tests_name("base err", tests, NULL, NULL);
}
