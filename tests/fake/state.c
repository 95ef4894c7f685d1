/* state.c - what the fake counts, and what a test may change. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "fake.h"
#include "state.h"
#include "engine.h"

/* maderix/ANE: about 119 compiles per process; ANEForge: 128 program slots and
 * a queue of 127. */
enum { COMPILES = 119, PROGRAMS = 128, DEPTH = 127 };

static atomic_ullong calls, fail_call, evaluations, misuses;
static atomic_llong live;
static _Atomic(const char *) hidden, recoded, encoding, misuse;
static atomic_bool absent, wide;
static atomic_int symbols, keys, version = 26;
static atomic_ullong recalled;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t room = PTHREAD_COND_INITIALIZER;
static int compiles, loaded, in_flight, most_in_flight;
static int compiles_max = COMPILES, programs_max = PROGRAMS;

/* ---- calls that fail ---- */
bool fake_fails(void)
{
    unsigned long long n = atomic_fetch_add(&calls, 1) + 1;
    return n == atomic_load(&fail_call);
}

FAKE_EXPORT uint64_t fake_ane_calls(void)
{
    return atomic_load(&calls);
}

FAKE_EXPORT void fake_ane_fail_at(uint64_t n)
{
    atomic_store(&fail_call, n ? atomic_load(&calls) + n : 0);
}

static const fake_ane_refusal refusals[] = {
#define REFUSAL(name, domain, code, text, source) {#name, domain, text, source, code},
#include "refusals.def"
#undef REFUSAL
};

FAKE_EXPORT int fake_ane_refusal_at(size_t i, fake_ane_refusal *out)
{
    if (i >= REFUSALS) return 0;
    *out = refusals[i];
    return 1;
}

bool fake_refuse(fake_refusal why, id *error)
{
    const fake_ane_refusal *r = &refusals[why];
    if (!error || !r->domain) return false;
    id e = fake_new(CLASS_error);
    fake_error *f = (fake_error *)e;
    f->domain = fake_string(r->domain);
    f->text = fake_string(r->text);
    f->code = r->code;
    *error = objc_autorelease(e);
    return false;
}

/* ---- faults of the caller ---- */
void fake_misuse(const char *what)
{
    atomic_fetch_add(&misuses, 1);
    atomic_store(&misuse, what);
}

FAKE_EXPORT uint64_t fake_ane_misuses(void)
{
    return atomic_load(&misuses);
}

FAKE_EXPORT const char *fake_ane_last_misuse(void)
{
    const char *text = atomic_load(&misuse);
    return text ? text : "";
}

/* ---- objects ---- */
void fake_count_object(int by)
{
    atomic_fetch_add(&live, by);
}

FAKE_EXPORT int64_t fake_ane_live_objects(void)
{
    return atomic_load(&live);
}

/* ---- a system that is not as expected ---- */
static bool is_text(const char *a, const char *b)
{
    return a && !strcmp(a, b);
}

bool fake_is_hidden(const char *name)
{
    return is_text(atomic_load(&hidden), name);
}

const char *fake_encoding(const char *selector, const char *usual)
{
    return is_text(atomic_load(&recoded), selector) ? atomic_load(&encoding) : usual;
}

bool fake_is_absent(void)
{
    return atomic_load(&absent);
}

bool fake_is_wide(void)
{
    return atomic_load(&wide);
}

int fake_symbols(void)
{
    return atomic_load(&symbols);
}

FAKE_EXPORT void fake_ane_wide(int is)
{
    atomic_store(&wide, is != 0);
}

FAKE_EXPORT void fake_ane_symbols(int how)
{
    atomic_store(&symbols, how);
}

FAKE_EXPORT void fake_ane_keys(int how)
{
    atomic_store(&keys, how);
}

bool fake_keys_turned(void)
{
    return atomic_load(&keys) == 1;
}

FAKE_EXPORT void fake_ane_system(int major)
{
    atomic_store(&version, major);
}

