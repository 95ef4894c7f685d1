/* loader.h - the parts of the loader: Mach-O files, Darwin's C library in three
 * files, and the libraries that were linked in. */
#ifndef MACHO_LOADER_H
#define MACHO_LOADER_H

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#define MACHO_MAGIC 0xfeedfacfu

/* A name as C has it ("strlen"; in a Mach-O file a '_' stands before it), and
 * what it stands for. A list ends with NULL. */
typedef struct {
    const char *name;
    void *is;
} loader_name;
#define SAME(f) {#f, (void *)f},
#define OURS(f) {#f, (void *)from_##f},

/* What a program is bound to, by its name there ("_strlen"); NULL: nobody. */
void *libsystem_find(const char *name);
void *loader_find(const loader_name *list, const char *name);
extern const loader_name files_names[], process_names[];

/* Made from the linked objects: the fake frameworks, and the three libraries
 * that on a Mac come from Homebrew. */
extern const loader_name fake_names[], library_names[];

/* The program, as it was named. */
const char *loader_program(void);

/* Numbers of errors and signals. */
int *darwin_errno(void);
int linux_errno(int darwin);
int linux_signal(int darwin);
int darwin_signal(int linux_one);
int linux_open_flags(int darwin);

/* Apple's arm64 puts all arguments behind "..." on the stack, in slots of eight
 * bytes; Linux begins in registers. A va_list of Linux whose register areas are
 * used up reads exactly those slots. */
typedef struct {
    void *stack, *x_end, *v_end;
    int32_t x_left, v_left; /* 0: no registers left, all is on the stack */
} va_words;
_Static_assert(sizeof(va_words) == sizeof(va_list), "a va_list of arm64 Linux");

#define WITH_STACK(v, stack) \
    va_list v;               \
    memcpy(&v, &(va_words){stack, NULL, NULL, 0, 0}, sizeof v)

/* from_NAME: a function as Apple calls it with `fixed` arguments before the
 * "..."; hands the stack over to loader_NAME as the next plain argument. */
#define STACK_TO(name, fixed)                                               \
    void from_##name(void);                                                 \
    __asm__(".text\n.global from_" #name "\nfrom_" #name ":\n mov x" #fixed \
            ", sp\n b loader_" #name "\n")

#endif
