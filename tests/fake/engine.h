/* engine.h - the software engine behind the private classes.
 *
 * Compiling makes an artefact: the text and weights as they were then, so that
 * files changed later are not seen, as on the chip (maderix/ANE
 * test_weight_reload). The system's service keeps it, under the identifier of
 * an in-memory model or the path and key of a model in a folder, for later
 * models and other processes too (decompiled framework; pmetal, oMLX and
 * TurboCider load from it without compiling). Loading makes a program of it. */
#ifndef FAKE_ENGINE_H
#define FAKE_ENGINE_H

#include "base/arena.h"
#include "dev/device.h"
#include "state.h"

struct fake_artefact {
    arena *mem;
    const char *mil;
    size_t mil_bytes;
    mil_blob_file *files;
    int n_files;
};
fake_artefact *engine_artefact(void); /* an empty one */

/* Read the file `text` in `dir` and the weights under dir/weights, and check
 * the program: REFUSALS if all is well. */
fake_refusal engine_compile(const char *dir, const char *text, fake_artefact **out);
/* Keep a copy under `name`, get one, forget it; false = not there. */
void engine_keep(const fake_artefact *a, const char *name);
bool engine_recall(const char *name, fake_artefact **out);
void engine_purge(const char *name);
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
