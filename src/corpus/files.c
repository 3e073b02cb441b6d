/* Files of sources: rank 0 looks, and tells the others.
 *
 * A source's path is a file, a directory (walked in the order of names; links to directories are not followed) or a
 * pattern of the shell.  Hidden files are left out.  Not done here: reading them (records.c). */
#include "config.h"

#include <errno.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>

#include "corpus/build.h"

void wb_corpus_files_fini (wb_corpus_files_t *f) {
    for (int64_t i = 0; i < f->len; i++) wb_free (f->data[i].path);
    wb_free (f->data);
    *f = (wb_corpus_files_t){0};
}

static wb_status put (wb_corpus_files_t *f, const char *path, int64_t bytes, int64_t mtime, int source) {
    char *name = wb_strdup (path);
    if (name == NULL || !WB_GROW (f->data, f->cap, f->len + 1)) {
        wb_free (name);
        return WB_NOMEM ("list of files");
    }
    f->data[f->len++] = (wb_corpus_file_t){.path = name, .bytes = bytes, .mtime = mtime, .source = source};
    f->bytes += bytes;
    return WB_OK;
}

static wb_status find (wb_corpus_files_t *f, const char *path, int source, bool named);

static wb_status find_in (wb_corpus_files_t *f, const char *path, int source) {
    wb_names_t names;
    WB_TRY (wb_dir_list (&names, path));
    wb_status status = WB_OK;
    const size_t n = strlen (path);
    for (int64_t i = 0; i < names.len && status == WB_OK; i++) {
        if (names.data[i][0] == '.') continue;
        char *below = wb_format ("%s%s%s", path, n > 0 && path[n - 1] == '/' ? "" : "/", names.data[i]);
        status = below != NULL ? find (f, below, source, false) : WB_NOMEM ("list of files");
        wb_free (below);
    }
    wb_names_fini (&names);
    return status;
}

static wb_status find (wb_corpus_files_t *f, const char *path, int source, bool named) {
    struct stat st;
    if (!named && (lstat (path, &st) != 0 || S_ISLNK (st.st_mode)) && wb_file_is_dir (path)) return WB_OK;
    if (stat (path, &st) != 0) {
        if (named)
            return WB_FAIL (WB_EIO, "source %d, %s: cannot open: %s (paths start from the current folder)", source + 1,
                            path, strerror (errno));
        return WB_OK;
    }
    if (S_ISDIR (st.st_mode)) return find_in (f, path, source);
    if (!S_ISREG (st.st_mode))
        return named ? WB_FAIL (WB_EUSAGE, "%s: is no file; a corpus reads its files twice if it has to", path) : WB_OK;
    WB_TRY (put (f, path, (int64_t) st.st_size, (int64_t) st.st_mtime, source));
    f->data[f->len - 1].dev = (uint64_t) st.st_dev;
    f->data[f->len - 1].ino = (uint64_t) st.st_ino;
    return WB_OK;
}

static wb_status find_source (wb_corpus_files_t *f, const wb_corpus_source_t *s, int i) {
    const int64_t before = f->len;
    if (strpbrk (s->path, "*?[") == NULL || wb_file_exists (s->path)) {
        WB_TRY (find (f, s->path, i, true));
    } else {
        glob_t g;
        const int bad = glob (s->path, 0, NULL, &g);
        wb_status status = bad == GLOB_NOSPACE ? WB_NOMEM ("list of files") : WB_OK;
        for (size_t k = 0; bad == 0 && k < g.gl_pathc && status == WB_OK; k++)
            status = find (f, g.gl_pathv[k], i, true);
        if (bad == 0) globfree (&g);
        WB_TRY (status);
    }
    if (f->len == before) return WB_FAIL (WB_EDATA, "source %d, %s: there is no file", i + 1, s->path);
    return WB_OK;
}

/* By file, then in the order in which they were found. */
static int by_file (const void *a, const void *b) {
    const wb_corpus_file_t *x = *(wb_corpus_file_t *const *) a, *y = *(wb_corpus_file_t *const *) b;
    if (x->dev != y->dev) return x->dev < y->dev ? -1 : 1;
    if (x->ino != y->ino) return x->ino < y->ino ? -1 : 1;
    return (x > y) - (x < y);
}

