/* inspect_hwx.c - what the engine's compiler makes: a Mach-O whose magic is
 * 0xBEEFFACE, and in its section __text a list of tasks.
 *
 * A task sets registers and then runs; there is no other instruction. Its header
 * says its number and size; packets follow, each a word that names a first register
 * and how many words after it go into it and the next ones:
 *
 *   H13      bits 31-26 count - 1 | 25-0 byte address; tasks are linked by word 7
 *   H14 on   bit 31 = 0: bits 20-15 count - 1 | 14-0 word address
 *            bit 31 = 1: the first register always, and of the 16 after it those
 *            whose bit is set in bits 30-15
 *
 * Registers that are not set keep what the task before gave them. Sources:
 * freedomtan/coreml_to_ane_hwx (format guide and register maps), MidasMulli/
 * beefface (whose M5 program confirms that the first register of a masked packet
 * is written besides the mask's), ane-guide app. C. The word that beefface reads as
 * an opcode is such a packet. */
#include <stdio.h>
#include <string.h>

#include "api/inspect_in.h"

enum { HEAD = 32, SEGMENT = 72, SECTION = 80, REGISTERS = 0x8000 };

/* By cpusubtype. isa: version of the task format; 0 = no source gives it. */
typedef struct {
    unsigned subtype;
    const char *name;
    int isa;
} generation;

static const generation generations[] = {
    {1, "H11 (A12)", 5},      {3, "H12 (A13)", 6},      {4, "H13 (A14, M1)", 7},
    {5, "H14 (A15, M2)", 11}, {6, "H15 (A16, M3)", 8},  {7, "H16 (A17, M4)", 17},
    {8, "M11", 10},           {9, "H17 (A18, M5)", 19}, {10, "H18 (A19)", 20},
    {11, "H18g (M6)", 24}};

/* Where the blocks of registers begin, as byte addresses. */
typedef struct {
    const char *name;
    uint32_t h13, h14, h16;
} block;

static const block blocks[] = {
    {"common", 0, 0, 0},
    {"L2", 0x4800, 0x140, 0x4100},
    {"planar", 0x8800, 0x240, 0x4500},
    {"neural", 0xc800, 0x340, 0x4900},
    {"tile DMA in", 0x13800, 0x440, 0x4d00},
    {"tile DMA out", 0x17800, 0x540, 0x5100},
    {"kernel DMA", 0x1f800, 0x640, 0x5500},
    {"cache DMA", UINT32_MAX, UINT32_MAX, 0x5900},
};
enum { BLOCKS = sizeof blocks / sizeof *blocks };

typedef struct {
    inspect *f;
    const generation *g; /* NULL = unknown */
    uint32_t value[REGISTERS];
    bool set[REGISTERS];
    unsigned written, in[BLOCKS]; /* by the task at hand */
    bool decoded;                 /* one __text; more would be a trap for readers */
} engine;

static const generation *generation_of(uint32_t subtype)
{
    for (size_t i = 0; i < sizeof generations / sizeof *generations; i++)
        if (generations[i].subtype == subtype) return &generations[i];
    return NULL;
}

/* Tasks side by side with packets of the newer form. */
static bool newer(const engine *e)
{
    return e->g && e->g->subtype >= 5 && e->g->subtype != 8;
}

static bool dimensions_known(const engine *e)
{
    return e->g && (e->g->subtype == 4 || e->g->subtype == 7 || e->g->subtype == 9 ||
                    e->g->subtype == 10);
}

static uint32_t base_of(const engine *e, size_t i)
{
    return e->g->subtype <= 4   ? blocks[i].h13
           : e->g->subtype <= 6 ? blocks[i].h14
                                : blocks[i].h16;
}

static void write_register(engine *e, uint32_t word, uint32_t value)
{
    size_t at = 0;
    for (size_t i = 0; i < BLOCKS; i++)
        if (base_of(e, i) / 4 <= word) at = i;
    e->in[at]++;
    e->written++;
    if (word >= REGISTERS) return;
    e->value[word] = value;
    e->set[word] = true;
}

