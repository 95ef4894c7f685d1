/* recipe_fuzz.c - any bytes as a recipe, and as words of the command line. What is
 * taken must print, the print must read back to the same print, and its JSON must
 * be JSON; every refusal names the line. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "api/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check(bool good)
{
    if (!good) abort();
}

/* Printed, read, printed: the same. */
static void round_trip(config *c)
{
    config *d;
    str first = {0}, second = {0}, json = {0};
    if (config_new(&d)) return;
    if (strstr(config_text(c, OPT_device_uri), "lib=")) /* said as a word only */
        check(!config_set(c, "device.uri", "auto"));
    check(!config_print(c, &first));
    check(!config_parse(d, first.p, first.n, "printed.conf"));
    check(!config_print(d, &second));
    check(first.n == second.n && !memcmp(first.p, second.p, first.n));
    check(!config_conflict(c, d));
    check(!config_json(c, &json));
    json_t *o = json_loadb(json.p, json.n, 0, NULL);
    check(json_object_size(o) == OPT_COUNT);
    json_decref(o);
    str_free(&first);
    str_free(&second);
    str_free(&json);
    config_free(d);
}

/* Parts between zero bytes as words of the command line: these may hold what a
 * line cannot. */
static void words(config *c, const char *bytes, size_t n)
{
    char word[256];
    for (size_t from = 0, to; from < n; from = to + 1) {
        for (to = from; to < n && bytes[to] != 0; to++) continue;
        size_t len = to - from < sizeof word - 1 ? to - from : sizeof word - 1;
        memcpy(word, bytes + from, len);
        word[len] = 0;
        if (config_set_pair(c, word) && !*err_text()) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    config *c;
    if (config_new(&c)) return 0;
    if (config_parse(c, (const char *)bytes, n, "fuzz.conf"))
        check(!strncmp(err_text(), "fuzz.conf:", 10));
    words(c, (const char *)bytes, n);
    round_trip(c);
    config_free(c);
    return 0;
}
