/* inspect_fuzz.c - any bytes as a file of any kind: an answer, which is JSON, and
 * nothing outside the bytes is read (the sanitizer sees that). Tensors and the like
 * are opened by their own readers, so those are asked about a real file. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "api/inspect.h"
#include "base/file.h"

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

static void answered(json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT);
    demand(text != NULL && json_object_get(o, "kind") != NULL);
    free(text);
    json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char path[320];
    json_t *o;
    if (!dir[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(dir, sizeof dir, "%.200s/anneal-fuzz-XXXXXX",
                 base                      ? base
                 : file_is_dir("/dev/shm") ? "/dev/shm"
                                           : "/tmp");
        demand(mkdtemp(dir) != NULL);
        atexit(tidy);
    }
    demand(inspect_bytes(n && bytes[0] & 1 ? "x.e5" : "x", bytes, n, &o) == OK);
    answered(o);
    snprintf(path, sizeof path, "%s/x", dir);
    unlink(path);
    FILE *f = fopen(path, "wb");
    demand(f && fwrite(bytes, 1, n, f) == n);
    fclose(f);
    demand(inspect_path(path, &o) == OK);
    answered(o);
    return 0;
}