/* The packets in [at, end), both in bytes of the file; false = cut short. */
static bool packets(engine *e, size_t at, size_t end)
{
    while (end - at >= 4) {
        uint32_t h = inspect_u32(e->f, at), first, count, mask = 0;
        at += 4;
        if (!h) continue; /* padding */
        if (!newer(e)) first = (h & 0x3ffffff) / 4, count = (h >> 26) + 1;
        else if (h >> 31) first = h & 0x7fff, count = 1, mask = h >> 15 & 0xffff;
        else first = h & 0x7fff, count = (h >> 15 & 0x3f) + 1;
        for (uint32_t i = 0; i < count + 16; i++) {
            if (i >= count && !(mask >> (i - count) & 1)) continue;
            if (end - at < 4) return false;
            write_register(e, first + i, inspect_u32(e->f, at));
            at += 4;
        }
    }
    return true;
}

static void triple(json_t *o, const char *key, uint32_t w, uint32_t h, uint32_t c)
{
    char text[64];
    snprintf(text, sizeof text, "%u x %u x %u", (unsigned)c, (unsigned)h, (unsigned)w);
    inspect_text(o, key, text);
}

/* Shapes, for those generations on whose registers the sources agree (the guide and
 * the register map of H14 do not). */
static void shapes(const engine *e, json_t *o)
{
    const uint32_t *v = e->value;
    uint32_t conv;
    if (!dimensions_known(e)) return;
    if (e->g->subtype == 4) {
        if (e->set[0] && e->set[3])
            triple(o, "in", v[0] & 0x7fff, v[0] >> 16 & 0x7fff, v[3] & 0x1ffff);
        if (e->set[5] && e->set[4])
            triple(o, "out", v[5] & 0x7fff, v[5] >> 16 & 0x7fff, v[4] & 0x1ffff);
        conv = e->set[7] ? v[7] : 0;
        if (conv) triple(o, "kernel", conv & 31, conv >> 5 & 31, 1);
        return;
    }
    if (e->set[1] && e->set[2] && e->set[3])
        triple(o, "in", v[1] & 0x1ffff, v[2] & 0x1ffff, v[3] & 0x1ffff);
    if (e->set[5] && e->set[6] && e->set[7])
        triple(o, "out", v[5] & 0x1ffff, v[6] & 0x1ffff, v[7] & 0x1ffff);
    conv = e->set[10] ? v[10] : 0;
    if (conv) triple(o, "kernel", conv & 63, conv >> 6 & 63, 1);
}

static void say_blocks(const engine *e, json_t *o)
{
    char text[256] = "";
    for (size_t i = 0, n = 0; i < BLOCKS; i++)
        if (e->in[i] && n < sizeof text)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %u", n ? ", " : "",
                                  blocks[i].name, e->in[i]);
    inspect_int(o, "registers", e->written);
    if (e->g->subtype != 11) inspect_text(o, "blocks", text); /* H18g: no source */
}

/* Says one task whose packets stand in [packet, end). */
static bool say_task(engine *e, size_t at, size_t packet, size_t end, size_t section)
{
    json_t *o = inspect_row(e->f, "tasks");
    uint32_t w0 = inspect_u32(e->f, at), w1 = inspect_u32(e->f, at + 4);
    if (!o) return false;
    inspect_hex(o, "at", at - section);
    inspect_int(o, "task", w0 & 0xffff);
    inspect_int(o, "words", (end - at) / 4);
    inspect_int(o, "cycles", w1 & 0xffff);
    e->written = 0;
    memset(e->in, 0, sizeof e->in);
    if (!packets(e, packet, end))
        inspect_problem(e->f, "the last packet of the task at 0x%zx is cut short",
                        at - section);
    shapes(e, o);
    say_blocks(e, o);
    return true;
}

/* H13: each task names the place of the next. Only forward, so that it ends. */
static void linked_tasks(engine *e, size_t begin, size_t end)
{
    enum { TASK = 40 };
    for (size_t at = begin; end - at >= TASK;) {
        uint32_t next = inspect_u32(e->f, at + 28);
        bool last = next == 0;
        if (last && !inspect_u32(e->f, at + 4) && !inspect_u32(e->f, at + 8)) return;
        if (!last && (next % 4 || next > end - begin || begin + next < at + TASK)) {
            inspect_problem(e->f,
                            "the task at 0x%zx says that the next is at 0x%x, which "
                            "is not after it in the section",
                            at - begin, (unsigned)next);
            last = true;
            next = (uint32_t)(end - begin);
        }
        if (!say_task(e, at, at + TASK, last ? end : begin + next, begin) || last) return;
        at = begin + next;
    }
}

