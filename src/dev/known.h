/* known.h - what is remembered of this machine's chip, in the state folder:
 *
 *   STATE/ane/report.json     the last `device check` of the chip: which rules
 *                             hold, which limits were met
 *   STATE/ane/selfcheck.json  did it compute rightly (selfcheck.h)
 *
 * Each file names its format, the chip, the system's build, the library that
 * stood in for the system's and the version of anneal. If one of them differs,
 * or the file is torn, it counts as absent and the reason is told; it is never
 * an error, because all of it can be found out again. */
#ifndef DEV_KNOWN_H
#define DEV_KNOWN_H

#include "dev/probe.h"

enum { DEV_KNOWN_FORMAT = 1 };
#define DEV_REPORT_NAME "ane/report.json"
#define DEV_SELF_NAME "ane/selfcheck.json"

/* What every such file begins with: format, anneal, date, chip, os, build, lib;
 * a new reference, NULL if memory is out. */
struct json_t;
struct json_t *dev_known_head(const dev_machine *m);
/* Write it under the state folder, whole or not at all; takes the reference.
 * *path, unless NULL, is where: allocated in the arena. */
rc dev_known_write(const char *state, const char *name, struct json_t *o, arena *mem,
                   const char **path);

/* A report of this machine; `why` says what was heeded, or why not. Without a
 * state folder or a report there is nothing and `why` is "". */
typedef struct {
    bool there;
    char why[240];
    char route[16]; /* the way to the engine that limits were met on */
    /* Per rule: 0 not asked, 1 holds, -1 does not. */
    int8_t seen[DEV_RULES];
    double value[DEV_RULES]; /* limits: how many went well, NaN unknown */
} dev_report;
rc dev_report_read(const char *state, const dev_machine *m, dev_report *out);
/* Put it into caps: rules that were seen take the place of the tables', and the
 * limits met that of the profile's; `learned` says so. Limits only if `route`
 * is the report's. */
void dev_report_apply(const dev_report *known, const char *route, dev_caps *caps);

/* A self-check of this machine; if there is none, detail says why. */
typedef struct {
    bool there, passed;
    char date[32], detail[DEV_PROBE_TEXT];
} dev_self_known;
rc dev_self_read(const char *state, const dev_machine *m, dev_self_known *out);
rc dev_self_write(const char *state, const dev_machine *m, bool passed,
                  const char *detail);

#endif
