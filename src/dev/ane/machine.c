/* machine.c - the machine in words. What the system does not answer has no
 * line. */
#include <stdio.h>
#include "dev/ane/ane.h"
#include "dev/ane/facts.h"

typedef struct {
    dev_fact_sink *put;
    void *ctx;
} sink;

static void say(const sink *s, const char *name, const char *text)
{
    dev_fact f = {
        .kind = "machine", .name = name, .expected = "", .had = text, .ok = true};
    if (*text) s->put(s->ctx, &f);
}

static void say_cores(const sink *s, const ane_facts *f)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%d", f->cores);
    if (f->fast_cores && f->slow_cores)
        snprintf(text + n, sizeof text - (size_t)n, ": %d fast, %d slow", f->fast_cores,
                 f->slow_cores);
    if (f->cores) say(s, "processors", text);
}

/* What the processor's own arithmetic has, as far as the system answers. */
static void say_features(const sink *s, const ane_facts *f)
{
    const struct {
        const char *name;
        int has;
    } all[] = {
        {"fp16", f->fp16}, {"bf16", f->bf16}, {"i8mm", f->i8mm}, {"sme2", f->sme2}};
    char text[64] = "";
    size_t n = 0;
    int known = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        known += all[i].has >= 0;
        if (all[i].has > 0)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? " " : "",
                                  all[i].name);
    }
    if (known) say(s, "features", n ? text : "none");
}

void ane_machine_facts(const char *lib, dev_fact_sink *put, void *ctx)
{
    ane_facts f;
    sink s = {put, ctx};
    char memory[32] = "";
    ane_facts_read(ane_sysctl_find(lib), &f);
    say(&s, "chip", f.chip);
    say(&s, "model", f.model);
    say(&s, "system", f.os);
    say(&s, "build", f.build);
    if (f.memory_bytes)
        snprintf(memory, sizeof memory, "%.0f GB", (double)f.memory_bytes / (1 << 30));
    say(&s, "memory", memory);
    say_cores(&s, &f);
    say_features(&s, &f);
}

void ane_meter_facts(const ane_sys *a, dev_fact_sink *put, void *ctx)
{
    ane_report *r = ane_report_open(a, ANE_REPORT_EVERY_MS);
    const char *text;
    for (int i = 0; (text = ane_report_meter(r, i)); i++) {
        dev_fact f = {.kind = "meter",
                      .name = ane_report_unit(r, i),
                      .expected = "",
                      .had = text,
                      .ok = true};
        put(ctx, &f);
    }
    ane_report_close(r);
}
