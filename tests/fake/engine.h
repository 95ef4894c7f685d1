/* engine.h - the software engine behind the private classes.
 *
 * Compiling makes an artefact: the text and weights as they were then, so that
 * files changed later are not seen, as on the chip (maderix/ANE
 * test_weight_reload). The in-memory route keeps it in the staging directory
 * as net.plist and data, the client route with the model. Loading makes a
 * program of an artefact. */
#ifndef FAKE_ENGINE_H
#define FAKE_ENGINE_H

#include "state.h"

/* Read the file `text` in `dir` and the weights under dir/weights, and check
 * the program: REFUSALS if all is well. */
fake_refusal engine_compile(const char *dir, const char *text, fake_artefact **out);
/* Keep it in dir under `name`, and get it back; false = not there, or
 * not of that name. */
bool engine_save(const fake_artefact *a, const char *dir, const char *name);
bool engine_restore(const char *dir, const char *name, fake_artefact **out);
void engine_forget(fake_artefact *a);

fake_refusal engine_load(const fake_artefact *a, fake_program **out);
void engine_unload(fake_program *p);
/* The model's attributes: the names of its symbols, by number; NULL where the
 * system gives none. Count 1. */
id engine_attributes(const fake_program *p);
/* One run: surfaces, in binding order, are unlocked and long enough. */
fake_refusal engine_run(fake_program *p, const fake_request *r);

void engine_use(const char *uri);
void engine_close(void);

#endif
