/* loader.c - runs a program made for macOS arm64 on Linux arm64, as far as the
 * names in libsystem.c reach.
 *
 * A linked Mach-O file is a list of load commands. LC_SEGMENT_64 says which
 * bytes go where; LC_DYLD_INFO_ONLY holds three small programs of one-byte
 * opcodes: pointers to move by where we loaded (rebase), pointers to fill in by
 * name at once (bind) and those that could wait (lazy bind; here they do not);
 * LC_MAIN says where main is. Thread-local variables go through descriptors
 * whose first word is a function that returns the variable's address.
 *
 * The layout of the file is that of Apple's public mach-o/loader.h. An import
 * that nobody provides becomes a function that names it and ends the program. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "loader.h"

#define CPU_ARM64 0x0100000cu
#define IS_PROGRAM 2u
#define LC_SEGMENT 0x19u
#define LC_MAIN 0x80000028u
#define LC_DYLD_INFO 0x80000022u
#define TLV_DATA 0x11u
#define TLV_ZERO 0x12u
#define MOST_SEGMENTS 16

typedef struct {
    uint32_t magic, cpu, subcpu, type, n_commands, bytes, flags, reserved;
} header;
typedef struct {
    uint32_t command, bytes;
    char name[16];
    uint64_t at, size, file_at, file_size;
    uint32_t most, how, n_sections, flags;
} segment;
typedef struct {
    char name[16], segment[16];
    uint64_t at, size;
    uint32_t file_at, align, relocs_at, n_relocs, flags, r1, r2, r3;
} section;
typedef struct {
    uint32_t command, bytes;
    uint64_t at, stack;
} entry;
typedef struct {
    uint32_t command, bytes, rebase, n_rebase, bind, n_bind, weak, n_weak, lazy, n_lazy;
    uint32_t exports, n_exports;
} dyld_info;

static struct {
    const uint8_t *file;
    char *base; /* where address `low` of the file's own map came to lie */
    uint64_t low, high;
    segment seg[MOST_SEGMENTS];
    unsigned n_segs;
    const entry *entry;
    const dyld_info *info;
    uint64_t tlv_low, tlv_data, tlv_high; /* initial bytes, then zeros */
} image;

static void die(const char *what, const char *name)
{
    fflush(stdout);
    fprintf(stderr, "loader: %s: %s\n", what, name);
    _exit(120);
}

static const char *program;
static bool only_missing; /* name what is missing, run nothing */

const char *loader_program(void)
{
    return program;
}

static void missing(const char *name)
{
    die("called, but nobody provides it", name);
}

static char *place(uint64_t at)
{
    return image.base + (at - image.low);
}

/* ---- imports ----------------------------------------------------------------- */
/* ldr x0, name; ldr x16, function; br x16; nop; name; function */
static void *name_and_stop(const char *name)
{
    static char *page;
    static size_t used;
    uint32_t code[4] = {0x58000080, 0x580000b0, 0xd61f0200, 0xd503201f};
    uint64_t words[2] = {(uint64_t)strdup(name), (uint64_t)missing};
    if (!page || used + 32 > 65536) {
        page = mmap(NULL, 65536, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED) die("no memory for", name);
        used = 0;
    }
    char *thunk = page + used;
    memcpy(thunk, code, sizeof code);
    memcpy(thunk + sizeof code, words, sizeof words);
    __builtin___clear_cache(thunk, thunk + 32);
    used += 32;
    return thunk;
}

static uint64_t import(const char *name)
{
    void *p = libsystem_find(name);
    if (!p && only_missing) puts(name);
    return (uint64_t)(p ? p : name_and_stop(name));
}

static uint64_t uleb(const uint8_t **p)
{
    uint64_t v = 0;
    unsigned shift = 0;
    do v |= (uint64_t)(**p & 0x7f) << shift, shift += 7;
    while (*(*p)++ & 0x80);
    return v;
}

