/* stage.h - the folder in which the system looks for a program.
 *
 * Both routes compile from files: model.mil and weights/NAME below one folder.
 * On the in-memory route the system fixes the folder: the temporary folder of
 * the user and in it the program's identifier, a hash, so that equal programs
 * of any process have the same one; and unloading removes it. The files are
 * read when compiling and not afterwards. So a folder exists only from before
 * the compile to after the load, under a lock beside it that other processes
 * of ours respect; whoever is killed in between leaves a folder whose lock is
 * free, which the next one to open the engine removes. */
#ifndef DEV_ANE_STAGE_H
#define DEV_ANE_STAGE_H

#include "base/file.h"
#include "dev/device.h"

enum { ANE_PATH = 1024, ANE_STAGE_WAIT_MS = 120000 };
#define ANE_LOCK_SUFFIX ".anneal-lock"

typedef struct {
    char dir[ANE_PATH], real[ANE_PATH], lock_path[ANE_PATH];
    file_lock_ lock;
    bool locked;
} ane_stage;

/* Take the lock beside `dir`, waiting for other processes up to `wait_ms`
 * (E_BUSY then). `elsewhere`, unless NULL, is a folder to write to (a RAM disk,
 * say): `dir` becomes a link into it. Writes nothing yet. */
rc ane_stage_open(ane_stage *s, const char *dir, const char *elsewhere, double wait_ms);
/* Where a weight file lies in the folder: "@model_path/weights/w.bin" ->
 * "weights/w.bin"; E_FORMAT for what would lead out of it. */
rc ane_stage_name(const char *path, const char **rest);
/* Write model.mil and the weight files, all or nothing. */
rc ane_stage_write(ane_stage *s, const dev_source *src);
/* Make the folder, empty and private; add one file to it. */
rc ane_stage_make(ane_stage *s);
rc ane_stage_put(ane_stage *s, const char *name, const void *bytes, size_t n);
/* Give the lock back and leave the folder where it is. */
void ane_stage_leave(ane_stage *s);
/* Remove the folder and the lock, whatever is there of them. */
void ane_stage_close(ane_stage *s);

/* Remove folders in `temp` whose lock is there and held by nobody, and what they
 * have in `elsewhere` (NULL: nothing). */
void ane_stage_sweep(const char *temp, const char *elsewhere);

#endif
