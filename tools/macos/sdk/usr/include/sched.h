/* sched.h - giving way. */
#ifndef SDK_SCHED_H
#define SDK_SCHED_H

int sched_yield(void);

#endif
