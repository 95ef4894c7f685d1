/* budget.c - compiles and program slots, counted for the whole process.
 *
 * The engine's service counts processes, not devices that were opened in them:
 * two devices of one process share both limits, and closing one gives no
 * compile back. So this is the one thing here that is neither a device's nor
 * constant. */
#include <pthread.h>
#include "dev/ane/model.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int compiled, loaded;

rc ane_budget_take(int compiles_max, int programs_max)
{
    rc r = OK;
    pthread_mutex_lock(&lock);
    if (compiles_max && compiled >= compiles_max) {
        r = err_hint(err_fail(E_BUDGET,
                              "the compile budget is used up: this process has compiled "
                              "%d programs of %d",
                              compiled, compiles_max),
                     "share equal programs, or start a new process");
    } else if (programs_max && loaded >= programs_max) {
        r = err_hint(err_fail(E_BUDGET, "all %d program slots are taken", programs_max),
                     "unload a program first");
    } else {
        compiled++;
        loaded++;
    }
    pthread_mutex_unlock(&lock);
    return r;
}

void ane_budget_give(bool compile, bool slot)
{
    pthread_mutex_lock(&lock);
    compiled -= compile;
    loaded -= slot;
    pthread_mutex_unlock(&lock);
}

void ane_budget_now(int *compiles, int *programs)
{
    pthread_mutex_lock(&lock);
    *compiles = compiled;
    *programs = loaded;
    pthread_mutex_unlock(&lock);
}
