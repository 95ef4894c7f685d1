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

rc ane_budget_compile(int max)
{
    rc r = OK;
    pthread_mutex_lock(&lock);
    if (max && compiled >= max)
        r = err_hint(err_fail(E_BUDGET,
                              "the compile budget is used up: this process has compiled "
                              "%d programs of %d",
                              compiled, max),
                     "share equal programs, or start a new process");
    else compiled++;
    pthread_mutex_unlock(&lock);
    return r;
}

rc ane_budget_slot(int max)
{
    rc r = OK;
    pthread_mutex_lock(&lock);
    if (max && loaded >= max)
        r = err_hint(err_fail(E_BUDGET, "all %d program slots are taken", max),
                     "unload a program first");
    else loaded++;
    pthread_mutex_unlock(&lock);
    return r;
}

void ane_budget_free_slot(void)
{
    pthread_mutex_lock(&lock);
    loaded--;
    pthread_mutex_unlock(&lock);
}

void ane_budget_now(int *compiles, int *programs)
{
    pthread_mutex_lock(&lock);
    *compiles = compiled;
    *programs = loaded;
    pthread_mutex_unlock(&lock);
}
