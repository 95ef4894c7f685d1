/* safetensors_fuzz.c - any bytes as model.safetensors, config.json, the index
 * of shards and state.json: refused or read, never out of bounds (the
 * sanitizer sees a read outside), and what is read from a file of tensors
 * comes back the same when it is written again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "model/model.h"
#include "train/train.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static char dir[256];

static void demand(int holds)
{
    if (!holds) abort();
}

static void tidy(void)
{
    file_remove_tree(dir);
}

static const char *path_of(const char *name)
{
    static char path[320];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* Not through base/file.h, which forces each file to the disk. */
static void put(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(path_of(name), "wb");
    demand(f && fwrite(bytes, 1, n, f) == n);
    fclose(f);
}

static void read_tensors(void)
{
    st_file *f, *again;
    if (st_open(path_of("model.safetensors"), &f) != OK) return;
    int n = st_count(f);
    st_tensor *t = calloc((size_t)n + 1, sizeof *t);
    demand(t != NULL);
    for (int i = 0; i < n; i++) {
        const uint8_t *p = st_at(f, i)->data;
        size_t size = st_at(f, i)->bytes;
        volatile uint8_t seen = size ? p[0] ^ p[size - 1] : 0;
        (void)seen;
        t[i] = *st_at(f, i);
        float *x = malloc(size * 2 + 1);
        if (x && st_floats(&t[i], x, 3) == OK) demand(size == 12 || size == 6);
        free(x);
    }
    demand(st_write(path_of("again.safetensors"), n, t, 0, NULL) == OK);
    demand(st_open(path_of("again.safetensors"), &again) == OK && st_count(again) == n);
    for (int i = 0; i < n; i++) {
        const st_tensor *u = st_find(again, t[i].name);
        demand(u && u->bytes == t[i].bytes && u->rank == t[i].rank);
        demand(!u->bytes || !memcmp(u->data, t[i].data, u->bytes));
    }
    st_close(again);
    st_close(f);
    free(t);
}

static void read_config(void)
{
    model_config c, again;
    if (model_config_load(dir, &c) != OK) return;
    demand(model_config_save(&c, dir) == OK);
    demand(model_config_load(dir, &again) == OK);
    demand(again.dim == c.dim && again.vocab == c.vocab && again.tied == c.tied);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const model_config tiny = {.layers = 1,
                                      .dim = 2,
                                      .heads = 1,
                                      .hidden = 2,
                                      .seq = 2,
                                      .vocab = 2,
                                      .tied = true};
    model *m;
    train_state s;
    if (!dir[0]) {
        /* what is read back is written and forced out: a memory disk is fast */
        const char *base = getenv("TMPDIR");
        snprintf(dir, sizeof dir, "%.200s/anneal-fuzz-XXXXXX",
                 base                      ? base
                 : file_is_dir("/dev/shm") ? "/dev/shm"
                                           : "/tmp");
        demand(mkdtemp(dir) != NULL);
        atexit(tidy);
    }
    put("model.safetensors", bytes, n);
    put("config.json", bytes, n);
    put("state.json", bytes, n);
    read_tensors();
    demand(model_new(&tiny, &m) == OK);
    (void)model_load_weights(m, dir);
    unlink(path_of("model.safetensors"));
    put("model.safetensors.index.json", bytes, n);
    (void)model_load_weights(m, dir);
    model_free(m);
    (void)checkpoint_verify(dir, &s);
    read_config();
    return 0;
}
