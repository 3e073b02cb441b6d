/* Checksums: XXH64 of every 4 MiB block of every file of a checkpoint, in one small JSON file beside them.
 *
 * Blocks let many ranks share the work, and give a damaged place an address.  Writing and checking both read the files;
 * each rank takes a contiguous range of the blocks of all files, so that it opens few files, and so that the lowest
 * rank with an error has the first bad block.
 *
 * Not done here: protection against intent; all faults at once, bad numbers (check.c). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint/checkpoint_priv.h"
#include "wabun/json.h"

#define BLOCK_MAX ((int64_t) 16 << 20)
#define ADVICE WB_SUMS_ADVICE

void wb_sums_fini (wb_sums_t *s) {
    for (int i = 0; s->files != NULL && i < s->n; i++) wb_free (s->files[i].path);
    wb_free (s->files);
    wb_free (s->hashes);
    memset (s, 0, sizeof *s);
}

/* There is room for it. */
static wb_status add_file (wb_sums_t *s, const char *dir, const char *name, int64_t bytes) {
    wb_sums_file_t *f = &s->files[s->n++];
    f->path = wb_format ("%s/%s", dir, name);
    if (f->path == NULL) return WB_NOMEM ("checkpoint");
    f->name = f->path + strlen (f->path) - strlen (name);
    f->bytes = bytes;
    f->nblocks = bytes / s->block + (bytes % s->block != 0);
    f->first = s->nblocks;
    s->nblocks += f->nblocks;
    return WB_OK;
}

static wb_status file_size (int64_t *bytes, const char *path) {
    struct stat st;
    if (stat (path, &st) != 0) {
        if (errno == ENOENT) return WB_FAIL (WB_EDATA, "%s: missing, but " WB_SUMS_FILE " names it; " ADVICE, path);
        return WB_FAIL (WB_EIO, "%s: cannot open: %s", path, strerror (errno));
    }
    *bytes = st.st_size;
    return WB_OK;
}

/* A block of f into buf. */
static wb_status read_block (char *buf, size_t *bytes, const wb_sums_t *s, const wb_sums_file_t *f, int fd,
                             int64_t block) {
    int64_t at = block * s->block, left = f->bytes - at < s->block ? f->bytes - at : s->block;
    *bytes = (size_t) left;
    size_t got;
    int error = wb_fd_read (fd, buf, &got, *bytes, at);
    if (error != 0 || got < *bytes)
        return WB_FAIL (WB_EIO, "%s: cannot read at byte %" PRId64 ": %s", f->path, at + (int64_t) got,
                        error != 0 ? strerror (error) : "the file ends there");
    return WB_OK;
}

/* Hash the blocks first .. end - 1 of all: into s->hashes, or compare them with it. */
static wb_status hash_blocks (wb_sums_t *s, int64_t first, int64_t end, bool compare, const wb_pace_t *pace) {
    if (first >= end) return WB_OK;
    char *buf = wb_malloc ((size_t) s->block);
    if (buf == NULL) return WB_NOMEM ("checkpoint");
    wb_status status = WB_OK;
    for (int i = 0; i < s->n && status == WB_OK; i++) {
        const wb_sums_file_t *f = &s->files[i];
        int64_t b = first > f->first ? first : f->first, last = f->first + f->nblocks;
        if (last > end) last = end;
        if (b >= last) continue;
        int fd = open (f->path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) status = WB_FAIL (WB_EIO, "%s: cannot open: %s", f->path, strerror (errno));
        for (; b < last && status == WB_OK; b++) {
            size_t bytes;
            status = read_block (buf, &bytes, s, f, fd, b - f->first);
            if (status != WB_OK) break;
            wb_beat ();
            uint64_t hash = wb_hash64 (buf, bytes);
            int64_t at = (b - f->first) * s->block;
            if (pace != NULL && pace->rest != NULL) pace->rest (pace->ctx);
            if (!compare)
                s->hashes[b] = hash;
            else if (s->hashes[b] != hash)
                status = WB_FAIL (WB_EDATA,
                                  "%s: damaged in block %" PRId64 " (bytes %" PRId64 " to %" PRId64
                                  "): checksum %016" PRIx64 ", not %016" PRIx64 "; " ADVICE,
                                  f->path, b - f->first, at, at + (int64_t) bytes - 1, hash, s->hashes[b]);
        }
        if (fd >= 0) close (fd);
    }
    wb_free (buf);
    return status;
}