/* H14 on: tasks side by side on multiples of 16, zeros between them. */
static void row_of_tasks(engine *e, size_t begin, size_t end)
{
    size_t header = e->g->subtype <= 6 ? 32 : 36;
    for (size_t at = begin; at < end && end - at >= header;) {
        size_t size = (inspect_u32(e->f, at) >> 16 & 0x7ff) * 4u;
        if (!size) {
            at += 16;
            continue;
        }
        if (size < header || size > end - at) {
            inspect_problem(e->f,
                            "the task at 0x%zx has %zu bytes, wanted %zu to %zu "
                            "(as many as its section has)",
                            at - begin, size, header, end - at);
            return;
        }
        if (!say_task(e, at, at + header, at + size, begin)) return;
        at += (size + 15) & ~(size_t)15;
    }
}

static void tasks(engine *e, size_t at, size_t size)
{
    if (!e->g || e->g->subtype < 4 || e->g->subtype == 8) {
        inspect_problem(e->f, "tasks of this generation are not known");
        return;
    }
    if (newer(e)) row_of_tasks(e, at, at + size);
    else linked_tasks(e, at, at + size);
}

static size_t name_length(const uint8_t *p)
{
    const uint8_t *end = memchr(p, 0, 16);
    return end ? (size_t)(end - p) : 16;
}

static void section(engine *e, size_t at)
{
    inspect *f = e->f;
    const uint8_t *p = f->p + at;
    uint64_t size = inspect_u64(f, at + 40);
    uint32_t from = inspect_u32(f, at + 48);
    json_t *o = inspect_row(f, "sections");
    if (!o) return;
    inspect_textn(o, "segment", p + 16, name_length(p + 16));
    inspect_textn(o, "section", p, name_length(p));
    inspect_hex(o, "address", inspect_u64(f, at + 32));
    inspect_int(o, "bytes", size);
    inspect_hex(o, "from", from);
    bool code = name_length(p) == 6 && !memcmp(p, "__text", 6);
    if (!from || !size) return; /* of memory only */
    if (!inspect_has(f, from, size))
        inspect_problem(f, "a section of %llu bytes from 0x%x on is not in the file",
                        (unsigned long long)size, (unsigned)from);
    else if (code && !e->decoded) {
        e->decoded = true;
        tasks(e, from, (size_t)size);
    }
}

static void segment(engine *e, size_t at, size_t size)
{
    inspect *f = e->f;
    json_t *o = inspect_row(f, "segments");
    if (!o) return;
    uint64_t from = inspect_u64(f, at + 40), bytes = inspect_u64(f, at + 48);
    uint32_t n = inspect_u32(f, at + 64);
    inspect_textn(o, "segment", f->p + at + 8, name_length(f->p + at + 8));
    inspect_hex(o, "address", inspect_u64(f, at + 24));
    inspect_int(o, "memory", inspect_u64(f, at + 32));
    inspect_hex(o, "from", from);
    inspect_int(o, "bytes", bytes);
    inspect_int(o, "sections", n);
    if (!inspect_has(f, from, bytes)) inspect_problem(f, "a segment ends after the file");
    if (n > (size - SEGMENT) / SECTION) {
        inspect_problem(f, "a segment says it has %u sections, more than it has room for",
                        (unsigned)n);
        n = (uint32_t)((size - SEGMENT) / SECTION);
    }
    for (uint32_t i = 0; i < n; i++) section(e, at + SEGMENT + i * (size_t)SECTION);
}

/* nlist_64: u32 name in the strings, u8 type, u8 section, u16, u64 value. */
static void symbols(inspect *f, size_t at)
{
    uint64_t from = inspect_u32(f, at + 8), n = inspect_u32(f, at + 12);
    uint64_t strings = inspect_u32(f, at + 16), size = inspect_u32(f, at + 20);
    inspect_int(f->o, "symbol_count", n);
    if (!inspect_has(f, from, n * 16) || !inspect_has(f, strings, size)) {
        inspect_problem(f, "the table of %llu symbols is not in the file",
                        (unsigned long long)n);
        return;
    }
    for (uint64_t i = 0; i < n; i++) {
        size_t one = (size_t)(from + i * 16);
        uint64_t name = inspect_u32(f, one);
        json_t *o = inspect_row(f, "symbols");
        if (!o) return;
        if (name < size) {
            const uint8_t *p = f->p + strings + name, *end = memchr(p, 0, size - name);
            inspect_textn(o, "symbol", p, end ? (size_t)(end - p) : size - name);
        }
        inspect_hex(o, "value", inspect_u64(f, one + 8));
    }
}

