/* clock.c - time and memory of this process, as the system tells them. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#if defined(__APPLE__)
#include <mach/mach.h>
#endif
#include "base/clock.h"

double clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

double clock_unix(void)
{
    struct timeval t;
    gettimeofday(&t, NULL);
    return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

size_t clock_peak_rss(void)
{
    struct rusage use;
    if (getrusage(RUSAGE_SELF, &use)) return 0;
#if defined(__APPLE__)
    return (size_t)use.ru_maxrss; /* macOS counts bytes, Linux KiB */
#else
    return (size_t)use.ru_maxrss * 1024;
#endif
}

#if defined(__linux__)
size_t clock_now_rss(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long total, resident;
    if (!f) return 0;
    int got = fscanf(f, "%lu %lu", &total, &resident);
    fclose(f);
    return got == 2 ? (size_t)resident * (size_t)sysconf(_SC_PAGESIZE) : 0;
}
#elif defined(__APPLE__)
size_t clock_now_rss(void)
{
    struct mach_task_basic_info info;
    mach_msg_type_number_t n = MACH_TASK_BASIC_INFO_COUNT;
    kern_return_t r = task_info(mach_task_self(), MACH_TASK_BASIC_INFO,
                                (task_info_t)&info, &n);
    return r == KERN_SUCCESS ? (size_t)info.resident_size : 0;
}
#else
size_t clock_now_rss(void)
{
    return 0;
}
#endif
