/* crowd.c - many threads evaluate at once, below the driver's queue.
 *
 * An evaluation blocks its thread until the engine has done it, so whoever
 * wants to know what happens to more runs than the queue holds needs as many
 * threads. The framework keeps a semaphore of 127 for each program
 * (-queueDepth; ANEForge, ane-infer, slavko): the next caller waits, or is told
 * code 5. From outside a run that waits looks like one that is under way; so
 * what is told is how many were taken, and the depth that the framework names. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "dev/ane/below.h"
#include "dev/probe_case.h"

enum { HANDS = 160, PROGRAMS = 8, OVERLAPS = 32 };
enum { TOO_MANY = 5 }; /* the framework's code: too many runs were queued */

typedef struct {
    ane_engine *e;
    pthread_mutex_t lock;
    pthread_cond_t go;
    int ready;
    bool started;
} gate;

typedef struct {
    gate *g;
    pthread_t thread;
    ane_model *m;
    ane_id request;
    bool taken;
    long code;
    char why[200];
} hand;

static void evaluate(hand *h)
{
    ane_engine *e = h->g->e;
    ane_id error = NULL;
    void *pool = e->sys.objc_autoreleasePoolPush();
    h->taken = e->route->evaluate(e, h->m, h->request, &error);
    if (!h->taken) {
        if (error) h->code = (long)e->sys.CFErrorGetCode((ane_error)error);
        ane_explain(&e->sys, error, E_DEVICE, "run the program");
        snprintf(h->why, sizeof h->why, "%.*s", (int)sizeof h->why - 1, err_first());
        err_clear();
    }
    e->sys.objc_autoreleasePoolPop(pool);
}

static void *stand_by(void *ctx)
{
    hand *h = ctx;
    gate *g = h->g;
    pthread_mutex_lock(&g->lock);
    g->ready++;
    while (!g->started) pthread_cond_wait(&g->go, &g->lock);
    pthread_mutex_unlock(&g->lock);
    evaluate(h);
    return NULL;
}

/* All hands at once, each one run; how many threads there were. Their stacks are
 * those of the system: on macOS 512 KiB each. */
static int let_go(gate *g, hand *hands, int n)
{
    int made = 0;
    for (; made < n; made++) {
        hands[made].g = g;
        if (pthread_create(&hands[made].thread, NULL, stand_by, &hands[made])) break;
    }
    pthread_mutex_lock(&g->lock);
    g->started = true;
    pthread_cond_broadcast(&g->go);
    pthread_mutex_unlock(&g->lock);
    for (int i = 0; i < made; i++) pthread_join(hands[i].thread, NULL);
    return made;
}

static rc send_off(ane_device *d, hand *hands, int n, int *made)
{
    gate g = {.e = &d->e};
    if (pthread_mutex_init(&g.lock, NULL)) return err_fail(E_FAILED, "no lock");
    if (pthread_cond_init(&g.go, NULL)) {
        pthread_mutex_destroy(&g.lock);
        return err_fail(E_FAILED, "no lock");
    }
    *made = let_go(&g, hands, n);
    pthread_cond_destroy(&g.go);
    pthread_mutex_destroy(&g.lock);
    return OK;
}

/* ---- programs and surfaces ---- */
static rc load_plus(ane_device *d, const char *name, int plus, ane_model **out)
{
    static const char form[] =
        "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", "
        "\"3505.4.1\"}})]\n{ func main<ios18>(tensor<fp16, [1, 4, 1, 32]> in_a) {\n"
        "fp16 some = const()[name = string(\"some\"), val = fp16(%d)];\n"
        "tensor<fp16, [1, 4, 1, 32]> out_a = add(x = in_a, y = some)[name = "
        "string(\"out_a\")];\n} -> (out_a); }\n";
    char text[512];
    const dev_ports ports = {1, 1, &below_in, &below_out};
    snprintf(text, sizeof text, form, plus);
    return below_load(d, name, text, &ports, out);
}

static rc new_surface(ane_device *d, dev_surface **out)
{
    probe_port p = {.name = "in_a", .type = below_in.type};
    TRY(probe_surface(&d->soft.base, &p, out));
    return probe_fill(*out, &p); /* zeros */
}

static rc request(ane_device *d, hand *h, dev_surface *in, dev_surface *to)
{
    const ane_id objects[] = {((ane_surface *)in)->object, ((ane_surface *)to)->object};
    void *pool = d->e.sys.objc_autoreleasePoolPush();
    rc r = ane_make_request(&d->e, h->m, objects, &h->request);
    d->e.sys.objc_autoreleasePoolPop(pool);
    return r;
}

/* Are all numbers of it `want`? */
static rc look(dev_surface *s, double want, bool *right, double *first)
{
    void *host;
    TRY(dev_map(s, &host));
    const half *h = host;
    *first = half_to_double(h[0]);
    for (int i = 0; i < 128; i++) *right &= half_to_double(h[i]) == want;
    return dev_unmap(s);
}

/* ---- queue_depth ---- */
typedef struct {
    ane_model *m[PROGRAMS];
    dev_surface *in, *to[HANDS];
    hand hands[HANDS];
    int made, taken, refused;
    const char *why; /* of the first other failure */
    bool right;
} crowd;

