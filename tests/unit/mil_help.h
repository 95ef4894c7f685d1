/* mil_help.h - what the tests of the mil room share. */
#ifndef MIL_HELP_H
#define MIL_HELP_H

#include "test.h"
#include "mil/mil.h"

/* Text compared with tests/golden/mil/NAME.exact, byte for byte.
 * GOLDEN=write makes the files anew; look at the difference before keeping it. */
static inline void assert_golden(const char *name, const char *text)
{
    char path[256];
    arena *mem = arena_new();
    char *want;
    size_t n;
    snprintf(path, sizeof path, "tests/golden/mil/%s.exact", name);
    const char *mode = getenv("GOLDEN");
    if (mode && !strcmp(mode, "write")) assert_ok(file_replace(path, text, strlen(text)));
    assert_ok(file_read(mem, path, 0, &want, &n));
    if (strcmp(text, want)) {
        size_t at = 0, line = 1;
        for (; text[at] && text[at] == want[at]; at++) line += text[at] == '\n';
        print_error("differs from %s in line %zu\n", path, line);
        print_error("had ...%.120s\nwanted ...%.120s\n", text + at, want + at);
        fail();
    }
    arena_free(mem);
}

/* Parse, print, parse and print again: the two prints must be equal. The
 * first is returned; free it with str_free. */
static inline str reprint(arena *mem, const char *text, size_t n)
{
    str first = {0}, second = {0};
    mil_program *p, *q;
    assert_ok(mil_parse(mem, text, n, "test.mil", &p));
    assert_ok(mil_print(p, &first));
    assert_ok(mil_parse(mem, first.p, first.n, "printed.mil", &q));
    assert_ok(mil_print(q, &second));
    assert_string_equal(str_text(&first), str_text(&second));
    str_free(&second);
    return first;
}

#endif