/* The texts in what is mostly numbers: names of ports, the compiler's own words. */
static void texts_in(inspect *f, size_t at, size_t end, const char *key)
{
    for (size_t i = at; i < end; i++) {
        size_t n = 0;
        while (i + n < end && f->p[i + n] >= ' ' && f->p[i + n] < 0x7f) n++;
        if (n >= 3 && (i + n == end || !f->p[i + n])) {
            json_t *o = inspect_row(f, key);
            if (!o) return;
            inspect_textn(o, "text", f->p + i, n);
        }
        i += n;
    }
}

static const char *command_name(uint32_t c)
{
    static const struct {
        uint32_t c;
        const char *name;
    } row[] = {{0x02, "symbols"},
               {0x04, "thread: a procedure or a port"},
               {0x08, "compiler"},
               {0x19, "segment"},
               {0x1b, "UUID"},
               {0x31, "note"},
               {0x40, "address of a port"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (row[i].c == c) return row[i].name;
    return "unknown";
}

static void command(engine *e, uint32_t c, size_t at, size_t size)
{
    inspect *f = e->f;
    json_t *o = inspect_row(f, "commands");
    if (!o) return;
    inspect_hex(o, "command", c);
    inspect_text(o, "what", command_name(c));
    inspect_int(o, "bytes", size);
    if (c == 0x19 && size >= SEGMENT) segment(e, at, size);
    else if (c == 0x02 && size >= 24) symbols(f, at);
    else if (c == 0x08) texts_in(f, at + 8, at + size, "compiler");
    else if (c == 0x04 && size >= 16) {
        inspect_int(o, "flavor", inspect_u32(f, at + 8));
        texts_in(f, at + 16, at + size, "names");
    }
}

static void commands(engine *e)
{
    inspect *f = e->f;
    uint32_t n = inspect_u32(f, 16), size = inspect_u32(f, 20);
    size_t at = HEAD, end = inspect_has(f, HEAD, size) ? HEAD + (size_t)size : f->n;
    if (end - HEAD < size) inspect_problem(f, "the load commands end after the file");
    for (uint32_t i = 0; i < n; i++) {
        if (end - at < 8) {
            inspect_problem(f, "wanted %u load commands, had %u", (unsigned)n,
                            (unsigned)i);
            return;
        }
        uint32_t c = inspect_u32(f, at), bytes = inspect_u32(f, at + 4);
        if (bytes < 8 || bytes > end - at) {
            inspect_problem(f, "load command %u says it has %u bytes", (unsigned)i,
                            (unsigned)bytes);
            return;
        }
        command(e, c, at, bytes);
        at += bytes;
    }
}

bool inspect_hwx(inspect *f)
{
    /* 0xFEEDFACF: a copy made for tools that know no other Mach-O */
    if (f->n < 4 ||
        (inspect_u32(f, 0) != 0xbeefface &&
         !(f->n >= HEAD && inspect_u32(f, 0) == 0xfeedfacf && inspect_u32(f, 4) == 0x80)))
        return false;
    inspect_kind(f, "hwx", "a program compiled for Apple's Neural Engine");
    if (f->n < HEAD) {
        inspect_problem(f, "wanted a header of %d bytes, had %zu", (int)HEAD, f->n);
        return true;
    }
    engine *e = arena_take(f->mem, sizeof *e);
    if (!e) return true;
    uint32_t subtype = inspect_u32(f, 8);
    e->f = f;
    e->g = generation_of(subtype);
    inspect_int(f->o, "cpusubtype", subtype);
    inspect_text(f->o, "engine", e->g ? e->g->name : "unknown");
    if (e->g) inspect_int(f->o, "task_format", (uint64_t)e->g->isa);
    inspect_int(f->o, "filetype", inspect_u32(f, 12));
    inspect_hex(f->o, "flags", inspect_u32(f, 24));
    commands(e);
    return true;
}