static void rebase(const uint8_t *p, size_t n)
{
    char *at = NULL;
    for (const uint8_t *end = p + n; p < end;) {
        unsigned op = *p & 0xf0, small = *p++ & 15;
        uint64_t count = 0, skip = 0;
        switch (op) {
        case 0x00:
            return;
        case 0x10:
            break; /* the kind; only pointers exist here */
        case 0x20:
            at = place(image.seg[small].at) + uleb(&p);
            break;
        case 0x30:
            at += uleb(&p);
            break;
        case 0x40:
            at += small * 8;
            break;
        case 0x50:
            count = small;
            break;
        case 0x60:
            count = uleb(&p);
            break;
        case 0x70:
            count = 1, skip = uleb(&p);
            break;
        case 0x80:
            count = uleb(&p), skip = uleb(&p);
            break;
        default:
            die("unknown opcode", "rebase");
        }
        for (; count; count--, at += 8 + skip)
            *(uint64_t *)at += (uint64_t)image.base - image.low;
    }
}

/* In the lazy program 0x00 ends one name, not all. */
static void bind(const uint8_t *p, size_t n, int lazy)
{
    char *at = NULL;
    const char *name = "";
    uint64_t add = 0;
    for (const uint8_t *end = p + n; p < end;) {
        unsigned op = *p & 0xf0, small = *p++ & 15;
        uint64_t count = 0, skip = 0;
        switch (op) {
        case 0x00:
            if (!lazy) return;
            break;
        case 0x10: /* the library by number, */
        case 0x30: /* or one of the special ones: a name is enough here */
        case 0x50:
            break; /* the kind */
        case 0x20:
            uleb(&p);
            break;
        case 0x40:
            name = (const char *)p, p += strlen(name) + 1;
            break;
        case 0x60:
            add = uleb(&p);
            break;
        case 0x70:
            at = place(image.seg[small].at) + uleb(&p);
            break;
        case 0x80:
            at += uleb(&p);
            break;
        case 0x90:
            count = 1;
            break;
        case 0xa0:
            count = 1, skip = uleb(&p);
            break;
        case 0xb0:
            count = 1, skip = small * 8;
            break;
        case 0xc0:
            count = uleb(&p), skip = uleb(&p);
            break;
        default:
            die("unknown opcode", "bind");
        }
        uint64_t to = count ? import(name) + add : 0;
        for (; count; count--, at += 8 + skip) *(uint64_t *)at = to;
    }
}

/* ---- thread-local variables ------------------------------------------------------ */
typedef struct {
    void *find;
    uint64_t key, offset;
} tlv;

char *loader_tlv(const tlv *t);
char *loader_tlv(const tlv *t)
{
    static _Thread_local char *block;
    if (!block) {
        block = calloc(1, image.tlv_high - image.tlv_low);
        if (!block) die("no memory for", "thread-local variables");
        memcpy(block, place(image.tlv_low), image.tlv_data - image.tlv_low);
    }
    return block + t->offset;
}

/* The caller expects every register but x0 as it was. */
__asm__(".text\n.global loader_tlv_thunk\nloader_tlv_thunk:\n"
        "stp x29, x30, [sp, #-304]!\n mov x29, sp\n"
        "stp x1, x2, [sp, #16]\n stp x3, x4, [sp, #32]\n stp x5, x6, [sp, #48]\n"
        "stp x7, x8, [sp, #64]\n stp x9, x10, [sp, #80]\n stp x11, x12, [sp, #96]\n"
        "stp x13, x14, [sp, #112]\n stp x15, x16, [sp, #128]\n stp x17, x18, [sp, #144]\n"
        "stp q0, q1, [sp, #160]\n stp q2, q3, [sp, #192]\n stp q4, q5, [sp, #224]\n"
        "stp q6, q7, [sp, #256]\n bl loader_tlv\n"
        "ldp x1, x2, [sp, #16]\n ldp x3, x4, [sp, #32]\n ldp x5, x6, [sp, #48]\n"
        "ldp x7, x8, [sp, #64]\n ldp x9, x10, [sp, #80]\n ldp x11, x12, [sp, #96]\n"
        "ldp x13, x14, [sp, #112]\n ldp x15, x16, [sp, #128]\n ldp x17, x18, [sp, #144]\n"
        "ldp q0, q1, [sp, #160]\n ldp q2, q3, [sp, #192]\n ldp q4, q5, [sp, #224]\n"
        "ldp q6, q7, [sp, #256]\n ldp x29, x30, [sp], #304\n ret\n");

