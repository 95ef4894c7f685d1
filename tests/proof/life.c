/* life.c - every call the driver makes of the fake, once: a device opened by
 * each route runs its trial program; a client with a wide quality of service; a
 * program that is refused, for the reading of an error; a machine without an
 * engine. Prints "ok", or the error and fails. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include "base/err.h"
#include "dev/device.h"
#include "fake.h"

static const char bad[] = "program(1.3) { func main<ios18>( }";

static int wrong(const char *what)
{
    printf("%s: %s\n", what, err_text());
    return 1;
}

static int live(kern *k, const char *lib, const char *route)
{
    char uri[300];
    device *d;
    dev_program *p;
    dev_source src = {"bad", bad, strlen(bad), NULL, 0};
    snprintf(uri, sizeof uri, "ane:%s,rules=none,lib=%s", route, lib);
    if (dev_open(uri, k, &d) != OK) return wrong(uri);
    rc r = dev_load(d, &src, &p);
    dev_close(d);
    return r == OK ? wrong("a program that is none was loaded") : 0;
}

int main(int argc, char **argv)
{
    void (*tell)(const char *);
    void *lib = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    void *p = lib ? dlsym(lib, "fake_ane_tell") : NULL;
    kern *k;
    device *d;
    char uri[300];
    if (!p || kern_open(1, NULL, &k) != OK) return wrong("life FAKE");
    memcpy(&tell, &p, sizeof tell);
    int bad_ones = live(k, argv[1], "memory") + live(k, argv[1], "client");
    tell("wide");
    bad_ones += live(k, argv[1], "client");
    tell("absent");
    snprintf(uri, sizeof uri, "ane:lib=%s", argv[1]);
    if (dev_open(uri, k, &d) == OK) bad_ones += wrong("an engine that is absent opened");
    kern_close(k);
    if (!bad_ones) puts("ok");
    return bad_ones != 0;
}
