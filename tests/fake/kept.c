/* kept.c - what the system's service keeps of compiled programs.
 *
 * A list for as long as the process, or a folder with one file a program, so
 * that another process finds it: 8-byte numbers for the length of the text and
 * the count of weight files, the text, then for each file two numbers (length
 * of the path, of the contents), the path, the contents. The real service's
 * files are its own (below /Library/Caches/com.apple.aned). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/str.h"
#include "engine.h"
#include "fake.h"
#include "base/sha256.h"

typedef struct kept {
    struct kept *next;
    char name[65];
    size_t n;
    char *bytes;
} kept;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static kept *list;
static char folder[512];

static void hashed(const char *name, char out[65])
{
    sha256 h;
    sha256_start(&h);
    sha256_add(&h, name, strlen(name));
    sha256_hex(&h, out);
}

static kept *find(const char *hash)
{
    kept *k = list;
    while (k && strcmp(k->name, hash)) k = k->next;
    return k;
}

static void forget_all(void)
{
    while (list) {
        kept *k = list;
        list = k->next;
        free(k->bytes);
        free(k);
    }
}

FAKE_EXPORT void fake_ane_daemon(const char *path)
{
    pthread_mutex_lock(&lock);
    forget_all();
    snprintf(folder, sizeof folder, "%s", path ? path : "");
    pthread_mutex_unlock(&lock);
}

/* ---- to bytes and back ---- */
static void pack(const fake_artefact *a, str *out)
{
    uint64_t head[2] = {a->mil_bytes, (uint64_t)a->n_files};
    str_addn(out, (const char *)head, sizeof head);
    str_addn(out, a->mil, a->mil_bytes);
    for (int i = 0; i < a->n_files; i++) {
        uint64_t n[2] = {strlen(a->files[i].path), a->files[i].size};
        str_addn(out, (const char *)n, sizeof n);
        str_addn(out, a->files[i].path, n[0]);
        str_addn(out, a->files[i].bytes, n[1]);
    }
}

static const char *cut(const char **p, size_t *n, size_t wanted)
{
    const char *at = *p;
    if (wanted > *n) return NULL;
    *p += wanted;
    *n -= wanted;
    return at;
}

static bool unpack(fake_artefact *a, const char *bytes, size_t n)
{
    uint64_t head[2];
    const char *p = arena_textn(a->mem, bytes, n), *at;
    if (!p || !(at = cut(&p, &n, sizeof head))) return false;
    memcpy(head, at, sizeof head);
    if (!(a->mil = cut(&p, &n, head[0]))) return false;
    a->mil_bytes = head[0];
    a->n_files = (int)head[1];
    a->files = arena_array(a->mem, head[1] + 1, sizeof *a->files);
    for (int i = 0; a->files && i < a->n_files; i++) {
        uint64_t size[2];
        if (!(at = cut(&p, &n, sizeof size))) return false;
        memcpy(size, at, sizeof size);
        const char *path = cut(&p, &n, size[0]), *data = cut(&p, &n, size[1]);
        if (!path || !data) return false;
        a->files[i] = (mil_blob_file){arena_textn(a->mem, path, size[0]), data, size[1]};
    }
    return a->files != NULL;
}

/* ---- the three calls ---- */
void engine_keep(const fake_artefact *a, const char *name)
{
    str s = {0};
    kept *k = fake_take(sizeof *k);
    pack(a, &s);
    hashed(name, k->name);
    pthread_mutex_lock(&lock);
    if (*folder) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s", folder, k->name);
        file_replace(path, s.p, s.n);
        free(k);
    } else if (find(k->name)) {
        free(k);
    } else {
        k->n = s.n;
        k->bytes = fake_take(s.n + 1);
        memcpy(k->bytes, s.p, s.n);
        k->next = list;
        list = k;
    }
    pthread_mutex_unlock(&lock);
    str_free(&s);
    err_clear();
}

bool engine_recall(const char *name, fake_artefact **out)
{
    char hash[65], path[600];
    bool ok = false;
    fake_artefact *a = engine_artefact();
    hashed(name, hash);
    pthread_mutex_lock(&lock);
    snprintf(path, sizeof path, "%s/%s", folder, hash);
    char *bytes;
    size_t n;
    kept *k = find(hash);
    if (*folder)
        ok = file_read(a->mem, path, SIZE_MAX, &bytes, &n) == OK && unpack(a, bytes, n);
    else ok = k && unpack(a, k->bytes, k->n);
    pthread_mutex_unlock(&lock);
    err_clear();
    if (ok) *out = a;
    else engine_forget(a);
    return ok;
}

void engine_purge(const char *name)
{
    char hash[65], path[600];
    hashed(name, hash);
    pthread_mutex_lock(&lock);
    snprintf(path, sizeof path, "%s/%s", folder, hash);
    if (*folder) remove(path);
    for (kept **at = &list; *at; at = &(*at)->next)
        if (!strcmp((*at)->name, hash)) {
            kept *k = *at;
            *at = k->next;
            free(k->bytes);
            free(k);
            break;
        }
    pthread_mutex_unlock(&lock);
}
