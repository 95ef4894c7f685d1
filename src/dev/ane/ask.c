/* ask.c - questions that need the engine's own calls. Those that go below the
 * driver, to calls without its reader or its queue, are in below.c and crowd.c.
 *
 * delta_reload: a program is unloaded, other weights are written where the
 * system staged the first, and it is loaded again without a compile. Orion saw
 * the new weights used; others saw the old, or a refusal. Only the numbers tell.
 * cache_reload: a program that was kept is loaded again; did the system compile
 * for it, and are the numbers right?
 * two_files: an in-memory model with two weight files, which macOS 27 refuses
 * if both get one name (oMLX issue 3124, pmetal, Espresso). */
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "dev/ane/below.h"
#include "dev/probe_case.h"

enum { BEFORE = 5, AFTER = 7, STAGE_WAIT_MS = 2000 };

/* ---- delta_reload ---- */
/* The calls of a route without a compile between them. */
static rc load_other(ane_device *d, ane_model *m, const dev_source *src, dev_sight *out)
{
    ane_engine *e = &d->e;
    ane_id error = NULL;
    ane_stage stage;
    void *pool = e->sys.objc_autoreleasePoolPush();
    bool gone = e->route->unload(e, m, &error);
    rc r = gone ? OK : ane_explain(&e->sys, error, E_DEVICE, "unload the program");
    e->sys.objc_autoreleasePoolPop(pool);
    TRY(r);
    m->loaded = false;
    TRY(ane_stage_open(&stage, m->dir, NULL, STAGE_WAIT_MS));
    r = ane_stage_write(&stage, src);
    if (r == OK) {
        error = NULL;
        pool = e->sys.objc_autoreleasePoolPush();
        m->loaded = e->route->load(e, m, &error);
        if (!m->loaded) {
            ane_explain(&e->sys, error, E_DEVICE, "load the program");
            check_say(out, DEV_SEEN_REFUSED, "a load without a compile: %s", err_first());
            err_clear();
        }
        e->sys.objc_autoreleasePoolPop(pool);
    }
    ane_stage_close(&stage);
    return r;
}

static rc delta(ane_device *d, ane_program *p, const dev_source *src, dev_sight *out)
{
    double had;
    TRY(check_run_one(&p->soft.base, 0, &had));
    if (had != BEFORE) {
        check_say(out, DEV_SEEN_UNKNOWN, "the first weights gave %g, wanted %d", had,
                  BEFORE);
        return OK;
    }
    pthread_mutex_lock(&d->e.loading);
    rc r = load_other(d, p->model, src, out);
    pthread_mutex_unlock(&d->e.loading);
    if (r != OK || !p->model->loaded) return r;
    TRY(check_run_one(&p->soft.base, 0, &had));
    check_say(out, had == AFTER ? DEV_SEEN_RIGHT : DEV_SEEN_WRONG,
              "a load without a compile gave %s",
              had == AFTER    ? "the new weights"
              : had == BEFORE ? "the old weights"
                              : "neither the old nor the new weights");
    return OK;
}

static rc ask_delta(device *dev, dev_sight *out)
{
    mil_blob_writer *w[2] = {NULL, NULL};
    mil_blob_file weights[2];
    dev_program *p = NULL;
    str text = {0};
    str_add(&text, check_weighted_text);
    rc r = probe_spell(dev, &text);
    dev_source src = {"delta", text.p, text.n, weights, 1};
    if (r == OK) r = check_blob(BEFORE, &w[0], &weights[0]);
    if (r == OK) r = check_blob(AFTER, &w[1], &weights[1]);
    if (r == OK) r = dev_load(dev, &src, &p);
    src.files = &weights[1];
    if (r == OK) r = delta((ane_device *)dev, (ane_program *)p, &src, out);
    dev_unload(p);
    for (int i = 0; i < 2; i++)
        if (w[i]) mil_blob_free(w[i]);
    str_free(&text);
    return r;
}

/* ---- cache_reload ---- */
/* One load and run; the value is right? How long the load took. */
static rc load_and_run(device *dev, const dev_source *src, bool *right, double *ms)
{
    dev_program *p = NULL;
    double had = 0, start = clock_ms();
    rc r = dev_load(dev, src, &p);
    *ms = clock_ms() - start;
    if (r == OK) r = check_run_one(p, 0, &had);
    *right = had == BEFORE;
    dev_unload(p);
    return r;
}

static rc ask_cache(device *dev, dev_sight *out)
{
    ane_cache *c = &((ane_device *)dev)->e.cache;
    mil_blob_writer *w = NULL;
    mil_blob_file weights;
    bool first, second;
    double ms[2];
    str text = {0};
    if (!c->on) {
        check_say(out, c->usable ? DEV_SEEN_REFUSED : DEV_SEEN_UNKNOWN,
                  "programs are not kept: %s",
                  c->why ? c->why : "no folder to keep them");
        return OK;
    }
    str_add(&text, check_weighted_text);
    rc r = probe_spell(dev, &text);
    dev_source src = {"cache", text.p, text.n, &weights, 1};
    if (r == OK) r = check_blob(BEFORE, &w, &weights);
    if (r == OK) r = load_and_run(dev, &src, &first, &ms[0]);
    uint64_t loads = c->loads;
    if (r == OK) r = load_and_run(dev, &src, &second, &ms[1]);
    if (r == OK && c->loads == loads)
        check_say(out, DEV_SEEN_REFUSED, "the system had to compile again");
    else if (r == OK)
        check_say(out, first && second ? DEV_SEEN_RIGHT : DEV_SEEN_WRONG,
                  "loaded again without a compile in %.0f ms, first in %.0f ms", ms[1],
                  ms[0]);
    if (w) mil_blob_free(w);
    str_free(&text);
    return r;
}

