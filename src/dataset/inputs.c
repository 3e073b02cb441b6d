/* Inputs: which files there are to encode.
 *
 * Rank 0 walks the directories and tells the others, so that nobody works from another view of the file system.
 *
 * Not done here: opening them (look.c, units.c, unit_records.c). */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataset/inputs.h"

void wb_inputs_fini (wb_inputs_t *l) {
    for (int64_t i = 0; i < l->len; i++) wb_free (l->data[i].path);
    wb_free (l->data);
    for (int i = 0; i < WB_NAMED_OUT; i++) wb_free (l->names[i]);
    *l = (wb_inputs_t){0};
}

static wb_status put (wb_inputs_t *l, const char *path, wb_input_kind kind, bool named, int64_t bytes) {
    char *name = wb_strdup (path);
    if (name == NULL || !WB_GROW (l->data, l->cap, l->len + 1)) {
        wb_free (name);
        return WB_NOMEM ("list of inputs");
    }
    l->data[l->len++] = (wb_input_t){name, kind, WB_CHARSET_UTF8, named, bytes, l->bytes, 0, 0};
    l->bytes += bytes;
    return WB_OK;
}

/* ---- finding ---------------------------------------------------------------------------------------------------- */

static bool ends (const char *s, const char *with) {
    const size_t n = strlen (s), k = strlen (with);
    return n >= k && strcasecmp (s + n - k, with) == 0;
}

static bool ends_in (const char *s, const char *const *suffixes, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (ends (s, suffixes[i])) return true;
    return false;
}
#define ENDS_IN(s, list) ends_in (s, list, sizeof list / sizeof list[0])

/* The row of a suffix; when all rows are in use, the last one. */
static int row_of (wb_inputs_t *l, const char *suffix) {
    enum { ROWS = sizeof l->out / sizeof l->out[0] };
    for (int i = 0; i < l->suffixes; i++)
        if (strcasecmp (l->out[i].suffix, suffix) == 0) return i;
    if (l->suffixes == ROWS) return ROWS - 1;
    snprintf (l->out[l->suffixes].suffix, sizeof l->out[0].suffix, "%s", l->suffixes == ROWS - 1 ? "others" : suffix);
    return l->suffixes++;
}

void wb_inputs_leave_out (wb_inputs_t *l, const char *path) {
    const char *name = wb_file_name (path), *dot = strrchr (name, '.');
    const bool has_suffix = dot != NULL && dot != name && strlen (dot) < sizeof l->out[0].suffix;
    l->out[row_of (l, has_suffix ? dot : "without a suffix")].files++;
    if (l->others < WB_NAMED_OUT) l->names[l->others] = wb_strdup (path); /* NULL where memory is out: not named */
    l->others++;
}

static int by_files (const void *a, const void *b) {
    const wb_left_out_t *x = a, *y = b;
    return (x->files < y->files) - (x->files > y->files);
}

/* "12 .html, 3 .epub: a/1.html, a/2.html, a/3.epub, ..." into buf. */
static const char *left_out (char *buf, size_t bytes, wb_inputs_t *l) {
    size_t at = 0;
    buf[0] = 0;
    qsort (l->out, (size_t) l->suffixes, sizeof l->out[0], by_files);
    for (int i = 0; i < l->suffixes && at + 64 < bytes; i++)
        at += (size_t) snprintf (buf + at, bytes - at, "%s%lld %s", i > 0 ? ", " : "", (long long) l->out[i].files,
                                 l->out[i].suffix);
    for (int i = 0; i < WB_NAMED_OUT && l->names[i] != NULL && at < bytes; i++)
        at += (size_t) snprintf (buf + at, bytes - at, "%s%.150s", i == 0 ? ": " : ", ", l->names[i]);
    if (l->others > WB_NAMED_OUT && at < bytes) snprintf (buf + at, bytes - at, ", ...");
    return buf;
}

static wb_status put_file (wb_inputs_t *l, const char *path, wb_input_kind kind, bool named, const struct stat *st) {
    WB_TRY (put (l, path, kind, named, (int64_t) st->st_size));
    l->data[l->len - 1].dev = (uint64_t) st->st_dev;
    l->data[l->len - 1].ino = (uint64_t) st->st_ino;
    return WB_OK;
}

/* Something in a directory that is not there any more, leads nowhere or may not be read does not end hours of work; a
 * disk that fails does.  Each one named on the command line is an error. */
