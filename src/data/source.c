/* source.c - which files, and where documents begin in them.
 *
 * The scan reads with read(2) in pieces of 1 MB, so a file may be larger than
 * memory; a mark or the bytes of a document may cross from one piece to the
 * next, therefore the last 12 bytes of a piece are looked at again. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "data/source.h"

#define PIECE ((size_t)1 << 20)
#define DEEPEST 64 /* folders in folders */

static rc add_file(source *s, const char *path, const struct stat *st, bool listed)
{
    if (s->n_files == UINT32_MAX)
        return err_fail(E_FORMAT, "too many files: wanted at most %u", UINT32_MAX);
    if (s->n_files == s->cap_files) {
        size_t cap = s->cap_files ? 2 * s->cap_files : 16;
        source_file *more = arena_array(s->mem, cap, sizeof *more);
        if (!more) return E_MEMORY;
        if (s->n_files) memcpy(more, s->file, s->n_files * sizeof *more);
        s->file = more, s->cap_files = cap;
    }
    source_file *f = &s->file[s->n_files];
    f->path = arena_text(s->mem, path);
    f->size = (uint64_t)st->st_size;
#if defined(__APPLE__)
    f->mtime_ns = (int64_t)st->st_mtimespec.tv_sec * 1000000000 +
                  st->st_mtimespec.tv_nsec;
#else
    f->mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
#endif
    f->listed = listed;
    if (!f->path) return E_MEMORY;
    s->n_files++;
    return OK;
}

/* A link to a file counts as the file; a link to a folder is left out, since
 * it may lead back to where we are. */
static rc add_folder(source *s, const char *dir, int depth)
{
    char **name;
    size_t n;
    if (depth == DEEPEST)
        return err_fail(E_IO, "%s is %d folders deep, wanted fewer", dir, DEEPEST);
    TRY(file_list(s->mem, dir, &name, &n));
    for (size_t i = 0; i < n; i++) {
        if (name[i][0] == '.') continue;
        char *path = file_join(s->mem, dir, name[i]);
        struct stat st, link;
        if (!path) return E_MEMORY;
        if (stat(path, &st) || lstat(path, &link)) return file_fail("read", path, errno);
        if (S_ISREG(st.st_mode)) TRY(add_file(s, path, &st, true));
        else if (S_ISDIR(link.st_mode)) TRY(add_folder(s, path, depth + 1));
    }
    return OK;
}

rc source_list(source *s, int n_paths, const char *const *paths)
{
    *s = (source){.mem = arena_new()};
    if (!s->mem) return E_MEMORY;
    if (n_paths < 1)
        return err_fail(E_USAGE, "wanted at least one file or folder of text");
    for (int i = 0; i < n_paths; i++) {
        struct stat st;
        size_t before = s->n_files;
        if (stat(paths[i], &st)) return file_fail("read", paths[i], errno);
        if (S_ISREG(st.st_mode)) {
            TRY(add_file(s, paths[i], &st, false));
            continue;
        }
        if (!S_ISDIR(st.st_mode)) {
            err_fail(E_IO, "%s is neither a file nor a folder", paths[i]);
            return err_hint(E_IO, "save the text to a file first; it is read twice");
        }
        TRY(add_folder(s, paths[i], 0));
        if (s->n_files == before)
            return err_fail(E_FORMAT, "folder %s has no files", paths[i]);
    }
    return OK;
}

void source_close(source *s)
{
    arena_free(s->mem);
    mem_drop(s->doc);
    *s = (source){0};
}

static rc add_doc(source *s, uint32_t which, uint64_t at, uint64_t n)
{
    if (s->n_docs == s->cap_docs) {
        size_t cap = s->cap_docs ? mem_mul(2, s->cap_docs) : 64;
        source_doc *more = mem_take(mem_mul(cap, sizeof *more));
        if (!more) return E_MEMORY;
        if (s->n_docs) memcpy(more, s->doc, s->n_docs * sizeof *more);
        mem_drop(s->doc);
        s->doc = more, s->cap_docs = cap;
    }
    s->doc[s->n_docs++] = (source_doc){.at = at, .n = n, .file = which};
    s->bytes += n;
    return OK;
}

static const char *find_mark(const char *p, const char *end)
{
    while (end - p >= END_MARK_N && (p = memchr(p, '<', (size_t)(end - p) - 12))) {
        if (!memcmp(p, END_MARK, END_MARK_N)) return p;
        p++;
    }
    return NULL;
}

static bool blank(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || (*p >= '\t' && *p <= '\r'))) p++;
    return p == end;
}

/* Where the scan of one file is. */
typedef struct {
    source *s;
    uint32_t file;
    uint64_t at;    /* file offset of the buffer's first byte */
    uint64_t start; /* of the document */
    bool empty;     /* only white space in it so far */
} scan;

