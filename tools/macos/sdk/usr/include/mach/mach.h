/* mach.h - the memory of a task. Only what asks a process for its memory in use. The
 * struct is packed to four bytes there (osfmk/mach/task_info.h). */
#ifndef SDK_MACH_MACH_H
#define SDK_MACH_MACH_H

#include <stdint.h>

typedef int kern_return_t;
typedef unsigned mach_port_t;
typedef unsigned natural_t;
typedef natural_t mach_msg_type_number_t;
typedef int *task_info_t;

#define KERN_SUCCESS 0
#define MACH_TASK_BASIC_INFO 20

typedef struct {
    int seconds;
    int microseconds;
} time_value_t;

#pragma pack(push, 4)
struct mach_task_basic_info {
    uint64_t virtual_size;
    uint64_t resident_size;
    uint64_t resident_size_max;
    time_value_t user_time;
    time_value_t system_time;
    int policy;
    int suspend_count;
};
#pragma pack(pop)

#define MACH_TASK_BASIC_INFO_COUNT \
    ((mach_msg_type_number_t)(sizeof(struct mach_task_basic_info) / sizeof(natural_t)))

extern mach_port_t mach_task_self_;
#define mach_task_self() mach_task_self_

kern_return_t task_info(mach_port_t task, natural_t what, task_info_t out,
                        mach_msg_type_number_t *n);

#endif
