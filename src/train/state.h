/* state.h - between the files of the train room: state.json in and out, and the
 * arrays beside it. */
#ifndef TRAIN_STATE_H
#define TRAIN_STATE_H

#include "train/train.h"

/* One file of a checkpoint and the XXH3 (64 bits) of its bytes. */
typedef struct {
    const char *name;
    uint64_t bytes, xxh3;
} state_file;

rc state_write(const char *path, const train_state *s, int n, const state_file *files);
/* files and their names in the arena. E_FORMAT for another major version. */
rc state_read(arena *mem, const char *path, train_state *s, int *n, state_file **files);
/* Hash a file piece by piece: a mapping would count as memory of the run. */
/* The member "window" as text, NULL if there is none. */
rc state_window(arena *mem, const char *path, char **text);
rc state_hash(const char *path, state_file *out);

/* The arrays of a checkpoint that was verified before; m, v may be NULL. */
rc checkpoint_read(const char *dir, model *mo, float *m, float *v);

#endif