static wb_status cannot_open (wb_inputs_t *l, const char *path, bool named, int error) {
    if (named || (error != ENOENT && error != ELOOP && error != EACCES && error != EPERM))
        return WB_FAIL (WB_EIO, "%s: cannot open: %s", path, strerror (error));
    struct stat st;
    const bool leads = lstat (path, &st) == 0 && S_ISLNK (st.st_mode) && error == ENOENT;
    if (l->closed++ < WB_NAMED_OUT)
        wb_warn ("%s is left out: %s", path, leads ? "a symbolic link that leads nowhere" : strerror (error));
    return WB_OK;
}

static wb_status find (wb_inputs_t *l, const char *path, bool named);

static wb_status find_in_dir (wb_inputs_t *l, const char *path, bool named) {
    wb_names_t names;
    if (access (path, R_OK | X_OK) != 0) return cannot_open (l, path, named, errno);
    WB_TRY (wb_dir_list (&names, path));
    wb_status status = WB_OK;
    for (int64_t i = 0; i < names.len && status == WB_OK; i++) {
        char *below = wb_format ("%s%s%s", path, ends (path, "/") ? "" : "/", names.data[i]);
        status = below != NULL ? find (l, below, false) : WB_NOMEM ("list of inputs");
        wb_free (below);
    }
    wb_names_fini (&names);
    return status;
}

