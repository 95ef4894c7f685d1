/* probe.h - does a rule hold on this device?
 *
 * For every row of rules.def there is a program or a call that breaks that rule
 * and no other (probe_cases.c, probe_limits.c). Breaking it on an open device
 * shows whether it holds there: the device refuses it, fails, or gives other
 * numbers than the text says. Tests use the same cases to prove that strict
 * engines refuse and that faithful ones go wrong as the chip does. */
#ifndef DEV_PROBE_H
#define DEV_PROBE_H

#include "dev/device.h"
#include "dev/profile.h"

/* What was seen when a rule was broken. */
typedef enum {
    DEV_SEEN_NOTHING, /* it ran, on a device that computes nothing */
    DEV_SEEN_RIGHT,   /* the numbers are those of the text: not held */
    DEV_SEEN_REFUSED, /* by load, surface or run */
    DEV_SEEN_FAILED,  /* it was queued, and the run failed */
    DEV_SEEN_WRONG,   /* other numbers than the text says */
    DEV_SEEN_ZEROS,   /* zeros in their place */
    DEV_SEEN_RULE,    /* what the rule says: swapped, infinite, bounded ... */
    DEV_SEEN_UNKNOWN, /* it could not be asked here; detail says why */
    DEV_SEEN_DIED     /* it ended, hung or spoiled its process */
} dev_seen;
const char *dev_seen_text(dev_seen s);

enum { DEV_PROBE_TEXT = 560 }; /* the first line of any error, and some words */
typedef struct dev_sight {
    dev_seen seen;
    rc code;                     /* of the refusal or failure */
    bool warned;                 /* dev_warnings named the rule */
    double value;                /* limits: how many went well before; else NaN */
    char detail[DEV_PROBE_TEXT]; /* first line of the error, or of the reason */
} dev_sight;

/* Break rule r on d. Loads programs, so it uses up compiles. An error is only
 * returned when the question could not be put (memory). */
rc dev_break(device *d, dev_rule r, dev_sight *out);

typedef enum { DEV_PROBE_PASS, DEV_PROBE_FAIL, DEV_PROBE_SKIP } dev_probe_verdict;
typedef struct {
    dev_rule rule;
    dev_probe_verdict verdict; /* pass: the tables say so too, or are disputed */
    bool holds;                /* seen to hold; false when skipped */
    dev_seen seen;
    double value; /* as in dev_sight */
    char detail[DEV_PROBE_TEXT + 40];
} dev_probe_result;

/* What the tables expect of d: its caps, but of a real chip's rules what the
 * tables say of its family, whatever the device was told or has learned. */
rc dev_probe_table(device *d, dev_caps *out);
/* The same by a profile alone. */
void dev_profile_rules(const dev_profile *p, dev_caps *out);
/* Compare what was seen of rule r with what is expected. */
void dev_probe_conclude(const dev_caps *expected, dev_rule r, const dev_sight *s,
                        dev_probe_result *out);
/* Does a plain program still run? Asked after a rule was broken. */
rc dev_probe_plain(device *d);
/* The order to break rules in: row i of DEV_RULES. Those that may spoil the
 * device come last: tile_poison, and the compile budget, which is used up. */
dev_rule dev_probe_order(int i);

/* Break every rule on d; out has room for DEV_RULES_MAX, *n is set to the rows
 * written. Close the device afterwards. */
rc dev_probe(device *d, dev_probe_result *out, int *n);

#endif