/* A file that an earlier source has, or the same one by another path, is that source's: one file of a folder can have a
 * form or a genre of its own. */
static wb_status drop_again (wb_corpus_files_t *f, const wb_corpus_options_t *o) {
    wb_corpus_file_t **order = wb_malloc ((size_t) (f->len + 1) * sizeof (wb_corpus_file_t *));
    int64_t kept = 0, *own = wb_calloc ((size_t) o->sources.n + 1, sizeof *own);
    wb_status status = order != NULL && own != NULL ? WB_OK : WB_NOMEM ("list of files");
    for (int64_t i = 0; status == WB_OK && i < f->len; i++) order[i] = &f->data[i];
    if (status == WB_OK) qsort (order, (size_t) f->len, sizeof (wb_corpus_file_t *), by_file);
    for (int64_t i = 1, first = 0; status == WB_OK && i < f->len; i++) {
        const wb_corpus_file_t *a = order[first];
        if (a->dev != order[i]->dev || a->ino != order[i]->ino)
            first = i;
        else
            f->bytes -= order[i]->bytes, order[i]->bytes = -1; /* goes */
    }
    for (int64_t i = 0; status == WB_OK && i < f->len; i++) {
        if (f->data[i].bytes < 0) {
            wb_free (f->data[i].path);
            continue;
        }
        own[f->data[i].source]++;
        f->data[kept++] = f->data[i];
    }
    if (status == WB_OK) f->len = kept;
    for (int i = 0; i < o->sources.n && status == WB_OK; i++)
        if (own[i] == 0)
            status = WB_FAIL (WB_EDATA, "source %d, %s: all of its files are those of earlier sources", i + 1,
                              wb_corpus_source (o, i)->path);
    wb_free (order);
    wb_free (own);
    return status;
}

static wb_status find_all (wb_corpus_files_t *f, const wb_corpus_options_t *o) {
    for (int i = 0; i < o->sources.n; i++) WB_TRY (find_source (f, wb_corpus_source (o, i), i));
    return drop_again (f, o);
}

/* ---- sharing ----------------------------------------------------------------------------------------------------- */

static wb_status pack (wb_buf_t *b, const wb_corpus_files_t *f) {
    for (int64_t i = 0; i < f->len; i++) {
        const int64_t head[3] = {f->data[i].bytes, f->data[i].mtime, f->data[i].source};
        WB_TRY (wb_buf_put (b, head, sizeof head));
        WB_TRY (wb_buf_put (b, f->data[i].path, strlen (f->data[i].path) + 1));
    }
    return WB_OK;
}

static wb_status unpack (wb_corpus_files_t *f, const wb_buf_t *b) {
    for (size_t at = 0; at < b->len;) {
        int64_t head[3];
        memcpy (head, b->data + at, sizeof head);
        at += sizeof head;
        WB_TRY (put (f, b->data + at, head[0], head[1], (int) head[2]));
        at += strlen (b->data + at) + 1;
    }
    return WB_OK;
}

static wb_status share (wb_corpus_files_t *f, wb_comm_t *world, wb_buf_t *b) {
    const bool root = wb_comm_rank (world) == 0;
    uint64_t bytes = 0;
    WB_TRY (wb_agree (world, root ? pack (b, f) : WB_OK));
    bytes = b->len;
    wb_comm_bcast (world, &bytes, sizeof bytes, 0);
    WB_TRY (wb_agree (world, root ? WB_OK : wb_buf_reserve (b, bytes)));
    wb_comm_bcast (world, b->data, bytes, 0);
    b->len = bytes;
    return wb_agree (world, root ? WB_OK : unpack (f, b));
}

wb_status wb_corpus_files_find (wb_corpus_files_t *out, wb_comm_t *world, const wb_corpus_options_t *o) {
    wb_buf_t b = {0};
    *out = (wb_corpus_files_t){0};
    wb_status status = wb_agree (world, wb_comm_rank (world) == 0 ? find_all (out, o) : WB_OK);
    if (status == WB_OK && wb_comm_size (world) > 1) status = share (out, world, &b);
    wb_buf_fini (&b);
    if (status != WB_OK) wb_corpus_files_fini (out);
    return status;
}
