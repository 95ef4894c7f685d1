/* error.c - an NSError becomes a chain of ours: where it comes from, what it
 * says, and what it usually means. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "dev/ane/cf.h"

#define FAMILY "com.apple.appleneuralengine"
enum { ANY = -1, TEXT = 512 };

static const struct {
    const char *domain;
    long code, status;
    const char *text;
    rc result;
    const char *meaning;
} rows[] = {
#define ANEERR(domain, code, status, text, rc, meaning) \
    {domain, code, status, text, rc, meaning},
#include "dev/ane/errors.def"
#undef ANEERR
};

long ane_status_in(const char *text)
{
    static const char *const marks[] = {"status=0x", "(0x", "0x"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const char *at = strstr(text, marks[i]);
        size_t n = strlen(marks[i]);
        if (at && isxdigit((unsigned char)at[n])) return strtol(at + n, NULL, 16);
    }
    return -1;
}

static bool is_domain(const char *domain, const char *row)
{
    size_t n = strlen(FAMILY);
    if (!strncmp(domain, FAMILY, n)) return !strcmp(domain + n, row);
    return *row && !strcmp(domain, row);
}

static const char *one_line(char *text)
{
    for (char *p = text; *p; p++)
        if (iscntrl((unsigned char)*p)) *p = ' ';
    return text;
}

rc ane_say(const char *domain, long code, const char *said, rc otherwise,
           const char *what)
{
    char text[TEXT], status[32] = "";
    long found = ane_status_in(said);
    snprintf(text, sizeof text, "%s", said);
    if (found >= 0)
        snprintf(status, sizeof status, ", status 0x%lx", (unsigned long)found);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!is_domain(domain, rows[i].domain)) continue;
        if (rows[i].code != ANY && rows[i].code != code) continue;
        if (rows[i].status != ANY && rows[i].status != found) continue;
        if (!strstr(said, rows[i].text)) continue;
        return err_hint(err_fail(rows[i].result, "cannot %s: %s, code %ld%s: %s", what,
                                 domain, code, status, one_line(text)),
                        "%s", rows[i].meaning);
    }
    return err_fail(otherwise, "cannot %s: %s, code %ld%s: %s", what, domain, code,
                    status, one_line(text));
}

rc ane_explain(const ane_sys *a, ane_id error, rc otherwise, const char *what)
{
    char domain[128], text[TEXT];
    if (!error) {
        rc r = err_fail(otherwise, "cannot %s: the system gives no reason", what);
        if (!strncmp(what, "compile", 7))
            return err_hint(r, "with many programs compiled by one process the budget of "
                               "about 119 is used up");
        return r;
    }
    ane_error e = (ane_error)error;
    if (!ane_get_text(a, a->CFErrorGetDomain(e), domain, sizeof domain))
        snprintf(domain, sizeof domain, "unknown domain");
    ane_string said = a->CFErrorCopyDescription(e);
    if (!ane_get_text(a, said, text, sizeof text))
        snprintf(text, sizeof text, "%s", said ? "a long text" : "no text");
    if (said) a->CFRelease(said);
    return ane_say(domain, a->CFErrorGetCode(e), text, otherwise, what);
}
