/* assert.h - what a failed assertion calls. */
#ifndef SDK_ASSERT_H
#define SDK_ASSERT_H

#ifdef NDEBUG
#define assert(e) ((void)0)
#else
void __assert_rtn(const char *function, const char *file, int line, const char *what)
    __attribute__((noreturn));
#define assert(e) ((e) ? (void)0 : __assert_rtn(__func__, __FILE__, __LINE__, #e))
#endif
#define static_assert _Static_assert

#endif