static void note_tlv(const segment *s)
{
    const section *c = (const section *)(s + 1);
    for (uint32_t i = 0; i < s->n_sections; i++, c++) {
        unsigned kind = c->flags & 0xff;
        if (kind != TLV_DATA && kind != TLV_ZERO) continue;
        if (!image.tlv_high) image.tlv_low = image.tlv_data = c->at;
        if (c->at < image.tlv_low) image.tlv_low = c->at;
        if (kind == TLV_DATA) image.tlv_data = c->at + c->size;
        if (c->at + c->size > image.tlv_high) image.tlv_high = c->at + c->size;
    }
}

/* ---- loading ------------------------------------------------------------------- */
static void read_commands(const char *path)
{
    const header *h = (const header *)image.file;
    if (h->magic != MACHO_MAGIC || h->cpu != CPU_ARM64 || h->type != IS_PROGRAM)
        die("not a program for macOS arm64", path);
    const uint8_t *p = image.file + sizeof *h;
    image.low = UINT64_MAX;
    for (uint32_t i = 0; i < h->n_commands; i++) {
        const segment *s = (const segment *)p;
        if (s->command == LC_MAIN) image.entry = (const entry *)p;
        if (s->command == LC_DYLD_INFO) image.info = (const dyld_info *)p;
        if (s->command == LC_SEGMENT) {
            if (image.n_segs == MOST_SEGMENTS) die("too many segments", path);
            image.seg[image.n_segs++] = *s;
            note_tlv(s);
            if (s->how && s->at < image.low) image.low = s->at;
            if (s->at + s->size > image.high) image.high = s->at + s->size;
        }
        p += s->bytes;
    }
    if (!image.entry || !image.info) die("no main or no list of imports", path);
}

/* One piece of memory for all: the code finds its data by distance. */
static void map_segments(void)
{
    image.base = mmap(NULL, image.high - image.low, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (image.base == MAP_FAILED) die("no memory for", "the program");
    for (unsigned i = 0; i < image.n_segs; i++) {
        const segment *s = &image.seg[i];
        if (s->file_size) memcpy(place(s->at), image.file + s->file_at, s->file_size);
    }
}

/* Darwin's protections have the same bits as ours. */
static void protect_segments(void)
{
    for (unsigned i = 0; i < image.n_segs; i++) {
        const segment *s = &image.seg[i];
        if (s->how && mprotect(place(s->at), s->size, (int)s->how))
            die("cannot protect", s->name);
    }
    __builtin___clear_cache(image.base, image.base + (image.high - image.low));
}

/* loader --missing PROGRAM: the names that nobody provides, one a line. */
int main(int argc, char **argv, char **env)
{
    struct stat st;
    only_missing = argc > 2 && !strcmp(argv[1], "--missing");
    if (only_missing) argv++, argc--;
    if (argc < 2) die("usage", "loader [--missing] PROGRAM [WORD...]");
    program = argv[1];
    int fd = open(program, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st)) die("cannot read", program);
    image.file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (image.file == MAP_FAILED) die("cannot read", program);
    close(fd);
    read_commands(program);
    map_segments();
    const dyld_info *d = image.info;
    rebase(image.file + d->rebase, d->n_rebase);
    bind(image.file + d->bind, d->n_bind, 0);
    bind(image.file + d->lazy, d->n_lazy, 1);
    if (only_missing) return 0;
    protect_segments();
    union {
        void *at;
        int (*run)(int, char **, char **);
    } start = {place(image.low + image.entry->at)};
    exit(start.run(argc - 1, argv + 1, env));
}
