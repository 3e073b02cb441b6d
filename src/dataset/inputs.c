/* Inputs: which files there are to encode, and of what kind each is.
 *
 * Rank 0 looks and tells the others, so that nobody works from another view of the file system.
 *
 * Not done here: opening them; formats beyond text and JSON lines. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "dataset/inputs.h"

void wb_inputs_fini (wb_inputs_t *l) {
    for (int64_t i = 0; i < l->len; i++) wb_free (l->data[i].path);
    wb_free (l->data);
    *l = (wb_inputs_t){0};
}

static wb_status put (wb_inputs_t *l, const char *path, wb_input_kind kind, int64_t bytes) {
    char *name = wb_strdup (path);
    if (name == NULL || !WB_GROW (l->data, l->cap, l->len + 1)) {
        wb_free (name);
        return WB_NOMEM ("list of inputs");
    }
    l->data[l->len++] = (wb_input_t){name, kind, bytes, l->bytes};
    l->bytes += bytes;
    return WB_OK;
}

/* ---- looking ---------------------------------------------------------------------------------------------------- */

static bool ends (const char *s, const char *with) {
    size_t n = strlen (s), k = strlen (with);
    return n >= k && strcmp (s + n - k, with) == 0;
}

static wb_status find (wb_inputs_t *l, const char *path, bool named);

static wb_status find_in_dir (wb_inputs_t *l, const char *path) {
    wb_names_t names;
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
    static const char *const packed[] = {".gz", ".bz2", ".xz", ".zst", ".zip"};
    struct stat st;
    if (named && strcmp (path, "-") == 0) return put (l, "/dev/stdin", WB_INPUT_STREAM, 0);
    if (!named && (lstat (path, &st) != 0 || S_ISLNK (st.st_mode)) && wb_file_is_dir (path)) return WB_OK;
    if (stat (path, &st) != 0) return WB_FAIL (WB_EIO, "%s: cannot open: %s", path, strerror (errno));
    if (S_ISDIR (st.st_mode)) return find_in_dir (l, path);
    if (named && !S_ISREG (st.st_mode)) return put (l, path, WB_INPUT_STREAM, 0);
    if (ends (path, ".jsonl")) return put (l, path, WB_INPUT_LINES, (int64_t) st.st_size);
    if (ends (path, ".txt")) return put (l, path, WB_INPUT_TEXT, (int64_t) st.st_size);
    if (!named) {
        l->others++;
        return WB_OK;
    }
    for (size_t i = 0; i < sizeof packed / sizeof packed[0]; i++)
        if (ends (path, packed[i]))
            return WB_FAIL (WB_EUSAGE, "%s: compressed files are not read; unpack it first", path);
    return put (l, path, WB_INPUT_TEXT, (int64_t) st.st_size);
}

static wb_status find_all (wb_inputs_t *l, char *const *paths, int n, int ranks) {
    bool stream = false;
    for (int i = 0; i < n; i++) {
        const int64_t before = l->len;
        WB_TRY (find (l, paths[i], true));
        const bool is_stream = l->len > before && l->data[before].kind == WB_INPUT_STREAM;
        if (is_stream && i > 0 && ranks > 1)
            return WB_FAIL (WB_EUSAGE, "on several ranks %s, a pipe, must be the first INPUT", paths[i]);
        stream = stream || is_stream;
    }
    const char *more = n > 1 ? " and the other inputs" : "";
    if (l->len == 0 && l->others == 0) return WB_FAIL (WB_EDATA, "no text in %s%s: no file is there", paths[0], more);
    if (l->len == 0)
        return WB_FAIL (WB_EDATA, "no text in %s%s: %lld file%s there, but none that ends in .txt or .jsonl", paths[0],
                        more, (long long) l->others, wb_plural (l->others));
    if (l->bytes == 0 && !stream)
        return WB_FAIL (WB_EDATA, "no text in %s%s: %lld file%s there, all empty", paths[0], more, (long long) l->len,
                        wb_plural (l->len));
    return WB_OK;
}

/* ---- sharing ---------------------------------------------------------------------------------------------------- */

static wb_status pack (wb_buf_t *b, const wb_inputs_t *l) {
    for (int64_t i = 0; i < l->len; i++) {
        const int64_t head[2] = {l->data[i].kind, l->data[i].bytes};
        WB_TRY (wb_buf_put (b, head, sizeof head));
        WB_TRY (wb_buf_put (b, l->data[i].path, strlen (l->data[i].path) + 1));
    }
    return WB_OK;
}

static wb_status unpack (wb_inputs_t *l, const wb_buf_t *b) {
    for (size_t at = 0; at < b->len;) {
        int64_t head[2];
        memcpy (head, b->data + at, sizeof head);
        at += sizeof head;
        WB_TRY (put (l, b->data + at, (wb_input_kind) head[0], head[1]));
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

wb_status wb_inputs_find (wb_inputs_t *out, wb_comm_t *world, char *const *paths, int n) {
    const int ranks = wb_comm_size (world);
    wb_buf_t b = {0};
    *out = (wb_inputs_t){0};
    wb_status status = wb_agree (world, wb_comm_rank (world) == 0 ? find_all (out, paths, n, ranks) : WB_OK);
    if (status == WB_OK && ranks > 1) status = share (out, world, &b);
    wb_buf_fini (&b);
    if (status != WB_OK) wb_inputs_fini (out);
    return status;
}
