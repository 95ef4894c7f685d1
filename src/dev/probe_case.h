/* probe_case.h - how a case that breaks a rule is written down.
 *
 * A case is a small program: its ports with the numbers that go in and come
 * out, and its body. Numbers repeat every eight elements, element i being
 * base + slope * (i % 8), which elementwise ops keep; so one pair of numbers
 * says what a whole port holds. Unless the case is about it, ports stand on
 * surfaces of one size, multiples of 16 KiB from 48 KiB on, with rows that are
 * multiples of 32. */
#ifndef DEV_PROBE_CASE_H
#define DEV_PROBE_CASE_H

#include "base/str.h"
#include "dev/probe.h"

enum { PROBE_PORTS = 5, PROBE_BLOB_ELEMENTS = 128 };

typedef struct {
    double base, slope;
} probe_ramp;
typedef struct {
    const char *name; /* NULL ends a list */
    mil_type type;
    probe_ramp value; /* what goes in, or should come out */
    probe_ramp wrong; /* outputs: what the rule makes of it, with `shows` */
    size_t bytes;     /* of the surface; 0 = as above */
} probe_port;

typedef struct probe_case probe_case;
struct probe_case {
    probe_port in[PROBE_PORTS], out[PROBE_PORTS];
    const char *body;
    bool shows;       /* outputs have `wrong` numbers */
    bool declared;    /* bind in the order of the lists, not of the names */
    bool no_version;  /* buildInfo without coremlc-version */
    bool unsound;     /* E_FORMAT counts as a refusal */
    const char *also; /* a rule that cannot but be broken with it */
    int n_blobs;      /* weights of 1, [1,4,1,32], named w_0, w_1, ... */
    bool one_file;    /* they share a file */
    /* Finish ports or append to the body, where limits of the chip matter. */
    void (*prepare)(probe_case *c, const dev_caps *caps, str *body);
    /* Instead of all that: a case of its own. */
    rc (*ask)(device *d, const dev_caps *caps, dev_sight *out);
};

/* The case of a rule; never NULL. */
const probe_case *probe_case_of(dev_rule r);
/* Does the rule that r's case also breaks hold by `holds` (one per rule)? */
bool probe_also_holds(dev_rule r, const uint8_t *holds);

/* ---- probe_run.c ---- */
rc probe_run_case(device *d, const dev_caps *caps, dev_rule r, const probe_case *c,
                  dev_sight *out);
/* "program ... (in) { body } -> (out)"; NULL-terminated ports. */
void probe_program(str *s, const probe_case *c, const char *body);
/* The text as the compiler of d's chip is surest to take it: on real chips of
 * the two oldest families in the older spelling (maderix/ANE PR 6). The first
 * error that made the text bad, or OK. */
rc probe_spell(device *d, str *text);
/* Record a refusal or failure from the current error. Out of memory is
 * returned; text that the driver cannot read becomes DEV_SEEN_UNKNOWN. */
rc probe_refused(dev_sight *out, dev_seen seen, rc code, bool unsound);
rc probe_surface(device *d, const probe_port *p, dev_surface **out);
rc probe_fill(dev_surface *s, const probe_port *p);

/* ---- probe_limits.c: the cases that are no single program ---- */
rc probe_packed(device *d, const dev_caps *caps, dev_sight *out);
rc probe_poison(device *d, const dev_caps *caps, dev_sight *out);
rc probe_budget(device *d, const dev_caps *caps, dev_sight *out);
rc probe_slots(device *d, const dev_caps *caps, dev_sight *out);
rc probe_queue(device *d, const dev_caps *caps, dev_sight *out);
rc probe_overlap(device *d, const dev_caps *caps, dev_sight *out);
rc probe_many_surfaces(device *d, const dev_caps *caps, dev_sight *out);

#endif
