/* pthread.h - threads. Every object is a signature and opaque bytes; the initialisers are
 * that signature (libpthread's pthread/pthread.h and sys/_pthread/_pthread_types.h). */
#ifndef SDK_PTHREAD_H
#define SDK_PTHREAD_H

#include <sched.h>
#include <sdk_types.h>

typedef struct sdk_thread *pthread_t;
typedef unsigned long pthread_key_t;

typedef struct {
    long sig;
    char opaque[56];
} pthread_attr_t;
typedef struct {
    long sig;
    char opaque[8];
} pthread_mutexattr_t;
typedef struct {
    long sig;
    char opaque[56];
} pthread_mutex_t;
typedef struct {
    long sig;
    char opaque[8];
} pthread_condattr_t;
typedef struct {
    long sig;
    char opaque[40];
} pthread_cond_t;
typedef struct {
    long sig;
    char opaque[8];
} pthread_once_t;

/* clang-format off */
#define PTHREAD_MUTEX_INITIALIZER {0x32AAABA7, {0}}
#define PTHREAD_COND_INITIALIZER {0x3CB0B1BB, {0}}
#define PTHREAD_ONCE_INIT {0x30B1BCBA, {0}}
/* clang-format on */
#define PTHREAD_MUTEX_RECURSIVE 2
#define PTHREAD_CREATE_DETACHED 2

int pthread_create(pthread_t *out, const pthread_attr_t *a, void *(*run)(void *),
                   void *p);
int pthread_join(pthread_t t, void **out);
int pthread_detach(pthread_t t);
pthread_t pthread_self(void);
int pthread_equal(pthread_t a, pthread_t b);
int pthread_attr_init(pthread_attr_t *a);
int pthread_attr_destroy(pthread_attr_t *a);
int pthread_attr_setstacksize(pthread_attr_t *a, size_t bytes);
int pthread_attr_setdetachstate(pthread_attr_t *a, int state);
int pthread_mutexattr_init(pthread_mutexattr_t *a);
int pthread_mutexattr_destroy(pthread_mutexattr_t *a);
int pthread_mutexattr_settype(pthread_mutexattr_t *a, int type);
int pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *a);
int pthread_mutex_destroy(pthread_mutex_t *m);
int pthread_mutex_lock(pthread_mutex_t *m);
int pthread_mutex_trylock(pthread_mutex_t *m);
int pthread_mutex_unlock(pthread_mutex_t *m);
int pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *a);
int pthread_cond_destroy(pthread_cond_t *c);
int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
                           const struct timespec *until);
int pthread_cond_signal(pthread_cond_t *c);
int pthread_cond_broadcast(pthread_cond_t *c);
int pthread_once(pthread_once_t *o, void (*run)(void));
int pthread_key_create(pthread_key_t *k, void (*drop)(void *));
int pthread_key_delete(pthread_key_t k);
void *pthread_getspecific(pthread_key_t k);
int pthread_setspecific(pthread_key_t k, const void *p);
int pthread_sigmask(int how, const sigset_t *set, sigset_t *old);

#endif