/* Look at n bytes; *used of them need not be seen again. */
static rc scan_piece(scan *c, const char *p, size_t n, bool last, size_t *used)
{
    const char *now = p, *end = p + n, *mark;
    while ((mark = find_mark(now, end))) {
        if (c->empty) c->empty = blank(now, mark);
        uint64_t stop = c->at + (uint64_t)(mark - p);
        if (!c->empty) TRY(add_doc(c->s, c->file, c->start, stop - c->start));
        now = mark + END_MARK_N;
        c->start = stop + END_MARK_N;
        c->empty = true;
    }
    const char *keep = end;
    if (!last) keep = end - now > END_MARK_N - 1 ? end - (END_MARK_N - 1) : now;
    if (c->empty) c->empty = blank(now, keep);
    *used = (size_t)(keep - p);
    return OK;
}

static rc refuse_binary(const source_file *f, uint64_t at, const char *head)
{
    err_fail(E_FORMAT, "%s is not text: byte %llu is zero", f->path,
             (unsigned long long)at);
    bool wide = !memcmp(head, "\xff\xfe", 2) || !memcmp(head, "\xfe\xff", 2);
    if (wide)
        return err_hint(E_FORMAT, "it looks like UTF-16: iconv -f UTF-16 -t UTF-8 %s",
                        f->path);
    return err_hint(E_FORMAT, "wanted plain text, for example UTF-8");
}

static rc scan_open_file(source *s, uint32_t i, int fd, char *buffer)
{
    scan c = {.s = s, .file = i, .empty = true};
    source_file *f = &s->file[i];
    size_t have = 0, docs = s->n_docs;
    uint64_t bytes = s->bytes, read_at = 0;
    char head[2] = {0};
    for (bool last = false; !last;) {
        ssize_t got = read(fd, buffer + have, PIECE - have);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return file_fail("read", f->path, errno);
        if (read_at == 0 && got >= 2) memcpy(head, buffer, 2);
        const char *zero = memchr(buffer + have, 0, (size_t)got);
        if (zero) {
            s->n_docs = docs, s->bytes = bytes, f->binary = true;
            if (f->listed) return OK;
            return refuse_binary(f, read_at + (uint64_t)(zero - buffer - (ptrdiff_t)have),
                                 head);
        }
        read_at += (uint64_t)got;
        have += (size_t)got;
        last = got == 0;
        size_t used;
        TRY(scan_piece(&c, buffer, have, last, &used));
        memmove(buffer, buffer + used, have - used);
        have -= used, c.at += used;
    }
    f->size = read_at;
    if (!c.empty) TRY(add_doc(s, i, c.start, read_at - c.start));
    return OK;
}

rc source_scan(source *s)
{
    char *buffer = mem_take(PIECE);
    rc r = buffer ? OK : E_MEMORY;
    uint32_t files = 0;
    for (uint32_t i = 0; r == OK && i < s->n_files; i++) {
        size_t before = s->n_docs;
        int fd = open(s->file[i].path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            r = file_fail("read", s->file[i].path, errno);
            break;
        }
        r = scan_open_file(s, i, fd, buffer);
        close(fd);
        files += s->n_docs > before;
    }
    mem_drop(buffer);
    TRY(r);
    s->units = files > 1 ? files : s->n_docs;
    if (s->n_docs) return OK;
    bool binary = false;
    for (size_t i = 0; i < s->n_files; i++) binary |= s->file[i].binary;
    const char *first = s->file[0].path,
               *more = s->n_files > 1 ? " and what follows" : "";
    if (binary) err_fail(E_FORMAT, "no text: %s%s is not text", first, more);
    else
        err_fail(E_FORMAT, "text is empty: %s%s has nothing but white space", first,
                 more);
    return err_hint(E_FORMAT, "name a file, or a folder of files, with plain text in it");
}

void source_reader_start(source_reader *r, const source *s)
{
    *r = (source_reader){.s = s, .fd = -1};
}

void source_reader_stop(source_reader *r)
{
    if (r->fd >= 0) close(r->fd);
    r->fd = -1;
}

rc source_reader_seek(source_reader *r, const source_doc *doc)
{
    if (r->fd < 0 || r->file != doc->file) {
        source_reader_stop(r);
        const char *path = r->s->file[doc->file].path;
        r->fd = open(path, O_RDONLY | O_CLOEXEC);
        if (r->fd < 0) return file_fail("read", path, errno);
        r->file = doc->file;
    }
    r->doc = doc, r->done = 0;
    return OK;
}

rc source_read(source_reader *r, char *p, size_t n, size_t *got)
{
    const char *path = r->s->file[r->file].path;
    uint64_t left = r->doc->n - r->done;
    if (n > left) n = (size_t)left;
    for (*got = 0; *got < n;) {
        ssize_t k = pread(r->fd, p + *got, n - *got, (off_t)(r->doc->at + r->done));
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return file_fail("read", path, errno);
        if (k == 0) return err_fail(E_IO, "%s became shorter while it was read", path);
        *got += (size_t)k, r->done += (uint64_t)k;
    }
    return OK;
}