/* ---- the list itself -------------------------------------------------------------------------------------------- */

/* A hash of names, sizes and hashes of all files, whatever their order: an entry that is lost or changed shows. */
static wb_status hash_list (uint64_t *out, const wb_sums_t *s) {
    wb_buf_t b = {0};
    wb_status status = WB_OK;
    *out = 0;
    for (int i = 0; i < s->n && status == WB_OK; i++) {
        const wb_sums_file_t *f = &s->files[i];
        wb_buf_clear (&b);
        status = wb_buf_put (&b, f->name, strlen (f->name) + 1);
        if (status == WB_OK) status = wb_buf_put (&b, &f->bytes, sizeof f->bytes);
        if (status == WB_OK) status = wb_buf_put (&b, s->hashes + f->first, (size_t) f->nblocks * sizeof *s->hashes);
        *out += wb_hash64 (b.data, b.len);
    }
    wb_buf_fini (&b);
    return status;
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

/* json_object and json_array own what they are given, also when adding it fails. */
static char *to_text (const wb_sums_t *s) {
    char list[17];
    uint64_t hash;
    if (hash_list (&hash, s) != WB_OK) return NULL;
    snprintf (list, sizeof list, "%016" PRIx64, hash);
    json_t *root = json_object (), *files = json_object ();
    bool good = json_object_set_new (root, "algorithm", json_string ("xxh64")) == 0;
    good = json_object_set_new (root, "block", json_integer (s->block)) == 0 && good;
    good = json_object_set_new (root, "list", json_string (list)) == 0 && good;
    good = json_object_set_new (root, "files", files) == 0 && good;
    for (int i = 0; i < s->n && good; i++) {
        const wb_sums_file_t *f = &s->files[i];
        json_t *entry = json_object (), *blocks = json_array ();
        good = json_object_set_new (entry, "bytes", json_integer (f->bytes)) == 0;
        good = json_object_set_new (entry, "blocks", blocks) == 0 && good;
        good = json_object_set_new (files, f->name, entry) == 0 && good;
        for (int64_t b = 0; b < f->nblocks && good; b++) {
            char hex[17];
            snprintf (hex, sizeof hex, "%016" PRIx64, s->hashes[f->first + b]);
            good = json_array_append_new (blocks, json_string (hex)) == 0;
        }
    }
    char *text = good ? json_dumps (root, JSON_INDENT (1)) : NULL;
    json_decref (root);
    return text;
}

/* Add files, with the sizes they have on disk. */
wb_status wb_sums_add (wb_sums_t *s, const char *dir, const char *const *names, int n) {
    wb_status status = WB_OK;
    for (int i = 0; i < n && status == WB_OK; i++) {
        int64_t bytes = 0;
        char *path = wb_format ("%s/%s", dir, names[i]);
        status = path != NULL ? file_size (&bytes, path) : WB_NOMEM ("checkpoint");
        wb_free (path);
        if (status == WB_OK) status = add_file (s, dir, names[i], bytes);
    }
    return status;
}

wb_status wb_sums_make (wb_sums_t *s, const wb_sums_share_t *share, const char *dir, const char *const *shared,
                        int nshared, const char *const *small, int nsmall) {
    *s = (wb_sums_t){.block = WB_SUMS_BLOCK};
    s->files = wb_calloc ((size_t) (nshared + nsmall + 1), sizeof *s->files);
    if (s->files == NULL) return WB_NOMEM ("checkpoint");
    WB_TRY (wb_sums_add (s, dir, shared, nshared));
    s->shared = s->nblocks;
    WB_TRY (wb_sums_add (s, dir, small, nsmall));
    s->hashes = wb_calloc ((size_t) s->nblocks + 1, sizeof *s->hashes);
    if (s->hashes == NULL) return WB_NOMEM ("checkpoint");
    WB_TRY (hash_blocks (s, wb_split_first (s->shared, share->ranks, share->rank),
                         wb_split_first (s->shared, share->ranks, share->rank + 1), false, &share->pace));
    return hash_blocks (s, s->shared, s->nblocks, false, &share->pace);
}

/* Each hash is zero on all ranks but one. */
void wb_sums_share (wb_sums_t *s, wb_comm_t *c) { wb_comm_sum_i64 (c, (int64_t *) s->hashes, wb_int (s->shared)); }

wb_status wb_sums_write (const wb_sums_t *s, const char *dir) {
    char *text = to_text (s), *path = wb_format ("%s/" WB_SUMS_FILE, dir);
    wb_status status =
        text != NULL && path != NULL ? wb_file_write (path, text, strlen (text)) : WB_NOMEM ("checkpoint");
    wb_free_foreign (text);
    wb_free (path);
    return status;
}

/* ---- checking -------------------------------------------------------------------------------------------------- */

static bool is_plain_name (const char *name) {
    return name[0] != 0 && strchr (name, '/') == NULL && strcmp (name, ".") != 0 && strcmp (name, "..") != 0;
}

static bool take_hash (uint64_t *hash, const char *hex) {
    if (hex == NULL || strlen (hex) != 16 || strspn (hex, "0123456789abcdef") != 16) return false;
    return sscanf (hex, "%" SCNx64, hash) == 1;
}

/* The hash of the list, where it has one: older checkpoints do not. */
static wb_status take_list (wb_sums_t *s, const json_t *list) {
    uint64_t want = 0, is;
    if (list == NULL) return WB_OK;
    WB_TRY (hash_list (&is, s));
    s->changed = !take_hash (&want, json_string_value (list)) || want != is;
    return WB_OK;
}

wb_status wb_sums_check_list (const wb_sums_t *s, const char *dir) {
    if (!s->changed) return WB_OK;
    return WB_FAIL (WB_EDATA, "%s/" WB_SUMS_FILE ": damaged: an entry was lost or changed; " ADVICE, dir);
}

wb_status wb_sums_parse (wb_sums_t *s, const char *dir, const char *path, const char *text, size_t length) {
    json_error_t why;
    json_t *root = wb_json_load (text, length, JSON_REJECT_DUPLICATES, &why), *entry;
    const char *name = "";
    bool wrong = false;
    if (root == NULL) return WB_FAIL (WB_EDATA, "%s:%d: damaged: %.100s; " ADVICE, path, why.line, why.text);
    json_t *algorithm = json_object_get (root, "algorithm"), *files = json_object_get (root, "files");
    json_t *block = json_object_get (root, "block");
    wb_status status = WB_OK;
    if (json_object_size (root) > 3 && json_object_get (root, "list") == NULL)
        status = WB_FAIL (WB_EDATA, "%s: damaged: there is a key that no checkpoint has; " ADVICE, path);
    else if (!json_is_string (algorithm) || !json_is_object (files) || !json_is_integer (block))
        status = WB_FAIL (WB_EDATA, "%s: damaged: algorithm, block or files is missing; " ADVICE, path);
    else if (strcmp (json_string_value (algorithm), "xxh64") != 0)
        status =
            WB_FAIL (WB_EDATA, "%s: algorithm '%.40s' is not known, only xxh64", path, json_string_value (algorithm));
    else if (json_integer_value (block) < 1 || json_integer_value (block) > BLOCK_MAX)
        status = WB_FAIL (WB_EDATA, "%s: a block of %" PRId64 " bytes; 1 to %" PRId64 " are allowed", path,
                          (int64_t) json_integer_value (block), BLOCK_MAX);
    if (status == WB_OK) {
        s->block = json_integer_value (block);
        s->files = wb_calloc (json_object_size (files) + 1, sizeof *s->files);
        if (s->files == NULL) status = WB_NOMEM ("checkpoint");
    }
    size_t listed = 0, b = 0;
    if (status == WB_OK) {
        json_object_foreach (files, name, entry) {
            json_t *bytes = json_object_get (entry, "bytes");
            size_t n = json_array_size (json_object_get (entry, "blocks"));
            listed += n;
            wrong = !is_plain_name (name) || !json_is_integer (bytes) || json_integer_value (bytes) < 0;
            if (!wrong) status = add_file (s, dir, name, json_integer_value (bytes));
            if (status == WB_OK && !wrong) wrong = s->files[s->n - 1].nblocks != (int64_t) n;
            if (status != WB_OK || wrong) break;
        }
    }
    if (status == WB_OK && !wrong) {
        s->hashes = wb_calloc (listed + 1, sizeof *s->hashes);
        if (s->hashes == NULL) status = WB_NOMEM ("checkpoint");
    }
    if (status == WB_OK && !wrong) {
        json_object_foreach (files, name, entry) {
            json_t *blocks = json_object_get (entry, "blocks");
            for (size_t i = 0; i < json_array_size (blocks) && !wrong; i++)
                wrong = !take_hash (&s->hashes[b++], json_string_value (json_array_get (blocks, i)));
            if (wrong) break;
        }
    }
    if (status == WB_OK && wrong)
        status = WB_FAIL (WB_EDATA, "%s: damaged: the entry of '%.100s' is wrong; " ADVICE, path, name);
    if (status == WB_OK) status = take_list (s, json_object_get (root, "list"));
    json_decref (root);
    return status;
}

wb_status wb_sums_check_size (const wb_sums_file_t *f) {
    int64_t bytes = 0;
    WB_TRY (file_size (&bytes, f->path));
    if (bytes == f->bytes) return WB_OK;
    return WB_FAIL (WB_EDATA, "%s: damaged: %" PRId64 " bytes long, should be %" PRId64 "; " ADVICE, f->path, bytes,
                    f->bytes);
}

wb_status wb_sums_check_named (const wb_sums_t *s, const char *dir, const char *name) {
    const char *dot = strrchr (name, '.');
    const bool needed = strcmp (name, "config.json") == 0 || strcmp (name, "state.json") == 0 ||
                        (dot != NULL && strcmp (dot, ".safetensors") == 0);
    for (int i = 0; i < s->n; i++)
        if (strcmp (s->files[i].name, name) == 0) return WB_OK;
    if (!needed) return WB_OK;
    return WB_FAIL (WB_EDATA,
                    "%s/%s: " WB_SUMS_FILE " does not name it, so nothing can tell whether it is whole; " ADVICE, dir,
                    name);
}

static wb_status check_files (const wb_sums_t *s, const char *dir) {
    wb_names_t names;
    WB_TRY (wb_dir_list (&names, dir));
    wb_status status = WB_OK;
    for (int i = 0; i < s->n && status == WB_OK; i++) status = wb_sums_check_size (&s->files[i]);
    for (int64_t i = 0; i < names.len && status == WB_OK; i++) status = wb_sums_check_named (s, dir, names.data[i]);
    wb_names_fini (&names);
    return status == WB_OK ? wb_sums_check_list (s, dir) : status;
}

static wb_status verify (wb_comm_t *c, wb_sums_t *s, char **text, const char *dir, const char *path) {
    struct {
        int64_t there, bytes;
    } size = {0, 0};
    const int ranks = wb_comm_size (c), rank = wb_comm_rank (c);
    wb_status status = WB_OK;
    if (rank == 0) {
        size_t bytes = 0;
        if (!wb_file_is_dir (dir))
            status = WB_FAIL (WB_EIO, "%s: no such directory", dir);
        else if (wb_file_exists (path)) {
            status = wb_file_read (text, &bytes, path);
            size.there = 1;
            size.bytes = (int64_t) bytes;
        }
        if (status == WB_OK && size.there) status = wb_sums_parse (s, dir, path, *text, bytes);
        if (status == WB_OK && size.there) status = check_files (s, dir);
    }
    WB_TRY (wb_agree (c, status));
    wb_comm_bcast (c, &size, sizeof size, 0);
    if (!size.there) return WB_OK;
    if (rank != 0) *text = wb_malloc ((size_t) size.bytes);
    WB_TRY (wb_agree (c, *text != NULL ? WB_OK : WB_NOMEM ("checkpoint")));
    wb_comm_bcast (c, *text, (size_t) size.bytes, 0);
    if (rank != 0) status = wb_sums_parse (s, dir, path, *text, (size_t) size.bytes);
    if (status == WB_OK)
        status = hash_blocks (s, wb_split_first (s->nblocks, ranks, rank), wb_split_first (s->nblocks, ranks, rank + 1),
                              true, NULL);
    return wb_agree (c, status);
}

wb_status wb_ckpt_verify (wb_comm_t *world, const char *dir) {
    wb_sums_t s = {0};
    char *text = NULL, *path = wb_format ("%s/" WB_SUMS_FILE, dir);
    wb_status status = wb_agree (world, path != NULL ? WB_OK : WB_NOMEM ("checkpoint"));
    if (status == WB_OK) status = verify (world, &s, &text, dir, path);
    wb_sums_fini (&s);
    wb_free (text);
    wb_free (path);
    return status;
}
