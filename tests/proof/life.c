/* life.c - every call the driver makes of the fake, at least once: by each
 * route, the trial program of opening, a program that is kept and loaded again,
 * one that is kept and then refused, one that is none; then a system whose
 * client takes a wider quality of service, one whose models hide the model
 * inside, another folder for staging, a machine without an engine.
 *
 *   life FAKE FOLDER        prints "ok", or the error, and fails */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include "base/err.h"
#include "dev/cache.h"
#include "dev/check.h"
#include "dev/device.h"
#include "fake.h"

static const char bad[] = "program(1.3) { func main<ios18>( }";
static const char good[] =
    "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", "
    "\"3505.4.1\"}})]\n{ func main<ios18>(tensor<fp16, [1, 64, 1, 64]> in_a) {\n"
    "tensor<fp16, [1, 64, 1, 64]> twice = add(x = in_a, y = in_a)[name = "
    "string(\"twice\")];\n} -> (twice); }\n";

static void (*tell)(const char *);
static const char *lib, *folder;

static int wrong(const char *what)
{
    printf("%s: %s\n", what, err_text());
    return 1;
}

static rc load(device *d, const char *text)
{
    dev_program *p;
    dev_source src = {"life", text, strlen(text), NULL, 0};
    rc r = dev_load(d, &src, &p);
    if (r == OK) dev_unload(p);
    return r;
}

/* The words of the system go with each telling. */
static void say(const char *system, const char *more)
{
    char words[400];
    snprintf(words, sizeof words, "daemon=%s/daemon;%s;%s", folder, system, more);
    tell(words);
}

/* The depth of the queue is asked for by that question alone. */
static int depth(device *d)
{
    dev_question q;
    dev_sight seen;
    bool spoiled;
    for (size_t i = 0; i < dev_question_count(); i++) {
        dev_question_at(i, &q);
        if (q.kind != DEV_ASK_RULE || q.rule != RULE_queue_depth) continue;
        return dev_ask(d, i, &seen, &spoiled) == OK ? 0 : wrong("the queue's depth");
    }
    return wrong("no question about the queue's depth");
}

static int live(kern *k, const char *route, const char *system)
{
    char uri[400], state[300];
    device *d;
    bool keeps;
    int n = 0;
    snprintf(uri, sizeof uri, "ane:%s,compiles=none,lib=%s", route, lib);
    snprintf(state, sizeof state, "%s/state", folder);
    say(system, "");
    if (dev_open_at(uri, k, state, &d) != OK) return wrong(uri);
    if (!strstr(route, "staging") && (dev_cache_try(d, &keeps) != OK || !keeps))
        n += wrong("keeping programs");
    for (int i = 0; i < 2; i++)
        if (load(d, good) != OK) n += wrong("a good program");
    say(system, "refuse=load,denied");
    if (load(d, good) == OK) n += wrong("a refused program was loaded");
    say(system, "");
    if (load(d, bad) == OK) n += wrong("a program that is none was loaded");
    n += depth(d);
    dev_close(d);
    return n;
}

int main(int argc, char **argv)
{
    kern *k;
    device *d;
    char word[400];
    if (argc != 3) return wrong("life FAKE FOLDER");
    lib = argv[1];
    folder = argv[2];
    void *handle = dlopen(lib, RTLD_NOW | RTLD_LOCAL);
    void *p = handle ? dlsym(handle, "fake_ane_tell") : NULL;
    if (!p || kern_open(1, NULL, &k) != OK) return wrong(lib);
    memcpy(&tell, &p, sizeof tell);
    int n = live(k, "memory", "") + live(k, "client", "");
    n += live(k, "client", "wide") + live(k, "memory", "hide=model");
    snprintf(word, sizeof word, "memory,staging=%s/staging", folder);
    n += live(k, word, "hide=nothing");
    tell("absent");
    snprintf(word, sizeof word, "ane:lib=%s", lib);
    if (dev_open(word, k, &d) == OK) n += wrong("an engine that is absent opened");
    kern_close(k);
    if (!n) puts("ok");
    return n != 0;
}