/* ---- two_files ---- */
static const char two_text[] =
    "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", "
    "\"3505.4.1\"}})]\n{ func main<ios18>(tensor<fp16, [1, 4, 1, 32]> in_a) {\n"
    "tensor<fp16, [1, 4, 1, 32]> w = const()[name = string(\"w\"), val = tensor<fp16, "
    "[1, "
    "4, 1, 32]>(BLOBFILE(path = string(\"@model_path/weights/w.bin\"), offset = "
    "uint64(64)))];\n"
    "tensor<fp16, [1, 4, 1, 32]> v = const()[name = string(\"v\"), val = tensor<fp16, "
    "[1, "
    "4, 1, 32]>(BLOBFILE(path = string(\"@model_path/weights/v.bin\"), offset = "
    "uint64(64)))];\n"
    "tensor<fp16, [1, 4, 1, 32]> wide = add(x = in_a, y = w)[name = string(\"wide\")];\n"
    "tensor<fp16, [1, 4, 1, 32]> out_a = sub(x = wide, y = v)[name = "
    "string(\"out_a\")];\n"
    "} -> (out_a); }\n";

static rc load_two(device *dev, const mil_blob_file *files, dev_sight *out)
{
    ane_engine *e = &((ane_device *)dev)->e;
    dev_program *p = NULL;
    double had;
    str text = {0};
    str_add(&text, two_text);
    rc r = probe_spell(dev, &text);
    dev_source src = {"two_files", text.p, text.n, files, 2};
    if (r == OK) r = dev_load(dev, &src, &p);
    if (r == OK) r = check_run_one(p, 0, &had);
    if (r == OK && had != BEFORE - AFTER)
        check_say(out, DEV_SEEN_WRONG, "two weight files gave %g, wanted %d", had,
                  BEFORE - AFTER);
    else if (r == OK)
        check_say(out, DEV_SEEN_RIGHT, "two weight files were taken, given as %s",
                  e->form[1] == ANE_WEIGHTS_FILES ? "files" : "pairs");
    dev_unload(p);
    str_free(&text);
    return r;
}

/* The client's compiler reads the folder, so only models in memory are asked;
 * nothing else is loaded while the route is another. */
static rc ask_two(device *dev, dev_sight *out)
{
    ane_engine *e = &((ane_device *)dev)->e;
    const ane_route *before = e->route;
    mil_blob_writer *w[2] = {NULL, NULL};
    mil_blob_file files[2];
    TRY(ane_engine_use(e, &ane_memory_route));
    rc r = check_blob(BEFORE, &w[0], &files[0]);
    if (r == OK) r = check_blob(AFTER, &w[1], &files[1]);
    files[1].path = "@model_path/weights/v.bin";
    if (r == OK) r = load_two(dev, files, out);
    for (int i = 0; i < 2; i++)
        if (w[i]) mil_blob_free(w[i]);
    e->route = before;
    return r;
}

/* How deep the queue is, only models in memory say. */
static rc ask_queue(device *dev, dev_sight *out)
{
    ane_device *d = (ane_device *)dev;
    const ane_route *before = d->e.route;
    if (ane_engine_use(&d->e, &ane_memory_route) != OK) err_clear();
    rc r = below_queue(d, out);
    d->e.route = before;
    return r;
}

static rc put_question(device *dev, const char *id, dev_sight *out)
{
    ane_device *d = (ane_device *)dev;
    if (!strcmp(id, "delta_reload")) return ask_delta(dev, out);
    if (!strcmp(id, "cache_reload")) return ask_cache(dev, out);
    if (!strcmp(id, "two_files")) return ask_two(dev, out);
    if (!strcmp(id, "int8_product")) return below_w8a8(d, out);
    if (!strcmp(id, "queue_depth")) return ask_queue(dev, out);
    if (!strcmp(id, "one_in_flight")) return below_overlap(d, out);
    if (!strcmp(id, "surface_slots")) return below_slots(d, out);
    if (!strcmp(id, "grouped_conv_limit")) return below_groups(d, out);
    check_say(out, DEV_SEEN_UNKNOWN, "this driver has no such question");
    return OK;
}

rc ane_ask(device *dev, const char *id, dev_sight *out)
{
    rc r = put_question(dev, id, out);
    if (r == OK || r == E_MEMORY) return r;
    out->code = r;
    check_say(out, DEV_SEEN_REFUSED, "%s", err_first());
    err_clear();
    return OK;
}
