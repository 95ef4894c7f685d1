/* replay.c - a fuzz target as an ordinary test: every file of its corpus, and
 * small damage to it, must be survived. For compilers without libFuzzer, and
 * so that a fault once found stays found.
 *
 *   mil_fuzz tests/fuzz/corpus/mil                                           */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { CUTS = 64, FLIPS = 64, DAMAGE_LIMIT = 1 << 16 };

/* Each input in memory of its exact size, so that a sanitizer sees a read past
 * its end. */
static void feed(const char *bytes, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy) abort();
    if (n) memcpy(copy, bytes, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

/* The start of the input at CUTS lengths, then one to four changed bytes. */
static void feed_damaged(const char *name, char *bytes, size_t n)
{
    if (n == 0 || n > DAMAGE_LIMIT) return;
    for (size_t i = 0; i < CUTS; i++) feed(bytes, n * i / CUTS);
    uint64_t stream = rng_stream(name);
    for (uint64_t i = 0; i < FLIPS; i++) {
        size_t at[4];
        char old[4];
        size_t n_flips = 1 + i % 4;
        for (size_t k = 0; k < n_flips; k++) {
            uint32_t w[4];
            rng_block(1, stream, 4 * i + k, w);
            at[k] = w[0] % n;
            old[k] = bytes[at[k]];
            bytes[at[k]] = (char)(w[1] & 1 ? w[2] : (uint32_t)old[k] ^ 1u << w[2] % 8);
        }
        feed(bytes, n);
        for (size_t k = n_flips; k-- > 0;) bytes[at[k]] = old[k];
    }
}

static bool replay_file(arena *a, const char *dir, const char *name)
{
    char *bytes, *path = file_join(a, dir, name);
    size_t n;
    if (!path || file_read(a, path, 0, &bytes, &n) != OK) return false;
    printf("# %s\n", path); /* the last such line names the input of a crash */
    fflush(stdout);
    feed(bytes, n);
    feed_damaged(name, bytes, n);
    return true;
}

int main(int argc, char **argv)
{
    arena *a = arena_new();
    char **names;
    size_t n = 0, tests = 1;
    if (!a) return 1;
    feed("", 0);
    feed("\0", 1);
    printf("ok 1 - the empty input and one zero byte\n");
    if (argc > 1 && file_is_dir(argv[1]) && file_list(a, argv[1], &names, &n) != OK) {
        printf("not ok 2 - %s\n", err_first());
        n = 0, tests++;
    }
    for (size_t i = 0; i < n; i++) {
        bool good = replay_file(a, argv[1], names[i]);
        printf("%sok %zu - %s\n", good ? "" : "not ", ++tests, names[i]);
    }
    printf("1..%zu\n", tests);
    arena_free(a);
    return 0;
}
