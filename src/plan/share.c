/* share.c - programs-to-be become MIL text, and equal texts one program.
 *
 * Whether two programs are equal is asked of the bytes that a device would
 * compile, so nothing can differ between two layers that share one. */
#include "plan/cost.h"

#include <ctype.h>
#include <string.h>
#include <xxhash.h>

/* Only to find candidates: equal() compares every byte. */
static uint64_t digest(const mil_emitted *e)
{
    uint64_t h = XXH3_64bits(e->text.p, e->text.n);
    for (int i = 0; i < e->n_files; i++)
        h = XXH3_64bits_withSeed(e->files[i].bytes, e->files[i].size, h);
    return h;
}

/* Programs with baked params are equal only if those are the same params: the
 * values will change, and may only happen to be equal now. */
static bool same_params(const plan_program *p, const plan_baked *baked, int n)
{
    if (p->n_baked != n) return false;
    for (int i = 0; i < n; i++)
        if (strcmp(p->baked[i].param, baked[i].param) != 0 ||
            p->baked[i].at != baked[i].at)
            return false;
    return true;
}

static bool equal(const plan_program *p, const mil_emitted *e)
{
    if (p->mil_bytes != e->text.n || memcmp(p->mil, e->text.p, e->text.n) != 0)
        return false;
    if (p->n_files != e->n_files) return false;
    for (int i = 0; i < e->n_files; i++)
        if (p->files[i].size != e->files[i].size ||
            memcmp(p->files[i].bytes, e->files[i].bytes, e->files[i].size) != 0)
            return false;
    return true;
}

/* "layer.3" backward -> "layer.bwd"; numbers fall away, they will be many. */
static const char *name_of(planner *b, const plan_item *item)
{
    char stem[64] = "";
    size_t n = 0;
    for (const char *s = item->scope; *s && n + 1 < sizeof stem;) {
        size_t len = strcspn(s, "."), digits = strspn(s, "0123456789");
        bool number = digits == len && len > 0;
        if (!number && n && n + 1 < sizeof stem) stem[n++] = '.';
        for (size_t i = 0; !number && i < len && n + 1 < sizeof stem; i++)
            stem[n++] = isalnum((unsigned char)s[i]) ? s[i] : '_';
        s += len + (s[len] == '.');
    }
    stem[n] = 0;
    const char *base = arena_printf(b->mem, "%s.%s", n ? stem : "main",
                                    item->backward ? "bwd" : "fwd");
    const char *name = base;
    for (int i = 0, turn = 2; name && i < b->p->n_programs; i++) {
        if (strcmp(b->p->programs[i].name, name) != 0) continue;
        name = arena_printf(b->mem, "%s.%d", base, turn++);
        i = -1;
    }
    return name;
}

/* The emitter's memory goes with its scratch arena; one program of many equal
 * ones is kept. */
static rc copy_files(planner *b, plan_program *p, const mil_emitted *e)
{
    p->n_files = e->n_files;
    p->files = arena_array(b->mem, (size_t)e->n_files + 1, sizeof *p->files);
    p->mil = arena_textn(b->mem, e->text.p, e->text.n);
    p->mil_bytes = e->text.n;
    if (!p->files || !p->mil) return E_MEMORY;
    for (int i = 0; i < e->n_files; i++) {
        void *bytes = arena_take(b->mem, e->files[i].size ? e->files[i].size : 1);
        const char *path = arena_text(b->mem, e->files[i].path);
        if (!bytes || !path) return E_MEMORY;
        memcpy(bytes, e->files[i].bytes, e->files[i].size);
        p->files[i] = (mil_blob_file){path, bytes, e->files[i].size};
    }
    return OK;
}

static rc copy_ports(planner *b, plan_program *p, const plan_item *item, bool output)
{
    int n = output ? item->n_out : item->n_in, *count = output ? &p->n_out : &p->n_in;
    const plan_port *port = output ? item->out : item->in;
    const char **names = arena_array(b->mem, (size_t)n + 1, sizeof *names);
    dev_shape *shapes = arena_array(b->mem, (size_t)n + 1, sizeof *shapes);
    size_t *bytes = output ? &p->out_bytes : &p->in_bytes;
    if (!names || !shapes) return E_MEMORY;
    for (int i = 0; i < n; i++) {
        char name[16];
        if (port[i].baked) continue;
        plan_port_name(b, output, *count, name);
        if (!(names[*count] = arena_text(b->mem, name))) return E_MEMORY;
        shapes[*count] = port[i].shape;
        *bytes += plan_packed_bytes(&port[i].shape);
        ++*count;
    }
    if (output) p->out_names = names, p->out_shapes = shapes;
    else p->in_names = names, p->in_shapes = shapes;
    return OK;
}

/* Takes over g. */
static rc add_program(planner *b, plan_item *item, ir_graph *g, const mil_emitted *e)
{
    plan *p = b->p;
    TRY(plan_grow(b->mem, (void **)&p->programs, p->n_programs, &b->cap_programs,
                  sizeof *p->programs));
    plan_program *q = &p->programs[p->n_programs];
    *q = (plan_program){.cause = item->cause};
    if (!(q->name = name_of(b, item))) return E_MEMORY;
    TRY(copy_files(b, q, e));
    TRY(copy_ports(b, q, item, false));
    TRY(copy_ports(b, q, item, true));
    for (int i = 0; i < g->n_nodes; i++) q->flops += ir_flops(g->nodes[i]);
    q->predicted_ms = plan_cost_program(b, g, (double)(q->in_bytes + q->out_bytes));
    q->graph = g;
    item->program = p->n_programs++;
    return OK;
}