static rc gather(ane_device *d, crowd *c, int programs)
{
    TRY(new_surface(d, &c->in));
    for (int i = 0; i < programs; i++) TRY(load_plus(d, "queue_depth", i + 1, &c->m[i]));
    for (int i = 0; i < HANDS; i++) {
        c->hands[i].m = c->m[i % programs];
        TRY(new_surface(d, &c->to[i]));
        TRY(request(d, &c->hands[i], c->in, c->to[i]));
    }
    TRY(send_off(d, c->hands, HANDS, &c->made));
    c->right = true;
    for (int i = 0; i < c->made; i++) {
        const hand *h = &c->hands[i];
        double first;
        if (h->taken) TRY(look(c->to[i], i % programs + 1, &c->right, &first));
        c->taken += h->taken;
        c->refused += !h->taken && h->code == TOO_MANY;
        if (!h->taken && h->code != TOO_MANY && !c->why) c->why = h->why;
    }
    return OK;
}

static void disperse(ane_device *d, crowd *c)
{
    for (int i = 0; i < HANDS; i++) ane_drop(&d->e.sys, c->hands[i].request);
    for (int i = 0; i < PROGRAMS; i++) ane_model_put(&d->e, c->m[i]);
    dev_drop(c->in);
    for (int i = 0; i < HANDS; i++) dev_drop(c->to[i]);
    mem_drop(c);
}

/* What the framework calls the depth; 0 where it does not say. */
static int named_depth(ane_device *d, const ane_model *m)
{
    const ane_sys *a = &d->e.sys;
    if (d->e.route != &ane_memory_route || !ane_has(a, ANE_SEL_memory_depth)) return 0;
    return ane_msg_memory_depth(a, m->object);
}

static void tell_crowd(const crowd *c, int programs, int depth, dev_sight *out)
{
    char named[64] = "";
    const char *which = programs > 1 ? "eight programs" : "one program";
    if (depth) snprintf(named, sizeof named, "; the framework calls its depth %d", depth);
    if (!c->right)
        check_say(out, DEV_SEEN_WRONG, "%d runs at once on %s gave wrong numbers",
                  c->made, which);
    else if (c->why)
        check_say(out, DEV_SEEN_FAILED, "of %d runs at once on %s %d went well: %s",
                  c->made, which, c->taken, c->why);
    else if (c->refused)
        check_say(out, DEV_SEEN_RULE,
                  "of %d runs at once on %s %d were taken, the rest "
                  "refused with code %d%s",
                  c->made, which, c->taken, TOO_MANY, named);
    else
        check_say(out, depth ? DEV_SEEN_RULE : DEV_SEEN_UNKNOWN,
                  "%d runs at once on %s: all were taken, none refused%s", c->made, which,
                  depth ? named : "; who waited cannot be seen");
    out->value = c->refused ? c->taken : depth ? depth : out->value;
}

static rc ask_crowd(ane_device *d, int programs, dev_sight *out)
{
    crowd *c = mem_take(sizeof *c);
    if (!c) return E_MEMORY;
    rc r = gather(d, c, programs);
    if (r == OK) tell_crowd(c, programs, named_depth(d, c->m[0]), out);
    disperse(d, c);
    return r;
}

/* One program, then several: is the depth that of a program, or of all? */
rc below_queue(ane_device *d, dev_sight *out)
{
    dev_sight several = *out;
    char one[240];
    TRY(ask_crowd(d, 1, out));
    if (out->seen == DEV_SEEN_WRONG || out->seen == DEV_SEEN_FAILED) return OK;
    TRY(ask_crowd(d, PROGRAMS, &several));
    if (several.seen == DEV_SEEN_WRONG || several.seen == DEV_SEEN_FAILED) {
        *out = several;
        return OK;
    }
    snprintf(one, sizeof one, "%.*s", (int)sizeof one - 1, out->detail);
    check_say(out, out->seen, "%s; %.250s", one, several.detail);
    return OK;
}

/* ---- one_in_flight: runs that add one to one surface; two at once lose one ---- */
rc below_overlap(ane_device *d, dev_sight *out)
{
    hand hands[OVERLAPS] = {{0}};
    dev_surface *s = NULL;
    ane_model *m = NULL;
    int made = 0, taken = 0;
    bool all = true;
    double had = 0;
    rc r = load_plus(d, "one_in_flight", 1, &m);
    if (r == OK) r = new_surface(d, &s);
    for (int i = 0; i < OVERLAPS && r == OK; i++) {
        hands[i].m = m;
        r = request(d, &hands[i], s, s);
    }
    if (r == OK) r = send_off(d, hands, OVERLAPS, &made);
    for (int i = 0; i < made; i++) taken += hands[i].taken;
    if (r == OK) r = look(s, taken, &all, &had);
    if (r == OK && taken < made)
        check_say(out, DEV_SEEN_FAILED, "of %d runs at once on one surface %d went well",
                  made, taken);
    else if (r == OK)
        check_say(out, all ? DEV_SEEN_RULE : DEV_SEEN_RIGHT,
                  all ? "%d runs at once on one surface followed each other"
                      : "of %d runs at once on one surface some overlapped: it counts %g",
                  made, had);
    for (int i = 0; i < OVERLAPS; i++) ane_drop(&d->e.sys, hands[i].request);
    ane_model_put(&d->e, m);
    dev_drop(s);
    return r;
}
