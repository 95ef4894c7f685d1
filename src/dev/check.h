/* check.h - every question `device check` puts to a device: first what
 * device.h promises and what is known of the arithmetic (checks.def), then
 * every rule (rules.def), those that may spoil the device last.
 *
 * A question may end or spoil the process on a real chip, so each can be asked
 * alone, by its name, in a process of its own. */
#ifndef DEV_CHECK_H
#define DEV_CHECK_H

#include "dev/probe.h"

typedef enum {
    DEV_ASK_CONTRACT,
    DEV_ASK_NUMBERS,
    DEV_ASK_CHIP,
    DEV_ASK_RULE
} dev_ask_kind;
typedef struct {
    const char *id; /* "tickets", "row_multiple" */
    dev_ask_kind kind;
    const char *where; /* families, "all", "h13-h14" */
    const char *text, *source;
    dev_rule rule; /* kind DEV_ASK_RULE */
} dev_question;
size_t dev_question_count(void);
void dev_question_at(size_t i, dev_question *out);
int dev_question_find(const char *id);         /* -1 if none */
const char *dev_ask_kind_text(dev_ask_kind k); /* "contract" ... */

/* Put question i to d. An error is only returned when it could not be put
 * (memory). A rule that was broken on a real chip is followed by a plain
 * program: *spoiled says that it did not run any more. */
rc dev_ask(device *d, size_t i, dev_sight *out, bool *spoiled);
/* What that means. `expected` as of dev_probe_table, or by the profile alone
 * when the process that asked did not survive. Verdict and holds: for a rule as
 * dev_probe_conclude; else holds is "as the question's text says". */
void dev_answer(const dev_caps *expected, size_t i, const dev_sight *s,
                dev_probe_result *out);

/* ---- check_*.c ---- */
typedef rc dev_check_fn(device *d, const dev_caps *caps, dev_sight *out);
#define CHECK(id, kind, where, fn, text, source) dev_check_fn fn;
#include "dev/checks.def"
#undef CHECK
/* Say what was seen; printf. */
void check_say(dev_sight *out, dev_seen seen, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Load `text`, run it once on `in` and copy `out` back, one array of fp16 for
 * each port in binding order, sizes as the ports say. */
rc check_compute(device *d, const char *name, const char *text, const half *const *in,
                 half *const *out);
/* The same for a program with one weight file. */
rc check_compute_with(device *d, const char *name, const char *text,
                      const mil_blob_file *weights, const half *const *in,
                      half *const *out);
/* A program that adds 128 numbers of a file to its input, [1, 4, 1, 32]; that
 * file, all of one value (free the writer); and one run of such a program with
 * an input that begins with `in`: the first number of the output. */
extern const char check_weighted_text[];
rc check_blob(double value, mil_blob_writer **w, mil_blob_file *file);
rc check_run_one(dev_program *p, double in, double *out);
/* || had - want || / || want ||; infinity where either is not finite. */
double check_distance(const half *had, const half *want, size_t n);

#endif
