/* Weights and moments that stay on the engine go over restarts and into checkpoints as
 * the host's do. */
#include "restarts.h"

static void stay(bench *b)
{
    b->t.job.plan.weights = PLAN_RESIDENT;
    b->t.job.options.accum = 1;
}

static void state_on_the_engine_goes_over_a_restart(void **state)
{
    stay(*state);
    expect_restarts_change_nothing(*state);
}

static void and_on_the_chips_accumulator(void **state)
{
    bench *b = *state;
    b->uri = "emu:m4,exact";
    state_on_the_engine_goes_over_a_restart(state);
}

/* It comes to the host before an evaluation in another image, and before one that
 * takes the slots of the step's programs. */
static void it_makes_room_for_an_evaluation(void **state)
{
    bench *b = *state;
    stay(b);
    expect_a_step_of_budget_is_enough(b);
    assert_ok(file_remove_tree(b->t.run));
    b->uri = "emu:m4";
    expect_slots_in_turn_are_enough(b);
}

static void it_is_saved_when_asked(void **state)
{
    stay(*state);
    expect_saved_when_asked(*state);
}

static void it_is_saved_when_a_run_in_memory_ends(void **state)
{
    stay(*state);
    expect_end_is_kept(*state);
}

static void no_allocation_that_fails_loses_it(void **state)
{
    stay(*state);
    expect_failed_allocations_are_told(*state);
}

#define RUN(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(state_on_the_engine_goes_over_a_restart),
        RUN(and_on_the_chips_accumulator),
        RUN(it_makes_room_for_an_evaluation),
        RUN(it_is_saved_when_asked),
        RUN(it_is_saved_when_a_run_in_memory_ends),
        RUN(no_allocation_that_fails_loses_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