int fake_system(void)
{
    return atomic_load(&version);
}

void fake_count_recalled(void)
{
    atomic_fetch_add(&recalled, 1);
}

FAKE_EXPORT uint64_t fake_ane_recalled(void)
{
    return atomic_load(&recalled);
}

FAKE_EXPORT void fake_ane_hide(const char *class_or_selector)
{
    atomic_store(&hidden, class_or_selector);
}

FAKE_EXPORT void fake_ane_recode(const char *selector, const char *other)
{
    atomic_store(&encoding, other);
    atomic_store(&recoded, selector);
}

FAKE_EXPORT void fake_ane_absent(int is)
{
    atomic_store(&absent, is != 0);
}

/* ---- limits ---- */
bool fake_count_compile(void)
{
    pthread_mutex_lock(&lock);
    bool ok = compiles < compiles_max;
    if (ok) compiles++;
    pthread_mutex_unlock(&lock);
    return ok;
}

void fake_uncount_compile(void)
{
    pthread_mutex_lock(&lock);
    compiles--;
    pthread_mutex_unlock(&lock);
}

bool fake_take_slot(void)
{
    pthread_mutex_lock(&lock);
    bool ok = loaded < programs_max;
    if (ok) loaded++;
    pthread_mutex_unlock(&lock);
    return ok;
}

void fake_give_slot(void)
{
    pthread_mutex_lock(&lock);
    loaded--;
    pthread_mutex_unlock(&lock);
}

void fake_enter_queue(void)
{
    pthread_mutex_lock(&lock);
    while (in_flight == DEPTH) pthread_cond_wait(&room, &lock);
    if (++in_flight > most_in_flight) most_in_flight = in_flight;
    pthread_mutex_unlock(&lock);
    atomic_fetch_add(&evaluations, 1);
}

void fake_leave_queue(void)
{
    pthread_mutex_lock(&lock);
    in_flight--;
    pthread_cond_signal(&room);
    pthread_mutex_unlock(&lock);
}

static int read_locked(const int *v)
{
    pthread_mutex_lock(&lock);
    int now = *v;
    pthread_mutex_unlock(&lock);
    return now;
}

FAKE_EXPORT int fake_ane_loaded(void)
{
    return read_locked(&loaded);
}

FAKE_EXPORT int fake_ane_compiles(void)
{
    return read_locked(&compiles);
}

FAKE_EXPORT int fake_ane_most_in_flight(void)
{
    return read_locked(&most_in_flight);
}

FAKE_EXPORT uint64_t fake_ane_evaluations(void)
{
    return atomic_load(&evaluations);
}

FAKE_EXPORT void fake_ane_limits(int most_compiles, int most_programs)
{
    pthread_mutex_lock(&lock);
    compiles_max = most_compiles;
    programs_max = most_programs;
    pthread_mutex_unlock(&lock);
}

FAKE_EXPORT void fake_ane_engine(const char *uri)
{
    engine_use(uri);
}

FAKE_EXPORT void fake_ane_reset(void)
{
    pthread_mutex_lock(&lock);
    compiles = most_in_flight = 0;
    compiles_max = COMPILES;
    programs_max = PROGRAMS;
    pthread_mutex_unlock(&lock);
    atomic_store(&calls, 0);
    atomic_store(&fail_call, 0);
    atomic_store(&evaluations, 0);
    atomic_store(&misuses, 0);
    atomic_store(&misuse, NULL);
    fake_ane_hide(NULL);
    fake_ane_recode(NULL, NULL);
    fake_ane_absent(0);
    fake_ane_wide(0);
    fake_ane_meters(NULL);
    fake_ane_sysctl(NULL, NULL);
    fake_ane_symbols(0);
    fake_ane_keys(0);
    fake_ane_system(26);
    fake_ane_daemon(NULL);
    atomic_store(&recalled, 0);
    fake_told_nothing();
    engine_close();
}