/* Names of baked params, in the order in which the graph was given them. */
static rc list_baked(planner *b, const plan_item *item, plan_baked **out, int *n)
{
    *n = 0;
    *out = arena_array(b->mem, (size_t)item->n_in + 1, sizeof **out);
    if (!*out) return E_MEMORY;
    for (int i = 0; i < item->n_in; i++) {
        const plan_view v = item->in[i].view;
        if (!item->in[i].baked) continue;
        const char *name = arena_printf(b->mem, "w%03d", *n);
        if (!name) return E_MEMORY;
        (*out)[(*n)++] = (plan_baked){name, v.base->name, v.at};
    }
    return OK;
}

/* Before there are any values: as many zeros as the longest param has. */
static rc zeros_for(const ir_graph *g, int n_baked, const plan_baked *baked, arena *mem,
                    const double **out)
{
    int64_t most = 1;
    for (int i = 0; i < n_baked; i++) {
        int64_t n = ir_count(ir_find(g, baked[i].constant)->shape);
        if (n > most) most = n;
    }
    *out = arena_array(mem, (size_t)most, sizeof **out);
    return *out ? OK : E_MEMORY;
}

/* The program's text and files with these values for its baked params; the text
 * is the same whatever they are. */
static rc emit(const plan *p, const ir_graph *g, int n_baked, const plan_baked *baked,
               int n, const ir_binding *values, arena *mem, mil_emitted *out)
{
    const dev_profile *c = p->caps.profile;
    mil_emit_options o = {.old_spelling = c && c->old_mil,
                          .blob_path = "@model_path/weights/weight.bin",
                          .inline_max = 64,
                          .blob_each = plan_keeps_costly(p, RULE_blob_single_file)};
    ir_binding *bind = arena_array(mem, (size_t)n_baked + 1, sizeof *bind);
    const double *zeros = NULL;
    if (!bind) return E_MEMORY;
    if (n == 0 && n_baked) TRY(zeros_for(g, n_baked, baked, mem, &zeros));
    for (int i = 0; i < n_baked; i++) {
        int k = 0;
        if (zeros) {
            bind[i] = (ir_binding){baked[i].constant, zeros};
            continue;
        }
        while (k < n && strcmp(values[k].name, baked[i].param) != 0) k++;
        if (k == n) return err_fail(E_CONFIG, "no values to bake for %s", baked[i].param);
        bind[i] = (ir_binding){baked[i].constant, values[k].v + baked[i].at};
    }
    return mil_emit(mem, g, &o, n_baked, bind, out);
}

rc plan_bake(const plan *p, int program, int n, const ir_binding *values, arena *mem,
             mil_blob_file **files, int *n_files)
{
    const plan_program *q = &p->programs[program];
    mil_emitted e = {0};
    rc r = emit(p, q->graph, q->n_baked, q->baked, n, values, mem, &e);
    str_free(&e.text);
    *files = e.files;
    *n_files = e.n_files;
    return r;
}

/* Equal graphs make equal bytes, and most layers have one: it is written once. */
static int written(const plan *p, const ir_graph *g, int n_baked)
{
    for (int i = 0; i < p->n_programs && !n_baked; i++)
        if (!p->programs[i].n_baked && ir_same(p->programs[i].graph, g)) return i;
    return -1;
}

static rc share_one(planner *b, plan_item *item, uint64_t *hashes)
{
    plan *p = b->p;
    const plan_options *o = &p->options;
    ir_graph *g;
    plan_baked *baked;
    mil_emitted e = {0};
    int n;
    TRY(list_baked(b, item, &baked, &n));
    TRY(plan_build_program(b, item, &g));
    arena *scratch = arena_new();
    rc r = scratch ? OK : E_MEMORY;
    item->program = written(p, g, n);
    if (r == OK && item->program < 0)
        r = emit(p, g, n, baked, o->n_baked, o->baked, scratch, &e);
    if (r == OK && item->program < 0) {
        uint64_t h = digest(&e);
        if (n && !o->n_baked) e.n_files = 0; /* zeros need not be kept */
        for (int i = 0; i < p->n_programs && item->program < 0; i++)
            if (hashes[i] == h && equal(&p->programs[i], &e) &&
                same_params(&p->programs[i], baked, n))
                item->program = i;
        if (item->program < 0) {
            hashes[p->n_programs] = h;
            r = add_program(b, item, g, &e);
            if (r == OK) g = NULL;
            if (r == OK) p->programs[item->program].baked = baked;
            if (r == OK) p->programs[item->program].n_baked = n;
        }
    }
    if (r == OK) r = plan_take_products(b, item, &p->programs[item->program]);
    str_free(&e.text);
    arena_free(scratch);
    ir_free(g);
    if (r == OK) p->programs[item->program].calls++;
    return r;
}

rc plan_share(planner *b)
{
    uint64_t *hashes = arena_array(b->mem, (size_t)b->n_items + 1, sizeof *hashes);
    if (!hashes) return E_MEMORY;
    TRY(plan_find_ports(b));
    for (int i = 0; i < b->n_items; i++)
        if (b->items[i].engine)
            TRY_WHILE(share_one(b, &b->items[i], hashes), "making a program of '%s'%s",
                      b->items[i].scope, b->items[i].backward ? " backward" : "");
    for (int i = 0; i < b->p->n_programs; i++) {
        plan_program *q = &b->p->programs[i];
        if (q->calls == 1) continue;
        q->cause = arena_printf(b->mem, "%s; %d calls have this same text", q->cause,
                                q->calls);
        if (!q->cause) return E_MEMORY;
    }
    b->p->loads = b->p->n_programs;
    for (int i = 0; i < b->p->n_programs; i++)
        b->p->rebakes += b->p->programs[i].n_baked > 0;
    return OK;
}
