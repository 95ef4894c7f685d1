/* config.h - settings: read, checked, printed. One table (opts.def) makes the
 * names, the parser, the ranges, the help and the documentation.
 *
 * A recipe is lines of `section.key = value`; `#` at the start of a line or after
 * a space starts a comment; a value may be in quotes. The order of strength is command
 * line, recipe, default. */
#ifndef API_CONFIG_H
#define API_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"
#include "data/data.h"
#include "model/model.h"
#include "plan/plan.h"
#include "train/train.h"

typedef enum { OPT_INT, OPT_REAL, OPT_BOOL, OPT_TEXT, OPT_CHOICE } opt_kind;
typedef enum {
#define GROUP(section, title)
#define OPT(section, key, kind, def, min, max, choices, help) OPT_##section##_##key,
#include "api/opts.def"
#undef OPT
#undef GROUP
    OPT_COUNT
} opt_id;
typedef struct {
    const char *name;    /* "model.layers" */
    const char *section; /* "model" */
    opt_kind kind;
    const char *def;
    double min, max;
    const char *choices; /* "half|interleaved" */
    const char *help;
} opt_row;
const opt_row *opt_at(opt_id id);
const char *opt_section_title(const char *section);

typedef struct config config;

/* The program around the library, as opening a device may need it: a library
 * has no executable of its own to spawn, and says nothing to people. Both may
 * be NULL. */
typedef struct {
    /* Before a URI of "auto" is opened: what can be found out about `chip`, the
     * device that might be taken, and remembered in `state`. */
    rc (*before_auto)(const config *c, const char *chip, const char *state, void *ctx);
    /* After: which device it became, and why. */
    void (*after_auto)(const char *chip, const char *uri, const char *why, void *ctx);
    void *ctx;
} machine_host;
/* `h` is kept, and handed on to copies; NULL: nobody. */
void config_host(config *c, const machine_host *h);
const machine_host *config_host_of(const config *c);
rc config_new(config **out); /* all defaults */
void config_free(config *c);
rc config_copy(const config *c, config **out);
/* E_CONFIG with a suggestion for an unknown key, the range for a bad value. */
rc config_set(config *c, const char *key, const char *value);
rc config_set_pair(config *c, const char *pair); /* "section.key=value" */
/* Errors begin "path:line: ". */
rc config_read(config *c, const char *path);
rc config_parse(config *c, const char *text, size_t n, const char *file);
/* The resolved recipe: runnable, every setting, grouped, with its help; without
 * what is one machine's own (a library in device.uri, device.state). */
rc config_print(const config *c, str *out);
/* Every value as it is, those too, each ended by a NUL: for another image of the
 * same process. And back. */
rc config_dump(const config *c, str *out);
rc config_undump(config *c, const char *p, size_t n);
rc config_json(const config *c, str *out); /* flat object */

bool config_is_set(const config *c, opt_id id); /* given, not a default */
int64_t config_int(const config *c, opt_id id);
double config_real(const config *c, opt_id id);
bool config_bool(const config *c, opt_id id);
const char *config_text(const config *c, opt_id id);

/* First setting that differs among those that may not change when going on
 * with a run (model, data, tokenizer, seed, batch, accum); NULL if none. */
const char *config_conflict(const config *old, const config *now);

/* Settings as the rooms take them. model.vocab 0 is left for the tokenizer. */
void config_model(const config *c, model_config *out);
rc config_train(const config *c, train_options *out);
void config_plan(const config *c, plan_options *out);
void config_data(const config *c, data_options *out);

#endif