/* named: the user gave this very path. */
static wb_status find (wb_inputs_t *l, const char *path, bool named) {
    static const char *const packed[] = {".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".tgz", ".7z"};
    static const char *const lines[] = {".jsonl", ".ndjson"};
    static const char *const texts[] = {".txt",   ".text",  ".md",    ".json",   ".sjis",  ".sj",        ".shift_jis",
                                        ".cp932", ".euc",   ".eucjp", ".euc-jp", ".jis",   ".iso2022jp", ".iso-2022-jp",
                                        ".utf8",  ".utf-8", ".utf",   ".utf16",  ".utf-16"};
    struct stat st;
    if (named && strcmp (path, "-") == 0) return put (l, "/dev/stdin", WB_INPUT_STREAM, true, 0);
    if (!named && (lstat (path, &st) != 0 || S_ISLNK (st.st_mode)) && wb_file_is_dir (path)) return WB_OK;
    if (stat (path, &st) != 0) return cannot_open (l, path, named, errno);
    if (S_ISDIR (st.st_mode)) return find_in_dir (l, path, named);
    if (named && !S_ISREG (st.st_mode)) return put (l, path, WB_INPUT_STREAM, true, 0);
    if (S_ISREG (st.st_mode)) {
        if (!named && access (path, R_OK) != 0) return cannot_open (l, path, named, errno);
        if (ENDS_IN (path, lines)) return put_file (l, path, WB_INPUT_LINES, named, &st);
        if (ENDS_IN (path, texts) || ENDS_IN (path, packed)) return put_file (l, path, WB_INPUT_TEXT, named, &st);
    }
    if (!named) {
        wb_inputs_leave_out (l, path);
        return WB_OK;
    }
    return put_file (l, path, WB_INPUT_TEXT, true, &st);
}

/* ---- the same file twice ----------------------------------------------------------------------------------------- */

typedef struct same {
    uint64_t dev, ino;
    int64_t i;
} same_t;

static int by_inode (const void *a, const void *b) {
    const same_t *x = a, *y = b;
    if (x->dev != y->dev) return x->dev < y->dev ? -1 : 1;
    if (x->ino != y->ino) return x->ino < y->ino ? -1 : 1;
    return (x->i > y->i) - (x->i < y->i);
}

static wb_status warn_twice (const wb_inputs_t *l) {
    same_t *all = wb_calloc ((size_t) l->len + 1, sizeof *all);
    if (all == NULL) return WB_NOMEM ("list of inputs");
    int64_t n = 0, twice = 0;
    const char *first = "", *again = "";
    for (int64_t i = 0; i < l->len; i++) {
        if (l->data[i].kind != WB_INPUT_STREAM) all[n++] = (same_t){l->data[i].dev, l->data[i].ino, i};
    }
    qsort (all, (size_t) n, sizeof *all, by_inode);
    for (int64_t i = 1; i < n; i++)
        if (all[i].dev == all[i - 1].dev && all[i].ino == all[i - 1].ino && twice++ == 0)
            first = l->data[all[i - 1].i].path, again = l->data[all[i].i].path;
    if (twice > 0)
        wb_warn ("%s and %s are one file: its text is taken twice%s", first, again,
                 twice > 1 ? "; so are other files" : "");
    wb_free (all);
    return WB_OK;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static wb_status find_all (wb_inputs_t *l, char *const *paths, int n, int ranks) {
    for (int i = 0; i < n; i++) {
        const int64_t before = l->len;
        WB_TRY (find (l, paths[i], true));
        const bool is_stream = l->len > before && l->data[before].kind == WB_INPUT_STREAM;
        if (is_stream && i > 0 && ranks > 1)
            return WB_FAIL (WB_EUSAGE, "on several ranks %s, a pipe, must be the first INPUT", paths[i]);
    }
    return warn_twice (l);
}

/* After all has been looked at. */
static wb_status check (wb_inputs_t *l, char *const *paths, int n) {
    char out[1024];
    bool stream = false;
    const char *more = n > 1 ? " and the other inputs" : "";
    for (int64_t i = 0; i < l->len; i++) stream = stream || l->data[i].kind == WB_INPUT_STREAM;
    if (l->len == 0 && l->others == 0) return WB_FAIL (WB_EDATA, "no text in %s%s: no file is there", paths[0], more);
    if (l->len == 0)
        return WB_FAIL (WB_EDATA,
                        "no text in %s%s: %lld file%s there, but none that ends in .txt, .text, .md, .jsonl, "
                        ".ndjson or .json, or is packed (.gz, .zst, .zip ...), and is text (%s)",
                        paths[0], more, (long long) l->others, wb_plural (l->others), left_out (out, sizeof out, l));
    if (l->bytes == 0 && !stream)
        return WB_FAIL (WB_EDATA, "no text in %s%s: %lld file%s there, all empty", paths[0], more, (long long) l->len,
                        wb_plural (l->len));
    if (l->closed > WB_NAMED_OUT)
        wb_warn ("... and %lld more that cannot be opened", (long long) (l->closed - WB_NAMED_OUT));
    if (l->others > 0)
        wb_info (
            "left out: %s (give what is text by its name; wabun corpus build reads it all, and HTML without its tags)",
            left_out (out, sizeof out, l));
    return WB_OK;
}

/* ---- sharing ---------------------------------------------------------------------------------------------------- */

static wb_status pack (wb_buf_t *b, const wb_inputs_t *l) {
    for (int64_t i = 0; i < l->len; i++) {
        const int64_t head[3] = {l->data[i].kind, l->data[i].named, l->data[i].bytes};
        WB_TRY (wb_buf_put (b, head, sizeof head));
        WB_TRY (wb_buf_put (b, l->data[i].path, strlen (l->data[i].path) + 1));
    }
    return WB_OK;
}

static wb_status unpack (wb_inputs_t *l, const wb_buf_t *b) {
    for (size_t at = 0; at < b->len;) {
        int64_t head[3];
        memcpy (head, b->data + at, sizeof head);
        at += sizeof head;
        WB_TRY (put (l, b->data + at, (wb_input_kind) head[0], head[1] != 0, head[2]));
        at += strlen (b->data + at) + 1;
    }
    return WB_OK;
}

static wb_status share (wb_inputs_t *l, wb_comm_t *world, wb_buf_t *b) {
    const bool root = wb_comm_rank (world) == 0;
    WB_TRY (wb_agree (world, root ? pack (b, l) : WB_OK));
    uint64_t bytes = b->len;
    wb_comm_bcast (world, &bytes, sizeof bytes, 0);
    WB_TRY (wb_agree (world, root ? WB_OK : wb_buf_reserve (b, bytes)));
    wb_comm_bcast (world, b->data, bytes, 0);
    b->len = bytes;
    return wb_agree (world, root ? WB_OK : unpack (l, b));
}

wb_status wb_inputs_find (wb_inputs_t *out, wb_comm_t *world, char *const *paths, int n, const char *field,
                          const char *from) {
    const int ranks = wb_comm_size (world);
    wb_buf_t b = {0};
    *out = (wb_inputs_t){0};
    wb_status status = wb_agree (world, wb_comm_rank (world) == 0 ? find_all (out, paths, n, ranks) : WB_OK);
    if (status == WB_OK && ranks > 1) status = share (out, world, &b);
    wb_buf_fini (&b);
    if (status == WB_OK) status = wb_inputs_look (out, world, field, from);
    if (status == WB_OK) status = wb_agree (world, wb_comm_rank (world) == 0 ? check (out, paths, n) : WB_OK);
    if (status != WB_OK) wb_inputs_fini (out);
    return status;
}
