/* state.h - between the files of the train room: state.json in and out, and the
 * arrays beside it. The same object goes into a file and over a restart in
 * memory. */
#ifndef TRAIN_STATE_H
#define TRAIN_STATE_H

#include <jansson.h>
#include "train/train.h"

/* One file of a checkpoint and the XXH3 (64 bits) of its bytes. */
typedef struct {
    const char *name;
    uint64_t bytes, xxh3;
} state_file;

/* NULL: no memory. */
json_t *state_json(const train_state *s, int n, const state_file *files);
/* window is left NULL, the member "window" is the caller's to read. */
rc state_from(arena *mem, const json_t *root, train_state *s, int *n, state_file **files);
rc state_write(const char *path, const train_state *s, int n, const state_file *files);
/* files and their names in the arena. E_FORMAT for another major version. */
rc state_read(arena *mem, const char *path, train_state *s, int *n, state_file **files);
/* The member "window" as text, NULL if there is none. */
rc state_window(arena *mem, const char *path, char **text);
rc state_window_of(arena *mem, const json_t *root, char **text);
/* Hash a file piece by piece: a mapping would count as memory of the run. */
rc state_hash(const char *path, state_file *out);

/* The arrays of a checkpoint that was verified before; m, v may be NULL. */
rc checkpoint_read(const char *dir, model *mo, float *m, float *v);

#endif
