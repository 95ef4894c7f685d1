/* time.h - time. */
#ifndef SDK_TIME_H
#define SDK_TIME_H

#include <sdk_types.h>

#define CLOCKS_PER_SEC 1000000
#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC_RAW 4
#define CLOCK_MONOTONIC 6
#define CLOCK_PROCESS_CPUTIME_ID 12
#define CLOCK_THREAD_CPUTIME_ID 16

typedef unsigned clockid_t;

struct tm {
    int tm_sec, tm_min, tm_hour, tm_mday, tm_mon, tm_year, tm_wday, tm_yday, tm_isdst;
    long tm_gmtoff;
    char *tm_zone;
};

clock_t clock(void);
time_t time(time_t *out);
time_t mktime(struct tm *t);
double difftime(time_t a, time_t b);
struct tm *gmtime_r(const time_t *t, struct tm *out);
struct tm *localtime_r(const time_t *t, struct tm *out);
size_t strftime(char *p, size_t n, const char *format, const struct tm *t);
int clock_gettime(clockid_t clock, struct timespec *out);
int nanosleep(const struct timespec *time, struct timespec *left);

#endif
